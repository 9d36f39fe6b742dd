"""A random field over space and time: neighbours in a frame, and pixels joined by optical flow.

The DAVIS-2017 report (paper 1, sec. 5) builds "several spatio-temporal random field models" on the
probabilities of a network and solves them with graph cuts and mean-field message passing; it gives
no formula. Ours is the usual one: with x_p the label of pixel p of a few frames,

    E(x) = Σ_p -log P_p(x_p) + Σ_{p,q neighbours} w_pq [x_p ≠ x_q] + Σ_{p→p'} t_pp' [x_p ≠ x_p']

w_pq = smoothness · exp(-|I_p - I_q|² / 2c²) over the eight neighbours (Boykov and Jolly 2001), and
t_pp' = temporal · exp(-|I_p - I_p'|² / 2c²) where forward and backward flow agree on the pair.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import sparse

from rotomask.arrays import Frame
from rotomask.errors import OptionError, ShapeError

Array = npt.NDArray[np.float32]

LEAST = 1e-4
"""Probabilities are kept off 0 and 1 by this: no pixel is beyond persuasion."""
NEIGHBOURS = ((0, 1, 1.0), (1, 0, 1.0), (1, 1, 0.5**0.5), (1, -1, 0.5**0.5))
"""Half of the eight neighbours (dy, dx), and the weight of the distance."""


@dataclass(frozen=True, kw_only=True)
class RandomFieldConfig:
    """The field's hyper-parameters, and how it is solved."""

    smoothness: float = 1.0
    """Cost of a change of label between neighbours of the same colour."""
    temporal: float = 1.0
    """Cost of a change of label along the flow."""
    contrast: float = 12.0
    """c: difference of colour, 0-255, at which the cost has fallen to 0.6."""
    solver: Literal["graph-cut", "mean-field"] = "graph-cut"
    iterations: int = 10
    """Of mean-field message passing."""

    def __post_init__(self) -> None:
        if min(self.smoothness, self.temporal) < 0 or self.contrast <= 0 or self.iterations < 1:
            raise OptionError(
                "a random field needs costs of 0 or more, contrast above 0 and at least 1 "
                f"iteration, got {self}"
            )


def solve_field(
    frames: Sequence[Frame],
    probabilities: Sequence[Array],
    links: Sequence[npt.NDArray[np.int64]],
    config: RandomFieldConfig | None = None,
) -> list[Array]:
    """The frames' probabilities after the field.

    With graph cuts the answer is a labelling, as probabilities of 0 and 1: exact for one object,
    by alpha-expansion for several. Mean-field gives soft ones.

    Args:
        frames: T frames H×W×3 uint8.
        probabilities: Of each, C×H×W, background first, sums to 1.
        links: Of each pair of frames that follow each other, N×2 pixel numbers (y·W + x) in the
            first and the second that flow joins (`flow_links`).
        config: The hyper-parameters.

    Returns:
        T arrays C×H×W float32, sums to 1.

    Raises:
        ShapeError: If numbers or sizes do not fit each other.
        OptionError: If graph cuts are asked for and PyMaxflow is not installed.
    """
    config = config or RandomFieldConfig()
    if len(frames) != len(probabilities) or len(links) != len(frames) - 1:
        raise ShapeError(
            f"a field over {len(frames)} frames needs as many probabilities and one list of links "
            f"fewer, got {len(probabilities)} and {len(links)}"
        )
    for frame, given in zip(frames, probabilities, strict=True):
        if given.ndim != 3 or given.shape[1:] != frame.shape[:2]:
            raise ShapeError(f"probabilities {given.shape} do not fit a frame {frame.shape}")
    unary = -np.log(np.clip(np.stack(probabilities), LEAST, 1 - LEAST))
    costs = unary.transpose(1, 0, 2, 3).reshape(unary.shape[1], -1)
    edges = field_edges(frames, links, config)
    solved = (
        _mean_field(costs, edges, config) if config.solver == "mean-field" else _cut(costs, edges)
    )
    shaped = solved.reshape(len(costs), len(frames), *frames[0].shape[:2])
    return [np.ascontiguousarray(shaped[:, t]) for t in range(len(frames))]


@dataclass(frozen=True)
class Edges:
    """Pairs of pixels and what it costs when their labels differ."""

    first: npt.NDArray[np.int64]
    second: npt.NDArray[np.int64]
    cost: Array


def field_edges(
    frames: Sequence[Frame], links: Sequence[npt.NDArray[np.int64]], config: RandomFieldConfig
) -> Edges:
    """All pairs of the field; pixels are numbered through all frames."""
    height, width = frames[0].shape[:2]
    colours = np.stack(frames).reshape(-1, 3).astype(np.float32)
    numbers = np.arange(len(colours)).reshape(len(frames), height, width)
    firsts, seconds, costs = [], [], []

    def join(first: npt.NDArray[np.int64], second: npt.NDArray[np.int64], strength: float) -> None:
        difference = np.square(colours[first] - colours[second]).sum(-1)
        firsts.append(first)
        seconds.append(second)
        costs.append(strength * np.exp(-difference / (2 * config.contrast**2)))

    for dy, dx, weight in NEIGHBOURS:
        here = numbers[:, : height - dy, max(0, -dx) : width - max(0, dx)]
        there = numbers[:, dy:, max(0, dx) : width + min(0, dx)]
        join(here.ravel(), there.ravel(), config.smoothness * weight)
    for t, pairs in enumerate(links):
        if len(pairs) and config.temporal > 0:
            start = t * height * width
            join(pairs[:, 0] + start, pairs[:, 1] + start + height * width, config.temporal)
    return Edges(np.concatenate(firsts), np.concatenate(seconds), np.concatenate(costs))


def flow_links(forward: Array, consistent: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Pairs of pixels that flow joins: N×2 pixel numbers in the first and the second frame.

    Args:
        forward: Flow from the first frame to the second, H×W×2, px.
        consistent: H×W, where it can be trusted (`flow.optical_flow.consistent`).
    """
    height, width = consistent.shape
    y, x = np.mgrid[:height, :width]
    to_x = np.rint(x + forward[..., 0]).astype(np.int64)
    to_y = np.rint(y + forward[..., 1]).astype(np.int64)
    good = consistent & (to_x >= 0) & (to_y >= 0) & (to_x < width) & (to_y < height)
    return np.stack([(y * width + x)[good], (to_y * width + to_x)[good]], -1)


def energy(labels: npt.NDArray[np.integer], costs: Array, edges: Edges) -> float:
    """E(x) of a labelling, N pixels; costs C×N."""
    unary = costs[labels, np.arange(len(labels))].sum()
    differ = labels[edges.first] != labels[edges.second]
    return float(unary + edges.cost[differ].sum())


def _cut(costs: Array, edges: Edges) -> Array:
    """One-hot of the labelling: one cut for two labels, alpha-expansion for more."""
    labels = costs.argmin(0)
    if len(costs) == 2:
        labels = _expand(labels * 0, costs, edges, 1)
    elif len(costs) > 2:
        best = energy(labels, costs, edges)
        while True:
            for label in range(len(costs)):
                labels = _expand(labels, costs, edges, label)
            now = energy(labels, costs, edges)
            if now >= best - 1e-6:
                break
            best = now
    chosen: Array = np.eye(len(costs), dtype=np.float32)[labels].T
    return chosen


def _expand(
    labels: npt.NDArray[np.int64], costs: Array, edges: Edges, label: int
) -> npt.NDArray[np.int64]:
    """The best labelling in which each pixel keeps its label or takes this one (one minimum cut).

    Kolmogorov and Zabih 2004: with costs A, B, C of (keep, keep), (keep, take), (take, keep) and 0
    of (take, take), a pair is an edge of B + C - A and terms of one pixel each.
    """
    maxflow = _load_maxflow()
    count = len(labels)
    keep = costs[labels, np.arange(count)].astype(np.float64)
    take = costs[label].astype(np.float64)
    first, second = labels[edges.first], labels[edges.second]
    both = edges.cost * (first != second)
    only_second = edges.cost * (first != label)
    only_first = edges.cost * (second != label)
    # E(x, y) = A + (C - A) x - C y + (B + C - A)(1 - x) y, x and y: 1 takes the label.
    np.add.at(take, edges.first, only_first - both)
    np.add.at(take, edges.second, -only_first)
    graph = maxflow.GraphFloat(count, len(edges.cost))
    nodes = graph.add_nodes(count)
    least = np.minimum(keep, take)
    graph.add_grid_tedges(nodes, take - least, keep - least)
    capacity = np.maximum(only_second + only_first - both, 0)
    graph.add_edges(edges.first, edges.second, capacity, np.zeros_like(capacity))
    graph.maxflow()
    taken = graph.get_grid_segments(nodes)
    return np.where(taken, label, labels)


def _load_maxflow() -> ModuleType:
    """The package that cuts graphs.

    Raises:
        OptionError: If it is not installed.
    """
    try:
        import maxflow
    except ImportError as error:
        raise OptionError(
            "graph cuts need the package PyMaxflow, which is not installed; "
            "pip install rotomask[fields], or use mean-field"
        ) from error
    module: ModuleType = maxflow
    return module


def _mean_field(costs: Array, edges: Edges, config: RandomFieldConfig) -> Array:
    """Q(x_p) ∝ exp(-cost + Σ_q w_pq Q(x_q)), all pixels at once, from the unaries."""
    count = costs.shape[1]
    pair = (
        np.concatenate([edges.first, edges.second]),
        np.concatenate([edges.second, edges.first]),
    )
    weights = sparse.csr_array((np.tile(edges.cost, 2), pair), shape=(count, count))
    belief = _softmax(-costs)
    for _ in range(config.iterations):
        message = np.stack([weights @ row for row in belief])
        # Half of the step: updates of all pixels at once may swing back and forth.
        belief = 0.5 * belief + 0.5 * _softmax(message - costs)
    return belief.astype(np.float32)


def _softmax(x: Array) -> Array:
    shifted = np.exp(x - x.max(0))
    normalised: Array = shifted / shifted.sum(0)
    return normalised
