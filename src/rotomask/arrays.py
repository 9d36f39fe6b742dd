"""Array types that every part of the package shares, and checks of what callers give."""

import numpy as np
import numpy.typing as npt

from rotomask.errors import ShapeError

Frame = npt.NDArray[np.uint8]
"""One RGB frame, H×W×3, 0-255."""

Mask = npt.NDArray[np.integer]
"""Integer labels of one frame, H×W: 0 background, k = object id k."""

Probabilities = npt.NDArray[np.float32]
"""Distribution over background (row 0) and objects (in the order of `object_ids`), O+1×H×W."""


def check_frame(frame: Frame, size: tuple[int, int] | None = None) -> None:
    """Raise unless this is an H×W×3 uint8 frame (of the given height and width)."""
    if frame.ndim != 3 or frame.shape[2] != 3 or frame.dtype != np.uint8:
        raise ShapeError(
            f"a frame must be H×W×3 uint8 RGB, got {frame.shape} {frame.dtype}; "
            "convert it, e.g. frame[..., :3].astype(np.uint8)"
        )
    if size is not None and frame.shape[:2] != size:
        raise ShapeError(
            f"every frame must have the reference frame's size {size[1]}x{size[0]}, "
            f"got {frame.shape[1]}x{frame.shape[0]}; resize it, or call start() for a new video"
        )


def check_mask(mask: Mask, frame: Frame) -> None:
    """Raise unless this is an H×W integer mask of the frame's size."""
    if mask.ndim != 2 or not np.issubdtype(mask.dtype, np.integer):
        raise ShapeError(
            f"a mask must be H×W integers (0 background, k = object k), got {mask.shape} "
            f"{mask.dtype}; use argmax over objects first"
        )
    if mask.shape != frame.shape[:2]:
        raise ShapeError(
            f"the mask is {mask.shape[1]}x{mask.shape[0]} but its frame "
            f"{frame.shape[1]}x{frame.shape[0]}; give a mask of the frame's own size"
        )
    if mask.size and int(mask.min()) < 0:
        raise ShapeError(f"a mask holds ids >= 0, got {int(mask.min())}")
