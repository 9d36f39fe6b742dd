"""Edge maps made thin: only the ridge of every edge is left."""

import cv2
import numpy as np
import numpy.typing as npt

from rotomask.errors import ShapeError

SMOOTHING_PX = 2.0
"""Of the map whose second derivatives give an edge's direction."""


def thin_edges(edges: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Non-maximum suppression across the edges (Canny 1986; as HED and its forerunners do it).

    The direction across an edge is where the smoothed map bends down most: the eigenvector of its
    Hessian with the lowest eigenvalue. A pixel stays if it is not below the two points at 1 px from
    it that way, read bilinearly, and the map bends down there on the whole (a flank does not).

    Args:
        edges: H×W, 0..1.

    Returns:
        H×W float32: the same values on the ridges, 0 elsewhere.

    Raises:
        ShapeError: If it is not H×W.
    """
    if edges.ndim != 2:
        raise ShapeError(f"an edge map is H×W, got {edges.shape}")
    edges = edges.astype(np.float32)
    smooth = cv2.GaussianBlur(edges, (0, 0), SMOOTHING_PX)
    xx = cv2.Sobel(smooth, cv2.CV_32F, 2, 0, ksize=3)
    yy = cv2.Sobel(smooth, cv2.CV_32F, 0, 2, ksize=3)
    xy = cv2.Sobel(smooth, cv2.CV_32F, 1, 1, ksize=3)
    # Of [[xx, xy], [xy, yy]]: the axis of the highest eigenvalue is at half the angle of
    # (xx - yy, 2xy); that of the lowest is across it.
    angle = 0.5 * np.arctan2(2 * xy, xx - yy) + np.pi / 2
    across, down = np.cos(angle), np.sin(angle)
    y, x = np.mgrid[0 : edges.shape[0], 0 : edges.shape[1]].astype(np.float32)
    beside = [
        cv2.remap(
            edges,
            (x + sign * across).astype(np.float32),
            (y + sign * down).astype(np.float32),
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_CONSTANT,
            borderValue=0,
        )
        for sign in (-1.0, 1.0)
    ]
    kept = (edges >= beside[0]) & (edges >= beside[1]) & (xx + yy < 0)
    return np.where(kept, edges, np.float32(0))
