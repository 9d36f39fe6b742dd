"""Edge thinning: non-maximum suppression that leaves only the ridge of every edge."""

import cv2
import numpy as np
import numpy.typing as npt

from rotomask.errors import ShapeError

SMOOTHING_PX = 2.0
"""Standard deviation of the Gaussian under which the second derivatives are taken."""


def thin_edges(edges: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The edge map after non-maximum suppression across the edges (Canny 1986; also HED).

    The direction across an edge is that of the strongest downward curvature: the eigenvector of the
    smoothed map's Hessian with the lowest eigenvalue. A pixel is kept if it is not below the two
    points 1 px away in that direction, sampled bilinearly, and the Laplacian is negative, which
    excludes the flanks of an edge.

    Args:
        edges: H×W, 0..1.

    Returns:
        H×W float32: unchanged values on the ridges, 0 elsewhere.

    Raises:
        ShapeError: If the map is not H×W.
    """
    if edges.ndim != 2:
        raise ShapeError(f"an edge map must be H×W, got {edges.shape}")
    edges = edges.astype(np.float32)
    smooth = cv2.GaussianBlur(edges, (0, 0), SMOOTHING_PX)
    xx = cv2.Sobel(smooth, cv2.CV_32F, 2, 0, ksize=3)
    yy = cv2.Sobel(smooth, cv2.CV_32F, 0, 2, ksize=3)
    xy = cv2.Sobel(smooth, cv2.CV_32F, 1, 1, ksize=3)
    # The Hessian is [[xx, xy], [xy, yy]]. The eigenvector of its highest eigenvalue has half the
    # angle of (xx - yy, 2xy); that of the lowest is perpendicular to it.
    angle = 0.5 * np.arctan2(2 * xy, xx - yy) + np.pi / 2
    # A unit step across the edge, H×W each.
    dx, dy = np.cos(angle), np.sin(angle)
    y, x = np.mgrid[0 : edges.shape[0], 0 : edges.shape[1]].astype(np.float32)
    neighbours = [
        cv2.remap(
            edges,
            (x + sign * dx).astype(np.float32),
            (y + sign * dy).astype(np.float32),
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_CONSTANT,
            borderValue=0,
        )
        for sign in (-1.0, 1.0)
    ]
    is_ridge = (edges >= neighbours[0]) & (edges >= neighbours[1]) & (xx + yy < 0)
    return np.where(is_ridge, edges, np.float32(0))
