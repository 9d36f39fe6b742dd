"""Evaluation of markers by simulated clicks: the IoU after each of them."""

import time
from dataclasses import dataclass

import numpy as np

from rotomask.arrays import Frame
from rotomask.evaluation.measures.clicks import MOST_CLICKS
from rotomask.evaluation.measures.region import region_similarity
from rotomask.evaluation.robot import ClickRobot
from rotomask.prompts.kinds import Prompt, RoughMask
from rotomask.prompts.marker import Marker
from rotomask.prompts.regions import BoolMask


@dataclass(frozen=True, kw_only=True)
class ClickCurve:
    """Result of clicking one object in one image."""

    ious: tuple[float, ...]
    """IoU after each click."""
    open_s: float
    """Time to open the image, seconds."""
    click_s: tuple[float, ...]
    """Time to compute the mask after each click, seconds."""


def click_image(
    marker: Marker,
    frame: Frame,
    truth: BoolMask,
    void: BoolMask | None = None,
    *,
    most: int = MOST_CLICKS,
    target: float = 1.01,
    least: int = 0,
    start: BoolMask | None = None,
) -> ClickCurve:
    """Click an object until its mask is good enough, or the clicks are used up.

    Args:
        marker: Marker to evaluate; it opens the frame.
        frame: H×W×3 uint8 RGB.
        truth: The object, H×W bool.
        void: Pixels that are not scored; None: none.
        most: Maximum number of clicks.
        target: IoU at which clicking ends; above 1: only when no pixel is wrong.
        least: Minimum number of clicks before `target` ends it.
        start: A rough mask, H×W bool, that the clicks improve; None or empty: none.
    """
    began = time.perf_counter()
    marker.open(frame)
    # Apart from the clicks: a user waits for it once, before the first.
    open_s = time.perf_counter() - began
    robot, predicted = ClickRobot(truth, void), np.zeros(truth.shape, bool)
    prompts: list[Prompt] = []
    if start is not None and start.any():
        predicted = start
        prompts.append(RoughMask(start))
    ious: list[float] = []
    seconds: list[float] = []
    while len(ious) < most and (len(ious) < max(1, least) or ious[-1] < target):
        click = robot.click(predicted)
        if click is None:
            break
        prompts.append(click)
        began = time.perf_counter()
        # All clicks so far at once, as the mask is a function of the list of prompts; row 1 is the
        # object, row 0 the background.
        predicted = marker.mask(prompts)[1] > 0.5
        seconds.append(time.perf_counter() - began)
        ious.append(region_similarity(predicted, truth, void))
    return ClickCurve(ious=tuple(ious), open_s=open_s, click_s=tuple(seconds))
