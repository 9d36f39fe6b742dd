"""Options that several commands share, and what their texts mean."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rotomask.errors import OptionError

if TYPE_CHECKING:
    from rotomask.segmenters.refinements import Refinements

VideoPath = Annotated[Path, typer.Argument(help="A video file, or a folder of frames.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Say more of what is done.")]
Out = Annotated[Path | None, typer.Option("--out", "-o", help="Folder for the results.")]
Model = Annotated[str, typer.Option(help="A model of `rotomask models`.")]
Weights = Annotated[Path | None, typer.Option(help="Checkpoint to use in place of the shipped.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]
Precision = Annotated[str, typer.Option(help="auto, float32 or bfloat16.")]
LookFrom = Annotated[int, typer.Option(help="First frame to look at.")]
LookTo = Annotated[int | None, typer.Option(help="Last frame to look at.")]
Size = Annotated[
    int,
    typer.Option(
        help="Short side in pixels at which frames are processed; larger ones are reduced to it. "
        "0: the video's own. Results always have the video's size."
    ),
]
Flip = Annotated[
    bool, typer.Option("--flip", help="Average with the mirror image's masks; twice the time.")
]
Scales = Annotated[
    str | None,
    typer.Option(help="Average over these factors of the size, such as 0.75,1 (rgmp has three)."),
]
EnsembleWith = Annotated[
    list[str] | None,
    typer.Option(metavar="MODEL[:FILE]", help="Average with another model; may be given again."),
]
OnlineSteps = Annotated[
    int,
    typer.Option(
        help="Learn from the first mask before the video, so many steps; 40 take some seconds."
    ),
]
OnlineSeconds = Annotated[
    float | None,
    typer.Option(
        "--online-seconds",
        "--seconds",
        help="Learn from the first mask for so long at most. One-shot models always learn.",
    ),
]
DetectorName = Annotated[
    str | None,
    typer.Option(
        "--detector",
        help="Keep what the boxes of a detector vouch for: detector-lite (ours), FILE.onnx, "
        "torchvision:NAME; none: the box that is tracked from the first mask.",
    ),
]
Components = Annotated[
    bool,
    typer.Option("--components", help="Keep weak parts only where they touch strong ones."),
]
Crf = Annotated[bool, typer.Option("--crf", help="Refine outlines by a dense CRF.")]
Sequences = Annotated[
    str | None, typer.Option(help="Only these sequences, with commas between: blackswan,dog.")
]
Benchmark = Annotated[
    str,
    typer.Argument(
        metavar="BENCHMARK",
        help="davis2016, davis2017, davis2017-unsupervised, youtube-vos, fbms, segtrack-v2, "
        "jumpcut or folders.",
    ),
]
Root = Annotated[Path, typer.Option(help="The data set, in its official layout.")]
Split = Annotated[str | None, typer.Option(help="Part of the data set; default: what papers use.")]
Html = Annotated[Path | None, typer.Option(help="Write a page with charts and worst frames.")]
Csv = Annotated[Path | None, typer.Option(help="Folder for CSV in the official layout.")]
Latex = Annotated[Path | None, typer.Option(help="Write the tables for a paper.")]
Json = Annotated[Path | None, typer.Option("--json", help="Write all figures to this file.")]


def read_names(text: str | None) -> list[str] | None:
    """Names between commas; None where nothing was given."""
    return None if text is None else [name.strip() for name in text.split(",") if name.strip()]


def read_refinements(scales: str | None, **chosen: Any) -> "Refinements":
    """Refinements from their options.

    Raises:
        OptionError: If a number cannot be read or is out of range.
    """
    from rotomask.segmenters.refinements import Refinements

    try:
        factors = None if scales is None else tuple(float(part) for part in scales.split(","))
    except ValueError as error:
        raise OptionError(f"--scales takes numbers with commas between, got {scales!r}") from error
    boxes = chosen.pop("detector")
    return Refinements(scales=factors, boxes="tracked" if boxes == "none" else boxes, **chosen)


def read_formats(text: str) -> tuple[str, ...]:
    """Formats between commas, without `none` and without masks, which are always written."""
    names = tuple(part.strip() for part in text.split(",") if part.strip())
    return tuple(n for n in names if n not in ("none", "masks"))


def pair_masks(masks: list[Path], at: list[int] | None, start: int) -> dict[int, Path] | None:
    """Frame number -> mask file; None without a mask."""
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
        raise OptionError("two masks are given for the same frame; a mask may hold many objects")
    return dict(zip(at, masks, strict=True))


def read_folders(data: list[str]) -> dict[str, Path]:
    """NAME=PATH,NAME=PATH -> name -> path; a comma before no NAME= is part of the path."""
    folders = {}
    for text in data:
        for part in re.split(r",(?=[a-z0-9-]+=)", text):
            name, found, folder = part.partition("=")
            if not found:
                raise OptionError(f"--data takes NAME=PATH, such as davis=DAVIS, got {part!r}")
            folders[name] = Path(folder)
    return folders
