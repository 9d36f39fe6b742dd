"""The random field over a whole video: overlapping windows of frames, at reduced size.

The field is solved at a few hundred pixels. Its change of the probabilities is enlarged and added
to the full-size ones, so that fine outlines are preserved where it changes nothing.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from rotomask.arrays import Frame
from rotomask.errors import OptionError
from rotomask.flow.optical_flow import DISFlow, OpticalFlow, consistent
from rotomask.networks.sizing import working_size
from rotomask.refine.random_field import RandomFieldConfig, flow_links, solve_field

Array = npt.NDArray[np.float32]
Links = npt.NDArray[np.int64]
"""Pairs of linked pixels of two frames, as `flow_links` returns them: N×2."""

TUNED: dict[str, RandomFieldConfig] = {
    "graph-cut": RandomFieldConfig(smoothness=0.076, temporal=17.6, contrast=11.3),
    "mean-field": RandomFieldConfig(
        smoothness=0.59, temporal=6.9, contrast=8.5, solver="mean-field"
    ),
}
"""Parameters by solver, from `studies/random_field_search.py` on held-out videos at 192 px."""


def tuned_field(solver: str) -> RandomFieldConfig:
    """The field with the tuned parameters for a solver.

    Raises:
        OptionError: If the solver is unknown.
    """
    if solver not in TUNED:
        raise OptionError(f"the solver must be {' or '.join(TUNED)}, got {solver!r}")
    return TUNED[solver]


@dataclass(frozen=True, kw_only=True)
class FieldWindowConfig:
    """Settings of solving a video in windows."""

    field: RandomFieldConfig = TUNED["mean-field"]
    """Parameters of the field and its solver."""
    size: int = 192
    """Short side at which the field is solved, px."""
    window: int = 5
    """Number of frames that are solved together."""
    overlap: int = 1
    """Number of frames at either end of a window that are context only; adjacent windows share
    them."""

    def __post_init__(self) -> None:
        if self.size < 1 or self.overlap < 0 or self.window <= 2 * self.overlap:
            raise OptionError(
                "a window must hold more frames than its overlaps, at 1 px or more, got "
                f"{self.window} frames with {self.overlap} on each side at {self.size} px"
            )


@dataclass(frozen=True)
class _WindowFrame:
    """A frame of the current window."""

    probabilities: Array
    """C×H×W at full size."""
    small_frame: Frame
    """h×w×3 uint8."""
    small_probabilities: Array
    """C×h×w."""
    links: Links
    """Links to the previous frame's pixels; none for the first frame."""


def refine_video(
    segmented_frames: Iterable[tuple[Frame, Array]],
    config: FieldWindowConfig | None = None,
    flow: OpticalFlow | None = None,
) -> Iterator[Array]:
    """Probabilities of every frame of a video after the field; at most one window is in memory.

    Args:
        segmented_frames: Frames H×W×3 uint8, each with its probabilities C×H×W, background first.
        config: Windows and the field.
        flow: The estimator of the flow that links pixels of adjacent frames; DIS by default.

    Yields:
        C×H×W float32, sums to 1 over the first axis.

    Raises:
        ShapeError: If frames and probabilities do not match in size.
        OptionError: If the solver is graph-cut and PyMaxflow is not installed.
    """
    config, flow = config or FieldWindowConfig(), flow or DISFlow()
    window: list[_WindowFrame] = []
    done = 0  # leading frames of the window that were yielded before; they are context now
    for frame, probabilities in segmented_frames:
        previous = window[-1].small_frame if window else None
        window.append(_reduce(frame, probabilities, previous, config.size, flow))
        if len(window) == config.window:
            # The last `overlap` frames wait for the next window, where they have both neighbours.
            # Before them as many frames stay on as context.
            yield from _solve(window, config)[done : config.window - config.overlap]
            window = window[config.window - 2 * config.overlap :]
            done = config.overlap
    if len(window) > done:
        yield from _solve(window, config)[done:]


def link_frames(first: Frame, second: Frame, flow: OpticalFlow) -> Links:
    """Links between two frames where forward and backward flow agree; see `flow_links`."""
    forward, backward = flow.estimate(first, second), flow.estimate(second, first)
    return flow_links(forward, consistent(forward, backward))


def reduce_probabilities(probabilities: Array, size: tuple[int, int]) -> Array:
    """Probabilities C×H×W averaged over areas to C×h×w float32; `size` is (h, w)."""
    rows = [cv2.resize(p, size[::-1], interpolation=cv2.INTER_AREA) for p in probabilities]
    return np.stack(rows).astype(np.float32)


def _reduce(
    frame: Frame, probabilities: Array, previous: Frame | None, short_side: int, flow: OpticalFlow
) -> _WindowFrame:
    size = working_size((frame.shape[0], frame.shape[1]), short_side, enlarge=False)
    small = np.asarray(cv2.resize(frame, size[::-1], interpolation=cv2.INTER_AREA), np.uint8)
    links = np.zeros((0, 2), np.int64) if previous is None else link_frames(previous, small, flow)
    return _WindowFrame(probabilities, small, reduce_probabilities(probabilities, size), links)


def _solve(window: list[_WindowFrame], config: FieldWindowConfig) -> list[Array]:
    solutions = solve_field(
        [frame.small_frame for frame in window],
        [frame.small_probabilities for frame in window],
        [frame.links for frame in window[1:]],
        config.field,
    )
    return [_apply_change(frame, after) for frame, after in zip(window, solutions, strict=True)]


def _apply_change(frame: _WindowFrame, solution: Array) -> Array:
    """The full-size probabilities plus the enlarged change of the small ones, C×H×W."""
    height, width = frame.probabilities.shape[1:]
    change = [
        cv2.resize(row, (width, height), interpolation=cv2.INTER_LINEAR)
        for row in solution - frame.small_probabilities
    ]
    # A sum can leave 0..1: clip, then divide so that the labels sum to 1 again.
    clipped = np.clip(frame.probabilities + np.stack(change), 1e-6, 1)
    refined: Array = (clipped / clipped.sum(0)).astype(np.float32)
    return refined
