"""Reading of result masks: one folder per sequence, one image per frame."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from rotomask.data.benchmarks.folders import images_by_stem
from rotomask.data.benchmarks.label_files import Labels, read_label_image
from rotomask.data.sequences import VideoDataset, VideoSequence
from rotomask.errors import DatasetError, MaskError

OnMissing = Literal["error", "empty"]
"""What to do about a scored frame without a result: fail, or score an empty mask."""


class FramePair(NamedTuple):
    """Result and annotation of a frame, both H×W integers."""

    name: str
    prediction: Labels
    truth: Labels


@dataclass(frozen=True)
class ResultFolder:
    """Masks in ``ROOT/SEQUENCE/FRAME.png``: indexed, grey, 0/255 or coloured, any image type."""

    root: Path
    on_missing: OnMissing = "error"
    flat: bool = False
    """True if the root itself has the images of the only sequence."""

    def _folder(self, sequence: VideoSequence) -> Path:
        return self.root if self.flat else self.root / sequence.name

    def check(self, dataset: VideoDataset) -> None:
        """Check that every scored frame has a result.

        Raises:
            DatasetError: If the folder or all sequences are missing, or if any sequence or frame is
                and `on_missing` is "error".
        """
        if not self.root.is_dir():
            raise DatasetError(f"the results folder {self.root} does not exist")
        absent = [s.name for s in dataset if s.scored_frames() and not self._folder(s).is_dir()]
        # All absent is a wrong folder, never a method that found nothing.
        if len(absent) == len(dataset) or (absent and self.on_missing == "error"):
            raise DatasetError(
                f"{self.root} lacks {len(absent)} of {len(dataset)} sequences: "
                f"{_abbreviate(absent)}; add a folder of masks for each, or select sequences"
            )
        for sequence in dataset:
            self.missing(sequence, sequence.scored_frames())

    def missing(self, sequence: VideoSequence, frames: Sequence[str]) -> tuple[str, ...]:
        """The frames without a result.

        Raises:
            DatasetError: If there are any and `on_missing` is "error".
        """
        files = images_by_stem(self._folder(sequence))
        missing = tuple(name for name in frames if name not in files)
        if missing and self.on_missing == "error":
            raise DatasetError(
                f"the results for {sequence.name} lack {len(missing)} of the {len(frames)} scored "
                f"frames: {_abbreviate(missing)}; add them, or score missing frames as empty"
            )
        return missing

    def pairs(self, sequence: VideoSequence, frames: Iterable[str]) -> Iterator[FramePair]:
        """Result and annotation of these frames, read lazily; empty for a missing result.

        Raises:
            MaskError: If a result is damaged or differs in size from its annotation.
        """
        files = images_by_stem(self._folder(sequence))
        for name in frames:
            truth = sequence.annotation(name)
            if name in files:
                prediction = read_label_image(files[name])
                check_size(prediction, truth, str(files[name]))
            else:
                # `missing` has refused this frame already, unless an empty mask is to be scored.
                prediction = np.zeros(truth.shape, np.uint8)
            yield FramePair(name, prediction, truth)


def check_size(prediction: Labels, truth: Labels, name: str) -> None:
    """Check that a result has its annotation's size; resizing it would hide errors.

    Raises:
        MaskError: If the sizes differ; the message begins with `name`.
    """
    if prediction.shape != truth.shape:
        raise MaskError(
            f"{name} is {prediction.shape[1]}x{prediction.shape[0]} but its annotation is "
            f"{truth.shape[1]}x{truth.shape[0]}; write results at the size of the annotations"
        )


def _abbreviate(names: Sequence[str]) -> str:
    """The first eight names, separated by commas."""
    return ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
