"""Changes of light and picture quality, in batches: colour, illumination, motion blur, JPEG."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

Array = npt.NDArray[np.float32]

LIGHT_GRID = 4
BLUR_SIZE = 21
CAMERA_BLUR = 11
"""Longest motion blur of whole frames, px; that of a single thing may fill the kernel."""
NO_JPEG = 100
BLOCK = 8

# The quantisation tables of JPEG's Annex K, luminance and chrominance.
LUMINANCE_STEPS = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
CHROMINANCE_STEPS = (
    (17, 18, 24, 47, 99, 99, 99, 99),
    (18, 21, 26, 66, 99, 99, 99, 99),
    (24, 26, 56, 99, 99, 99, 99, 99),
    (47, 66, 99, 99, 99, 99, 99, 99),
    *((99,) * 8,) * 4,
)

# ITU-R BT.601, full range, as JPEG has it.
TO_YCBCR = (
    (0.299, 0.587, 0.114),
    (-0.168736, -0.331264, 0.5),
    (0.5, -0.418688, -0.081312),
)


@dataclass(frozen=True)
class Appearance:
    """What happens to the frames of a clip after they are composed."""

    gain: Array
    """T×3."""
    offset: Array
    """T×3, of 0..1."""
    gamma: Array
    """T."""
    grey: Array
    """T, the part of grey, 0..1."""
    light: Array
    """T×4×4, a smooth field that multiplies."""
    blur: Array
    """T×21×21, kernels that sum to 1."""
    quality: npt.NDArray[np.int64]
    """T, JPEG quality 1..99; 100: none."""
    reduction: Array
    """T, how many times smaller the frames were before they were enlarged; 1: not."""


def draw_appearance(
    frames: int, strength: float, rng: np.random.Generator, *, low_resolution: float = 0.0
) -> Appearance:
    """A change common to the clip, and small ones from frame to frame; strength 0 is none.

    Args:
        frames: T.
        strength: Factor of all changes but the resolution.
        rng: Every random choice.
        low_resolution: Part of the clips that are as if enlarged from two to four times smaller
            ones, and more of these compressed.
    """
    # Two standard deviations for each quantity: what the whole clip shares (exposure, white
    # balance) is large, what flickers from frame to frame is five to ten times smaller.
    gain = 1 + rng.normal(0, 0.2 * strength) + rng.normal(0, 0.1 * strength, 3)
    gain = gain + rng.normal(0, 0.03 * strength, (frames, 1)) * np.ones(3)
    offset = rng.normal(0, 0.06 * strength, 3) + rng.normal(0, 0.01 * strength, (frames, 3))
    gamma = np.exp(rng.normal(0, 0.2 * strength) + rng.normal(0, 0.03 * strength, frames))
    grey = rng.uniform(0, 1) if rng.random() < 0.1 * strength else 0.0
    light = np.ones((frames, LIGHT_GRID, LIGHT_GRID))
    if rng.random() < 0.3 * strength:
        field = rng.normal(0, 0.2, (LIGHT_GRID, LIGHT_GRID))
        # A random walk, so that light wanders as clouds do; in the exponent, so that it stays
        # positive.
        change = rng.normal(0, 0.08, (frames, LIGHT_GRID, LIGHT_GRID))
        light = np.exp(field + np.cumsum(change, 0))
    blur = np.stack(
        [
            motion_kernel(int(rng.integers(3, CAMERA_BLUR + 1)), rng.uniform(0, np.pi))
            if rng.random() < 0.1 * strength
            else motion_kernel(1, 0.0)
            for _ in range(frames)
        ]
    )
    quality = np.full(frames, NO_JPEG)
    if rng.random() < 0.25 * strength:
        quality[:] = rng.integers(30, 91)
    reduction = np.ones(frames, np.float32)
    if rng.random() < low_resolution:
        reduction[:] = rng.uniform(1.5, 4.0)
        if rng.random() < 0.5:
            quality[:] = rng.integers(15, 70)
    return Appearance(
        gain.astype(np.float32),
        offset.astype(np.float32),
        gamma.astype(np.float32),
        np.full(frames, grey, np.float32),
        light.astype(np.float32),
        blur,
        quality,
        reduction,
    )


def motion_kernel(length_px: int, angle_rad: float) -> Array:
    """A line through the middle of a 21×21 kernel, antialiased, with the sum 1."""
    y, x = np.mgrid[:BLUR_SIZE, :BLUR_SIZE] - BLUR_SIZE // 2
    # Distances of each tap from the line's middle and from the line. Both clips fall from 1 to 0
    # over one pixel, which antialiases the ends and the sides; length 1 gives the single middle
    # tap.
    along = x * np.cos(angle_rad) + y * np.sin(angle_rad)
    across = -x * np.sin(angle_rad) + y * np.cos(angle_rad)
    kernel = np.clip(length_px / 2 + 0.5 - np.abs(along), 0, 1) * np.clip(1 - np.abs(across), 0, 1)
    return np.asarray(kernel / kernel.sum(), np.float32)


def soften(masks: Tensor, sigma: float = 1.0) -> Tensor:
    """Masks N×1×S×S blurred by a 5×5 Gaussian, so that pasted objects have no hard seam."""
    # Separable: a row and then a column of the kernel.
    x = torch.arange(-2, 3, device=masks.device) / sigma
    line = torch.exp(-0.5 * x.square())
    line = (line / line.sum()).to(masks.dtype)
    blurred = F.conv2d(F.pad(masks, (2, 2, 2, 2), mode="replicate"), line.view(1, 1, 1, 5))
    return F.conv2d(blurred, line.view(1, 1, 5, 1))


def change_colour(
    frames: Tensor, gain: Tensor, offset: Tensor, gamma: Tensor, grey: Tensor
) -> Tensor:
    """Frames N×3×H×W, 0..1, after gamma, gain and offset per channel, and a fraction of grey."""
    # Gamma first: it needs values of at least 0, and its gradient at 0 is infinite below gamma 1.
    x = frames.clamp_min(1e-4) ** gamma[:, None, None, None]
    x = (x * gain[..., None, None] + offset[..., None, None]).clamp(0, 1)
    is_grey = grey > 0
    if is_grey.any():
        fraction = grey[is_grey, None, None, None]
        colour = x[is_grey]
        x = x.clone()
        x[is_grey] = colour + fraction * (colour.mean(1, keepdim=True) - colour)
    return x


def change_light(frames: Tensor, light: Tensor) -> Tensor:
    """Frames N×3×H×W times a smooth field N×g×g, enlarged to their size."""
    # Most clips keep their light: only those that change are interpolated and copied.
    changes = ((light - 1).abs() > 1e-6).flatten(1).any(1)
    if not changes.any():
        return frames
    field = F.interpolate(
        light[changes, None], frames.shape[-2:], mode="bilinear", align_corners=True
    )
    out = frames.clone()
    out[changes] = (frames[changes] * field).clamp(0, 1)
    return out


def motion_blur(frames: Tensor, kernels: Tensor) -> Tensor:
    """Frames N×3×H×W, each with its own kernel, N×k×k."""
    middle = kernels.shape[-1] // 2
    # A kernel of length 1 has everything in its middle tap and changes nothing.
    blurs = kernels[:, middle, middle] < 1 - 1e-4
    if not blurs.any():
        return frames
    sharp = frames[blurs]
    count, channels = sharp.shape[:2]
    # One grouped convolution: all channels of all frames are channels of one image, N·3×H×W.
    weight = kernels[blurs].repeat_interleave(channels, 0)[:, None]
    padded = F.pad(sharp, (middle,) * 4, mode="reflect").flatten(0, 1)[None]
    blurred = F.conv2d(padded, weight, groups=count * channels)[0]
    out = frames.clone()
    out[blurs] = blurred.unflatten(0, (count, channels)).clamp(0, 1)
    return out


def lower_resolution(frames: Tensor, reduction: Tensor) -> Tensor:
    """Frames N×3×S×S as if enlarged from frames smaller by the factors `reduction`, N."""
    out = frames
    for factor in reduction[reduction > 1].unique().tolist():
        rows = reduction == factor
        small = (max(8, round(frames.shape[-2] / factor)), max(8, round(frames.shape[-1] / factor)))
        # Antialiased down as a camera would, bicubic up as a player would: nearest would leave
        # blocks that no video has.
        reduced = F.interpolate(frames[rows], small, mode="bilinear", antialias=True)
        enlarged = F.interpolate(reduced, frames.shape[-2:], mode="bicubic").clamp(0, 1)
        out = out.clone()
        out[rows] = enlarged
    return out


def jpeg_noise(frames: Tensor, quality: Tensor) -> Tensor:
    """Frames N×3×H×W, 0..1, sides multiples of 8, as after JPEG of the qualities N int.

    The discrete cosine transform of 8×8 blocks is quantised and inverted, chrominance at full size.
    """
    damaged = quality < NO_JPEG
    if not damaged.any():
        return frames
    device = frames.device
    colour = torch.tensor(TO_YCBCR, device=device)
    ycc = torch.einsum("kc,nchw->nkhw", colour, frames[damaged] * 255)
    ycc[:, 0] -= 128  # luminance around 0, as chrominance is
    q = quality[damaged].float()
    factor = torch.where(q < 50, 50 / q, 2 - q / 50)  # the scaling of libjpeg's quality
    tables = torch.tensor(
        [LUMINANCE_STEPS, CHROMINANCE_STEPS, CHROMINANCE_STEPS], device=device, dtype=torch.float32
    )
    # N×3×8×8; libjpeg rounds the scaled steps to whole numbers that fit in a byte, never 0.
    steps = (tables[None] * factor[:, None, None, None]).round().clamp(1, 255)
    dct = _cosines().to(device)
    height, width = ycc.shape[-2:]
    # N×3×H×W -> N×3×H/8×8×W/8×8 -> N×3×H/8×W/8×8×8, so that matrix products act on blocks.
    blocks = ycc.unflatten(3, (width // BLOCK, BLOCK)).unflatten(2, (height // BLOCK, BLOCK))
    blocks = blocks.transpose(3, 4)
    coefficients = dct @ blocks @ dct.T
    steps = steps[:, :, None, None]  # N×3×1×1×8×8
    restored = dct.T @ ((coefficients / steps).round() * steps) @ dct
    # Blocks back to pictures: N×3×H/8×8×W/8×8 -> N×3×H×W.
    restored = restored.transpose(3, 4).flatten(4, 5).flatten(2, 3)
    restored[:, 0] += 128
    rgb = torch.einsum("ck,nkhw->nchw", torch.linalg.inv(colour), restored) / 255
    out = frames.clone()
    out[damaged] = rgb.clamp(0, 1)
    return out


@lru_cache(maxsize=1)
def _cosines() -> Tensor:
    """The orthonormal 8×8 DCT-II matrix."""
    k = np.arange(BLOCK)
    matrix = np.cos(np.pi * (2 * k[None] + 1) * k[:, None] / (2 * BLOCK)) * np.sqrt(2 / BLOCK)
    # The constant row has twice the energy of the others; without this dct.T would not invert dct.
    matrix[0] /= np.sqrt(2)
    return torch.from_numpy(matrix.astype(np.float32))
