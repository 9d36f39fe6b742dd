"""Camera motion: a homography fitted to the flow, and the flow with it subtracted."""

import cv2
import numpy as np
import numpy.typing as npt

from rotomask.flow.optical_flow import Flow

GRID_PX = 8
"""Spacing of the flow vectors to which the homography is fitted, px."""
INLIER_PX = 1.0
"""Largest error of an inlier, px."""
FEWEST_POINTS = 12
"""Fewest vectors for a fit; a smaller frame gets the identity."""


def camera_motion(flow: Flow) -> npt.NDArray[np.float64]:
    """The dominant homography of the flow: the motion of a rotating, zooming camera.

    Fitted by RANSAC with a fixed seed, so that the result is deterministic.

    Args:
        flow: H×W×2, px.

    Returns:
        3×3 float64, from the first frame to the second; the identity if the fit fails.
    """
    height, width = flow.shape[:2]
    # Some thousand vectors are enough for eight unknowns; RANSAC's time grows with all of them.
    y, x = np.mgrid[GRID_PX // 2 : height : GRID_PX, GRID_PX // 2 : width : GRID_PX]
    points = np.stack([x.ravel(), y.ravel()], axis=1).astype(np.float32)
    if len(points) < FEWEST_POINTS:
        return np.eye(3)
    targets = points + flow[y.ravel(), x.ravel()]
    cv2.setRNGSeed(0)
    homography, _ = cv2.findHomography(points, targets, cv2.RANSAC, INLIER_PX, maxIters=500)
    if homography is None or not np.isfinite(homography).all():
        return np.eye(3)
    return np.asarray(homography, np.float64)


def camera_flow(homography: npt.NDArray[np.float64], size: tuple[int, int]) -> Flow:
    """The flow of a static scene under a homography: H×W×2 float32, px.

    Args:
        homography: 3×3, from the first frame to the second.
        size: Height and width of the frame, px.
    """
    height, width = size
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    points = np.stack([x, y, np.ones_like(x)], axis=-1) @ homography.T  # homogeneous, H×W×3
    # A point at infinity has depth 0; keep its flow finite.
    depth = np.where(np.abs(points[..., 2]) < 1e-9, 1e-9, points[..., 2])
    flow: Flow = (points[..., :2] / depth[..., None] - np.stack([x, y], axis=-1)).astype(np.float32)
    return flow


def stabilise(flow: Flow) -> Flow:
    """The flow minus the camera's flow, H×W×2, px: about zero where the scene is static."""
    return flow - camera_flow(camera_motion(flow), (flow.shape[0], flow.shape[1]))
