"""Seed tracks: seeds linked from frame to frame by similarity, and which of them is the object."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from rotomask.unsupervised.graph import Indices, Points, Values, similarity, squared_distances

Ranking = Literal["both", "motion", "objectness"]
"""What a track is ranked by: the columns of table 4."""


@dataclass(frozen=True, kw_only=True, eq=False)
class SeedTrack:
    """One seed a frame."""

    seeds: Indices
    """Position of the track's seed among the seeds of every frame, T."""
    score: float
    """Mean of the seeds' scores, 0 to 1."""


def seed_scores(objectness: Values, saliency: Values | None, ranking: Ranking) -> Values:
    """How much each seed looks like the object: objectness × motion saliency (eq. 10).

    Args:
        objectness: n, 0 to 1.
        saliency: n, 0 to 1; None where motion says nothing: then objectness alone counts.
        ranking: Both, or one alone.
    """
    if saliency is None or ranking == "objectness":
        return objectness
    return saliency if ranking == "motion" else objectness * saliency


def link_seeds(points: Sequence[Points], start: int) -> npt.NDArray[np.intp]:
    """Tracks of every seed of one frame, onwards to both ends of the video (eq. 9).

    A track goes on with the most similar seed of the next frame.

    Args:
        points: Embeddings of the seeds of each frame, n_t×E.
        start: The frame whose seeds begin the tracks.

    Returns:
        n_start×T: the position of each track's seed in each frame.
    """
    tracks = np.empty((len(points[start]), len(points)), np.intp)
    tracks[:, start] = np.arange(len(points[start]))
    for order in (range(start + 1, len(points)), range(start - 1, -1, -1)):
        previous = start
        for t in order:
            next_seed = squared_distances(points[previous], points[t]).argmin(1)
            tracks[:, t] = next_seed[tracks[:, previous]]
            previous = t
    return tracks


def rank_tracks(
    points: Sequence[Points], scores: Sequence[Values], starts: Sequence[int]
) -> tuple[SeedTrack, ...]:
    """All different tracks that begin in some frames, the best first.

    Args:
        points: Embeddings of the seeds of each frame, n_t×E.
        scores: Their scores, n_t.
        starts: The frames whose seeds begin tracks.
    """
    tracks = np.unique(np.concatenate([link_seeds(points, t) for t in starts]), axis=0)
    means = np.mean([scores[t][tracks[:, t]] for t in range(len(points))], axis=0)
    order = np.argsort(-means, kind="stable")
    return tuple(SeedTrack(seeds=tracks[i], score=float(means[i])) for i in order)


def distinct_tracks(
    tracks: Sequence[SeedTrack],
    points: Sequence[Points],
    parts: Sequence[npt.NDArray[np.intp]],
    count: int,
    least_share: float,
) -> tuple[SeedTrack, ...]:
    """The best tracks that are of different objects.

    Two tracks are of one object if in most frames their seeds are alike (R > 0.5) and not in
    different connected parts of what is object-like.

    Args:
        tracks: The best first.
        points: Embeddings of the seeds of each frame, n_t×E.
        parts: The part in which each seed is, n_t; 0: in none.
        count: How many at most.
        least_share: Tracks with less than this share of the best one's score are of no object.
    """
    chosen: list[SeedTrack] = []
    for track in tracks:
        if len(chosen) == count or (chosen and track.score < least_share * chosen[0].score):
            break
        if not any(_are_one(track, other, points, parts) for other in chosen):
            chosen.append(track)
    return tuple(chosen)


def _are_one(
    track: SeedTrack,
    other: SeedTrack,
    points: Sequence[Points],
    parts: Sequence[npt.NDArray[np.intp]],
) -> bool:
    frames = range(len(points))
    steps = [points[t][track.seeds[t]] - points[t][other.seeds[t]] for t in frames]
    alike = similarity(np.square(np.stack(steps)).sum(1)) > 0.5
    places = [(int(parts[t][track.seeds[t]]), int(parts[t][other.seeds[t]])) for t in frames]
    apart = np.array([a != b and a > 0 and b > 0 for a, b in places])
    return bool(np.mean(alike & ~apart) > 0.5)
