"""The random field over a whole video, a window of frames at a time, at reduced size.

What the field changes is found at a few hundred pixels and added to the full-size probabilities, so
that their fine outlines stay where it changes nothing.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from rotomask.arrays import Frame
from rotomask.errors import OptionError
from rotomask.flow.optical_flow import DISFlow, OpticalFlow, consistent
from rotomask.refine.random_field import RandomFieldConfig, flow_links, solve_field

Array = npt.NDArray[np.float32]
Links = npt.NDArray[np.int64]


TUNED: dict[str, RandomFieldConfig] = {
    "graph-cut": RandomFieldConfig(smoothness=0.076, temporal=17.6, contrast=11.3),
    "mean-field": RandomFieldConfig(
        smoothness=0.59, temporal=6.9, contrast=8.5, solver="mean-field"
    ),
}
"""By solver, what `studies/random_field_search.py` found best on held-out videos at 192 px."""


def tuned_field(solver: str) -> RandomFieldConfig:
    """The field with the parameters of the search.

    Raises:
        OptionError: If the solver is unknown.
    """
    if solver not in TUNED:
        raise OptionError(f"a random field is solved by {' or '.join(TUNED)}, got {solver!r}")
    return TUNED[solver]


@dataclass(frozen=True, kw_only=True)
class FieldWindowConfig:
    """How a video is cut into windows."""

    field: RandomFieldConfig = TUNED["mean-field"]
    size: int = 192
    """Short side at which the field is solved, px."""
    window: int = 5
    """Frames that are solved together."""
    overlap: int = 1
    """Frames on either side of a window that only sway it; windows share them."""

    def __post_init__(self) -> None:
        if self.size < 1 or self.overlap < 0 or self.window <= 2 * self.overlap:
            raise OptionError(
                "a window holds more frames than its overlaps, at 1 px or more, got "
                f"{self.window} with {self.overlap} on each side at {self.size} px"
            )


@dataclass(frozen=True)
class _Kept:
    """A frame in the window."""

    probabilities: Array
    """C×H×W at full size."""
    small_frame: Frame
    small: Array
    """C×h×w."""
    links: Links
    """From the frame before; none for the first."""


def refine_video(
    answers: Iterable[tuple[Frame, Array]],
    config: FieldWindowConfig | None = None,
    flow: OpticalFlow | None = None,
) -> Iterator[Array]:
    """The field's probabilities of every frame of a video, read as it goes.

    Args:
        answers: Frames H×W×3 uint8 and their probabilities C×H×W, background first.
        config: Windows and the field.
        flow: What links the frames; DIS by default.

    Yields:
        C×H×W float32, sums to 1.

    Raises:
        ShapeError: If frames and probabilities do not fit each other.
        OptionError: If graph cuts are asked for and PyMaxflow is not installed.
    """
    config, flow = config or FieldWindowConfig(), flow or DISFlow()
    kept: list[_Kept] = []
    done = 0
    for frame, probabilities in answers:
        before = kept[-1].small_frame if kept else None
        kept.append(_reduced(frame, probabilities, before, config.size, flow))
        if len(kept) == config.window:
            yield from _solve(kept, config)[done : config.window - config.overlap]
            kept = kept[config.window - 2 * config.overlap :]
            done = config.overlap
    if len(kept) > done:
        yield from _solve(kept, config)[done:]


def link(first: Frame, second: Frame, flow: OpticalFlow) -> Links:
    """Pairs of pixels of two frames that flow joins in both directions; see `flow_links`."""
    forward, backward = flow.estimate(first, second), flow.estimate(second, first)
    return flow_links(forward, consistent(forward, backward))


def reduced_size(size: tuple[int, int], short_side: int) -> tuple[int, int]:
    """Height and width with this short side; never enlarged."""
    factor = min(1.0, short_side / min(size))
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))


def reduce_probabilities(probabilities: Array, size: tuple[int, int]) -> Array:
    """C×H×W -> C×h×w, means over areas."""
    rows = [cv2.resize(p, size[::-1], interpolation=cv2.INTER_AREA) for p in probabilities]
    return np.stack(rows).astype(np.float32)


def _reduced(
    frame: Frame, probabilities: Array, before: Frame | None, short_side: int, flow: OpticalFlow
) -> _Kept:
    size = reduced_size((frame.shape[0], frame.shape[1]), short_side)
    small = np.asarray(cv2.resize(frame, size[::-1], interpolation=cv2.INTER_AREA), np.uint8)
    links = np.zeros((0, 2), np.int64) if before is None else link(before, small, flow)
    return _Kept(probabilities, small, reduce_probabilities(probabilities, size), links)


def _solve(kept: list[_Kept], config: FieldWindowConfig) -> list[Array]:
    solved = solve_field(
        [k.small_frame for k in kept],
        [k.small for k in kept],
        [k.links for k in kept[1:]],
        config.field,
    )
    return [_enlarged(k, after) for k, after in zip(kept, solved, strict=True)]


def _enlarged(kept: _Kept, solved: Array) -> Array:
    """The full-size probabilities, changed by what the field changed."""
    height, width = kept.probabilities.shape[1:]
    change = [
        cv2.resize(part, (width, height), interpolation=cv2.INTER_LINEAR)
        for part in solved - kept.small
    ]
    raised = np.clip(kept.probabilities + np.stack(change), 1e-6, 1)
    refined: Array = (raised / raised.sum(0)).astype(np.float32)
    return refined
