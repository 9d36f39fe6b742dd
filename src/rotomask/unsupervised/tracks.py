"""Seed tracks: seeds linked over the video by similarity, ranked to find the objects (sec. 3.3)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from rotomask.unsupervised.graph import Indices, Points, Values, similarity, squared_distances

Ranking = Literal["both", "motion", "objectness"]
"""Score by which tracks are ranked (the columns of table 4)."""


@dataclass(frozen=True, kw_only=True, eq=False)
class SeedTrack:
    """A track with one seed in every frame."""

    seeds: Indices
    """Index of the track's seed among the seeds of each frame, T."""
    score: float
    """Mean score of these seeds, 0 to 1."""


def seed_scores(objectness: Values, saliency: Values | None, ranking: Ranking) -> Values:
    """Score of each of n seeds: objectness × motion saliency (eq. 10), 0 to 1.

    Args:
        objectness: n, 0 to 1.
        saliency: Motion saliency, n, 0 to 1; None if nothing moves: the score is the objectness.
        ranking: Use both factors, or only one.
    """
    if saliency is None or ranking == "objectness":
        return objectness
    return saliency if ranking == "motion" else objectness * saliency


def link_seeds(points: Sequence[Points], start: int) -> npt.NDArray[np.intp]:
    """Tracks of all seeds of one frame, extended to both ends of the video (eq. 9).

    A track continues with the most similar seed of the next frame.

    Args:
        points: Embeddings of the seeds of each frame, T arrays n_t×E.
        start: Index of the frame whose seeds start the tracks.

    Returns:
        Index of each track's seed in each frame, n_start×T.
    """
    # n_start×T, one row a track; forwards and backwards from the start.
    tracks = np.empty((len(points[start]), len(points)), np.intp)
    tracks[:, start] = np.arange(len(points[start]))
    for order in (range(start + 1, len(points)), range(start - 1, -1, -1)):
        previous = start
        for t in order:
            # The successor of every seed of the previous frame, then of the tracks' seeds there.
            successor = squared_distances(points[previous], points[t]).argmin(1)
            tracks[:, t] = successor[tracks[:, previous]]
            previous = t
    return tracks


def rank_tracks(
    points: Sequence[Points], scores: Sequence[Values], starts: Sequence[int]
) -> tuple[SeedTrack, ...]:
    """All distinct tracks that start in the given frames, the best first.

    Args:
        points: Embeddings of the seeds of each frame, T arrays n_t×E.
        scores: Scores of the seeds of each frame, T arrays n_t.
        starts: Indices of the frames whose seeds start tracks.
    """
    # Tracks merge when they share a seed, so many rows are equal.
    tracks = np.unique(np.concatenate([link_seeds(points, t) for t in starts]), axis=0)
    means = np.mean([scores[t][tracks[:, t]] for t in range(len(points))], axis=0)
    order = np.argsort(-means, kind="stable")
    return tuple(SeedTrack(seeds=tracks[i], score=float(means[i])) for i in order)


def distinct_tracks(
    tracks: Sequence[SeedTrack],
    points: Sequence[Points],
    components: Sequence[npt.NDArray[np.intp]],
    count: int,
    least_share: float,
    are_parts: Callable[[SeedTrack, SeedTrack], bool] | None = None,
) -> tuple[SeedTrack, ...]:
    """The best tracks of different objects.

    Two tracks belong to one object if in most frames their seeds are similar (R > 0.5) and are not
    in different connected components of high objectness, or if they are its parts.

    Args:
        tracks: All tracks, the best first.
        points: Embeddings of the seeds of each frame, T arrays n_t×E.
        components: Connected component of each seed, T arrays n_t; 0: none.
        count: Largest number of tracks.
        least_share: Least score of a track, as a fraction of the best one's.
        are_parts: Tells whether two tracks lie on one object.
    """
    selected: list[SeedTrack] = []
    for track in tracks:
        if len(selected) == count or (selected and track.score < least_share * selected[0].score):
            break
        if not any(
            _same_object(track, other, points, components)
            or (are_parts is not None and are_parts(track, other))
            for other in selected
        ):
            selected.append(track)
    return tuple(selected)


def _same_object(
    track: SeedTrack,
    other: SeedTrack,
    points: Sequence[Points],
    components: Sequence[npt.NDArray[np.intp]],
) -> bool:
    frames = range(len(points))
    differences = [points[t][track.seeds[t]] - points[t][other.seeds[t]] for t in frames]
    similar = similarity(np.square(np.stack(differences)).sum(1)) > 0.5
    # Region of both seeds in every frame; two seeds with a region each, but not the same, stand on
    # different objects however alike they look.
    pairs = [
        (int(components[t][track.seeds[t]]), int(components[t][other.seeds[t]])) for t in frames
    ]
    separate = np.array([a != b and a > 0 and b > 0 for a, b in pairs])
    return bool(np.mean(similar & ~separate) > 0.5)
