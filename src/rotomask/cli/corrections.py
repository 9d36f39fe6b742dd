"""Corrections of a finished cut: the options of `cut --continue`, and the command `review`."""

import contextlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

import typer

from rotomask.cli.mark import parse_prompts
from rotomask.cli.options import CutFolder, CutVideo
from rotomask.cli.terminal import print_outputs
from rotomask.errors import OptionError

if TYPE_CHECKING:
    from rotomask.jobs.correct import CorrectOptions, CorrectResult
    from rotomask.jobs.progress import OnProgress

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Corrections:
    """A finished cut that is corrected."""

    section: ClassVar = "Corrections"
    continued: Annotated[
        Path | None,
        typer.Option(
            "--continue",
            metavar="DIR",
            help="Correct the finished cut in DIR by the prompts: only frames up to the nearest "
            "annotated or corrected ones change. Repeat --model, --weights and --size.",
        ),
    ] = None
    undo: Annotated[
        bool, typer.Option("--undo", help="With --continue: take back its last correction.")
    ] = False
    afresh: Annotated[
        bool,
        typer.Option(
            "--afresh",
            help="With --continue: mark the objects anew on this frame, as if they had no mask "
            "there.",
        ),
    ] = False
    learn: Annotated[
        bool,
        typer.Option(
            "--learn",
            help="With --continue: learn first from all frames that you fixed. Pays if their masks "
            "are exact.",
        ),
    ] = False

    @property
    def is_given(self) -> bool:
        """True if a finished cut is to be corrected."""
        return self.continued is not None or self.undo or self.afresh or self.learn

    def run(
        self,
        video: Path,
        arguments: Sequence[str],
        options: "CorrectOptions",
        formats: tuple[str, ...],
        on_progress: "OnProgress | None" = None,
    ) -> dict[str, Path]:
        """Correct the cut, or take a correction back, and render the outputs again.

        Args:
            video: The video that was cut.
            arguments: Those of the command, with the prompts in their order.
            options: How corrections are carried.
            formats: What is rendered.
            on_progress: Receives the stages ``correct`` and ``export``.

        Returns:
            The outputs by name.

        Raises:
            OptionError: If there is no folder, or neither prompts nor --undo.
        """
        from rotomask.jobs.correct import correct, undoing
        from rotomask.jobs.export import export as render
        from rotomask.video import open_video

        if self.continued is None:
            option = "--undo" if self.undo else "--afresh" if self.afresh else "--learn"
            raise OptionError(f"{option} needs the finished cut that it is for: --continue DIR")
        opened = open_video(video)
        prompts = parse_prompts(arguments, opened.size)
        if self.undo == bool(prompts):
            raise OptionError("--continue needs either prompts at a frame (--at) or --undo")
        with undoing(self.continued) if self.undo else contextlib.nullcontext() as undone:
            if undone is not None:
                _log.info(f"frame {undone}: the correction is taken back")
            for index in prompts.frames:
                result = correct(
                    opened, self.continued, prompts, options, at=index, on_progress=on_progress
                )
                _log.info(change_of(result))
            masks = {"masks": self.continued / "masks"}
            if not formats:
                return masks
            return (
                masks
                | render(opened, self.continued, formats=formats, on_progress=on_progress).outputs
            )


def change_of(result: "CorrectResult") -> str:
    """What a correction changed, in words."""
    if not result.changed_pixels:
        return f"frame {result.frame_index}: nothing changed"
    plural = "" if result.frames_redone == 1 else "s"
    return (
        f"frame {result.frame_index}: {result.changed_pixels} pixels changed; "
        f"{result.frames_redone} frame{plural} around it followed"
    )


def review(
    video: CutVideo,
    folder: CutFolder,
    count: Annotated[int, typer.Option(metavar="N", help="Show up to N frames.")] = 5,
) -> None:
    """Show the frames of a cut that most need a look: the segmenter is least sure of them.

    Writes FOLDER/review.png, a picture of them with their masks.
    """
    from rotomask.jobs.review import review as run

    result = run(video, folder, count=count)
    for frame in result.frames:
        print(f"--at {frame.index:<6} confidence {frame.confidence:.2f}  {frame.name}")
    print_outputs({"sheet": result.sheet})
