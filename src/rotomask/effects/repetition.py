"""Effects that show the object at several times at once, or at another speed."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from rotomask.effects import options
from rotomask.effects.alignment import Homography, sample
from rotomask.effects.compositing import gaussian, over
from rotomask.effects.options import Settings, parse_colour

Pixels = npt.NDArray[np.uint8]
Array = npt.NDArray[np.float32]

ANCHORS = ("scene", "frame")
"""Where an object of another time is: at its place in the scene, or at its place in the picture."""


@dataclass(frozen=True, eq=False)
class Layer:
    """An object to paint over a picture."""

    colours: Pixels
    """H×W×3 RGB."""
    alpha: Array
    """H×W, 0 to 1."""


@dataclass(frozen=True, kw_only=True)
class Echo(Settings):
    """Settings of `echo`."""

    count: int = options.whole(6, 1, 24, "Number of echoes.")
    spacing: int = options.whole(3, 1, 60, "Time from one echo to the next.", unit="frames")
    opacity: float = options.number(0.7, 0, 1, "Opacity of the first echo.")
    decay: float = options.number(0.8, 0, 1, "Opacity of each echo over that of the one before.")
    tint: str = options.colour("#39c5ff", "Colour that the echoes take on.")
    tint_amount: float = options.number(0.35, 0, 1, "How much of it.")
    softness: float = options.number(0.3, 0, 5, "Blur of the last echo.", unit="%")
    anchor: str = options.choice(
        "scene", ANCHORS, "Whether echoes stay in the scene, or in the picture."
    )


@dataclass(frozen=True, kw_only=True)
class Clones(Settings):
    """Settings of `clones`."""

    count: int = options.whole(5, 1, 24, "Number of frozen copies, spread evenly over the video.")
    appear: str = options.choice(
        "always", ("always", "in turn"), "Whether copies are there from the start, or stay behind."
    )
    opacity: float = options.number(1, 0, 1, "Opacity of the copies.")
    fade: float = options.number(0, 0, 1, "How much fainter the earliest copy is than the latest.")
    anchor: str = options.choice(
        "scene", ANCHORS, "Whether copies stay in the scene, or in the picture."
    )
    live: bool = options.flag(True, "Show the moving object, too.")


@dataclass(frozen=True, kw_only=True)
class SlowMotion(Settings):
    """Settings of `slow_motion`."""

    speed: float = options.number(0.5, 0.05, 4, "Speed of the object; the background runs at 1.")
    begin: int = options.whole(0, 0, 10_000_000, "Frame at which it begins.", unit="frames")
    anchor: str = options.choice(
        "frame", ANCHORS, "Whether the object stays at its place in the picture, or in the scene."
    )
    blend: bool = options.flag(
        True, "Make frames between by optical flow; otherwise frames are repeated."
    )


def echo(image: Pixels, live: Layer, past: Sequence[Layer], settings: Echo) -> Pixels:
    """The frame with fading echoes behind the object: H×W×3 uint8.

    Args:
        image: H×W×3 uint8 RGB.
        live: The object now.
        past: The object earlier, the latest first, at its places in this frame.
        settings: How.
    """
    picture: Pixels = image
    tint = np.array(parse_colour(settings.tint), np.float32)
    short = min(live.alpha.shape)
    # From the oldest to the latest: later echoes lie in front.
    for number_, layer in reversed(list(enumerate(past))):
        opacity = settings.opacity * settings.decay**number_
        # Luma of the object times the tint keeps its shading.
        luma = cv2.cvtColor(layer.colours, cv2.COLOR_RGB2GRAY)[..., None] / np.float32(255)
        toned = layer.colours + (luma * tint * 1.2 - layer.colours) * settings.tint_amount
        sigma = settings.softness / 100 * short * (number_ + 1) / max(1, len(past))
        alpha = gaussian(layer.alpha, sigma)
        picture = over(toned, alpha * opacity, picture)
    return over(live.colours, live.alpha, picture)


def clones(image: Pixels, live: Layer | None, copies: Sequence[Layer], settings: Clones) -> Pixels:
    """The frame with frozen copies of the object in it: H×W×3 uint8.

    Args:
        image: H×W×3 uint8 RGB; without the object if `live` is None.
        live: The object now, over all copies; None: not shown.
        copies: The object at other times, the earliest first, at its places in this frame.
        settings: How.
    """
    picture: Pixels = image
    for number_, layer in enumerate(copies):
        age = (len(copies) - 1 - number_) / max(1, len(copies) - 1)
        opacity = settings.opacity * (1 - settings.fade * age)
        picture = over(layer.colours, layer.alpha * opacity, picture)
    return picture if live is None else over(live.colours, live.alpha, picture)


def slow_motion(plate: Pixels, layer: Layer) -> Pixels:
    """The object of another time over the empty background: H×W×3 uint8.

    Args:
        plate: H×W×3: the frame without the object.
        layer: The object at its place in this frame.
    """
    return over(layer.colours, layer.alpha, plate)


def moved(layer: Layer, homography: Homography) -> Layer:
    """A layer as the camera sees it in another frame; beyond its border it is transparent."""
    if np.allclose(homography, np.eye(3), atol=1e-9):
        return layer
    height, width = layer.alpha.shape
    colours = cv2.warpPerspective(
        layer.colours, homography, (width, height), flags=cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_REPLICATE,
    )  # fmt: skip
    alpha = cv2.warpPerspective(
        layer.alpha, homography, (width, height), flags=cv2.INTER_LINEAR, borderValue=0
    )
    return Layer(np.asarray(colours, np.uint8), np.asarray(alpha, np.float32).clip(0, 1))


def between(before: Layer, after: Layer, share: float) -> Layer:
    """The object between two frames, its motion interpolated by optical flow (DIS).

    Args:
        before: The object in one frame.
        after: The object in the next.
        share: 0 gives `before`, 1 gives `after`.
    """
    if share <= 0 or share >= 1:
        return before if share <= 0 else after
    # Flow of the object alone, on grey: what lies behind would pull at its edge.
    first, second = (_on_grey(layer) for layer in (before, after))
    estimator = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    nothing = np.zeros((*first.shape, 2), np.float32)
    forward = np.asarray(estimator.calc(first, second, nothing), np.float32)
    backward = np.asarray(estimator.calc(second, first, nothing.copy()), np.float32)
    # Backward warping: each pixel looks where it came from, a share of the way back, and where it
    # goes to from the other side.
    one = _shifted(before, np.float32(-share) * forward)
    two = _shifted(after, np.float32(share - 1) * backward)
    # Colours count by their opacity, or the transparent surroundings would mix in.
    weights = (1 - share) * one.alpha + 1e-4, share * two.alpha + 1e-4
    total = (weights[0] + weights[1])[..., None]
    colours = (one.colours * weights[0][..., None] + two.colours * weights[1][..., None]) / total
    alpha = (1 - share) * one.alpha + share * two.alpha
    return Layer(colours.clip(0, 255).round().astype(np.uint8), alpha.astype(np.float32))


def _on_grey(layer: Layer) -> Pixels:
    luma = cv2.cvtColor(layer.colours, cv2.COLOR_RGB2GRAY)
    # Mid grey where nothing is: edges against it are as strong for dark objects as for bright ones.
    return (128 + (luma - 128.0) * layer.alpha).clip(0, 255).round().astype(np.uint8)


def _shifted(layer: Layer, flow: Array) -> Layer:
    """A layer sampled at each pixel plus a flow."""
    height, width = layer.alpha.shape
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    points = np.dstack([x, y]).astype(np.float32) + flow
    colours = sample(layer.colours, points, linear=True)
    return Layer(colours.round().astype(np.uint8), sample(layer.alpha, points, linear=True))
