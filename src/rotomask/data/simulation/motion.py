"""Motion of a layer through a clip: smooth affine paths and thin-plate bending."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rotomask.data.simulation.courses import Course, stays
from rotomask.data.simulation.thin_plate import CONTROL_POINTS

Array = npt.NDArray[np.float32]
Point = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class MotionConfig:
    """Amount of motion from one frame of a clip to the next.

    1 is about what a hand-held clip shows in a quarter of a second.
    """

    strength: float = 1.0
    """Factor of travel, rotation, scale and shear."""
    bending: float = 1.0
    """Factor of the thin-plate deformation."""
    leaving: float = 0.12
    """Part of the cut-out objects that leave the frame in mid-clip and come back."""


@dataclass(frozen=True)
class Path:
    """Where a layer is in each frame of a clip."""

    matrix: Array
    """T×2×3, output (x, y, 1) -> source (x, y), px."""
    bending: Array
    """T×P×2, displacement of the thin plate's control points, output px."""

    def source_points(self, t: int, points: Point) -> Point:
        """Output points N×2 -> source points N×2 at frame t, without the bending."""
        return points @ self.matrix[t, :, :2].T + self.matrix[t, :, 2]

    def output_points(self, t: int, points: Point) -> Point:
        """Source points N×2 -> output points N×2 at frame t, without the bending."""
        return (points - self.matrix[t, :, 2]) @ np.linalg.inv(self.matrix[t, :, :2]).T


def affine(
    source_centre: Point,
    output_centre: Point,
    *,
    scale: float,
    rotation_rad: float,
    shear: float,
    flip: bool,
) -> Array:
    """The 2×3 map from output to source pixels.

    The source, scaled by `scale`, turned and sheared, has its point `source_centre` at
    `output_centre`.
    """
    cos, sin = np.cos(rotation_rad), np.sin(rotation_rad)
    # Source -> output: rotation · shear · scale; the first column mirrors x before all of it.
    forward = np.array([[cos, -sin], [sin, cos]]) @ np.array([[1, shear], [0, 1]]) * scale
    if flip:
        forward[:, 0] *= -1
    inverse = np.linalg.inv(forward)
    shift = np.asarray(source_centre) - inverse @ np.asarray(output_centre)
    return np.concatenate([inverse, shift[:, None]], axis=1).astype(np.float32)


def still_path(
    source_centre: Point, size: int, frames: int, *, scale: float, rng: np.random.Generator
) -> Path:
    """One crop for all frames of a real clip: turned and sheared a little, mirrored at times."""
    matrix = affine(
        source_centre,
        np.array([size / 2, size / 2]),
        scale=scale,
        rotation_rad=float(rng.normal(0, 0.1)),
        shear=float(rng.normal(0, 0.05)),
        flip=bool(rng.random() < 0.5),
    )
    bending = np.zeros((frames, CONTROL_POINTS, 2), np.float32)
    return Path(np.repeat(matrix[None], frames, 0), bending)


def moving_path(
    source_centre: Point,
    output_centre: Point,
    size: int,
    frames: int,
    *,
    scale: float,
    config: MotionConfig,
    rng: np.random.Generator,
    can_leave: bool,
    course: Course | None = None,
    stays_inside: bool = False,
) -> Path:
    """A start, a velocity that persists, and a little noise in each frame.

    Args:
        source_centre: One point, or T×2: one of each frame's picture.
        output_centre: Where it is in the first frame.
        size: Side of the frames, px.
        frames: T.
        scale: Magnification in the first frame.
        config: How much it moves.
        rng: Every random choice.
        can_leave: Whether it may leave the frame and come back, as often as `config` says.
        course: What it does besides.
        stays_inside: Whether its centre turns back near the edges of the frame.
    """
    course = course or stays(frames)
    sources = np.broadcast_to(source_centre, (frames, 2))
    strength, bend = config.strength, config.bending * size
    # All of these are drawn once for the clip, so that motion persists; only the noise in the loop
    # changes from frame to frame.
    velocity = rng.normal(0, 0.06 * size * strength, 2)
    # Rotation (rad), shear, log of the scale: a sum of drifts is then a product of scales.
    state = np.array([rng.normal(0, 0.25), rng.normal(0, 0.1), np.log(scale)])
    drift = rng.normal(0, 1, 3) * np.array([0.12, 0.05, 0.1]) * strength
    bending = rng.normal(0, 0.02 * bend, (CONTROL_POINTS, 2))
    bend_drift = rng.normal(0, 0.012 * bend, (CONTROL_POINTS, 2))
    flip = bool(rng.random() < 0.5)
    away = np.zeros(2)
    if can_leave and frames > 2 and rng.random() < config.leaving:
        angle = rng.uniform(0, 2 * np.pi)
        away = size * rng.uniform(0.6, 1.1) * np.array([np.cos(angle), np.sin(angle)])
    matrices, bendings, centre = [], [], np.asarray(output_centre, float)
    for t in range(frames):
        # Out and back by the end: away from the start and the end of the clip, half a sine.
        position = centre + away * np.sin(np.pi * t / max(1, frames - 1)) + course.offset[t]
        matrices.append(
            affine(
                sources[t],
                position,
                scale=float(np.exp(state[2] + course.log_scale[t])),
                rotation_rad=float(state[0]),
                shear=float(state[1]),
                flip=flip,
            )
        )
        bendings.append(bending.astype(np.float32))
        centre = centre + velocity + rng.normal(0, 0.02 * size * strength, 2)
        if stays_inside:
            # Near an edge the velocity that leads out is reflected and damped; noise may still
            # cross.
            outward = np.where(centre < 0.2 * size, -1.0, np.where(centre > 0.8 * size, 1.0, 0.0))
            velocity = np.where(outward * velocity > 0, -0.7 * velocity, velocity)
        state = state + drift + rng.normal(0, 0.03 * strength, 3)
        bending = bending + bend_drift + rng.normal(0, 0.003 * bend, (CONTROL_POINTS, 2))
    return Path(np.stack(matrices), np.stack(bendings))
