"""Coloured masks: the flat colours of an image, and the object id of each colour."""

from collections.abc import Mapping
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from rotomask.masks.grey import MIN_FLATNESS, flatness, interior_fraction
from rotomask.masks.palette import davis_palette

Colour: TypeAlias = tuple[int, int, int]
"""RGB, 0-255."""

CODEC_TOLERANCE = 40
"""Largest change of a channel (0-255) that counts as noise of a lossy codec."""

MAX_COLOURS = 255
"""An image with more flat colours is not a mask."""


def flat_colours(
    image: npt.NDArray[np.uint8],
) -> tuple[npt.NDArray[np.int32], list[Colour], bool] | None:
    """The flat colours that an image consists of, or None for a photo.

    An image of a few colours in flat regions is used unchanged. Otherwise (antialiasing, JPEG
    noise) every pixel is snapped to one of the dominant colours, if nearly every pixel is close to
    one. Pixels between two regions take the colour of the nearest region in the image, not the
    nearest colour: a blend of black and yellow is not dark yellow.

    Args:
        image: H×W×3 uint8 RGB.

    Returns:
        The index of each pixel's colour (H×W int32), the colours, and True if they were snapped.
    """
    packed = _pack(image)
    values, inverse, counts = np.unique(packed, return_inverse=True, return_counts=True)
    inverse = inverse.reshape(packed.shape)
    if len(values) <= MAX_COLOURS and flatness(packed) >= MIN_FLATNESS:
        rare = counts < max(2, packed.size // 2000)  # fewer than 0.05 % of the pixels
        # Antialiasing leaves many rare blends beside the flat colours. A small image of rare
        # colours only has no blends.
        has_blends = rare.sum() > 8 and not rare.all()
        if not has_blends:
            return inverse.astype(np.int32), [_unpack(v) for v in values], False
    centres = _dominant(values, counts)
    if centres is None:
        return None
    return _snap(image, centres)


def assign_ids(
    colours: list[Colour], previous_ids: Mapping[Colour, int] | None
) -> dict[Colour, int]:
    """Object id of each colour; black is background, 0.

    If every colour is in the DAVIS palette, its index there is its id. Otherwise ids count from 1
    in falling order of the RGB value: red 1, green 2, blue 3.

    Args:
        colours: The colours of the mask.
        previous_ids: Ids from earlier masks of the same video. Those colours keep their ids; new
            colours are numbered after the largest.
    """
    objects = sorted((c for c in colours if c != (0, 0, 0)), reverse=True)
    id_of: dict[Colour, int] = {(0, 0, 0): 0}
    if previous_ids:
        id_of |= {colour: previous_ids[colour] for colour in objects if colour in previous_ids}
        new = [colour for colour in objects if colour not in previous_ids]
        first = max(previous_ids.values()) + 1
        return id_of | {colour: first + i for i, colour in enumerate(new)}
    palette = {tuple(int(v) for v in colour): k for k, colour in enumerate(davis_palette())}
    if all(colour in palette for colour in objects):
        return id_of | {colour: palette[colour] for colour in objects}
    return id_of | {colour: i for i, colour in enumerate(objects, start=1)}


def _dominant(
    values: npt.NDArray[np.int64], counts: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64] | None:
    """Dominant colours, K×3, most frequent first; None for a photo.

    Args:
        values: N distinct colours, packed as 0xRRGGBB.
        counts: Pixels of each colour, N.
    """
    colours = np.stack([values >> 16, values >> 8 & 255, values & 255], axis=1)  # N×3
    remaining = counts.copy()
    total = int(counts.sum())
    centres: list[npt.NDArray[np.int64]] = []
    # Greedy: take the most frequent colour and drop all colours near it, until 98 % of the pixels
    # are covered. K-means would need K and would put centres on the blends between two regions.
    while remaining.sum() > 0.02 * total:
        best = int(remaining.argmax())
        near = np.abs(colours - colours[best]).max(axis=1) <= CODEC_TOLERANCE
        if remaining[near].sum() < 0.0005 * total or len(centres) == 64:
            return None  # only rare colours remain, but they cover more than 2 % of the image
        centres.append(_canonical(colours[best]))
        remaining[near] = 0
    return np.array(centres)


def _canonical(colour: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The palette colour or RGB corner within 12 of this colour, else the colour itself: 3 int64.

    A lossy codec turns (128, 0, 0) into (126, 2, 1); the ids depend on the exact colour.
    """
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
    """`flat_colours` of an image whose colours are noisy; `centres` is K×3."""
    # Largest difference over the channels, as a codec's noise is bounded per channel: K×H×W.
    distances = np.stack([np.abs(image.astype(np.int16) - c).max(axis=2) for c in centres])
    nearest = distances.argmin(axis=0).astype(np.int32)  # H×W, index of the centre
    certain = distances.min(axis=0) <= CODEC_TOLERANCE
    # A blend along an edge can be frequent enough to look like a colour of its own. It is only one
    # or two pixels wide, so few of its pixels have four neighbours of the same colour.
    regions = [
        k for k in range(len(centres)) if interior_fraction(nearest, certain & (nearest == k)) > 0.2
    ]
    certain &= np.isin(nearest, regions)
    if certain.mean() < 0.95 or flatness(nearest) < MIN_FLATNESS:
        return None
    # Every other pixel takes the colour of the nearest certain pixel. OpenCV numbers the zero
    # pixels of its input (the certain ones) and returns for every pixel the number of its nearest.
    _, source = cv2.distanceTransformWithLabels(
        (~certain).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    colour_of_source = np.zeros(int(source.max()) + 1, np.int32)
    colour_of_source[source[certain]] = nearest[certain]
    used, index = np.unique(colour_of_source[source], return_inverse=True)
    colours: list[Colour] = [tuple(int(v) for v in centres[k]) for k in used]  # type: ignore[misc]
    return index.reshape(source.shape).astype(np.int32), colours, True


def _pack(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """Each pixel as one integer 0xRRGGBB, so that np.unique need not sort rows: H×W int64."""
    wide = image.astype(np.int64)
    packed: npt.NDArray[np.int64] = wide[..., 0] << 16 | wide[..., 1] << 8 | wide[..., 2]
    return packed


def _unpack(value: np.int64) -> Colour:
    return int(value >> 16), int(value >> 8 & 255), int(value & 255)
