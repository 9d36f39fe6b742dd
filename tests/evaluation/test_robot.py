"""The simulated user's clicks: golden cases of RITM's rule, and a slow, obvious version of it."""

import numpy as np
import pytest

from rotomask.arrays import Frame
from rotomask.errors import OptionError
from rotomask.evaluation.clicking import click_image
from rotomask.evaluation.measures.clicks import click_scores, number_of_clicks
from rotomask.evaluation.robot import ClickRobot, error_click
from rotomask.prompts import Click, Marker, Prompt


def slow_click(truth, predicted, void=None):
    """For every wrong pixel the distance to the nearest pixel that is not in its region."""
    height, width = truth.shape
    valid = np.ones_like(truth) if void is None else ~void
    best: dict[bool, tuple[float, tuple[int, int] | None]] = {}
    for sign, region in (
        (True, truth & ~predicted & valid),
        (False, ~truth & predicted & valid),
    ):
        padded = np.pad(region, 1)
        outside = np.argwhere(~padded) - 1
        best[sign] = (0.0, None)
        for y in range(height):
            for x in range(width):
                if region[y, x]:
                    d = np.sqrt(((outside - (y, x)) ** 2).sum(1).min())
                    if d > best[sign][0] + 1e-4:
                        best[sign] = (d, (x, y))
    positive = best[True][0] > best[False][0] + 1e-4
    place = best[positive][1]
    return None if place is None else Click(*place, positive)


@pytest.mark.parametrize("seed", range(12))
def test_clicks_agree_with_a_slow_version(seed):
    rng = np.random.default_rng(seed)
    blobs = [np.zeros((23, 31), bool) for _ in range(3)]
    for blob in blobs:
        y, x, h, w = rng.integers(0, 20), rng.integers(0, 25), *rng.integers(2, 14, 2)
        blob[y : y + h, x : x + w] = True
    truth, predicted, void = blobs
    assert error_click(truth, predicted) == slow_click(truth, predicted)
    assert error_click(truth, predicted, void) == slow_click(truth, predicted, void)


def test_the_first_click_is_in_the_thickest_part():
    truth = np.zeros((20, 40), bool)
    truth[2:5, 0:40] = True  # longer, larger, thinner
    truth[9:20, 10:21] = True
    assert error_click(truth, np.zeros_like(truth)) == Click(15, 14)


def test_a_tie_is_clicked_negative():
    truth, predicted = np.zeros((9, 20), bool), np.zeros((9, 20), bool)
    truth[2:7, 2:7], predicted[2:7, 12:17] = True, True
    assert error_click(truth, predicted) == Click(14, 4, positive=False)


def test_of_equal_pixels_the_first_by_rows_is_clicked():
    truth = np.zeros((9, 9), bool)
    truth[2:6, 2:6] = True  # its four middle pixels are equally far inside
    assert error_click(truth, np.zeros_like(truth)) == Click(3, 3)


def test_the_picture_s_border_bounds_regions():
    truth = np.zeros((9, 9), bool)
    truth[:, :5] = True
    assert error_click(truth, np.zeros_like(truth)) == Click(2, 2)


def test_void_is_never_clicked():
    truth, void = np.zeros((9, 9), bool), np.zeros((9, 9), bool)
    truth[1:8, 1:8] = True
    void[1:8, 1:6] = True
    click = error_click(truth, np.zeros_like(truth), void)
    assert click is not None
    assert not void[int(click.y), int(click.x)]


def test_no_error_no_click_and_no_pixel_twice():
    truth = np.zeros((5, 5), bool)
    truth[1, 1] = truth[3, 3] = True
    assert ClickRobot(truth).click(truth) is None
    robot, nothing = ClickRobot(truth), np.zeros_like(truth)
    assert [robot.click(nothing) for _ in range(3)] == [Click(1, 1), Click(3, 3), None]


def test_failures_cost_twenty():
    assert number_of_clicks([0.5] * 30, 0.9) == 20
    assert number_of_clicks([0.5] * 19 + [0.95], 0.9) == 20
    assert number_of_clicks([0.9], 0.9) == 1


def test_scores_are_means_over_images():
    scores = click_scores([[0.5, 0.86, 0.95], [0.4] * 20, [0.92]])
    assert scores.images == 3
    assert scores.noc85 == pytest.approx((2 + 20 + 1) / 3)
    assert scores.noc90 == pytest.approx((3 + 20 + 1) / 3)
    assert (scores.failed85, scores.failed90) == (1, 1)
    assert scores.iou[0] == pytest.approx((0.5 + 0.4 + 0.92) / 3)
    assert scores.iou[19] == pytest.approx((0.95 + 0.4 + 0.92) / 3)
    with pytest.raises(OptionError, match="scores of clicks need images"):
        click_scores([])


class Disks(Marker):
    """A marker whose mask is a disk at every positive click: no network, no luck."""

    def object_probability(self, prompts: tuple[Prompt, ...]):
        frame: Frame = self.frame
        y, x = np.mgrid[: frame.shape[0], : frame.shape[1]]
        mask = np.zeros(frame.shape[:2], np.float32)
        for p in prompts:
            if isinstance(p, Click) and p.positive:
                mask[(y - p.y) ** 2 + (x - p.x) ** 2 <= 100] = 1
        return mask


def test_an_image_is_clicked_until_it_is_good():
    truth = np.zeros((60, 60), bool)
    truth[10:30, 10:30] = truth[40:55, 40:55] = True
    frame = np.zeros((60, 60, 3), np.uint8)
    curve = click_image(Disks(), frame, truth, target=0.8)
    assert curve.ious[0] < 0.6
    assert curve.ious[-1] >= 0.8 or len(curve.ious) == 20
    assert len(curve.click_s) == len(curve.ious)
