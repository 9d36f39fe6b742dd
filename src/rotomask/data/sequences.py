"""Annotated videos of data sets, for benchmarks and for training; their files are read lazily."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from rotomask.data.benchmarks.label_files import Labels, read_label_image
from rotomask.errors import DatasetError, OptionError, VideoError
from rotomask.video.images import read_image

Frame = npt.NDArray[np.uint8]

ReadFrame = Callable[[Path], Frame]
"""Reads an image file: H×W×3 uint8 RGB.

Like `ReadAnnotation`, it must be a function of a module, so that sequences can be sent to other
processes."""

ReadAnnotation = Callable[[tuple[Path, ...]], Labels]
"""Reads the labels of a frame from its annotation files."""

MAX_ID = 255
"""Highest id of an object in training data, whose labels are uint8."""


def read_still(path: Path) -> Frame:
    """The image of a file of any type, upright, H×W×3 uint8 RGB.

    Raises:
        DatasetError: If it is missing or damaged.
    """
    try:
        return read_image(path)[0]
    except VideoError as error:
        raise DatasetError(str(error)) from error


def read_single(paths: tuple[Path, ...]) -> Labels:
    """The labels of a frame with one annotation file, as stored: H×W integers."""
    return read_label_image(paths[0])


@dataclass(frozen=True, kw_only=True)
class VideoSequence:
    """A video of a data set; its files are read lazily."""

    name: str
    frame_names: tuple[str, ...]
    """Names of all frames in order, which result masks are stored under."""
    images: tuple[Path, ...] = ()
    """Image file of every frame; empty if the data set has annotations only."""
    read_frame: ReadFrame = read_still
    annotations: Mapping[str, tuple[Path, ...]] = field(default_factory=dict)
    """Frame name -> annotation files, for the annotated frames."""
    read_annotation: ReadAnnotation = read_single
    object_ids: tuple[int, ...] = ()
    """The objects to segment and score; empty in training data, whose masks tell them."""
    reference_frames: Mapping[int, str] = field(default_factory=dict)
    """Object id -> the frame whose mask the method gets; empty for unsupervised benchmarks."""
    scored: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    """Object id -> the frames in which the object is scored."""
    submitted_frames: tuple[str, ...] = ()
    """Frames whose masks belong into a submission to the benchmark's server; empty: all."""
    void_label: int | None = None
    """Label of annotated pixels that are not scored."""
    merged: bool = False
    """True if every label but 0 of a result is the only object."""
    has_stability: bool = True
    """False if occlusions or strong deformations make the temporal stability meaningless."""
    categories: Mapping[int, str] = field(default_factory=dict)
    """Object id -> name of its class, if the data set has classes."""

    def __len__(self) -> int:
        return len(self.frame_names)

    def frame(self, index: int) -> Frame:
        """The image of a frame, H×W×3 uint8 RGB.

        Raises:
            DatasetError: If it is missing or damaged.
        """
        if not self.images:
            raise DatasetError(
                f"the data set has only annotations of {self.name}, no frames; "
                "add its folder of images"
            )
        try:
            return self.read_frame(self.images[index])
        except DatasetError as error:
            raise DatasetError(f"sequence {self.name}: {error}") from error

    def frames(
        self, start: int = 0, stop: int | None = None, *, reverse: bool = False
    ) -> Iterator[Frame]:
        """Images of the frames from `start` up to but not including `stop`, read lazily.

        Args:
            start: Index of the first frame.
            stop: Index after the last frame; None: up to the end.
            reverse: Return the last frame first.

        Returns:
            H×W×3 uint8 RGB each.
        """
        indices = range(len(self))[start:stop]
        for index in reversed(indices) if reverse else indices:
            yield self.frame(index)

    def annotation(self, frame_name: str) -> Labels:
        """The labels of an annotated frame, H×W integers; void pixels have `void_label`.

        Raises:
            DatasetError: If the frame has no annotation.
            MaskError: If its file is damaged.
        """
        if frame_name not in self.annotations:
            raise DatasetError(f"frame {frame_name} of {self.name} has no annotation")
        return self.read_annotation(self.annotations[frame_name])

    def read(self, index: int) -> tuple[Frame, npt.NDArray[np.uint8]]:
        """The image of an annotated frame, H×W×3 uint8 RGB, and its labels, H×W uint8.

        Raises:
            DatasetError: If either is missing or damaged, their sizes differ, or an id is above
                255.
        """
        name = self.frame_names[index]
        image, labels = self.frame(index), self.annotation(name)
        if image.shape[:2] != labels.shape:
            raise DatasetError(
                f"the mask of frame {name} of {self.name} is {labels.shape[1]}×{labels.shape[0]}, "
                f"the frame {image.shape[1]}×{image.shape[0]}; they must be of one size"
            )
        if labels.max(initial=0) > MAX_ID:
            raise DatasetError(
                f"frame {name} of {self.name} has object {labels.max()}, but ids in training data "
                f"must be at most {MAX_ID}; renumber them with compact_ids"
            )
        return image, labels.astype(np.uint8, copy=False)

    def prompts(self) -> dict[int, tuple[Labels, tuple[int, ...]]]:
        """Masks for a semi-supervised method: frame index -> (labels, ids of the new objects).

        The labels, H×W integers, have only the new objects, without others and void pixels.
        """
        index = {name: i for i, name in enumerate(self.frame_names)}
        prompts = {}
        for name in sorted(set(self.reference_frames.values()), key=index.__getitem__):
            ids = tuple(k for k, first in self.reference_frames.items() if first == name)
            labels = self.annotation(name)
            # Objects that were given earlier are in this mask, too, but a benchmark gives each only
            # once.
            prompts[index[name]] = (np.where(np.isin(labels, ids), labels, 0), ids)
        return prompts

    def scored_frames(self) -> tuple[str, ...]:
        """The frames in which at least one object is scored, in order."""
        scored = {name for names in self.scored.values() for name in names}
        return tuple(name for name in self.frame_names if name in scored)


@dataclass(frozen=True, kw_only=True)
class MemorySequence(VideoSequence):
    """A video without files, every frame annotated; its frames and labels are in memory."""

    pictures: tuple[tuple[Frame, Labels], ...]

    @classmethod
    def of(cls, name: str, pictures: Iterable[tuple[Frame, Labels]]) -> "MemorySequence":
        """The sequence of these frames and labels; the frames are numbered."""
        stored = tuple(pictures)
        names = tuple(f"{number:05d}" for number in range(len(stored)))
        return cls(name=name, frame_names=names, pictures=stored)

    def frame(self, index: int) -> Frame:
        """See `VideoSequence`."""
        return self.pictures[index][0]

    def annotation(self, frame_name: str) -> Labels:
        """See `VideoSequence`."""
        return self.pictures[self.frame_names.index(frame_name)][1]


@dataclass(frozen=True, kw_only=True)
class VideoDataset:
    """The sequences of one split of a benchmark."""

    benchmark: str
    """Name of the benchmark on the command line."""
    split: str
    root: Path
    sequences: tuple[VideoSequence, ...]
    official_count: int | None = None
    """Number of sequences of the published split, if known."""

    def __len__(self) -> int:
        return len(self.sequences)

    def __iter__(self) -> Iterator[VideoSequence]:
        return iter(self.sequences)

    def select(self, names: Sequence[str]) -> "VideoDataset":
        """The data set with these sequences only, in the data set's order.

        Raises:
            OptionError: If a name is unknown.
        """
        own_names = [sequence.name for sequence in self.sequences]
        unknown = sorted(set(names) - set(own_names))
        if unknown:
            raise OptionError(
                f"{self.benchmark} {self.split} has no sequence {', '.join(unknown)}; it has "
                f"{', '.join(own_names[:30])}{', ...' * (len(own_names) > 30)}"
            )
        return replace(self, sequences=tuple(s for s in self.sequences if s.name in names))
