"""The command that converts annotations."""

import re
from pathlib import Path
from typing import Annotated

import typer

from rotomask.cli.command import grouped
from rotomask.cli.options import Messages
from rotomask.cli.terminal import job, print_outputs, resumable
from rotomask.errors import OptionError


@grouped
def convert(
    source: Annotated[
        Path,
        typer.Argument(metavar="IN", help="A cut, a folder of masks, or a tool's file or folder."),
    ],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder to write to.")],
    to: Annotated[str, typer.Option("--to", metavar="NAME", help="One of {conversions}.")],
    messages: Messages,
    source_format: Annotated[
        str | None,
        typer.Option("--from", metavar="NAME", help="The input's format, if it is not recognised."),
    ] = None,
    video: Annotated[
        str | None, typer.Option(metavar="NAME", help="The video, if the input has several.")
    ] = None,
    size: Annotated[
        str | None,
        typer.Option(metavar="WxH", help="Size of the frames, if the input does not say it."),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace another job's output in OUT.")
    ] = False,
) -> None:
    """Convert annotations from and to DAVIS, COCO, YouTube-VIS, CVAT, Label Studio and others.

    Says what the written format cannot hold.
    """
    with job(resumable(out), messages) as on_progress:
        from rotomask.jobs.convert import ConvertOptions
        from rotomask.jobs.convert import convert as run

        options = ConvertOptions(
            source_format=source_format, video=video, size=_read_size(size), overwrite=overwrite
        )
        result = run(source, out, to, options, on_progress=on_progress)
    if not messages.quiet:
        print(f"{result.frames} frames from {result.source_format} to {to}")
        if result.loses:
            print(f"not held by {to}: {result.loses}")
        print_outputs({to: result.folder})


def _read_size(text: str | None) -> tuple[int, int] | None:
    """Height and width of ``WxH``."""
    if text is None:
        return None
    match = re.fullmatch(r"([0-9]{1,5})x([0-9]{1,5})", text)
    if match is None or not all(0 < int(n) < 1 << 16 for n in match.groups()):
        raise OptionError(f"--size takes width and height such as 854x480, got {text!r}")
    return int(match[2]), int(match[1])
