"""What of the flow is the camera's, and what is left when it is taken away."""

import cv2
import numpy as np
import numpy.typing as npt

from rotomask.flow.optical_flow import Flow

GRID_PX = 8
"""Distance of the flow vectors to which the camera's motion is fitted."""
INLIER_PX = 1.0
"""Error up to which a vector follows the camera."""
FEWEST_POINTS = 12


def camera_motion(flow: Flow) -> npt.NDArray[np.float64]:
    """The homography that most of the flow follows: a turning, zooming camera before a far scene.

    Fitted by RANSAC with a fixed seed: the same flow gives the same answer.

    Args:
        flow: H×W×2, px.

    Returns:
        3×3, from the first frame to the second; the identity where nothing can be fitted.
    """
    height, width = flow.shape[:2]
    y, x = np.mgrid[GRID_PX // 2 : height : GRID_PX, GRID_PX // 2 : width : GRID_PX]
    points = np.stack([x.ravel(), y.ravel()], axis=1).astype(np.float32)
    if len(points) < FEWEST_POINTS:
        return np.eye(3)
    moved = points + flow[y.ravel(), x.ravel()]
    cv2.setRNGSeed(0)
    homography, _ = cv2.findHomography(points, moved, cv2.RANSAC, INLIER_PX, maxIters=500)
    if homography is None or not np.isfinite(homography).all():
        return np.eye(3)
    return np.asarray(homography, np.float64)


def camera_flow(homography: npt.NDArray[np.float64], size: tuple[int, int]) -> Flow:
    """The flow of a scene that follows a homography: H×W×2, px."""
    height, width = size
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    points = np.stack([x, y, np.ones_like(x)], axis=-1) @ homography.T
    depth = np.where(np.abs(points[..., 2]) < 1e-9, 1e-9, points[..., 2])
    flow: Flow = (points[..., :2] / depth[..., None] - np.stack([x, y], axis=-1)).astype(np.float32)
    return flow


def stabilise(flow: Flow) -> Flow:
    """The flow less the camera's: about zero where the scene stands still, H×W×2, px."""
    return flow - camera_flow(camera_motion(flow), (flow.shape[0], flow.shape[1]))
