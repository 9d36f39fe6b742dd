"""Evidence of its own that each of several objects must have: better one object than three wrong.

The paper finds one object. Where several are asked for, further tracks may lie on a part of an
object that was found, on ground that moves with it, or on things that are hardly objects.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from rotomask.arrays import Probabilities
from rotomask.errors import OptionError
from rotomask.unsupervised.graph import Indices, Values
from rotomask.unsupervised.tracks import SeedTrack


@dataclass(frozen=True, kw_only=True)
class EvidenceConfig:
    """What a further object needs; selected on composed and real clips (docs/results.md)."""

    least_objectness: float = 0.6
    """Mean objectness of its track's seeds."""
    least_presence: float = 0.7
    """Fraction of the frames in which its seed lies in a region of high objectness."""
    least_share: float = 0.4
    """Score of its track, as a fraction of the best object's."""
    together: float = 0.35
    """Two tracks in one region of high objectness are parts of one object if their flows differ by
    less than this fraction of the larger one, in half of the frames."""
    still_px: float = 0.5
    """Flows that differ by less than this are the same, px of the map's flow."""
    reach: float = 0.04
    """Gap over which pieces of an object belong together, as a fraction of the short side."""

    def __post_init__(self) -> None:
        for name in ("least_objectness", "least_presence", "least_share", "together", "reach"):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise OptionError(f"{name} lies between 0 and 1, got {value}")


NO_EVIDENCE = EvidenceConfig(
    least_objectness=0, least_presence=0, least_share=0.1, together=0, still_px=0, reach=1
)
"""What a further object needed in version 0.1."""


@dataclass(frozen=True, kw_only=True, eq=False)
class SeedFacts:
    """What is known of the n seeds of a frame."""

    objectness: Values
    """n, 0 to 1."""
    components: npt.NDArray[np.intp]
    """Region of high objectness that contains each seed, n; 0: none."""
    flows: Values | None
    """Mean flow of each seed's region, n×2, px; None in a video of one frame."""


def tracks_with_evidence(
    tracks: Sequence[SeedTrack], frames: Sequence[SeedFacts], config: EvidenceConfig
) -> tuple[SeedTrack, ...]:
    """Tracks that can be objects: the best one, and those with objectness of their own.

    Args:
        tracks: All tracks, the best first.
        frames: The facts of every frame.
        config: The settings.
    """
    selected = []
    for number, track in enumerate(tracks):
        if number == 0:
            selected.append(track)
            continue
        seeds = [(frame, track.seeds[t]) for t, frame in enumerate(frames)]
        objectness = np.mean([frame.objectness[seed] for frame, seed in seeds])
        presence = np.mean([frame.components[seed] > 0 for frame, seed in seeds])
        if objectness >= config.least_objectness and presence >= config.least_presence:
            selected.append(track)
    return tuple(selected)


def are_parts_of_one(
    track: SeedTrack, other: SeedTrack, frames: Sequence[SeedFacts], config: EvidenceConfig
) -> bool:
    """True if two tracks lie on one object: connected, and moving together, in most frames.

    Args:
        track: A track.
        other: Another.
        frames: The facts of every frame.
        config: The settings.
    """
    joined, alike = [], []
    for t, frame in enumerate(frames):
        a, b = track.seeds[t], other.seeds[t]
        # Chained: equal, and not 0, which is no region.
        joined.append(frame.components[a] == frame.components[b] > 0)
        if frame.flows is not None:
            difference = float(np.linalg.norm(frame.flows[a] - frame.flows[b]))
            largest = float(np.linalg.norm(frame.flows[[a, b]], axis=1).max())
            # Relative to the faster of the two, but half a pixel at least: flow is no better than
            # that.
            alike.append(difference <= max(config.still_px, config.together * largest))
    if config.together == 0 or not alike:  # without motion, only looks can tell
        return False
    return float(np.mean(joined)) > 0.5 and float(np.mean(alike)) > 0.5


def compact(scores: Probabilities, seeds: Indices, reach: float) -> Probabilities:
    """Scores of objects without the pieces that are far from the object's seed.

    Pieces belong together if the gap between them is small; what is left out becomes background.

    Args:
        scores: O+1×h×w, background first, sums to 1.
        seeds: Pixel of each object's seed, O.
        reach: The gap, as a fraction of the short side.

    Returns:
        O+1×h×w float32, sums to 1 over the first axis.
    """
    height, width = scores.shape[1:]
    gap = max(1, round(reach * min(height, width)))
    kernel = np.ones((2 * gap + 1, 2 * gap + 1), np.uint8)
    compacted = scores.copy()
    for row, seed in enumerate(seeds, start=1):
        likely = (scores[row] > 0.5).astype(np.uint8)
        # Grown by the gap on both sides, so pieces up to two gaps apart become one component.
        pieces = cv2.connectedComponents(cv2.dilate(likely, kernel), connectivity=8)[1]
        own = pieces[divmod(int(seed), width)]
        if own == 0:  # the seed itself is not of the object here: nothing to tell pieces by
            continue
        lost = np.where((likely > 0) & (pieces != own), scores[row], np.float32(0))
        compacted[row] -= lost
        # The sum over the first axis stays 1.
        compacted[0] += lost
    return compacted
