"""The browser app."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

import typer

from rotomask.cli.command import grouped
from rotomask.cli.extras import require

MIB = 1 << 20


def default_data() -> Path:
    """Where projects are, unless --data says otherwise: the user's folder for such things."""
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "rotomask"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home()) / "rotomask"
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "rotomask"


@dataclass(frozen=True, kw_only=True)
class Limiting:
    """How much is accepted."""

    section: ClassVar = "Limits"
    max_upload: Annotated[
        int, typer.Option(metavar="MB", min=1, help="Largest video, megabytes.")
    ] = 4096
    max_seconds: Annotated[float, typer.Option(metavar="S", min=1, help="Longest video.")] = 600.0
    max_pixels: Annotated[
        float, typer.Option(metavar="MP", min=0.01, help="Largest frame, megapixels.")
    ] = 9.5
    max_projects: Annotated[int, typer.Option(metavar="N", min=1, help="Most projects.")] = 200
    max_memory: Annotated[
        int, typer.Option(metavar="MB", min=2048, help="Memory of each worker process.")
    ] = 10240
    keep_free: Annotated[
        int, typer.Option(metavar="MB", min=0, help="Space on the disk that is never used.")
    ] = 1024
    record_seconds: Annotated[
        float, typer.Option(metavar="S", min=1, help="Longest recording from the camera.")
    ] = 10.0


@dataclass(frozen=True, kw_only=True)
class Reaching:
    """Who reaches the server, and how."""

    section: ClassVar = "Access"
    host: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS",
            help="Address to listen on. Others than this computer reach it only if you choose one "
            "that they can see, such as 0.0.0.0; the link is then printed as a QR code, too.",
        ),
    ] = "127.0.0.1"
    port: Annotated[
        int, typer.Option(metavar="PORT", min=0, max=65535, help="Port; 0: any free one.")
    ] = 8000
    name: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="A further name of this computer in the network."),
    ] = None
    forget_browsers: Annotated[
        bool,
        typer.Option("--forget-browsers", help="Pages that were open before need the link again."),
    ] = False


@grouped
def serve(
    limiting: Limiting,
    reaching: Reaching,
    data: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder of the projects.")
    ] = None,
    open_page: Annotated[
        bool, typer.Option("--open/--no-open", help="Open the page in the browser.")
    ] = True,
    allow: Annotated[
        list[Path] | None,
        typer.Option(metavar="DIR", help="Folder whose videos can be opened without an upload."),
    ] = None,
    model: Annotated[str, typer.Option(metavar="NAME", help="What follows objects.")] = "stm-lite",
    marker: Annotated[str, typer.Option(metavar="NAME", help="What answers clicks.")] = (
        "click-lite"
    ),
    threads: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            help="Threads of each process that computes.  [default: the cores at hand]",
        ),
    ] = None,
) -> None:
    """Mark, cut and correct videos in the browser; everything stays on this computer."""
    require("fastapi", "uvicorn", "segno")
    from rotomask.app.launch import run_app
    from rotomask.app.settings import AppSettings, Limits
    from rotomask.errors import OptionError

    for folder in allow or ():
        if not folder.is_dir():
            raise OptionError(f"--allow {folder} is not a folder")
    if threads is not None:
        os.environ["OMP_NUM_THREADS"] = str(threads)  # the processes that compute inherit it
    limits = Limits(
        upload_bytes=limiting.max_upload * MIB,
        seconds=limiting.max_seconds,
        pixels=round(limiting.max_pixels * 1e6),
        projects=limiting.max_projects,
        memory_bytes=limiting.max_memory * MIB,
        free_bytes=limiting.keep_free * MIB,
    )
    settings = AppSettings(
        data=(data or default_data()).resolve(),
        host=reaching.host,
        port=reaching.port,
        names=tuple(reaching.name or ()),
        allowed=tuple(allow or ()),
        forgets_browsers=reaching.forget_browsers,
        record_seconds=limiting.record_seconds,
        model=model,
        marker=marker,
        limits=limits,
    )
    run_app(settings, opens_browser=open_page, say=lambda line: print(line, flush=True))
