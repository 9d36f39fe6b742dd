"""The camera's motion between any two frames: homographies of the background, and what is left."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt

from rotomask.effects.reader import Recent

if TYPE_CHECKING:
    from rotomask.effects.scene import Scene
from rotomask.matting import fill_smoothly

Pixels = npt.NDArray[np.uint8]
Array = npt.NDArray[np.float32]
Homography = npt.NDArray[np.float64]
"""3×3, from pixels of one frame to those of another."""
Bool = npt.NDArray[np.bool_]

MOST_FEATURES = 900
MATCHING_WIDTH = 480
"""Width at which features are looked for, px."""
FEWEST_INLIERS = 14
INLIER_PX = 2.5
RATIO = 0.8
"""Lowe's ratio: how much nearer the best match must be than the second."""
FLOW_WIDTH = 480
"""Width at which the rest of the motion is estimated, px."""
LARGEST_REST = 0.06
"""Largest motion that a homography leaves, as a part of the width."""

_KEPT_FEATURES = 256
MOST_HOMOGRAPHIES = 20_000
"""Homographies in memory, 2 MB."""


class Alignment:
    """Homographies between the backgrounds of a scene's frames, at the scene's size."""

    def __init__(self, scene: "Scene") -> None:
        self._scene = scene
        self._features: Recent[tuple[Array, Array]] = Recent(_KEPT_FEATURES)
        self._homographies: dict[tuple[int, int], Homography] = {}
        self._detail: dict[int, float] = {}

    def homography(self, source: int, target: int) -> Homography:
        """Where points of a source frame are in a target frame.

        Features of the background are matched (SIFT, Lowe 2004; MAGSAC++, Barath et al. 2020).
        Frames that share too little are linked through the frames between; where nothing matches,
        the camera is taken for still.
        """
        if source == target:
            return np.eye(3)
        if source > target:  # always found in one direction, whatever was asked for first
            inverse = np.linalg.inv(self.homography(target, source))
            return _unit(np.asarray(inverse, np.float64))
        homography = self._homographies.get((source, target))
        if homography is None:
            direct = self._direct(source, target)
            middle = (source + target) // 2
            if direct is not None:
                homography = direct
            elif middle in (source, target):
                homography = np.eye(3)
            else:
                # By halves: log2 of the distance many links at most, so that errors add up as
                # little as can be, and each half is stored for the next pair.
                homography = self.homography(middle, target) @ self.homography(source, middle)
            homography = _unit(homography)
            # All at once: they are found again quickly, and an order of use would cost more than it
            # saves.
            if len(self._homographies) >= MOST_HOMOGRAPHIES:
                self._homographies.clear()
            self._homographies[source, target] = homography
        return homography

    def detail(self, index: int) -> float:
        """How sharp the background of a frame is: mean difference of neighbouring pixels, 0-255.

        Frames of a swinging camera have little. It compares frames of one shot only.
        """
        if index not in self._detail:
            image = self._scene.frame(index).image
            luma = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
            free = ~self._scene.mask(index, selected=False)
            # Differences to the left and the upper neighbour, (H-1)×(W-1), of the pixels that have
            # both.
            steps = np.abs(np.diff(luma, axis=1))[1:] + np.abs(np.diff(luma, axis=0))[:, 1:]
            inner = free[1:, 1:]
            self._detail[index] = float(steps[inner].mean()) if inner.any() else 0.0
        return self._detail[index]

    def _direct(self, source: int, target: int) -> Homography | None:
        """The homography by features in both frames; None if too few match."""
        points, descriptors = self._features_of(source)
        others, other_descriptors = self._features_of(target)
        if len(points) < FEWEST_INLIERS or len(others) < FEWEST_INLIERS:
            return None
        pairs = cv2.BFMatcher(cv2.NORM_L2).knnMatch(descriptors, other_descriptors, k=2)
        good = [p[0] for p in pairs if len(p) == 2 and p[0].distance < RATIO * p[1].distance]
        if len(good) < FEWEST_INLIERS:
            return None
        here = points[[m.queryIdx for m in good]]
        there = others[[m.trainIdx for m in good]]
        # MAGSAC draws samples: a resumed job has to find the same homography.
        cv2.setRNGSeed(0)
        homography, inliers = cv2.findHomography(
            here, there, cv2.USAC_MAGSAC, INLIER_PX, maxIters=2000
        )
        if homography is None or int(inliers.sum()) < max(FEWEST_INLIERS, 0.2 * len(good)):
            return None
        height, width = self._scene.size
        # A match by features alone may be a mirror image or a fold; `is_plausible` says which are
        # not.
        made = np.asarray(homography, np.float64)
        return made if is_plausible(made, (height, width)) else None

    def _features_of(self, index: int) -> tuple[Array, Array]:
        """Points N×2 in the scene's pixels and descriptors N×128 of a frame's background."""
        features = self._features.get(index)
        if features is not None:
            return features
        image = self._scene.frame(index).image
        height, width = self._scene.size
        factor = min(1.0, MATCHING_WIDTH / width)
        size = (max(1, round(width * factor)), max(1, round(height * factor)))
        small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        objects = self._scene.mask(index, selected=False).astype(np.uint8)
        # Features reach a few pixels around their point: none may see the edge of an object.
        grown = cv2.dilate(objects, np.ones((9, 9), np.uint8))
        free = (cv2.resize(grown, size, interpolation=cv2.INTER_NEAREST) == 0).astype(np.uint8)
        sift = cv2.SIFT.create(nfeatures=MOST_FEATURES, contrastThreshold=0.02)
        keypoints, descriptors = sift.detectAndCompute(
            cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), free * 255
        )
        if not keypoints or descriptors is None:
            made = (np.empty((0, 2), np.float32), np.empty((0, 128), np.float32))
        else:
            # Back to the scene's pixels, so that the size at which features are found does not
            # matter.
            points = np.array([k.pt for k in keypoints], np.float32) / np.float32(factor)
            made = (points, np.asarray(descriptors, np.float32))
        self._features.add(index, made)
        return made


def _unit(homography: Homography) -> Homography:
    """The same homography with 1 at the lower right."""
    scaled: Homography = homography / homography[2, 2]
    return scaled


def is_plausible(homography: Homography, size: tuple[int, int]) -> bool:
    """Whether a camera can have moved so between two frames of a shot.

    The frame's corners must keep their order, and its area change by less than a factor of four.

    Args:
        homography: 3×3.
        size: Height and width, px.
    """
    height, width = size
    corners = np.array([[[0, 0], [width, 0], [width, height], [0, height]]], np.float64)
    # Third homogeneous coordinate of each corner, 4: a change of sign means that the horizon of the
    # map runs through the frame.
    depth = np.concatenate([corners[0], np.ones((4, 1))], axis=1) @ homography[2]
    if (depth * np.sign(depth[0]) <= 1e-6).any():
        return False
    moved = cv2.perspectiveTransform(corners, homography)[0].astype(np.float32)
    area = cv2.contourArea(moved, oriented=True) / (height * width)
    return bool(0.25 < area < 4 and cv2.isContourConvex(moved))


def sampling_map(homography: Homography, size: tuple[int, int]) -> Array:
    """For each pixel of a target frame the point of the source that is seen there: H×W×2, px.

    Args:
        homography: From source to target.
        size: Height and width of the target.
    """
    height, width = size
    x, y = np.meshgrid(np.arange(width, dtype=np.float64), np.arange(height, dtype=np.float64))
    # Backwards, as every sampler needs it: for each target pixel where it comes from.
    a = np.linalg.inv(homography)
    depth = a[2, 0] * x + a[2, 1] * y + a[2, 2]
    # Points at infinity become very far ones, which `is_inside` rejects, rather than NaN.
    depth = np.where(np.abs(depth) < 1e-9, 1e-9, depth)
    columns = (a[0, 0] * x + a[0, 1] * y + a[0, 2]) / depth
    rows = (a[1, 0] * x + a[1, 1] * y + a[1, 2]) / depth
    return np.dstack([columns, rows]).astype(np.float32)


def sample(picture: npt.NDArray[np.generic], points: Array, *, linear: bool = False) -> Array:
    """A picture at the points of a `sampling_map`, float32; its border continues outwards."""
    way = cv2.INTER_LINEAR if linear else cv2.INTER_CUBIC
    x, y = np.ascontiguousarray(points[..., 0]), np.ascontiguousarray(points[..., 1])
    floats = picture.astype(np.float32)
    sampled = cv2.remap(floats, x, y, way, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(sampled, np.float32)


def is_inside(points: Array, size: tuple[int, int]) -> Bool:
    """The points of a `sampling_map` that lie in the source's frame, H×W."""
    height, width = size
    x, y = points[..., 0], points[..., 1]
    inside: Bool = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    return inside


def refine_map(
    target: Pixels, source: Pixels, points: Array, trust_at: Callable[[Array], Bool]
) -> Array:
    """A `sampling_map` corrected by the motion that the homography leaves (parallax): H×W×2, px.

    Dense flow (DIS, Kroeger et al. 2016) between the target and the source as sampled so far,
    where both show the background; elsewhere the flow continues smoothly.

    Args:
        target: H×W×3 uint8.
        source: H×W×3 uint8.
        points: H×W×2.
        trust_at: Gives the pixels H×W at which flow can be trusted, for sampling points.
    """
    height, width = target.shape[:2]
    # The source is brought to the target first: what is left is small, and flow finds small motion
    # best.
    warped = sample(source, points, linear=True).clip(0, 255).astype(np.uint8)
    trusted = trust_at(points)
    factor = min(1.0, FLOW_WIDTH / width)
    size = (max(16, round(width * factor)), max(16, round(height * factor)))
    area = cv2.INTER_AREA
    here = cv2.cvtColor(cv2.resize(target, size, interpolation=area), cv2.COLOR_RGB2GRAY)
    there = cv2.cvtColor(cv2.resize(warped, size, interpolation=area), cv2.COLOR_RGB2GRAY)
    estimator = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    nothing = np.zeros((*here.shape[:2], 2), np.float32)
    flow = np.asarray(estimator.calc(here, there, nothing), np.float32)  # h×w×2, small pixels
    trust = cv2.resize(trusted.astype(np.float32), size, interpolation=area)
    # The windows of the flow mix both sides of an edge: keep away from what is not known.
    weight = (cv2.erode(trust, np.ones((9, 9), np.uint8)) > 0.99).astype(np.float32)
    limit = LARGEST_REST * size[0]
    weight *= (np.hypot(flow[..., 0], flow[..., 1]) < limit).astype(np.float32)
    smooth = fill_smoothly(flow, weight)
    smooth = np.asarray(cv2.GaussianBlur(smooth, (0, 0), 3), np.float32)
    # Flow is in pixels of the small pictures: its values are scaled as well as its grid.
    scale = np.array([width / size[0], height / size[1]], np.float32)
    rest = cv2.resize(smooth, (width, height), interpolation=cv2.INTER_LINEAR) * scale
    # points + Jacobian·rest would be exact; for small rests looking the map up is as good.
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    return sample(points, np.asarray(np.dstack([x, y]) + rest, np.float32), linear=True)
