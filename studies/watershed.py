"""Instances from a map of every pixel's depth inside its object."""

import cv2
import numpy as np
import numpy.typing as npt

from rotomask.errors import ShapeError

STEPS = 32
"""Levels at which the flood stops."""

Labels = npt.NDArray[np.int32]


def separate_instances(
    level: npt.NDArray[np.float32],
    foreground: npt.NDArray[np.bool_],
    *,
    core: float,
    smallest: float = 0.002,
) -> Labels:
    """The instances of a foreground: one for each core, grown by a watershed.

    Cores are the connected components of the foreground whose level reaches `core`. From there the
    level is lowered step by step; pixels that it uncovers join the nearest instance of their
    component of the foreground, so that instances meet in the valley between them. A component
    without a core is an instance of its own.

    Args:
        level: H×W, 0..1: 1 in the middle of an instance, falling towards its outline.
        foreground: H×W.
        core: Level of a core, 0..1.
        smallest: Cores and components smaller than this fraction of the frame are ignored.

    Returns:
        H×W int32: 0 outside the foreground, 1, 2, ... the instances.

    Raises:
        ShapeError: If the sizes differ.
    """
    if level.shape != foreground.shape or level.ndim != 2:
        raise ShapeError(
            f"level and foreground must be H×W of one size: {level.shape}, {foreground.shape}"
        )
    least = smallest * level.size
    parts, cores = (
        _large_components(foreground, least),
        _large_components(foreground & (level >= core), least),
    )
    instances = np.zeros(level.shape, np.int32)
    for part in range(1, int(parts.max(initial=0)) + 1):
        inside = parts == part
        x, y, width, height = cv2.boundingRect(inside.astype(np.uint8))
        box = (slice(y, y + height), slice(x, x + width))
        seeds = np.where(inside, cores, 0)[box]
        table = np.zeros(int(cores.max()) + 1, np.int32)
        labels = np.unique(seeds[seeds > 0])
        table[labels] = np.arange(len(labels))
        next_label = int(instances.max()) + 1
        own = table[_flood(level[box], inside[box], seeds, core)] if len(labels) > 1 else 0
        instances[box] = np.where(inside[box], own + next_label, instances[box])
    return instances


def _flood(
    level: npt.NDArray[np.float32], inside: npt.NDArray[np.bool_], seeds: Labels, core: float
) -> Labels:
    """The seeds grown over the inside as the level falls."""
    grown = seeds
    for lowest in np.linspace(core, 0, STEPS)[1:]:
        free = inside & (level >= lowest) if lowest > 0 else inside
        grown = np.where(free & (grown == 0), _nearest(grown), grown)
    return grown


def _nearest(labels: Labels) -> Labels:
    """The nearest label at every pixel."""
    _, zones = cv2.distanceTransformWithLabels(
        (labels == 0).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    table = np.zeros(int(zones.max()) + 1, np.int32)
    table[zones[labels > 0]] = labels[labels > 0]
    return np.asarray(table[zones], np.int32)


def _large_components(mask: npt.NDArray[np.bool_], least: float) -> Labels:
    """Connected components of at least so many pixels, numbered 1, 2, ..."""
    _, parts, statistics, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    large = np.flatnonzero(statistics[1:, cv2.CC_STAT_AREA] >= least) + 1  # 0 is the background
    table = np.zeros(len(statistics), np.int32)
    table[large] = np.arange(1, len(large) + 1)
    return np.asarray(table[parts], np.int32)
