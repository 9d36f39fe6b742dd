"""Rendering of clips from their plans, in batches, on the tensors' device."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from rotomask.data.simulation import appearance
from rotomask.data.simulation.batch import BORDER, NO_ID, ClipBatch
from rotomask.data.simulation.thin_plate import displacement

MARGIN = appearance.BLUR_SIZE // 2 + 2
"""Maximum reach of a layer's blur and soft edge beyond it, px."""


class RenderedClips(NamedTuple):
    """Rendered clips with their labels."""

    frames: Tensor
    """B×T×3×S×S float32, 0..1."""
    labels: Tensor
    """B×T×S×S uint8: 0 background, k = object k."""


def render(batch: ClipBatch) -> RenderedClips:
    """Frames and labels of a batch of plans (`stack_clips`).

    The layers are sampled bilinearly and painted from the scene up: the scene continues by
    reflection beyond its edges, the others are cut along their masks with soft edges. An object's
    mask is where it covers at least half of a pixel.
    """
    size = int(batch["size"])
    clips, depth, count = batch["index"].shape
    # Painted in place below: `frames[inside]` and `labels[inside]` are views.
    frames = torch.zeros((clips, count, 3, size, size), device=batch["pixels"].device)
    labels = torch.zeros(
        (clips, count, size, size), dtype=torch.uint8, device=batch["pixels"].device
    )
    for layer in range(depth):
        for rows, window in _groups(batch, layer):
            inside = (..., window.rows, window.columns)
            _paint(batch, rows, layer, window, frames[inside], labels[inside])
    return RenderedClips(_change_appearance(frames, batch), labels)


class Window(NamedTuple):
    """Rectangle of the frames."""

    rows: slice
    columns: slice

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        return (self.rows.stop - self.rows.start, self.columns.stop - self.columns.start)


def _groups(batch: ClipBatch, layer: int) -> Iterator[tuple[Tensor, Window]]:
    """Indices of clips whose layer is painted together, and the window it is painted in.

    In a group all clips have one picture for all frames, or none has. On a CPU each pasted object
    is painted alone in its own window, which is less work; on a GPU many together, which is fewer
    steps.
    """
    size = int(batch["size"])
    pictures = batch["index"][:, layer]
    is_present = pictures[:, 0] >= 0
    if layer > 0 and pictures.device.type == "cpu":
        for row in is_present.nonzero()[:, 0]:
            window = _window(batch, int(row), layer)
            if min(window.shape) > 0:
                yield row[None], window
        return
    is_still = (pictures == pictures[:, :1]).all(1)  # B: the same picture in all T frames
    for rows in ((is_present & is_still), (is_present & ~is_still)):
        indices = rows.nonzero()[:, 0]
        if len(indices):
            yield indices, Window(slice(0, size), slice(0, size))


def _window(batch: ClipBatch, row: int, layer: int) -> Window:
    """Window in which a clip's frames show a layer, including the reach of its blur."""
    size, index = int(batch["size"]), batch["index"][row, layer]
    # Corners of the layer's picture in source pixels; origins and sizes are (y, x), hence the flip.
    low = batch["origins"][index].float().flip(-1) - 1
    high = low + batch["sizes"][index].flip(-1) / batch["scales"][index][:, None] + 2
    sides = torch.stack([low, high], 1)  # T×2×2
    corners = torch.stack(
        [sides[:, [0, 0, 1, 1], 0], sides[:, [0, 1, 0, 1], 1]], -1
    )  # T×4×2, (x, y)
    # The matrices T×2×3 map output to source, so their inverse gives the corners in the output.
    matrix = batch["matrix"][row, layer]
    inverse = torch.linalg.inv(matrix[:, :, :2])
    points = (corners - matrix[:, None, :, 2]) @ inverse.mT
    reach = 1.5 * float(batch["bending"][row, layer].abs().max()) + MARGIN
    ends = []
    for axis in (1, 0):
        first = int((points[..., axis].min() - reach).clamp(0, size))
        last = int((points[..., axis].max() + reach).ceil().clamp(0, size))
        if last > first:  # reflection padding of the blur needs this many pixels
            last = min(size, max(last, first + 2 * MARGIN))
            first = max(0, min(first, last - 2 * MARGIN))
        ends.append(slice(first, last))
    return Window(*ends)


def _paint(
    batch: ClipBatch, rows: Tensor, layer: int, window: Window, frames: Tensor, labels: Tensor
) -> None:
    """Paint a layer of some clips over the frames and labels of a window, in place."""
    count = batch["index"].shape[2]
    values = batch["ids"][rows, layer]  # B'×256
    names = (values != NO_ID).sum(1).amax()
    # Labels of each clip that have an id, in the first J columns (J: the most of any clip).
    has_id = (values != NO_ID).byte()
    # Stable, so that labels keep their order among those with an id.
    named = torch.argsort(has_id, dim=1, descending=True, stable=True)[:, :names]  # B'×J labels
    value = values.gather(1, named)  # B'×J object ids
    sampled = _sample(batch, rows, layer, window, named, value)
    sampled = torch.unflatten(sampled, 0, (len(rows), count))  # B'×T×3+J×H×W
    colour, masks = sampled[:, :, :3], sampled[:, :, 3:]
    gain = batch["layer_gain"][rows, layer]
    if (gain != 1).any():
        colour = (colour * gain[:, None, :, None, None]).clamp_max(1)
    below = labels[rows]
    if layer == 0:
        frames[rows] = colour
    else:
        # B'×T×1×H×W: at the border of two labels both cover a part of a pixel, together at most
        # all.
        alpha = masks.sum(2, keepdim=True).clamp_max(1)
        # A layer first clears what it hides, also where it has no id itself, then writes its own
        # ids.
        below = below.masked_fill(alpha[:, :, 0] >= 0.5, 0)
        frames[rows] = _blend(frames[rows], colour, alpha, batch, rows, layer)
    for j in range(int(names)):
        object_id = value[:, j, None, None, None]
        covered = (masks[:, :, j] >= 0.5) & (object_id != NO_ID) & (object_id > 0)
        below = torch.where(covered, object_id, below)
    labels[rows] = below


def _blend(
    below: Tensor, colour: Tensor, alpha: Tensor, batch: ClipBatch, rows: Tensor, layer: int
) -> Tensor:
    """Frames B'×T×3×H×W with a layer's colours blended over them, soft and blurred by motion."""
    soft = batch["soft"][rows, layer]
    if soft.any():
        alpha = alpha.clone()
        softened = appearance.soften(alpha[soft].flatten(0, 1))
        alpha[soft] = torch.unflatten(softened, 0, (-1, alpha.shape[1]))
    kernels = batch["layer_blur"][rows, layer]
    middle = kernels.shape[-1] // 2
    if (kernels[..., middle, middle] > 1 - 1e-4).all():
        return below.lerp(colour, alpha)
    # Blur premultiplied colours: the background shows through a moving edge by its opacity.
    moving = torch.cat([colour * alpha, alpha], 2).flatten(0, 1)
    moving = appearance.motion_blur(moving, kernels.flatten(0, 1))
    moving = torch.unflatten(moving, 0, alpha.shape[:2])
    return below * (1 - moving[:, :, 3:]) + moving[:, :, :3]


def _sample(
    batch: ClipBatch, rows: Tensor, layer: int, window: Window, named: Tensor, value: Tensor
) -> Tensor:
    """Colours of a layer and masks of its named labels in a window: B'·T×3+J×H×W, 0..1."""
    (high, wide), count = window.shape, batch["index"].shape[2]
    grid = _grid(batch, rows, layer, window, reflect=layer == 0)
    pictures = batch["index"][rows, layer]
    if bool((pictures == pictures[:, :1]).all()):
        # One picture for all frames of a clip: sample it once, with the T grids as one tall grid.
        pictures, repeats = pictures[:, 0], 1
        grid = grid.view(len(rows), count * high, wide, 2)
    else:
        pictures, repeats = pictures.flatten(), count
    marks = named.repeat_interleave(repeats, 0)[..., None, None]
    has_id = value.repeat_interleave(repeats, 0)[..., None, None] != NO_ID
    # Pictures differ in size and lie flat in one tensor: copy each onto a canvas of common size.
    height, width = _canvas_size(batch, pictures)
    source = torch.zeros((len(pictures), 3 + marks.shape[1], height, width), device=grid.device)
    starts, sizes = batch["starts"][pictures].tolist(), batch["sizes"][pictures] + 2 * BORDER
    for canvas, start, (h, w), mark, named_here in zip(
        source, starts, sizes.tolist(), marks, has_id, strict=True
    ):
        part = slice(start, start + h * w)
        canvas[:3, :h, :w] = batch["pixels"][part].view(h, w, 3).permute(2, 0, 1)
        canvas[3:, :h, :w] = (batch["marks"][part].view(h, w) == mark) & named_here
    sampled = F.grid_sample(source, grid, padding_mode="border", align_corners=True)
    sampled[:, :3] /= 255
    if repeats == 1:
        # B'×3+J×T·H×W -> B'×3+J×T×H×W -> B'·T×3+J×H×W
        sampled = torch.unflatten(sampled, 2, (count, high)).transpose(1, 2).flatten(0, 1)
    return sampled


def guidance_grid(batch: ClipBatch) -> Tensor:
    """Sampling grid of the first guidance mask, B×S×S×2 for `F.grid_sample`."""
    size = int(batch["size"])
    # S×1 and 1×S: the products below broadcast to B×S×S.
    y, x = _pixels(size, batch["guidance"].device)
    m = batch["guidance"][..., None, None]  # affine matrices B×2×3×1×1 on pixels (x, y)
    across = m[:, 0, 0] * x + m[:, 0, 1] * y + m[:, 0, 2]
    down = m[:, 1, 0] * x + m[:, 1, 1] * y + m[:, 1, 2]
    return torch.stack([across, down], -1) * (2 / max(1, size - 1)) - 1  # px to -1..1


def _grid(
    batch: ClipBatch, present: Tensor, layer: int, window: Window, *, reflect: bool
) -> Tensor:
    """Sampling grid in the pictures' canvases, B'·T×H×W×2, -1..1 for `F.grid_sample`."""
    size = int(batch["size"])
    picture = batch["index"][present, layer].flatten()
    matrix = batch["matrix"][present, layer].flatten(0, 1)
    bending = batch["bending"][present, layer].flatten(0, 1)
    y, x = _pixels(size, matrix.device)
    y, x = y[window.rows], x[:, window.columns]
    if bending.any():  # first the thin plate, in output pixels
        moved = displacement(bending, size, window.rows, window.columns)
        x, y = x + moved[..., 0], y + moved[..., 1]
    # Then the affine path: N×2×3 on (x, y) of the window, to pixels of the whole picture, N×H×W.
    m = matrix[..., None, None]
    across = m[:, 0, 0] * x + m[:, 0, 1] * y + m[:, 0, 2]
    down = m[:, 1, 0] * x + m[:, 1, 1] * y + m[:, 1, 2]
    last = (batch["extents"][picture] - 1).float()[..., None, None]
    if reflect:
        across, down = _reflect(across, last[:, 1]), _reflect(down, last[:, 0])
    # Last to the canvas, which holds a part of the picture, reduced, with a border around it.
    height, width = _canvas_size(batch, picture)
    # Centres of pixels are at whole numbers, edges half a pixel before: the shift by 0.5 lets the
    # reduction scale about the edge of the part, and the second 0.5 goes back to centres.
    origin = batch["origins"][picture].float()[..., None, None] - 0.5
    scale = batch["scales"][picture].float()[:, None, None]
    across = (across - origin[:, 1]) * scale - 0.5 + BORDER
    down = (down - origin[:, 0]) * scale - 0.5 + BORDER
    return torch.stack(
        [across * (2 / max(1, width - 1)) - 1, down * (2 / max(1, height - 1)) - 1], -1
    )


def _canvas_size(batch: ClipBatch, pictures: Tensor) -> tuple[int, int]:
    """Height and width of a canvas for these pictures and their border."""
    height, width = (batch["sizes"][pictures.flatten()].amax(0) + 2 * BORDER).tolist()
    return height, width


def _reflect(x: Tensor, last: Tensor) -> Tensor:
    """Coordinates outside 0..last reflected at the edges."""
    last = last.clamp_min(1)
    # A triangle wave of period 2·last: 0, 1, ... last, last-1, ... 1; the edge itself is not
    # doubled.
    folded = torch.remainder(x, 2 * last)
    return last - (folded - last).abs()


def _pixels(size: int, device: torch.device) -> tuple[Tensor, Tensor]:
    line = torch.arange(size, device=device, dtype=torch.float32)
    return line[:, None], line[None, :]


def _change_appearance(frames: Tensor, batch: ClipBatch) -> Tensor:
    flat = frames.flatten(0, 1)
    # The order of a camera: light, motion blur, then resolution and compression.
    flat = appearance.change_colour(
        flat, *(batch[k].flatten(0, 1) for k in ("gain", "offset", "gamma", "grey"))
    )
    flat = appearance.change_light(flat, batch["light"].flatten(0, 1))
    flat = appearance.motion_blur(flat, batch["blur"].flatten(0, 1))
    flat = appearance.lower_resolution(flat, batch["reduction"].flatten())
    flat = appearance.jpeg_noise(flat, batch["quality"].flatten())
    return torch.unflatten(flat, 0, frames.shape[:2])
