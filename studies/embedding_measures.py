"""What papers on embeddings report beside J and F: seed accuracy and embedding drift.

Li et al. 2018 (instance embedding transfer), sec. 4.4 and supplement a.3.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from rotomask.data.benchmarks.label_files import Labels
from rotomask.errors import ShapeError

MOST_PIXELS = 2000
"""Pixels of a kind that are looked at in a frame; more are sampled."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Drift:
    """How embeddings move away from those of the first frame; T values each."""

    time: npt.NDArray[np.float64]
    """From 0 in the first frame to 1 in the last."""
    misclassified: npt.NDArray[np.float64]
    """Share of the foreground that is nearer to the first frame's background; NaN without any."""
    foreground_distance: npt.NDArray[np.float64]
    """Mean distance of foreground embeddings to the nearest of the first frame's."""
    background_distance: npt.NDArray[np.float64]


def seed_accuracy(seeds: Sequence[tuple[int, int]], truths: Sequence[Labels]) -> float:
    """Share of the initial foreground seeds, one a frame, that lie on an object.

    Args:
        seeds: (y, x) of each frame's seed, px.
        truths: The annotation of the same frames, H×W integers.

    Raises:
        ShapeError: If there are more of one than of the other.

    Example:
        >>> truth = np.array([[0, 1], [0, 0]])
        >>> seed_accuracy([(0, 1), (1, 1)], [truth, truth])
        0.5
    """
    if len(seeds) != len(truths) or not seeds:
        raise ShapeError(f"give one seed a frame, got {len(seeds)} for {len(truths)} frames")
    hits = [truth[seed] != 0 for seed, truth in zip(seeds, truths, strict=True)]
    return float(np.mean(hits))


def embedding_drift(
    embeddings: Iterable[npt.NDArray[np.floating]], truths: Iterable[Labels], *, seed: int = 0
) -> Drift:
    """Compare every frame's embeddings with the first frame's, by the true masks.

    The paper's formula for the distance does not say which reference an embedding is compared
    with; here it is the nearest of its own kind.

    Args:
        embeddings: One H×W×C array a frame, taken when it is reached.
        truths: The annotation of the same frames at the same size, H×W integers.
        seed: Of the sampling of pixels.

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
        foreground = _sample(embedding[truth != 0], rng)
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
    wrong = own = other = float("nan")
    if len(foreground):
        to_own = first_foreground.query(foreground)[0]
        wrong = float(np.mean(first_background.query(foreground)[0] < to_own))
        own = float(np.mean(to_own))
    if len(background):
        other = float(np.mean(first_background.query(background)[0]))
    return wrong, own, other


def _sample(points: npt.NDArray[np.floating], rng: np.random.Generator) -> npt.NDArray[np.floating]:
    if len(points) <= MOST_PIXELS:
        return points
    return points[rng.choice(len(points), MOST_PIXELS, replace=False)]
