"""Pairs of frames simulated from stills, whose optical flow is known exactly.

The second frame is a stack of layers: a still as the scene, cut-out objects over it. The first
shows each layer where it was before it moved, by a smooth affine and thin-plate motion: its pixel q
is what the second frame's layer has at q + f(q), so that the flow f of the layer in front needs no
inversion. What FlyingChairs (Dosovitskiy et al. 2015) does with chairs, here with real objects that
also bend.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import torch

from rotomask.data.simulation.motion import affine
from rotomask.data.simulation.thin_plate import CONTROL_POINTS, displacement
from rotomask.data.training.images import Image, Labels
from rotomask.data.training.looks import random_blur, random_colour, random_jpeg
from rotomask.data.training.stills import Stills
from rotomask.errors import OptionError

Array = npt.NDArray[np.float32]

OPAQUE = 0.5
"""Coverage of a pixel from which on a layer is what is seen there."""
LONGEST = 0.35
"""Longest shift of a layer, as a part of the side."""


@dataclass(frozen=True, kw_only=True)
class FlowPairConfig:
    """Settings of simulating pairs; lengths are fractions of the frame's side."""

    size: int = 256
    """Side of the square frames, px."""
    most_objects: int = 3
    """Objects that move by themselves; 0 to so many."""
    scene_shift: float = 0.025
    """Mean shift of the scene; shifts are spread exponentially."""
    object_shift: float = 0.05
    """Mean shift of an object beyond its scene's."""
    turn_rad: float = 0.04
    """Standard deviation of rotation and, as a logarithm, of magnification."""
    bending: float = 0.006
    """Standard deviation of the thin plate's control points."""
    appearance: float = 0.15
    """Strength of the change of colour from one frame to the other."""

    def __post_init__(self) -> None:
        if self.size < 32 or self.most_objects < 0:
            raise OptionError(
                "flow pairs need a side of 32 px or more and 0 objects or more, got "
                f"{self.size} and {self.most_objects}"
            )


@dataclass(frozen=True)
class FlowPair:
    """Two frames and the motion between them."""

    first: Image
    """S×S×3 uint8 RGB."""
    second: Image
    """The same."""
    flow: Array
    """From the first to the second, S×S×2, px; also where the second does not show the pixel."""
    visible: npt.NDArray[np.bool_]
    """S×S: whether the second frame shows the pixel: not hidden, not beyond the border."""


@dataclass(frozen=True)
class _Layer:
    """A picture in the second frame, and how it came there."""

    image: Image
    mask: Labels | None
    """255 where the picture's object is; None for the scene, which is everywhere."""
    place: Array
    """2×3, pixel of the second frame (x, y, 1) -> of the picture."""
    flow: Array
    """S×S×2, of this layer in the first frame."""


def simulate_flow_pair(
    stills: Stills, config: FlowPairConfig, rng: np.random.Generator
) -> FlowPair:
    """One random pair.

    Args:
        stills: Where scenes and objects come from.
        config: How.
        rng: Every random choice.
    """
    scene = _scene(stills, config, rng)
    layers = [scene]
    for _ in range(int(rng.integers(config.most_objects + 1))):
        drawn = _object(stills, scene.flow, config, rng)
        layers += [drawn] if drawn is not None else []
    first, front, flow = _paint(layers, config.size, moved=True)
    second, landing, _ = _paint(layers, config.size, moved=False)
    return FlowPair(*_looks(first, second, config, rng), flow, _visible(front, landing, flow))


def _scene(stills: Stills, config: FlowPairConfig, rng: np.random.Generator) -> _Layer:
    """A crop of a still that may lie beyond its border, where it goes on as in a mirror."""
    size = config.size
    image, _ = stills[int(rng.integers(len(stills)))]
    scale = size / min(image.shape[:2]) * float(np.exp(rng.uniform(0, 0.5)))
    centre = rng.uniform(0.3, 0.7, 2) * (image.shape[1], image.shape[0])
    place = _place(centre, np.full(2, size / 2), scale, rng)
    flow = _motion(np.full(2, size / 2), config.scene_shift, config, rng)
    return _Layer(image, None, place, flow)


def _object(
    stills: Stills, scene_flow: Array, config: FlowPairConfig, rng: np.random.Generator
) -> _Layer | None:
    """An object anywhere in the frame that moves beyond its scene; None where a still has none."""
    size = config.size
    image, labels = stills[int(rng.integers(len(stills)))]
    mask = np.where(labels > 0, np.uint8(255), np.uint8(0))
    x, y, width, height = cv2.boundingRect(mask)
    if not width:
        return None
    scale = size * float(rng.uniform(0.15, 0.8)) / max(width, height)
    target = size * rng.uniform(0.1, 0.9, 2)
    place = _place(np.array([x + width / 2, y + height / 2]), target, scale, rng)
    own = _motion(target, config.object_shift, config, rng)
    return _Layer(image, mask, place, scene_flow + own)


def _place(
    source: npt.NDArray[np.float64],
    target: npt.NDArray[np.float64],
    scale: float,
    rng: np.random.Generator,
) -> Array:
    return affine(
        source,
        target,
        scale=scale,
        rotation_rad=float(rng.normal(0, 0.15)),
        shear=float(rng.normal(0, 0.05)),
        flip=bool(rng.random() < 0.5),
    )


def _motion(
    centre: npt.NDArray[np.float64],
    shift: float,
    config: FlowPairConfig,
    rng: np.random.Generator,
) -> Array:
    """A smooth flow, S×S×2 px: shift, turn and zoom about a centre, and bending."""
    size = config.size
    # Exponential, as real motion is: most shifts are small, with a long tail.
    length, angle = size * min(rng.exponential(shift), LONGEST), rng.uniform(0, 2 * np.pi)
    turn, zoom = rng.normal(0, config.turn_rad), np.exp(rng.normal(0, config.turn_rad))
    linear = zoom * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    from_centre = _pixels(size) - centre.astype(np.float32)
    # S×S×2 @ 2×2: q -> A (q - c) - (q - c), the displacement of the affine motion alone.
    flow = from_centre @ (linear.T - np.eye(2)).astype(np.float32)
    flow += np.array([length * np.cos(angle), length * np.sin(angle)], np.float32)
    bending = rng.normal(0, config.bending * size * rng.uniform(), (1, CONTROL_POINTS, 2))
    plate = displacement(torch.from_numpy(bending.astype(np.float32)), size)[0].numpy()
    moved: Array = (flow + plate).astype(np.float32)
    return moved


def _paint(
    layers: list[_Layer], size: int, *, moved: bool
) -> tuple[Array, npt.NDArray[np.int64], Array]:
    """The frame S×S×3 float32 0..255, the number of the layer in front, and its flow."""
    frame = np.zeros((size, size, 3), np.float32)
    front = np.zeros((size, size), np.int64)
    flow = np.zeros((size, size, 2), np.float32)
    for number, layer in enumerate(layers):
        at = _pixels(size) + (layer.flow if moved else 0)
        # Pixels of the frame -> of the layer's picture, S×S×2, as cv2.remap takes them.
        at = at @ layer.place[:, :2].T + layer.place[:, 2]
        mirrored = cv2.BORDER_REFLECT_101
        colour = cv2.remap(layer.image, at, None, cv2.INTER_LINEAR, borderMode=mirrored)  # type: ignore[call-overload]
        if layer.mask is None:
            cover = np.ones((size, size), np.float32)
        else:
            cover = cv2.remap(layer.mask, at, None, cv2.INTER_LINEAR) / np.float32(255)  # type: ignore[call-overload]
        # Over-blending with antialiased coverage for the colours, but a threshold for what is in
        # front: flow has one value for each pixel, and a mean of two motions is neither.
        frame += cover[..., None] * (colour - frame)
        front[cover >= OPAQUE] = number
        flow[cover >= OPAQUE] = layer.flow[cover >= OPAQUE]
    return frame, front, flow


def _visible(
    front: npt.NDArray[np.int64], landing: npt.NDArray[np.int64], flow: Array
) -> npt.NDArray[np.bool_]:
    """True if the layer seen at a pixel is also in front where the pixel lands."""
    size = len(front)
    # Where each pixel lands, rounded, as two S×S arrays.
    x, y = np.moveaxis(np.rint(_pixels(size) + flow).astype(np.int64), -1, 0)
    inside = (x >= 0) & (y >= 0) & (x < size) & (y < size)
    last = size - 1
    there = landing[np.clip(y, 0, last), np.clip(x, 0, last)]
    visible: npt.NDArray[np.bool_] = inside & (there == front)
    return visible


def _looks(
    first: Array, second: Array, config: FlowPairConfig, rng: np.random.Generator
) -> tuple[Image, Image]:
    """Colours changed in both, a little differently; at times blur and JPEG noise in each."""
    common = random_colour(rng, 0.5)
    frames = []
    for frame in (first, second):
        image = common(frame.round().astype(np.uint8))
        if config.appearance > 0:
            image = random_colour(rng, config.appearance)(image)
            image = random_blur(rng, image) if rng.random() < 0.1 else image
            image = random_jpeg(rng, image) if rng.random() < 0.25 else image
        frames.append(image)
    return frames[0], frames[1]


def _pixels(size: int) -> Array:
    """(x, y) of every pixel, S×S×2."""
    line = np.arange(size, dtype=np.float32)
    return np.stack(np.meshgrid(line, line), -1)
