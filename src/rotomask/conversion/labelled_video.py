"""What all formats are read into and written from: a label mask for each frame of a video."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from rotomask.errors import MaskError

Labels = npt.NDArray[np.int32]
"""H×W: 0 background, k = object id k."""

Save = Callable[[str], AbstractContextManager[Path]]
"""Gives a temporary name for a relative path; the file is complete or absent."""


@dataclass(frozen=True)
class LabelledVideo:
    """The annotation of one video; its masks are read when they are needed."""

    name: str
    size: tuple[int, int]
    """Height and width, px."""
    frame_names: tuple[str, ...]
    """Names of the frames in order, without suffix."""
    read: Callable[[int], Labels]
    """Gives the labels of the frame of a number."""
    objects: Mapping[int, str] = field(default_factory=dict)
    """Object id -> name; an object without a name is called by its id."""

    def __len__(self) -> int:
        """How many frames."""
        return len(self.frame_names)

    def labels(self, index: int) -> Labels:
        """The labels of a frame, H×W int32.

        Raises:
            MaskError: If they are of another size than the video.
        """
        labels = self.read(index)
        if labels.shape != self.size:
            raise MaskError(
                f"the mask of frame {self.frame_names[index]} is "
                f"{labels.shape[1]}x{labels.shape[0]}, the video {self.size[1]}x{self.size[0]}; "
                "every mask must have the video's size"
            )
        return labels

    def frames(self) -> Iterator[tuple[int, str, Labels]]:
        """Number, name and labels of each frame."""
        for index, name in enumerate(self.frame_names):
            yield index, name, self.labels(index)

    def object_name(self, object_id: int) -> str:
        """The name of an object, such as ``object 2`` for one without."""
        return self.objects.get(object_id, f"object {object_id}")
