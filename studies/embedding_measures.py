"""Measures of pixel embeddings: seed accuracy and embedding drift.

Li et al. 2018 (instance embedding transfer), sec. 4.4 and supplement a.3.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from rotomask.data.benchmarks.label_files import Labels
from rotomask.errors import ShapeError

MAX_PIXELS = 2000
"""Most foreground pixels, and most background pixels, sampled from a frame."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Drift:
    """Distance of each frame's embeddings from the first frame's, T values each."""

    time: npt.NDArray[np.float64]
    """Position in the video, from 0 in the first frame to 1 in the last."""
    misclassified: npt.NDArray[np.float64]
    """Fraction of the foreground that is nearer to the first frame's background, 0 to 1.

    NaN if a frame has no foreground."""
    foreground_distance: npt.NDArray[np.float64]
    """Mean distance of foreground embeddings to the nearest foreground one of the first frame."""
    background_distance: npt.NDArray[np.float64]
    """Mean distance of background embeddings to the nearest background one of the first frame."""


def seed_accuracy(seeds: Sequence[tuple[int, int]], truths: Sequence[Labels]) -> float:
    """Fraction of the initial foreground seeds, one per frame, that lie on an object.

    Args:
        seeds: (y, x) of each frame's seed, px.
        truths: The annotations of the same frames, H×W integers.

    Raises:
        ShapeError: If there are no seeds, or not as many seeds as annotations.

    Example:
        >>> truth = np.array([[0, 1], [0, 0]])
        >>> seed_accuracy([(0, 1), (1, 1)], [truth, truth])
        0.5
    """
    if len(seeds) != len(truths) or not seeds:
        raise ShapeError(f"give one seed per frame, got {len(seeds)} for {len(truths)} frames")
    hits = [truth[seed] != 0 for seed, truth in zip(seeds, truths, strict=True)]
    return float(np.mean(hits))


def resampled(
    time: npt.NDArray[np.float64], values: npt.NDArray[np.float64], grid: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Values at other times, interpolated between the frames that have one (NaN: none)."""
    present = ~np.isnan(values)
    return np.interp(grid, time[present], values[present])


def embedding_drift(
    embeddings: Iterable[npt.NDArray[np.floating]], truths: Iterable[Labels], *, seed: int = 0
) -> Drift:
    """Distances of every frame's embeddings from the first frame's, within the true masks.

    The paper's formula does not say with which embedding of the first frame one is compared; here
    it is the nearest of the same kind, foreground or background.

    Args:
        embeddings: One H×W×C array per frame, read lazily.
        truths: The annotations of the same frames at the same size, H×W integers.
        seed: Seed for sampling pixels.

    Raises:
        ShapeError: If the sizes differ, or the first frame lacks foreground or background.
    """
    rng = np.random.default_rng(seed)
    reference: tuple[cKDTree, cKDTree] | None = None
    rows = []
    for embedding, truth in zip(embeddings, truths, strict=True):
        if embedding.shape[:2] != truth.shape:
            raise ShapeError(
                f"embeddings {embedding.shape} and mask {truth.shape} differ in size; resize the "
                "mask to the embeddings"
            )
        foreground = _sample(embedding[truth != 0], rng)  # N×C
        background = _sample(embedding[truth == 0], rng)
        if reference is None:
            if not len(foreground) or not len(background):
                raise ShapeError("the first frame needs both foreground and background")
            reference = cKDTree(foreground), cKDTree(background)
        rows.append(_compare(foreground, background, *reference))
    table = np.array(rows, np.float64).reshape(-1, 3)
    return Drift(
        time=np.linspace(0, 1, len(table)),
        misclassified=table[:, 0],
        foreground_distance=table[:, 1],
        background_distance=table[:, 2],
    )


def _compare(
    foreground: npt.NDArray[np.floating],
    background: npt.NDArray[np.floating],
    first_foreground: cKDTree,
    first_background: cKDTree,
) -> tuple[float, float, float]:
    """The three values of `Drift` for one frame."""
    misclassified = foreground_distance = background_distance = float("nan")
    if len(foreground):
        distances = first_foreground.query(foreground)[0]
        misclassified = float(np.mean(first_background.query(foreground)[0] < distances))
        foreground_distance = float(np.mean(distances))
    if len(background):
        background_distance = float(np.mean(first_background.query(background)[0]))
    return misclassified, foreground_distance, background_distance


def _sample(points: npt.NDArray[np.floating], rng: np.random.Generator) -> npt.NDArray[np.floating]:
    """At most `MAX_PIXELS` of N×C points, drawn without replacement."""
    if len(points) <= MAX_PIXELS:
        return points
    return points[rng.choice(len(points), MAX_PIXELS, replace=False)]
