"""Array types that the whole package shares, and checks for arrays that callers pass in."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from rotomask.errors import ShapeError

Frame = npt.NDArray[np.uint8]
"""One RGB frame, H×W×3, 0-255."""

Mask = npt.NDArray[np.integer]
"""Integer labels of one frame, H×W: 0 background, k = object id k."""

LARGEST_INT32 = 2**31 - 1
"""Largest object id; labels are int32."""

Probabilities = npt.NDArray[np.float32]
"""(O+1)×H×W, 0 to 1, sum 1 over axis 0: background, then objects in the order of `object_ids`."""


def check_frame(frame: Frame, size: tuple[int, int] | None = None) -> None:
    """Check that a frame is H×W×3 uint8.

    Args:
        frame: The array to check.
        size: (height, width) that the frame must have; by default any.

    Raises:
        ShapeError: If the shape, the type or the size differs.
    """
    if not isinstance(frame, np.ndarray):
        raise ShapeError(
            f"a frame must be a NumPy array H×W×3 uint8 RGB, got {_type_name(frame)}; "
            "convert it with np.asarray"
        )
    if frame.ndim != 3 or frame.shape[2] != 3 or frame.dtype != np.uint8 or 0 in frame.shape:
        raise ShapeError(
            f"a frame must be H×W×3 uint8 RGB, got {frame.shape} {frame.dtype}; {_advice(frame)}"
        )
    if size is not None and frame.shape[:2] != size:
        raise ShapeError(
            f"every frame must have the reference frame's size {size[1]}x{size[0]}, "
            f"got {frame.shape[1]}x{frame.shape[0]}; resize it, or call start() for a new video"
        )


def as_labels(mask: Mask | npt.NDArray[np.bool_]) -> Mask:
    """A mask of one object, H×W bool, as labels: object 1. Other masks as they are."""
    if isinstance(mask, np.ndarray) and mask.dtype == np.bool_:
        return mask.astype(np.int32)
    return mask  # type: ignore[return-value]


def most_probable(probabilities: Probabilities, object_ids: Sequence[int]) -> npt.NDArray[np.int32]:
    """Most probable object id of every pixel, H×W int32.

    The same as `argmax` over the first axis, in less than half the time: most pixels are
    background, and nothing is gathered for them.

    Args:
        probabilities: Background and O objects, O+1×H×W.
        object_ids: Ids of the O objects; 0 is the background.
    """
    best = np.array(probabilities[0])
    labels = np.zeros(best.shape, np.int32)
    for probability, object_id in zip(probabilities[1:], object_ids, strict=True):
        wins = probability > best
        labels[wins] = object_id
        best[wins] = probability[wins]
    return labels


def check_mask(mask: Mask, frame: Frame) -> None:
    """Check that a mask is H×W integers, none negative, of the same size as its frame.

    Raises:
        ShapeError: If it is not.
    """
    if not isinstance(mask, np.ndarray):
        raise ShapeError(
            f"a mask must be a NumPy array H×W of integers, got {_type_name(mask)}; "
            "convert it with np.asarray"
        )
    if mask.ndim == 2 and mask.dtype == np.bool_:
        raise ShapeError(
            f"a mask must be H×W integers (0 background, k = object k), got {mask.shape} bool; "
            "for one object use mask.astype(np.int32)"
        )
    if mask.ndim != 2 or not np.issubdtype(mask.dtype, np.integer):
        raise ShapeError(
            f"a mask must be H×W integers (0 background, k = object k), got {mask.shape} "
            f"{mask.dtype}; use argmax over objects first"
        )
    if mask.shape != frame.shape[:2]:
        raise ShapeError(
            f"the mask is {mask.shape[1]}x{mask.shape[0]} but its frame is "
            f"{frame.shape[1]}x{frame.shape[0]}; scale the mask to the frame's size"
        )
    if mask.size and int(mask.min()) < 0:
        raise ShapeError(f"object ids in a mask must be >= 0, got {int(mask.min())}")
    if mask.size and int(mask.max()) > LARGEST_INT32:
        raise ShapeError(
            f"object ids in a mask must be at most {LARGEST_INT32}, got {int(mask.max())}; "
            "renumber them with compact_ids"
        )


def check_layer(image: Frame, layer: npt.NDArray[np.generic]) -> None:
    """Check that a mask or an opacity has one value for each pixel of an H×W×3 image.

    Raises:
        ShapeError: If it has not.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.shape[:2] != layer.shape:
        raise ShapeError(
            "expected an H×W×3 image and an H×W mask or opacity of the same size, got "
            f"{image.shape} and {layer.shape}; resize the mask to the image"
        )


def _type_name(value: object) -> str:
    """The full name of a value's type: ``torch.Tensor``, ``list``."""
    kind = type(value)
    return (
        kind.__qualname__
        if kind.__module__ == "builtins"
        else f"{kind.__module__}.{kind.__qualname__}"
    )


def _advice(frame: npt.NDArray[np.generic]) -> str:
    """How to make a frame of an array that is none."""
    if 0 in frame.shape:
        return "it has no pixels"
    if np.issubdtype(frame.dtype, np.floating):
        return "if its values are 0..1, use (255 * frame).round().astype(np.uint8)"
    if frame.dtype == np.uint16:
        return "if its values are 0..65535, use (frame // 257).astype(np.uint8)"
    if frame.ndim == 2:
        return "repeat a grey frame, np.repeat(frame[..., None], 3, axis=2)"
    if frame.ndim == 3 and frame.shape[0] == 3 != frame.shape[2]:
        return "move its channels last, np.moveaxis(frame, 0, -1)"
    if frame.ndim == 3 and frame.shape[2] == 4:
        return "leave out alpha, frame[..., :3]"
    return "pass one 8-bit RGB frame"
