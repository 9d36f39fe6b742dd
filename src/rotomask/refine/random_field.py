"""A spatio-temporal random field: neighbours within a frame, and pixels linked by optical flow.

The DAVIS-2017 report (paper 1, sec. 5) builds "several spatio-temporal random field models" on the
probabilities of a network and solves them with graph cuts and mean-field message passing, but gives
no formula. This is the usual energy, with x_p the label of pixel p in a window of frames:

    E(x) = Σ_p -log P_p(x_p) + Σ_{p,q neighbours} w_pq [x_p ≠ x_q] + Σ_{p→p'} t_pp' [x_p ≠ x_p']

w_pq = smoothness · exp(-|I_p - I_q|² / 2c²) over the eight neighbours (Boykov and Jolly 2001), and
t_pp' = temporal · exp(-|I_p - I_p'|² / 2c²) where forward and backward flow agree on the pair.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from rotomask.arrays import Frame
from rotomask.errors import OptionError, ShapeError

Array = npt.NDArray[np.float32]

LEAST_PROBABILITY = 1e-4
"""Probabilities are clipped to this distance from 0 and 1, so that every label can change."""
CERTAIN = 1 - 1e-3
"""Probability from which a pixel among its like keeps its label."""
REACH_PX = 6
"""Distance from doubt up to which mean field computes; labels move by less."""
NEIGHBOURS = ((0, 1, 1.0), (1, 0, 1.0), (1, 1, 0.5**0.5), (1, -1, 0.5**0.5))
"""Half of the eight neighbours: dy, dx and a weight, the inverse of the distance. The other half
are the same pairs in the opposite direction."""


@dataclass(frozen=True, kw_only=True)
class RandomFieldConfig:
    """Hyper-parameters of the field and its solver."""

    smoothness: float = 1.0
    """Cost of different labels for neighbours of the same colour."""
    temporal: float = 1.0
    """Cost of different labels for linked pixels of the same colour."""
    contrast: float = 12.0
    """c: colour difference, in steps of 0-255, at which these costs have fallen to 0.6 of that."""
    solver: Literal["graph-cut", "mean-field"] = "graph-cut"
    """Minimise the energy by graph cuts, or approximate the distribution by mean field."""
    iterations: int = 10
    """Number of mean-field iterations."""

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
    """Probabilities of T frames after the field is solved.

    Graph cuts give a labelling as probabilities of 0 and 1: the exact minimum for one object, a
    local minimum by alpha-expansion for several. Mean field gives soft probabilities.

    Args:
        frames: T frames H×W×3 uint8.
        probabilities: T arrays C×H×W, background first, summing to 1 over the first axis.
        links: For each of the T - 1 pairs of adjacent frames, the linked pixels: N×2 pixel numbers
            (y·W + x) in the first and the second frame, as `flow_links` returns them.
        config: The hyper-parameters.

    Returns:
        T arrays C×H×W float32 that sum to 1 over the first axis.

    Raises:
        ShapeError: If the numbers of arrays or their sizes do not match.
        OptionError: If the solver is graph-cut and PyMaxflow is not installed.
    """
    config = config or RandomFieldConfig()
    if len(frames) != len(probabilities) or len(links) != len(frames) - 1:
        raise ShapeError(
            f"a field over {len(frames)} frames needs as many probabilities and one list of links "
            f"fewer, got {len(probabilities)} and {len(links)}"
        )
    for frame, distribution in zip(frames, probabilities, strict=True):
        if distribution.ndim != 3 or distribution.shape[1:] != frame.shape[:2]:
            raise ShapeError(f"probabilities {distribution.shape} do not fit a frame {frame.shape}")
    unary = -np.log(np.clip(np.stack(probabilities), LEAST_PROBABILITY, 1 - LEAST_PROBABILITY))
    # T×C×H×W -> C×T·H·W: pixels are numbered through all frames, as in `field_edges`.
    costs = unary.transpose(1, 0, 2, 3).reshape(unary.shape[1], -1)
    edges = field_edges(frames, links, config)
    if config.solver == "mean-field":
        solution = _mean_field(costs, edges, config, _open_pixels(np.stack(probabilities), links))
    else:
        solution = _cut(costs, edges)
    by_frame = solution.reshape(len(costs), len(frames), *frames[0].shape[:2])  # C×T×H×W
    return [np.ascontiguousarray(by_frame[:, t]) for t in range(len(frames))]


@dataclass(frozen=True)
class FieldEdges:
    """Pairs of pixels with the cost of different labels, E each."""

    first: npt.NDArray[np.int64]
    """Pixel numbers, t·H·W + y·W + x."""
    second: npt.NDArray[np.int64]
    cost: Array


def field_edges(
    frames: Sequence[Frame], links: Sequence[npt.NDArray[np.int64]], config: RandomFieldConfig
) -> FieldEdges:
    """All edges of the field, within frames and along the flow; arguments as for `solve_field`."""
    height, width = frames[0].shape[:2]
    colours = np.stack(frames).reshape(-1, 3).astype(np.float32)
    numbers = np.arange(len(colours)).reshape(len(frames), height, width)
    firsts, seconds, costs = [], [], []

    def append(
        first: npt.NDArray[np.int64],
        second: npt.NDArray[np.int64],
        difference: Array,
        strength: float,
    ) -> None:
        firsts.append(first)
        seconds.append(second)
        costs.append(strength * np.exp(-difference / (2 * config.contrast**2)))

    layers = colours.T.reshape(3, *numbers.shape)  # 3×T×H×W
    for dy, dx, weight in NEIGHBOURS:
        # Two views of each array, shifted against each other by (dy, dx) inside the frame. To
        # gather colours by pixel numbers takes several times as long.
        here = np.s_[..., : height - dy, max(0, -dx) : width - max(0, dx)]
        there = np.s_[..., dy:, max(0, dx) : width + min(0, dx)]
        difference = sum(np.square(layer[here] - layer[there]) for layer in layers)
        strength = config.smoothness * weight
        append(numbers[here].ravel(), numbers[there].ravel(), difference.ravel(), strength)
    for t, pairs in enumerate(links):
        if len(pairs) and config.temporal > 0:
            start = t * height * width  # number of the first pixel of frame t
            first, second = pairs[:, 0] + start, pairs[:, 1] + start + height * width
            difference = np.square(colours[first] - colours[second]).sum(-1)
            append(first, second, difference, config.temporal)
    return FieldEdges(np.concatenate(firsts), np.concatenate(seconds), np.concatenate(costs))


def flow_links(forward: Array, consistent: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Pairs of pixels linked by flow: N×2 pixel numbers (y·W + x) in the first and second frame.

    Args:
        forward: Flow from the first frame to the second, H×W×2, px.
        consistent: Pixels with reliable flow, H×W bool, from `flow.optical_flow.consistent`.
    """
    height, width = consistent.shape
    y, x = np.mgrid[:height, :width]
    to_x = np.rint(x + forward[..., 0]).astype(np.int64)
    to_y = np.rint(y + forward[..., 1]).astype(np.int64)
    valid = consistent & (to_x >= 0) & (to_y >= 0) & (to_x < width) & (to_y < height)
    return np.stack([(y * width + x)[valid], (to_y * width + to_x)[valid]], -1)


def energy(labels: npt.NDArray[np.integer], costs: Array, edges: FieldEdges) -> float:
    """E(x) of a labelling.

    Args:
        labels: Label of each of the N pixels.
        costs: Unary costs, C×N.
        edges: Pairwise costs.
    """
    unary = costs[labels, np.arange(len(labels))].sum()
    differ = labels[edges.first] != labels[edges.second]
    return float(unary + edges.cost[differ].sum())


def _cut(costs: Array, edges: FieldEdges) -> Array:
    """The labelling of least energy as a one-hot array C×N.

    One cut for two labels; alpha-expansion (Boykov, Veksler, Zabih 2001) for more, repeated until a
    round over all labels no longer lowers the energy.
    """
    labels = costs.argmin(0)
    if len(costs) == 2:
        labels = _expand(labels * 0, costs, edges, 1)  # expansion from all background is exact
    elif len(costs) > 2:
        best = energy(labels, costs, edges)
        while True:
            for label in range(len(costs)):
                labels = _expand(labels, costs, edges, label)
            current = energy(labels, costs, edges)
            if current >= best - 1e-6:
                break
            best = current
    one_hot: Array = np.eye(len(costs), dtype=np.float32)[labels].T
    return one_hot


def _expand(
    labels: npt.NDArray[np.int64], costs: Array, edges: FieldEdges, label: int
) -> npt.NDArray[np.int64]:
    """The best labelling in which each pixel keeps its label or takes this one, by a minimum cut.

    Kolmogorov and Zabih 2004: with costs A, B, C for (keep, keep), (keep, take), (take, keep) and 0
    for (take, take), a pair becomes an edge of capacity B + C - A plus a term for each pixel.
    """
    maxflow = _load_maxflow()
    count = len(labels)
    keep = costs[labels, np.arange(count)].astype(np.float64)
    take = costs[label].astype(np.float64)
    first, second = labels[edges.first], labels[edges.second]
    keep_keep = edges.cost * (first != second)  # A
    keep_take = edges.cost * (first != label)  # B: the first keeps, the second takes the label
    take_keep = edges.cost * (second != label)  # C
    # E(x, y) = A + (C - A) x - C y + (B + C - A)(1 - x) y, where x, y = 1 mean take. `add.at`, not
    # `+=`, because a pixel occurs in several edges.
    np.add.at(take, edges.first, take_keep - keep_keep)
    np.add.at(take, edges.second, -take_keep)
    graph = maxflow.GraphFloat(count, len(edges.cost))
    nodes = graph.add_nodes(count)
    least = np.minimum(keep, take)  # terminal capacities must not be negative
    graph.add_grid_tedges(nodes, take - least, keep - least)
    # B + C - A >= 0 by the triangle inequality; the maximum removes rounding errors.
    capacity = np.maximum(keep_take + take_keep - keep_keep, 0)
    graph.add_edges(edges.first, edges.second, capacity, np.zeros_like(capacity))
    graph.maxflow()
    takes_label = graph.get_grid_segments(nodes)
    return np.where(takes_label, label, labels)


def _load_maxflow() -> ModuleType:
    """The module `maxflow` of the package PyMaxflow.

    Raises:
        OptionError: If it is not installed.
    """
    try:
        import maxflow
    except ImportError as error:
        raise OptionError(
            "graph cuts need the package PyMaxflow, which is not installed; run "
            "pip install rotomask[fields], or use the solver mean-field"
        ) from error
    module: ModuleType = maxflow
    return module


def _open_pixels(
    probabilities: Array, links: Sequence[npt.NDArray[np.int64]]
) -> npt.NDArray[np.bool_]:
    """Pixels whose label the field may change, T·H·W: near doubt, or linked to what is.

    Where a neighbourhood is certain and agrees, messages only make it more certain. Nothing is
    computed there.

    Args:
        probabilities: T×C×H×W.
        links: As for `solve_field`.
    """
    best = probabilities.argmax(1)  # T×H×W
    unsure = probabilities.max(1) < CERTAIN
    kernel = np.ones((2 * REACH_PX + 1, 2 * REACH_PX + 1), np.uint8)
    near = []
    for labels, doubt in zip(best, unsure, strict=True):
        marked = doubt.astype(np.uint8)
        marked[:, 1:] |= labels[:, 1:] != labels[:, :-1]
        marked[1:] |= labels[1:] != labels[:-1]
        near.append(cv2.dilate(marked, kernel).ravel() > 0)
    for t, pairs in enumerate(links):  # forward, then backward through the frames
        differ = best[t].ravel()[pairs[:, 0]] != best[t + 1].ravel()[pairs[:, 1]]
        near[t + 1][pairs[near[t][pairs[:, 0]] | differ, 1]] = True
    for t in reversed(range(len(links))):
        differ = best[t].ravel()[links[t][:, 0]] != best[t + 1].ravel()[links[t][:, 1]]
        near[t][links[t][near[t + 1][links[t][:, 1]] | differ, 0]] = True
    return np.concatenate(near)


def _mean_field(
    costs: Array,
    edges: FieldEdges,
    config: RandomFieldConfig,
    is_open: npt.NDArray[np.bool_],
) -> Array:
    """Mean-field marginals Q(x_p) ∝ exp(-cost + Σ_q w_pq Q(x_q)), C×N float32.

    All open pixels are updated at once, starting from the unary costs; the others stay there.
    """
    from scipy import sparse  # late: SciPy takes 0.3 s to import
    from scipy.special import softmax

    marginals: Array = softmax(-costs, axis=0)
    count = int(is_open.sum())
    row_of = np.cumsum(is_open, dtype=np.int32) - 1
    # A sparse matrix of edge costs, a row for each open pixel: each edge sends messages both ways.
    ahead, back = is_open[edges.first], is_open[edges.second]
    rows = np.concatenate([row_of[edges.first[ahead]], row_of[edges.second[back]]])
    columns = np.concatenate(
        [edges.second[ahead], edges.first[back]], dtype=np.int32, casting="same_kind"
    )
    weights = sparse.csr_array(
        (np.concatenate([edges.cost[ahead], edges.cost[back]]), (rows, columns)),
        shape=(count, costs.shape[1]),
    )
    own_costs = costs[:, is_open]
    # The marginals sum to 1, so the background's message is what the others leave of the total.
    total = weights @ np.ones(costs.shape[1], np.float32)
    for _ in range(config.iterations):
        message = np.empty_like(own_costs)
        message[1:] = [weights @ row for row in marginals[1:]]
        message[0] = total - message[1:].sum(0)
        # Damped: parallel updates of all pixels can oscillate.
        updated = 0.5 * marginals[:, is_open] + 0.5 * softmax(message - own_costs, axis=0)
        marginals[:, is_open] = updated
    return marginals.astype(np.float32)
