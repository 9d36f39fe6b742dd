"""Plans of several clips as one set of tensors: what travels from the loader to the device."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from rotomask.data.simulation.appearance import BLUR_SIZE, motion_kernel
from rotomask.data.simulation.motion import Point
from rotomask.data.simulation.plan import ClipPlan, Layer, Picture, object_bounds
from rotomask.data.simulation.thin_plate import CONTROL_POINTS
from rotomask.data.training.images import Labels

ClipBatch = dict[str, Tensor]
"""The tensors that `stack_clips` makes, by name."""

LABELS = 256
OVERSAMPLING = 1.5
"""Pixels of a picture that are kept for each pixel across that a clip shows of it."""
LEAST_REDUCTION = 0.8
"""Pictures that would be reduced less than to this part are left as they are."""


KERNEL = (BLUR_SIZE, BLUR_SIZE)
BORDER = 1
"""Pixels around each picture in its canvas: its edge again, without an object."""


def stack_clips(plans: Sequence[ClipPlan]) -> ClipBatch:
    """Plans of equal size and length as tensors: B clips, T frames, up to L layers, N pictures.

    Of each picture only what its clips may show is there: the surroundings of a cut-out object, the
    part of a scene that its path looks at.

    Returns:
        ``pixels`` P×3 uint8 and ``marks`` P uint8, the pixels of all pictures and their labels, one
        picture with its border after the other, from ``starts`` N on; ``highest`` N, the largest
        label of each; ``extents`` N×2, height and width of the whole picture, and ``origins`` N×2,
        where in it the part begins; ``sizes`` N×2, height and width without the border, ``scales``
        N times those of the part; ``index`` B×L×T, the picture of a layer, -1 where there
        is none; ``matrix`` B×L×T×2×3 and ``bending`` B×L×T×P×2; ``ids`` B×L×256, the object id of
        each label in the picture, 255 where it has none; the fields of `Appearance`, B×T...;
        ``guidance`` B×2×3; ``source`` and ``keeps_guidance`` B; ``soft`` B×L, whether a layer has
        a soft edge; ``layer_gain`` B×L×3, of its colours; ``layer_blur`` B×L×T×21×21, its motion
        blur; ``size``, a scalar.
    """
    parts = _parts_shown(plans)
    places = {key: number for number, key in enumerate(parts)}
    clips, frames = len(plans), plans[0].frames
    depth = max(len(plan.layers) for plan in plans)
    index = np.full((clips, depth, frames), -1)
    matrix = np.zeros((clips, depth, frames, 2, 3), np.float32)
    bending = np.zeros((clips, depth, frames, CONTROL_POINTS, 2), np.float32)
    ids = np.full((clips, depth, LABELS), NO_ID, np.uint8)
    soft, gain = np.zeros((clips, depth), bool), np.ones((clips, depth, 3), np.float32)
    layer_blur = np.broadcast_to(motion_kernel(1, 0.0), (clips, depth, frames, *KERNEL)).copy()
    for b, plan in enumerate(plans):
        for at, layer in enumerate(plan.layers):
            matrix[b, at], bending[b, at] = layer.path.matrix, layer.path.bending
            ids[b, at] = _lookup(layer)
            soft[b, at], gain[b, at] = layer.is_soft, layer.gain
            if layer.blur is not None:
                layer_blur[b, at] = layer.blur
            for t in range(frames):
                key = id(layer.picture(t)[0])
                index[b, at, t] = places[key]
    cut = [part.cut() for part in parts.values()]
    sizes = np.array([labels.shape for _, labels in cut])
    ends = np.cumsum((sizes + 2 * BORDER).prod(1))
    batch = {
        "pixels": _in_a_row([image for image, _ in cut], "edge"),
        "marks": _in_a_row([labels for _, labels in cut], "constant"),
        "starts": torch.from_numpy(np.concatenate([[0], ends[:-1]])),
        "highest": torch.tensor([int(labels.max(initial=0)) for _, labels in cut]),
        "extents": torch.tensor([part.picture[1].shape for part in parts.values()]),
        "origins": torch.tensor([(part.top, part.left) for part in parts.values()]),
        "sizes": torch.from_numpy(sizes),
        "scales": torch.tensor([part.scale for part in parts.values()]),
        "index": torch.from_numpy(index),
        "matrix": torch.from_numpy(matrix),
        "bending": torch.from_numpy(bending),
        "ids": torch.from_numpy(ids),
        "guidance": torch.from_numpy(np.stack([plan.guidance for plan in plans])),
        "source": torch.tensor([plan.source for plan in plans]),
        "keeps_guidance": torch.tensor([plan.keeps_guidance for plan in plans]),
        "soft": torch.from_numpy(soft),
        "layer_gain": torch.from_numpy(gain),
        "layer_blur": torch.from_numpy(layer_blur),
        "size": torch.tensor(plans[0].size),
    }
    for name in ("gain", "offset", "gamma", "grey", "light", "blur", "quality", "reduction"):
        values = np.stack([getattr(plan.appearance, name) for plan in plans])
        batch[name] = torch.from_numpy(values)
    return batch


NO_ID = 255


def _lookup(layer: Layer) -> np.ndarray:
    table = np.full(LABELS, NO_ID, np.uint8)
    for label, object_id in layer.ids.items():
        table[label] = object_id
    return table


@dataclass
class _Part:
    """The part of a picture that clips show, and how large they show it."""

    picture: Picture
    left: int
    top: int
    right: int
    bottom: int
    scale: float = 0.0

    def extend(self, low: Point, high: Point) -> None:
        """Show the pixels from (x, y) low to high as well, as far as the picture has them."""
        height, width = self.picture[1].shape
        self.left = min(self.left, max(0, int(low[0])))
        self.top = min(self.top, max(0, int(low[1])))
        self.right = max(self.right, min(width, int(np.ceil(high[0])) + 1))
        self.bottom = max(self.bottom, min(height, int(np.ceil(high[1])) + 1))

    def enlarge_to(self, matrix: npt.NDArray[np.float32]) -> None:
        """Keep the resolution that a map from output to source needs."""
        # The matrix maps output to picture: its determinant is an area, the root a length, and the
        # inverse says how many output pixels a picture's pixel becomes.
        magnification = abs(float(np.linalg.det(matrix[:, :2]))) ** -0.5
        self.scale = min(1.0, max(self.scale, OVERSAMPLING * magnification))

    def cut(self) -> Picture:
        """Image and labels of the part, reduced where it is shown much smaller."""
        image, labels = self.picture
        rows, columns = slice(self.top, self.bottom), slice(self.left, self.right)
        image, labels = image[rows, columns], labels[rows, columns]
        # Below 16 px a reduced object would lose its shape.
        if self.scale > LEAST_REDUCTION or min(labels.shape) < 16:
            self.scale = 1.0
            return image, labels
        size = (math.ceil(labels.shape[1] * self.scale), math.ceil(labels.shape[0] * self.scale))
        # Whole pixels: the picture's edge stays where it is, the last pixel reaches beyond.
        reach = (round(size[0] / self.scale), round(size[1] / self.scale))
        wider = ((0, max(0, reach[1] - labels.shape[0])), (0, max(0, reach[0] - labels.shape[1])))
        image = np.pad(image, (*wider, (0, 0)), mode="edge")
        labels = np.pad(labels, wider)
        # Colours are averaged, labels are picked: a mean of two labels would be a third one. EXACT
        # has the centres of pixels where INTER_AREA has them; INTER_NEAREST is half a pixel off.
        small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        marks = cv2.resize(labels, size, interpolation=cv2.INTER_NEAREST_EXACT)
        return small.astype(np.uint8, copy=False), marks.astype(np.uint8, copy=False)


def _parts_shown(plans: Sequence[ClipPlan]) -> dict[int, _Part]:
    """The part of each picture that is needed, by the picture's identity."""
    parts: dict[int, _Part] = {}
    for plan in plans:
        for at, layer in enumerate(plan.layers):
            for t in range(plan.frames):
                picture = layer.picture(t)
                height, width = picture[1].shape
                part = parts.setdefault(id(picture[0]), _Part(picture, width, height, 0, 0))
                # The scene is asked by the camera's view, which may lie beyond its edge, where it
                # is reflected; a cut-out object by its own box.
                low, high = _seen(layer, t, plan.size) if at == 0 else _bounds(layer, picture[1])
                if at == 0:
                    low, high = _mirrored(low, high, np.array([width - 1.0, height - 1.0]))
                part.extend(low, high)
                part.enlarge_to(layer.path.matrix[t])
    return parts


def _seen(layer: Layer, t: int, size: int) -> tuple[Point, Point]:
    """Least and greatest (x, y) of a picture that a frame looks at, and a little more."""
    # The thin plate may overshoot its control points a little: half as much again is allowed for.
    reach = 1.5 * float(np.abs(layer.path.bending[t]).max()) + 1
    ends = np.array([-reach, size - 1 + reach])
    # 4×2 (x, y): the map is affine, so the corners bound everything between them.
    corners = np.stack(np.meshgrid(ends, ends), -1).reshape(-1, 2)
    points = layer.path.source_points(t, corners)
    return points.min(0) - 2, points.max(0) + 2


def _mirrored(low: Point, high: Point, last: Point) -> tuple[Point, Point]:
    """Least and greatest places 0..last that places low..high are folded to at the edges."""
    # Farther out than one reflection: all of the picture may be seen.
    if ((low < -last) | (high > 2 * last)).any():
        return np.zeros(2), last
    return (
        np.where(low < 0, 0, np.minimum(low, 2 * last - high)),
        np.where(high > last, last, np.maximum(high, -low)),
    )


def _bounds(layer: Layer, labels: Labels) -> tuple[Point, Point]:
    """Least and greatest (x, y) of what a layer shows of its picture, and a pixel more."""
    boxes = [object_bounds(labels, label) for label in layer.ids]
    bounds = [b for b in boxes if b is not None]
    if not bounds:
        return np.zeros(2), np.zeros(2)
    low, high = np.stack([b[0] for b in bounds]), np.stack([b[1] for b in bounds])
    return low.min(0) - 1, high.max(0) + 1


def _in_a_row(arrays: list[np.ndarray], mode: Literal["edge", "constant"]) -> Tensor:
    """The pixels of arrays of different height and width, each with a border."""
    rows = []
    for array in arrays:
        padding = [(BORDER, BORDER)] * 2 + [(0, 0)] * (array.ndim - 2)
        rows.append(np.pad(array, padding, mode=mode).reshape(-1, *array.shape[2:]))
    return torch.from_numpy(np.concatenate(rows))
