"""The path of a virtual camera that follows an object: mathematics only, no pictures.

A track holds where the object is in each frame. The camera's window slides and zooms over the
frames; it never leaves them, so no border shows.
"""

import re
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.linalg import solveh_banded

from rotomask.effects import options
from rotomask.effects.options import Settings
from rotomask.errors import OptionError, ShapeError

Floats = npt.NDArray[np.float64]

FRAMINGS = ("16:9", "1:1", "9:16", "4:5", "source")
"""Shapes of the picture that are offered; any ``W:H`` or size ``WxH`` is taken, too."""

TIGHTEST = 1.35
"""Height of the window over the object's at the tightest zoom."""
CLEARANCE = 1.12
"""The camera does not zoom in to hold the object in the middle beyond this, window over object."""
ROOM = 0.94
"""Part of the largest window around the object that is used, so that it may swing."""
LARGEST_MAGNIFICATION = 6.0
"""The window is at most so many times smaller than the largest that fits."""
HELD_PERIOD_S = 0.25
"""Motion of the object faster than this is noise of its mask; the camera never follows it."""
JITTER_PERIOD_S = 1.0
"""Motion of the object faster than this counts as jitter."""

_ROUNDS = 200
"""Rounds of the smoothing under bounds."""


@dataclass(frozen=True, kw_only=True)
class CameraSettings(Settings):
    """Settings of the virtual camera."""

    framing: str = options.text(
        "16:9", "Shape of the picture: W:H, source, or its size WxH in px.", choices=FRAMINGS
    )
    zoom: float = options.number(
        0.5, 0, 1, "0: as much of the frame as the shape allows; 1: close to the object."
    )
    strength: float = options.number(
        0.8, 0, 1, "0: the camera glides; 1: it holds the object in the middle exactly."
    )
    smoothness: float = options.number(
        2, 0.1, 20, "Swings of the object faster than this do not move a gliding camera.", unit="s"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        parse_framing(self.framing, (9, 16))


@dataclass(frozen=True, eq=False)
class ObjectTrack:
    """Where the objects are in each of N frames."""

    centres: Floats
    """N×2: x and y of the mean of their pixels, px; nan where they are absent."""
    sizes: Floats
    """N×2: width and height of their box, px; nan where they are absent."""

    def __post_init__(self) -> None:
        if self.centres.ndim != 2 or self.centres.shape[1:] != (2,):
            raise ShapeError(f"centres must be N×2, got {self.centres.shape}")
        if self.sizes.shape != self.centres.shape:
            raise ShapeError(
                f"centres and sizes must be N×2, got {self.centres.shape} and {self.sizes.shape}"
            )

    @property
    def is_seen(self) -> npt.NDArray[np.bool_]:
        """The frames in which the objects are, N."""
        values = np.hstack([self.centres, self.sizes])
        return np.asarray(np.isfinite(values).all(axis=1), np.bool_)


@dataclass(frozen=True, eq=False)
class CameraPath:
    """The windows of a virtual camera over N frames."""

    windows: Floats
    """N×4: left, top, width, height, px of the video, always within its frames."""
    size: tuple[int, int]
    """(height, width) of the pictures it gives, px."""
    track: ObjectTrack
    rate: float
    """Frames a second."""

    @property
    def centres(self) -> Floats:
        """N×2: middles of the windows."""
        middles: Floats = self.windows[:, :2] + self.windows[:, 2:] / 2
        return middles

    @property
    def jitter_before(self) -> float:
        """Jitter of the object's centre in the video, px; see `jitter`."""
        return jitter(self.track.centres, self.rate)

    @property
    def jitter_after(self) -> float:
        """Jitter of the object's centre in the camera's pictures, px of the video."""
        return jitter(self.track.centres - self.centres, self.rate)

    @property
    def offset_after(self) -> float:
        """Root mean square distance of the object's centre from the picture's, px of the video."""
        return _root_mean_square(self.track.centres - self.centres)


def jitter(centres: Floats, rate: float) -> float:
    """Root mean square distance of a centre from its own path smoothed over a second, px.

    The smooth path is that of `smooth_path` with a period of `JITTER_PERIOD_S`. Zoom does not
    count: measure in pixels of the video. Frames without the object are left out.

    Args:
        centres: N×2, px; nan where the object is absent.
        rate: Frames a second.
    """
    if not np.isfinite(centres).all(1).any():
        return 0.0
    filled = _without_gaps(centres)
    smooth = np.column_stack([smooth_path(x, JITTER_PERIOD_S * rate) for x in filled.T])
    return _root_mean_square(np.where(np.isfinite(centres), filled - smooth, np.nan))


def plan_camera(
    track: ObjectTrack, size: tuple[int, int], rate: float, settings: CameraSettings
) -> CameraPath:
    """The windows of a camera that follows a track without leaving the frames.

    The window's height follows the object's smoothed size; its middle follows a smooth path of the
    object's centre (strength 0), the centre itself (strength 1), or a mixture.

    Args:
        track: N frames.
        size: (height, width) of the video, px.
        rate: Frames a second.
        settings: How.

    Raises:
        OptionError: If the framing cannot be read.
    """
    aspect, pictured = parse_framing(settings.framing, size)
    height, width = size
    largest = min(float(height), width / aspect)
    picture = pictured or _even_size(largest, aspect)
    count = len(track.centres)
    if count == 0 or not track.is_seen.any():
        window = [(width - largest * aspect) / 2, (height - largest) / 2, largest * aspect, largest]
        return CameraPath(np.tile(np.array(window), (count, 1)), picture, track, rate)
    centres, sizes = _without_gaps(track.centres), _without_gaps(track.sizes)
    heights = _heights(centres, sizes, size, rate, settings)
    spans = np.column_stack([heights * aspect, heights]).clip(None, [width, height])
    middles = np.column_stack(
        [
            _followed(centres[:, axis], spans[:, axis], size[1 - axis], rate, settings)
            for axis in (0, 1)
        ]
    )
    corners = (middles - spans / 2).clip(0, np.array([width, height]) - spans)
    return CameraPath(np.column_stack([corners, spans]), picture, track, rate)


def smooth_path(
    values: Floats, period: float, low: Floats | None = None, high: Floats | None = None
) -> Floats:
    """Values without swings faster than a period, and within bounds: N float64.

    Whittaker smoothing: the sum of squared differences plus that of squared second derivatives is
    least (Whittaker 1922; Eilers 2003, "A Perfect Smoother"); half of a swing of the period stays.
    Bounds are kept by the alternating direction method of multipliers (Boyd et al. 2011, sec. 5).

    Args:
        values: N.
        period: In samples.
        low: N, least values.
        high: N, largest values.
    """
    count = len(values)
    if count < 3 or period <= 2:
        return values.copy() if low is None or high is None else values.clip(low, high)
    # The filter's gain at frequency ω is 1 / (1 + weight · (2 sin(ω/2))⁴): one half at ω = 2π /
    # period.
    weight = (2 * np.sin(np.pi / period)) ** -4.0
    smooth = _solved(values, weight)
    if low is None or high is None or ((smooth >= low) & (smooth <= high)).all():
        return smooth
    # ADMM: `smooth` minimises the smoothness, `bound` keeps the bounds, and the dual sums up how
    # far apart they are until they agree.
    bound, dual = smooth.clip(low, high), np.zeros(count)
    for _ in range(_ROUNDS):
        # Values and the bounded path, weighted alike.
        smooth = _solved((values + bound - dual) / 2, weight / 2)
        bound = (smooth + dual).clip(low, high)
        dual += smooth - bound
    return bound


def parse_framing(text: str, size: tuple[int, int]) -> tuple[float, tuple[int, int] | None]:
    """Width over height, and the size (height, width) in px where it was given.

    Args:
        text: ``16:9``, ``source`` or ``1080x1350``.
        size: (height, width) of the video.

    Raises:
        OptionError: If it is none of these, or not between 1:8 and 8:1.

    Example:
        >>> parse_framing("1080x1350", (480, 854))
        (0.8, (1350, 1080))
    """
    if text == "source":
        return size[1] / size[0], None
    match = re.fullmatch(r"(\d{1,5})([:x])(\d{1,5})", text)
    if not match or int(match[1]) == 0 or int(match[3]) == 0:
        raise OptionError(
            f"framing is W:H such as 16:9, a size such as 1080x1350, or source; got {text!r}"
        )
    width, height = int(match[1]), int(match[3])
    if not 1 / 8 <= width / height <= 8:
        raise OptionError(f"framing goes from 1:8 to 8:1, got {text}")
    if match[2] == "x" and not (16 <= width <= 8192 and 16 <= height <= 8192):
        raise OptionError(f"a size goes from 16x16 to 8192x8192, got {text}")
    return width / height, (height, width) if match[2] == "x" else None


def track_of_mask(mask: npt.NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Centre (x, y) and size (width, height) of a mask H×W; nan if it is empty.

    The centre is the mean of the pixels' centres; the box leaves out 1 % of them on each side, so
    that specks do not count.
    """
    columns, rows = mask.sum(axis=0), mask.sum(axis=1)
    total = float(columns.sum())
    if total == 0:
        return np.full(2, np.nan), np.full(2, np.nan)
    centre, span = np.empty(2), np.empty(2)
    for axis, counts in enumerate((columns, rows)):
        centre[axis] = float((counts * (np.arange(len(counts)) + 0.5)).sum() / total)
        # Counts of columns (or rows) add up to the pixels so far: the ends of the middle 98 %.
        first, last = np.searchsorted(np.cumsum(counts), [0.01 * total, 0.99 * total])
        span[axis] = last - first + 1
    return centre, span


def _heights(
    centres: Floats, sizes: Floats, size: tuple[int, int], rate: float, settings: CameraSettings
) -> Floats:
    """Heights of the windows, N: by the zoom, and small enough that they can follow the object."""
    aspect, _ = parse_framing(settings.framing, size)
    height, width = size
    largest = min(float(height), width / aspect)
    least, period = largest / LARGEST_MAGNIFICATION, 2 * settings.smoothness * rate
    # Height of a window that holds the object in both directions, N.
    needed = np.maximum(sizes[:, 1], sizes[:, 0] / aspect).clip(1)
    # In the logarithm: zooming in and out by the same factor is then the same step.
    around = np.exp(smooth_path(np.log(needed), period))
    # Between both zooms in proportion, not in difference: equal steps look equal.
    tight = (around * TIGHTEST).clip(least, largest)
    wanted = np.exp((1 - settings.zoom) * np.log(largest) + settings.zoom * np.log(tight))
    # A window with the object in its middle that still lies in the frame.
    room = 2 * np.minimum(centres, np.array([width, height]) - centres) / [aspect, 1]
    reach = np.exp(smooth_path(np.log(room.min(axis=1).clip(least, largest)), period))
    held = np.minimum(wanted, reach * ROOM)
    limited = (1 - settings.strength) * wanted + settings.strength * held
    # Rather off the middle than cut off.
    heights = np.maximum(limited, np.minimum(around * CLEARANCE, wanted))
    return np.asarray(heights.clip(least, largest), np.float64)


def _followed(
    centres: Floats, spans: Floats, length: float, rate: float, settings: CameraSettings
) -> Floats:
    """Middles of the windows along one axis, within the frame: N."""
    # Bounds of the middle by which the window stays in the frame, N each.
    low, high = spans / 2, length - spans / 2
    gliding = smooth_path(centres, settings.smoothness * rate, low, high)
    # Even at full strength masks tremble by a pixel: the path is smoothed over a quarter of a
    # second, but for strength 1, which promises the middle exactly.
    held = smooth_path(centres, min(HELD_PERIOD_S, settings.smoothness) * rate)
    if settings.strength >= 1:
        held = centres
    followed = gliding + settings.strength * (held - gliding)
    return np.asarray(followed.clip(low, high), np.float64)


def _solved(values: Floats, weight: float) -> Floats:
    """(I + weight D'D)⁻¹ values, D the second differences: a pentadiagonal system."""
    count = len(values)
    first = np.array([1.0, -2.0, 1.0])
    bands = np.zeros((3, count))  # the diagonals of D'D, upper form: 2, 1 and 0 above the main
    for offset in range(3):
        for k in range(3 - offset):
            # D has a row for each of the samples 0 .. N-3.
            bands[2 - offset, k + offset : count - 2 + k + offset] += first[k] * first[k + offset]
    bands *= weight
    bands[2] += 1
    solved: Floats = solveh_banded(bands, values)
    return solved


def _without_gaps(values: Floats) -> Floats:
    """N×2 values whose nan rows lie on lines between their neighbours; ends are held."""
    present = np.flatnonzero(np.isfinite(values).all(axis=1))
    everywhere = np.arange(len(values))
    return np.column_stack([np.interp(everywhere, present, column[present]) for column in values.T])


def _root_mean_square(distances: Floats) -> float:
    squares = (distances**2).sum(axis=1)
    squares = squares[np.isfinite(squares)]
    return float(np.sqrt(squares.mean())) if len(squares) else 0.0


def _even_size(height: float, aspect: float) -> tuple[int, int]:
    """(height, width) in even numbers of px, as video encoders want it."""
    return max(2, round(height / 2) * 2), max(2, round(height * aspect / 2) * 2)
