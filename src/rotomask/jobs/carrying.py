"""How a corrected mask is carried to other frames: what `correct` and the app share.

The rule is in docs/architecture.md, section "Corrections".
"""

from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt

from rotomask.arrays import Mask, most_probable
from rotomask.errors import PromptError
from rotomask.prompts import Marker, Prompt, RoughMask
from rotomask.prompts.kinds import is_stroke
from rotomask.prompts.regions import iou

BoolMask = npt.NDArray[np.bool_]
Probability = npt.NDArray[np.float32]
"""Probability of one object, H×W, 0 to 1."""

SAME_PIXELS, SAME_IOU = 10, 0.998
"""A correction of fewer pixels and a larger IoU is stored, but not carried."""
QUIET_FRAMES, QUIET_IOU = 8, 0.995
"""Carrying ends after so many frames on end with masks so similar to the old ones."""
MOST_ELSEWHERE = 4
"""Further reference frames that a pass learns from; each makes a frame slower."""
LARGE_CHANGE = 0.5
"""Changed pixels per pixel of the object from which the old masks count for nothing: the wrong
object was followed."""


def is_worth_carrying(old: Mask, new: Mask, ids: tuple[int, ...]) -> bool:
    """True if a corrected mask differs from the old one by more than a few pixels."""
    few = int((old != new).sum()) < SAME_PIXELS
    return not few or any(iou(old == k, new == k) <= SAME_IOU for k in ids)


def is_large(old: Mask, new: Mask, ids: tuple[int, ...]) -> bool:
    """True if most of the corrected objects was wrong."""
    # Against the corrected object, not the frame: half of a small object is large, too.
    area = max(1, int(np.isin(new, ids).sum()))
    return int((old != new).sum()) > LARGE_CHANGE * area


def is_quiet(old: Mask, new: Mask, ids: tuple[int, ...]) -> bool:
    """True if every object is there and came out as it was."""
    pairs = [(old == k, new == k) for k in ids]
    return all(a.any() and b.any() and iou(a, b) >= QUIET_IOU for a, b in pairs)


def nearest(references: Iterable[int], index: int) -> list[int]:
    """The other reference frames that a pass from this one learns from, nearest first."""
    return sorted(references, key=lambda i: (abs(i - index), i))[:MOST_ELSEWHERE]


def nearness(index: int, reference: int, limit: int) -> float:
    """How much a mask carried from a reference frame counts in one on the way to another, 0 to 1.

    A smooth step of the distance in time: 1 at the reference, 0 at the limit.
    """
    # Smoothstep 3t² - 2t³: flat at both ends, so that no frame shows where carrying began.
    near = 1 - abs(index - reference) / abs(limit - reference)
    return near * near * (3 - 2 * near)


def labels_of(probabilities: Mapping[int, Probability], size: tuple[int, int]) -> Mask:
    """The most probable object of every pixel, H×W int32.

    Args:
        probabilities: By object; what they leave of 1 is the background's.
        size: Height and width, in case there is no object.
    """
    ids = sorted(probabilities)
    if not ids:
        return np.zeros(size, np.int32)
    rows = np.stack([probabilities[k] for k in ids])
    # Rows of two passes need not add up to 1 or less.
    background = np.clip(1 - rows.sum(0), 0, 1)
    return most_probable(np.concatenate([background[None], rows]), ids)


def corrected_mask(
    marker: Marker, old: Mask, prompts: tuple[Prompt, ...], *, afresh: bool = False
) -> npt.NDArray[np.int32]:
    """The labels of the open frame after a correction; objects without prompts stay as they are.

    Args:
        marker: With the frame open.
        old: H×W.
        prompts: On the frame; each object's old mask is what they improve.
        afresh: True if the old masks of these objects count for nothing.

    Raises:
        PromptError: If an object is marked afresh by negative prompts alone.
    """
    ids = sorted({prompt.object_id for prompt in prompts})
    masks: list[Prompt] = []
    if not afresh:
        masks = [RoughMask(old == k, k) for k in ids if (old == k).any()]
    else:
        said = {p.object_id for p in prompts if not is_stroke(p) or p.positive}
        for k in ids:
            if k not in said:
                raise PromptError(
                    f"object {k} is marked afresh, so it needs a positive prompt; got negative "
                    "ones alone"
                )
    marked = marker.labels([*masks, *prompts])
    new = np.array(old, np.int32)
    new[np.isin(old, ids)] = 0
    return np.where(marked > 0, marked, new).astype(np.int32)
