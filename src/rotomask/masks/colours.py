"""What a coloured mask means: which flat colours it has, and which object each one is."""

from collections.abc import Mapping
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from rotomask.masks.grey import FLAT, flatness, interior_share
from rotomask.masks.palette import davis_palette

Colour: TypeAlias = tuple[int, int, int]
"""RGB, 0-255."""

TOLERANCE = 40
"""How far a lossy codec may move a channel of a flat colour."""

MOST_COLOURS = 255
"""A picture of more flat colours than this is not a mask."""


def flat_colours(
    image: npt.NDArray[np.uint8],
) -> tuple[npt.NDArray[np.int32], list[Colour], bool] | None:
    """The flat colours that an image is made of, or None when it is a photo.

    An image of few colours in flat regions is taken as it is. Otherwise (antialiasing, JPEG noise)
    the dominant colours are sought; if nearly every pixel is near one of them, the pixels between
    two regions go to the region that is nearest in the image, not in colour: a blend of black and
    yellow is not dark yellow.

    Args:
        image: H×W×3 uint8 RGB.

    Returns:
        The index of every pixel's colour (H×W int32), the colours, and whether they were snapped.
    """
    packed = _pack(image)
    values, inverse, counts = np.unique(packed, return_inverse=True, return_counts=True)
    inverse = inverse.reshape(packed.shape)
    if len(values) <= MOST_COLOURS and flatness(packed) >= FLAT:
        thin = counts < max(2, packed.size // 2000)
        scattered = thin.sum() > 8 and not thin.all()  # a fringe of many rare blends
        if not scattered:
            return inverse.astype(np.int32), [_unpack(v) for v in values], False
    centres = _dominant(values, counts)
    if centres is None:
        return None
    return _snap(image, centres)


def number_colours(colours: list[Colour], known: Mapping[Colour, int] | None) -> dict[Colour, int]:
    """The object id of each colour: black is background, 0.

    Colours of the DAVIS palette have its ids, if all of them are in it. Otherwise ids count from 1
    in falling order of the RGB value: red 1, green 2, blue 3. Colours in `known` keep those ids and
    the others go on after the largest.
    """
    objects = sorted((c for c in colours if c != (0, 0, 0)), reverse=True)
    numbers: dict[Colour, int] = {(0, 0, 0): 0}
    if known:
        numbers |= {colour: known[colour] for colour in objects if colour in known}
        new = [colour for colour in objects if colour not in known]
        first = max(known.values()) + 1
        return numbers | {colour: first + i for i, colour in enumerate(new)}
    palette = {tuple(int(v) for v in colour): k for k, colour in enumerate(davis_palette())}
    if all(colour in palette for colour in objects):
        return numbers | {colour: palette[colour] for colour in objects}
    return numbers | {colour: i for i, colour in enumerate(objects, start=1)}


def _dominant(
    values: npt.NDArray[np.int64], counts: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64] | None:
    """Greedily, the most frequent colours that explain the image: K×3, or None for a photo."""
    colours = np.stack([values >> 16, values >> 8 & 255, values & 255], axis=1)
    left = counts.copy()
    total = int(counts.sum())
    centres: list[npt.NDArray[np.int64]] = []
    while left.sum() > 0.02 * total:
        best = int(left.argmax())
        near = np.abs(colours - colours[best]).max(axis=1) <= TOLERANCE
        if left[near].sum() < 0.0005 * total or len(centres) == 64:
            return None  # no frequent colour is left, yet much of the image is unexplained
        centres.append(_canonical(colours[best]))
        left[near] = 0
    return np.array(centres)


def _canonical(colour: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The clean colour, of the palette or a corner of RGB, that a lossy codec made this one of."""
    corners = np.array([[r, g, b] for r in (0, 255) for g in (0, 255) for b in (0, 255)])
    for candidates in (davis_palette()[:22].astype(np.int64), corners):
        distance = np.abs(candidates - colour).max(axis=1)
        if distance.min() <= 12:
            nearest: npt.NDArray[np.int64] = candidates[int(distance.argmin())]
            return nearest
    return colour


def _snap(
    image: npt.NDArray[np.uint8], centres: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int32], list[Colour], bool] | None:
    distances = np.stack([np.abs(image.astype(np.int16) - c).max(axis=2) for c in centres])
    nearest = distances.argmin(axis=0).astype(np.int32)
    sure = distances.min(axis=0) <= TOLERANCE
    # A blend along an edge can pass for a colour; a region has an inside, an edge has none.
    regions = [
        k for k in range(len(centres)) if interior_share(nearest, sure & (nearest == k)) > 0.2
    ]
    sure &= np.isin(nearest, regions)
    if sure.mean() < 0.95 or flatness(nearest) < FLAT:
        return None
    _, label = cv2.distanceTransformWithLabels(
        (~sure).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    of_label = np.zeros(int(label.max()) + 1, np.int32)
    of_label[label[sure]] = nearest[sure]
    used, index = np.unique(of_label[label], return_inverse=True)
    colours: list[Colour] = [tuple(int(v) for v in centres[k]) for k in used]  # type: ignore[misc]
    return index.reshape(label.shape).astype(np.int32), colours, True


def _pack(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    wide = image.astype(np.int64)
    packed: npt.NDArray[np.int64] = wide[..., 0] << 16 | wide[..., 1] << 8 | wide[..., 2]
    return packed


def _unpack(value: np.int64) -> Colour:
    return int(value >> 16), int(value >> 8 & 255), int(value & 255)
