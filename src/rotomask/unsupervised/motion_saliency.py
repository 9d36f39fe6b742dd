"""Motion saliency: how differently from the background each seed's region moves (sec. 3.3)."""

import numpy as np
import numpy.typing as npt

from rotomask.flow.optical_flow import Flow
from rotomask.unsupervised.graph import Indices, Values


def lowest_objectness(objectness: Values, count: int) -> Indices:
    """Indices of the seeds with the lowest objectness, the initial background.

    Args:
        objectness: Objectness of n seeds.
        count: Number of seeds; at most n - 1 are returned, so that one seed can be foreground.
    """
    count = max(0, min(count, len(objectness) - 1))
    return np.argsort(objectness, kind="stable")[:count]


def region_flows(flow: Flow, regions: npt.NDArray[np.intp], count: int) -> Values:
    """Mean flow of each region, count×2 float32, px; 0 for a region without pixels.

    Args:
        flow: h×w×2, px.
        regions: Region of each pixel, h×w, 0..count-1.
        count: Number of regions.
    """
    # bincount with weights sums by region in one pass.
    index = regions.ravel()
    size = np.maximum(np.bincount(index, minlength=count), 1)
    sums = [np.bincount(index, flow[..., k].ravel(), minlength=count) for k in (0, 1)]
    means: Values = (np.stack(sums, axis=1) / size[:, None]).astype(np.float32)
    return means


def motion_saliency(flows: Values, background: Indices, *, still_px: float) -> Values | None:
    """Motion saliency of n seeds: distance to the most similar background flow, at most 1 (eq. 8).

    Args:
        flows: Mean flow of each seed's region, n×2, px.
        background: Indices of the background seeds, at least one.
        still_px: If no seed moves more than this against the background, there is no saliency; it
            would be noise of the flow.

    Returns:
        n values divided by the largest one, 0 to 1; None if nothing moves.
    """
    differences = flows[:, None] - flows[background][None]  # n×m×2
    distance: Values = np.sqrt(np.square(differences).sum(-1)).min(1)
    largest = float(distance.max())
    return distance / largest if largest > still_px else None
