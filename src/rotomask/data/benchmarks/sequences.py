"""Annotated sequences of a benchmark: lazy frames, annotations, objects, frames to score."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from rotomask.data.benchmarks.label_files import Labels, read_label_image
from rotomask.errors import DatasetError, OptionError, VideoError
from rotomask.video.images import read_image

Frame = npt.NDArray[np.uint8]

ReadAnnotation = Callable[[tuple[Path, ...]], Labels]
"""Makes labels of the file or files that annotate one frame. A module's function, so that it
reaches other processes."""


def read_single(paths: tuple[Path, ...]) -> Labels:
    """The labels of one label image, as stored."""
    return read_label_image(paths[0])


@dataclass(frozen=True, kw_only=True)
class VideoSequence:
    """One video of a data set. Nothing is read from its files until asked for."""

    name: str
    frame_names: tuple[str, ...]
    """All frames in order; the names under which masks are stored."""
    images: tuple[Path, ...] = ()
    """The picture of every frame; empty where only the annotations are at hand."""
    annotations: Mapping[str, tuple[Path, ...]]
    """Frame name -> the files that annotate it, for the annotated frames."""
    read_annotation: ReadAnnotation = read_single
    object_ids: tuple[int, ...]
    """The objects to be segmented and scored."""
    reference_frames: Mapping[int, str] = field(default_factory=dict)
    """Object id -> the frame in which its mask is given; empty for unsupervised benchmarks."""
    scored: Mapping[int, tuple[str, ...]]
    """Object id -> the frames in which it is scored."""
    submitted_frames: tuple[str, ...] = ()
    """Frames whose masks a submission to the benchmark's server holds; empty: all."""
    void_label: int | None = None
    """The label of pixels that count for nothing."""
    merged: bool = False
    """Whether every label but 0 of a result counts as the one object."""
    has_stability: bool = True
    """Whether the temporal stability says something of it: no occlusions or strong deformation."""
    categories: Mapping[int, str] = field(default_factory=dict)
    """Object id -> the name of its class, where the data set has classes."""

    def __len__(self) -> int:
        return len(self.frame_names)

    def frame(self, index: int) -> Frame:
        """The picture of one frame, H×W×3 uint8 RGB.

        Raises:
            DatasetError: If it is not at hand or damaged.
        """
        if not self.images:
            raise DatasetError(
                f"the frames of {self.name} are not at hand, only its annotations; "
                "add the data set's folder of pictures"
            )
        try:
            return read_image(self.images[index])[0]
        except VideoError as error:
            raise DatasetError(f"sequence {self.name}: {error}") from error

    def frames(
        self, start: int = 0, stop: int | None = None, *, reverse: bool = False
    ) -> Iterator[Frame]:
        """Frames start, start + 1, ... before stop, or the same backwards: H×W×3 uint8 RGB.

        Each is read when it is reached.
        """
        indices = range(len(self))[start:stop]
        for index in reversed(indices) if reverse else indices:
            yield self.frame(index)

    def annotation(self, frame_name: str) -> Labels:
        """The labels of an annotated frame, with void pixels as `void_label`: H×W integers.

        Raises:
            DatasetError: If the frame has no annotation.
            MaskError: If its file is damaged.
        """
        if frame_name not in self.annotations:
            raise DatasetError(f"frame {frame_name} of {self.name} has no annotation")
        return self.read_annotation(self.annotations[frame_name])

    def prompts(self) -> dict[int, tuple[Labels, tuple[int, ...]]]:
        """What a semi-supervised method is given: frame index -> labels and the ids new there.

        The labels (H×W integers) hold no other ids and no void.
        """
        index = {name: i for i, name in enumerate(self.frame_names)}
        prompts = {}
        for name in sorted(set(self.reference_frames.values()), key=index.__getitem__):
            ids = tuple(k for k, first in self.reference_frames.items() if first == name)
            labels = self.annotation(name)
            prompts[index[name]] = (np.where(np.isin(labels, ids), labels, 0), ids)
        return prompts

    def scored_frames(self) -> tuple[str, ...]:
        """Every frame in which some object is scored, in order."""
        scored = {name for names in self.scored.values() for name in names}
        return tuple(name for name in self.frame_names if name in scored)


@dataclass(frozen=True, kw_only=True)
class VideoDataset:
    """The sequences of one split of a benchmark."""

    benchmark: str
    """Name of the benchmark, as on the command line."""
    split: str
    root: Path
    sequences: tuple[VideoSequence, ...]
    official_count: int | None = None
    """How many sequences the published split has, where it is known."""

    def __len__(self) -> int:
        return len(self.sequences)

    def __iter__(self) -> Iterator[VideoSequence]:
        return iter(self.sequences)

    def select(self, names: Sequence[str]) -> "VideoDataset":
        """Only these sequences, in the data set's order.

        Raises:
            OptionError: If there is no sequence of such a name.
        """
        known = [sequence.name for sequence in self.sequences]
        unknown = sorted(set(names) - set(known))
        if unknown:
            raise OptionError(
                f"{self.benchmark} {self.split} has no sequence {', '.join(unknown)}; it has "
                f"{', '.join(known[:30])}{', ...' * (len(known) > 30)}"
            )
        return replace(self, sequences=tuple(s for s in self.sequences if s.name in names))
