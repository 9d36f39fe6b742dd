"""The command that marks a frame, and the prompts' options, which `cut` has too."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import typer

from rotomask.cli.command import Command, grouped
from rotomask.cli.options import Messages, Runtime, Weights, out_option
from rotomask.cli.terminal import job, nothing_written, print_outputs
from rotomask.errors import OptionError
from rotomask.threads import without_collection

if TYPE_CHECKING:
    from rotomask.prompts import Prompts

ARGUMENTS = "rotomask.arguments"
"""Where `PromptCommand` leaves the arguments as they were typed."""
ORDERED = ("--at", "--object", "--point", "--box", "--polygon", "--scribbles")
"""Options whose order matters: each prompt is on the frame and object named last before it."""

VideoOrImage = Annotated[
    Path, typer.Argument(metavar="VIDEO", help="Video file, folder of frames, or image.")
]


@dataclass(frozen=True, kw_only=True)
class PromptOptions:
    """What marks objects in a frame."""

    section: ClassVar = "Prompts"
    point: Annotated[
        list[str] | None,
        typer.Option(
            metavar="X,Y[,-]",
            help="Point on the object, in pixels from the upper left corner; with ,- a point that "
            "is not on it. May be repeated, as all prompts.",
        ),
    ] = None
    box: Annotated[
        list[str] | None,
        typer.Option(metavar="X,Y,W,H", help="Box around the object: upper left corner, size."),
    ] = None
    polygon: Annotated[
        list[str] | None,
        typer.Option(metavar="'X,Y X,Y ...'", help="Area of the object, by its corners."),
    ] = None
    scribbles: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="Strokes: an image of the frame's size with green strokes on the object and red "
            "ones beside it, a .txt with one stroke per line, or a .json of prompts.",
        ),
    ] = None
    object_id: Annotated[
        list[int] | None,
        typer.Option(
            "--object", metavar="N", help="Mark object N by the prompts that follow.  [default: 1]"
        ),
    ] = None
    marker: Annotated[str, typer.Option(metavar="NAME", help="Model that marks: {markers}.")] = (
        "click-lite"
    )

    @property
    def is_given(self) -> bool:
        """True if there is a prompt."""
        return bool(self.point or self.box or self.polygon or self.scribbles)


@dataclass(frozen=True, kw_only=True)
class MarkOutput:
    """What is written."""

    out: Annotated[Path | None, out_option("FILE", "Mask to write")] = None
    preview: Annotated[
        bool,
        typer.Option("--preview", help="Also write a picture of the mask and the prompts."),
    ] = False
    save_prompts: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also write the prompts, as JSON.")
    ] = None


class PromptCommand(Command):
    """A command that remembers the order of its options: `--object 2` starts the next object."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Keep the arguments, then parse them as usual."""
        ctx.meta[ARGUMENTS] = list(args)
        return super().parse_args(ctx, args)


@grouped
def mark(
    context: typer.Context,
    video: VideoOrImage,
    prompts: PromptOptions,
    output: MarkOutput,
    runtime: Runtime,
    messages: Messages,
    at: Annotated[int, typer.Option(metavar="FRAME", help="Number of the frame, from 0.")] = 0,
    mask: Annotated[
        Path | None, typer.Option("--mask", "-m", metavar="FILE", help="Rough mask to improve.")
    ] = None,
    weights: Weights = None,
) -> None:
    """Mark objects in one frame: points, boxes, scribbles, polygons.

    Writes their mask, an indexed PNG to give to `rotomask cut --mask`. `rotomask cut` takes the
    same prompts.
    """
    target = output.out or Path(f"{video.resolve().stem}-mask.png")
    with job(nothing_written, messages):
        with without_collection():
            from rotomask.jobs.mark import MarkOptions
            from rotomask.jobs.mark import mark as run
            from rotomask.prompts import write_prompts
            from rotomask.video import open_video

        opened = open_video(video)
        listed = parse_prompts(context.meta[ARGUMENTS], opened.size, start=at)
        if mask is not None:
            listed = with_rough_mask(listed, mask, opened.size, at)
        options = MarkOptions(
            model=prompts.marker,
            weights=weights,
            **runtime.settings(),
            preview=output.preview,
        )
        result = run(opened, listed, target, options, at=at)
        if output.save_prompts is not None:
            write_prompts(output.save_prompts, listed)
    if not messages.quiet:
        for object_id in result.object_ids:
            pixels = int((result.labels == object_id).sum())
            print(f"object {object_id}  {100 * pixels / result.labels.size:.2f} % of the frame")
        outputs = {"mask": result.mask, "preview": result.preview, "prompts": output.save_prompts}
        print_outputs({name: path for name, path in outputs.items() if path is not None})


def parse_prompts(arguments: Sequence[str], size: tuple[int, int], start: int = 0) -> "Prompts":
    """Prompts from the arguments of a command, in their order.

    Args:
        arguments: As they were typed; options of other kinds are passed over.
        size: Height and width of the frames.
        start: Frame of prompts before any ``--at``.

    Raises:
        PromptError: If a prompt cannot be read.
        OptionError: If ``--object`` or ``--at`` is no number.
    """
    from rotomask.prompts import Prompts
    from rotomask.prompts.text import parse_box, parse_point, parse_polygon, read_scribbles

    prompts, frame, object_id = Prompts(), start, 1
    for name, value in _ordered_options(arguments):
        if name == "--at":
            frame = _whole(name, value)
        elif name == "--object":
            object_id = _whole(name, value)
        elif name == "--point":
            prompts = prompts.add(parse_point(value, object_id), frame)
        elif name == "--box":
            prompts = prompts.add(parse_box(value, object_id), frame)
        elif name == "--polygon":
            prompts = prompts.add(parse_polygon(value, object_id), frame)
        else:
            for prompt in read_scribbles(Path(value), size, object_id):
                prompts = prompts.add(prompt, frame)
    return prompts


def with_rough_mask(prompts: "Prompts", mask: Path, size: tuple[int, int], at: int) -> "Prompts":
    """The prompts after a mask from a file, whose objects they correct."""
    from rotomask.masks import read_mask
    from rotomask.prompts import PlacedPrompt, Prompts, RoughMask

    rough = read_mask(mask, size)
    if "scaled from" in rough.description:
        print(f"mask: {rough.description}", file=sys.stderr)
    masks = [RoughMask(rough.labels == k, k) for k in rough.object_ids]
    return Prompts((*(PlacedPrompt(m, at) for m in masks), *prompts))


def _ordered_options(arguments: Sequence[str]) -> list[tuple[str, str]]:
    """The options of `ORDERED` with their values, as ``--name value`` or ``--name=value``."""
    options = []
    rest = iter(arguments)
    for argument in rest:
        if argument == "--":
            break
        name, has_value, value = argument.partition("=")
        if name in ORDERED:
            options.append((name, value if has_value else next(rest, "")))
    return options


def _whole(name: str, value: str) -> int:
    try:
        number = int(value)
    except ValueError as error:
        raise OptionError(f"{name} takes a whole number, got {value!r}") from error
    return number
