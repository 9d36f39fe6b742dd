"""Motion saliency: how unlike the background each seed's region moves (sec. 3.3)."""

import numpy as np
import numpy.typing as npt

from rotomask.flow.optical_flow import Flow
from rotomask.unsupervised.graph import Indices, Values


def least_objectlike(objectness: Values, count: int) -> Indices:
    """The seeds with the lowest objectness: the initial background. One seed at least is not.

    Args:
        objectness: Of n seeds.
        count: How many at most.
    """
    count = max(0, min(count, len(objectness) - 1))
    return np.argsort(objectness, kind="stable")[:count]


def region_flows(flow: Flow, regions: npt.NDArray[np.intp], count: int) -> Values:
    """Mean flow of each region, count×2, px; 0 for a region without a pixel.

    Args:
        flow: h×w×2, at the size of the regions.
        regions: h×w, 0..count-1.
        count: How many regions there are.
    """
    index = regions.ravel()
    size = np.maximum(np.bincount(index, minlength=count), 1)
    sums = [np.bincount(index, flow[..., k].ravel(), minlength=count) for k in (0, 1)]
    means: Values = (np.stack(sums, axis=1) / size[:, None]).astype(np.float32)
    return means


def motion_saliency(flows: Values, background: Indices, *, still_px: float) -> Values | None:
    """Distance of each seed's flow to the nearest background seed's, the largest being 1 (eq. 8).

    Args:
        flows: n×2, px.
        background: The background seeds, one at least.
        still_px: Where nothing moves more than this against the background, motion says nothing:
            the error of the flow would be taken for it.

    Returns:
        n values, 0 to 1; None where nothing moves.
    """
    steps = flows[:, None] - flows[background][None]
    distance: Values = np.sqrt(np.square(steps).sum(-1)).min(1)
    largest = float(distance.max())
    return distance / largest if largest > still_px else None
