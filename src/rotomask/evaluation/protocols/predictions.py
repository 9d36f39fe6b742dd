"""Result masks as a method left them: a folder per sequence, an image per frame."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from rotomask.data.benchmarks.folders import images_by_stem
from rotomask.data.benchmarks.label_files import Labels, read_label_image
from rotomask.data.benchmarks.sequences import VideoDataset, VideoSequence
from rotomask.errors import DatasetError, MaskError

OnMissing = Literal["error", "empty"]
"""A scored frame without a result: refuse to score, or count it as an empty mask."""


class FramePair(NamedTuple):
    """Result and annotation of one frame, both H×W integers."""

    name: str
    prediction: Labels
    truth: Labels


@dataclass(frozen=True)
class ResultFolder:
    """``ROOT/SEQUENCE/FRAME.png``: indexed, grey, 0/255 or coloured, of any image type."""

    root: Path
    on_missing: OnMissing = "error"
    flat: bool = False
    """Whether the one sequence's images lie in the root itself."""

    def _folder(self, sequence: VideoSequence) -> Path:
        return self.root if self.flat else self.root / sequence.name

    def check(self, dataset: VideoDataset) -> None:
        """Find out before any work is done whether every scored frame has a result.

        Raises:
            DatasetError: If the folder is missing, or a sequence or frame in it is and
                `on_missing` is "error".
        """
        if not self.root.is_dir():
            raise DatasetError(f"the folder of results {self.root} does not exist")
        absent = [s.name for s in dataset if s.scored_frames() and not self._folder(s).is_dir()]
        if len(absent) == len(dataset) or (absent and self.on_missing == "error"):
            raise DatasetError(
                f"{self.root} lacks {len(absent)} of {len(dataset)} sequences: "
                f"{_listed(absent)}; it needs a folder of masks for each, or choose sequences"
            )
        for sequence in dataset:
            self.missing(sequence, sequence.scored_frames())

    def missing(self, sequence: VideoSequence, frames: Sequence[str]) -> tuple[str, ...]:
        """The frames without a result.

        Raises:
            DatasetError: If there are some and `on_missing` is "error".
        """
        found = images_by_stem(self._folder(sequence))
        missing = tuple(name for name in frames if name not in found)
        if missing and self.on_missing == "error":
            raise DatasetError(
                f"the results for {sequence.name} lack {len(missing)} of the {len(frames)} scored "
                f"frames: {_listed(missing)}; finish them, or score the missing as empty"
            )
        return missing

    def pairs(self, sequence: VideoSequence, frames: Iterable[str]) -> Iterator[FramePair]:
        """Result beside annotation for these frames, read when they are reached.

        Raises:
            MaskError: If a result is damaged or differs in size from its annotation.
        """
        found = images_by_stem(self._folder(sequence))
        for name in frames:
            truth = sequence.annotation(name)
            if name in found:
                prediction = read_label_image(found[name])
                check_size(prediction, truth, str(found[name]))
            else:
                prediction = np.zeros(truth.shape, np.uint8)
            yield FramePair(name, prediction, truth)


def check_size(prediction: Labels, truth: Labels, what: str) -> None:
    """Raise unless a result has its annotation's size. Nothing is resized: that would hide errors.

    Raises:
        MaskError: If the sizes differ.
    """
    if prediction.shape != truth.shape:
        raise MaskError(
            f"{what} is {prediction.shape[1]}x{prediction.shape[0]} but its annotation "
            f"{truth.shape[1]}x{truth.shape[0]}; write results at the size of the annotations"
        )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
