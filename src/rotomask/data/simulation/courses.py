"""What things do on their way through a clip: leave, pass by, grow, jump in size."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Course:
    """A displacement and a change of size for each frame, on top of a smooth path."""

    offset: Array
    """T×2 (x, y), px."""
    log_scale: Array
    """T, natural logarithm."""

    def __add__(self, other: "Course") -> "Course":
        """Both at once."""
        return Course(self.offset + other.offset, self.log_scale + other.log_scale)


def stays(frames: int) -> Course:
    """No change."""
    return Course(np.zeros((frames, 2)), np.zeros(frames))


def leaves(frames: int, size: int, rng: np.random.Generator, *, returns: bool) -> Course:
    """Out of the frame, from some frame on, in any direction; back in the last ones or not."""
    away = _direction(rng) * size * rng.uniform(1.0, 1.5)
    start = rng.uniform(0.2, 0.6) * (frames - 1)
    end = min(frames - 1.0, start + rng.uniform(1.0, 2.5))
    knots, values = [0.0, start, end, frames - 1.0], [0.0, 0.0, 1.0, 1.0]
    if returns:
        back = min(frames - 1.0, end + rng.uniform(0.5, 2.0))
        # np.interp needs rising knots and holds the last value: `back + 1.5` may lie after the last
        # frame, and then the thing is on its way back when the clip ends.
        knots, values = [0.0, start, end, back, back + 1.5], [0.0, 0.0, 1.0, 1.0, 0.0]
    fraction = np.interp(np.arange(frames), knots, values)
    return Course(fraction[:, None] * away, np.zeros(frames))


def passes(frames: int, size: int, rng: np.random.Generator) -> Course:
    """In from outside, through its place in some frame after the first, and on."""
    meeting = rng.uniform(0.4, 1.0) * (frames - 1)
    # Outside in the first frame: at least the frame's side away from its place.
    pace = size * max(rng.uniform(0.15, 0.4), 1.1 / max(meeting, 1.0))
    steps = np.arange(frames) - meeting
    return Course(steps[:, None] * pace * _direction(rng), np.zeros(frames))


def arrives(frames: int, size: int, rng: np.random.Generator) -> Course:
    """In from outside, and then it stays."""
    away = _direction(rng) * size * rng.uniform(1.0, 1.4)
    last = rng.uniform(0.3, 0.8) * (frames - 1)
    fraction = np.interp(np.arange(frames), [0.0, max(last, 1.0)], [1.0, 0.0])
    return Course(fraction[:, None] * away, np.zeros(frames))


def grows(frames: int, rng: np.random.Generator, *, most: float = 5.0) -> Course:
    """Two to `most` times as large in the end, or as small; about 1 in the middle."""
    total = np.log(rng.uniform(2.0, most)) * rng.choice((-1.0, 1.0))
    return Course(np.zeros((frames, 2)), np.linspace(-0.5, 0.5, frames) * total)


def jumps_in_size(frames: int, rng: np.random.Generator, *, most: float = 0.7) -> Course:
    """Another size in each frame, as where many frames were skipped."""
    return Course(np.zeros((frames, 2)), rng.uniform(-most, most, frames))


def covers(frames: int, size: int, track: Array, rng: np.random.Generator) -> Course:
    """Over a thing for one to three frames after the first, outside before and after.

    Args:
        frames: T.
        size: Side of the frames, px.
        track: T×2, where the thing is; the path's own place is the middle of the frame.
        rng: Every random choice.
    """
    first = int(rng.integers(1, max(2, frames - 1)))
    last = min(frames - 1, first + int(rng.integers(0, 3)))
    # 1: a full distance away, 0: over the thing; it comes and goes within one frame on each side.
    far = np.interp(np.arange(frames), [first - 1, first, last, last + 1], [1.0, 0.0, 0.0, 1.0])
    away = _direction(rng) * size * rng.uniform(1.2, 1.6)
    return Course(track - size / 2 + far[:, None] * away, np.zeros(frames))


def _direction(rng: np.random.Generator) -> Array:
    angle = rng.uniform(0, 2 * np.pi)
    return np.array([np.cos(angle), np.sin(angle)])
