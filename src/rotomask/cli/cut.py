"""The command `cut`: a video, marked or not, to masks and other outputs."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from rotomask.cli.command import grouped
from rotomask.cli.corrections import Corrections
from rotomask.cli.mark import ARGUMENTS, PromptCommand, PromptOptions, parse_prompts
from rotomask.cli.options import (
    Edges,
    FollowerOptions,
    Formats,
    Messages,
    Output,
    Range,
    Refining,
    Runtime,
    VideoPath,
)
from rotomask.cli.terminal import job, print_cut, print_outputs, resumable
from rotomask.cli.values import pair_masks, read_formats, read_list
from rotomask.errors import OptionError
from rotomask.threads import without_collection


@dataclass(frozen=True, kw_only=True)
class Marks:
    """Annotated frames."""

    mask: Annotated[
        list[Path] | None,
        typer.Option(
            "--mask",
            "-m",
            metavar="FILE",
            help="Mask of one frame: an image in any common format, or a folder with one image "
            "per object. May be repeated, each with its --at, for objects that appear later and "
            "for corrections. Without a mask or prompts, moving objects are found and followed.",
        ),
    ] = None
    at: Annotated[
        list[int] | None,
        typer.Option(
            metavar="FRAME",
            help="Number, from 0, of the frame that the --mask in the same position is of, or that "
            "the prompts after it are on.  [default: --start]",
        ),
    ] = None
    proposals: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Output of `rotomask propose`, to --pick objects from."),
    ] = None
    pick: Annotated[
        str | None,
        typer.Option(
            metavar="NUMBERS",
            help="Proposals to cut, separated by commas, each an object of its own.  [default: 1]",
        ),
    ] = None

    def masks(self, start: int) -> Any:
        """Masks by frame number, from files or proposals; None without any.

        Raises:
            OptionError: If options are missing or do not go together.
        """
        if self.proposals is None:
            if self.pick is not None:
                raise OptionError("--pick selects from --proposals DIR, which is missing")
            return pair_masks(self.mask or [], self.at, start)
        if self.mask or self.at:
            raise OptionError("got --proposals and --mask or --at; give one or the other")
        from rotomask.jobs.propose import read_proposals

        numbers = read_list(self.pick or "1")
        if not all(number.isdecimal() for number in numbers):
            raise OptionError(f"--pick takes numbers, such as 1,2, got {self.pick!r}")
        return read_proposals(self.proposals, [int(number) for number in numbers])


@dataclass(frozen=True, kw_only=True)
class CutOutput(Range, Edges, Output):
    """Where a cut writes, in which formats, and which frames."""

    formats: Formats = "overlay"
    skip_damaged: Annotated[
        bool,
        typer.Option(
            "--skip-damaged",
            help="Give images of a folder that cannot be read an empty mask and go on; they are "
            "listed at the end, with exit status 2.",
        ),
    ] = False
    sandbox: Annotated[
        bool,
        typer.Option(
            "--sandbox",
            help="Decode the video in a process of its own, with limits on memory and time: for "
            "files from people that you do not trust. The overlay then has no sound.",
        ),
    ] = False


@dataclass(frozen=True, kw_only=True)
class Method(FollowerOptions):
    """The model that cuts, and which frames."""

    direction: Annotated[
        str, typer.Option(metavar="NAME", help="Which frames are cut, as listed below.")
    ] = "both"

    def settings(self) -> dict[str, Any]:
        """The fields of `jobs.cut.CutOptions` that these are."""
        return {**super().settings(), "direction": self.direction}


class CutCommand(PromptCommand):
    """The help of `cut` describes directions and refinements."""

    described = ("Directions", "Refinements")


@grouped
def cut(
    context: typer.Context,
    video: VideoPath,
    marks: Marks,
    prompts: PromptOptions,
    corrections: Corrections,
    output: CutOutput,
    method: Method,
    refining: Refining,
    runtime: Runtime,
    messages: Messages,
) -> None:
    """Cut objects out of a video, marked in one frame or not at all.

    Objects are marked by a mask or by prompts. Writes DIR/masks/NAME.png, one indexed PNG per
    frame, and DIR/overlay.mp4. Run the same command again to resume an interrupted job.
    """
    if corrections.is_given:
        _correct(context, video, prompts, corrections, output, method, runtime, messages)
        return
    folder = output.folder(video, "cut")
    with job(resumable(folder), messages) as on_progress:
        with without_collection():
            from rotomask.jobs.cut import CutOptions
            from rotomask.jobs.cut import cut as run
            from rotomask.video import open_video

        options = CutOptions(
            refinements=refining.refinements(method.quality),
            marker=prompts.marker,
            **output.settings(),
            **runtime.settings(),
            formats=read_formats(output.formats),
            edges=output.controls(),
            overwrite=output.overwrite,
            skip_damaged=output.skip_damaged,
            sandbox=output.sandbox,
            **method.settings(),
        )
        opened = open_video(video, skip_damaged=output.skip_damaged, sandbox=output.sandbox)
        source: Any
        if not prompts.is_given:
            source = marks.masks(output.start)
        elif marks.mask or marks.proposals:
            raise OptionError(
                "got --mask and prompts; improve the mask by them first: rotomask mark --mask"
            )
        else:
            source = parse_prompts(context.meta[ARGUMENTS], opened.size, output.start)
        result = run(opened, source, folder, options, on_progress=on_progress)
    if not messages.quiet:
        print_cut(result)


def _correct(
    context: typer.Context,
    video: Path,
    prompts: PromptOptions,
    corrections: Corrections,
    output: CutOutput,
    method: Method,
    runtime: Runtime,
    messages: Messages,
) -> None:
    """Correct a finished cut, or take a correction back."""
    with job(lambda: "add --undo to restore the masks before it", messages) as on_progress:
        from rotomask.jobs.correct import CorrectOptions

        options = CorrectOptions(
            model=method.model,
            weights=method.weights,
            marker=prompts.marker,
            size=method.processing_size,
            afresh=corrections.afresh,
            learn=corrections.learn,
            **runtime.settings(),
        )
        arguments = context.meta[ARGUMENTS]
        formats = read_formats(output.formats)
        outputs = corrections.run(video, arguments, options, formats, on_progress)
    if not messages.quiet:
        print_outputs(outputs)
