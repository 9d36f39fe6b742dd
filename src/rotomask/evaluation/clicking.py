"""A marker worked by the simulated user: the IoU after each of its clicks."""

import time
from dataclasses import dataclass

import numpy as np

from rotomask.arrays import Frame
from rotomask.evaluation.measures.clicks import MOST_CLICKS
from rotomask.evaluation.measures.region import region_similarity
from rotomask.evaluation.robot import ClickRobot
from rotomask.prompts.kinds import Prompt
from rotomask.prompts.marker import Marker
from rotomask.prompts.regions import BoolMask


@dataclass(frozen=True, kw_only=True)
class ClickCurve:
    """One image clicked."""

    ious: tuple[float, ...]
    """After each click."""
    open_s: float
    """Time to open the image."""
    click_s: tuple[float, ...]
    """Time of the mask after each click."""


def click_image(
    marker: Marker,
    frame: Frame,
    truth: BoolMask,
    void: BoolMask | None = None,
    *,
    most: int = MOST_CLICKS,
    target: float = 1.01,
    least: int = 0,
) -> ClickCurve:
    """Click an object until the mask is good, or no click is left.

    Args:
        marker: Any; the frame is opened in it.
        frame: H×W×3 uint8 RGB.
        truth: The object, H×W bool.
        void: Pixels that count for nothing; None: none.
        most: Clicks at most.
        target: IoU at which it ends; above 1: only when nothing is wrong any more.
        least: Clicks before it may end so.
    """
    began = time.perf_counter()
    marker.open(frame)
    open_s = time.perf_counter() - began
    robot, predicted = ClickRobot(truth, void), np.zeros(truth.shape, bool)
    prompts: list[Prompt] = []
    ious: list[float] = []
    seconds: list[float] = []
    while len(ious) < most and (len(ious) < max(1, least) or ious[-1] < target):
        click = robot.click(predicted)
        if click is None:
            break
        prompts.append(click)
        began = time.perf_counter()
        predicted = marker.mask(prompts)[1] > 0.5
        seconds.append(time.perf_counter() - began)
        ious.append(region_similarity(predicted, truth, void))
    return ClickCurve(ious=tuple(ious), open_s=open_s, click_s=tuple(seconds))
