"""Values that are given as text on the command line: lists, paths, pairs of names and paths."""

import re
from pathlib import Path
from typing import Literal

import typer

from rotomask.errors import OptionError


def output_path(text: str) -> Path:
    """The path of an output; an empty one would be the working folder.

    Raises:
        typer.BadParameter: If it is empty.
    """
    if not text:
        raise typer.BadParameter("the name is empty")
    return Path(text)


def read_list(text: str) -> tuple[str, ...]:
    """Names separated by commas."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def read_names(text: str | None) -> tuple[str, ...] | None:
    """Names separated by commas, or those of a file, one a line; None without a text."""
    if text is None:
        return None
    if Path(text).is_file():
        text = ",".join(Path(text).read_text(encoding="utf-8").splitlines())
    return read_list(text)


def read_memory(text: str | None) -> "int | Literal['all'] | None":
    """Number of frames, ``all``, or None.

    Raises:
        OptionError: If it is something else.
    """
    if text is None or text == "all":
        return text  # type: ignore[return-value]
    if not text.isdecimal():
        raise OptionError(f"--memory takes a number of frames, or all, got {text!r}")
    return int(text)


def read_formats(text: str) -> tuple[str, ...]:
    """Formats separated by commas, without `none`, and without masks: these are always written."""
    return tuple(name for name in read_list(text) if name not in ("none", "masks"))


def pair_masks(masks: list[Path], at: list[int] | None, start: int) -> dict[int, Path] | None:
    """Frame number -> mask file; None without a mask.

    Raises:
        OptionError: If their numbers differ, or a frame has two masks.
    """
    if not masks and not at:
        return None
    if not at and len(masks) == 1:
        return {start: masks[0]}
    if len(at or []) != len(masks):
        raise OptionError(
            f"got {len(masks)} --mask and {len(at or [])} --at; give each mask its frame number"
        )
    assert at is not None
    if len(set(at)) != len(at):
        raise OptionError("got two masks for the same frame; one mask can hold many objects")
    return dict(zip(at, masks, strict=True))


def read_folders(data: list[str]) -> dict[str, Path]:
    """NAME=PATH,NAME=PATH -> name -> path; a comma without NAME= after it is part of the path.

    Raises:
        OptionError: If there is no NAME=.
    """
    folders = {}
    for text in data:
        for item in re.split(r",(?=[a-z0-9-]+=)", text):
            name, equals, folder = item.partition("=")
            if not equals:
                raise OptionError(f"--data takes NAME=PATH, such as davis=DAVIS, got {item!r}")
            folders[name] = Path(folder)
    return folders
