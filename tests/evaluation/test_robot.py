"""The simulated user's clicks: golden cases of RITM's rule, and a slow, obvious version of it."""

import cv2
import numpy as np
import pytest

from rotomask.arrays import Frame
from rotomask.errors import OptionError
from rotomask.evaluation.clicking import click_image
from rotomask.evaluation.measures.clicks import click_scores, number_of_clicks
from rotomask.evaluation.robot import (
    CLICKS_FIRST,
    ClickRobot,
    StrokeRobot,
    error_click,
    error_strokes,
    region_strokes,
)
from rotomask.evaluation.skeleton import longest_paths, smooth_path, thin_region
from rotomask.prompts import Click, Marker, Prompt, RoughMask, Scribble
from rotomask.prompts.drawing import View, draw_all


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
    with pytest.raises(OptionError, match="click scores need one list of IoUs per image"):
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


def test_clicks_go_on_from_a_rough_mask():
    truth = np.zeros((60, 60), bool)
    truth[10:30, 10:30] = truth[40:55, 40:55] = True
    start = truth.copy()
    start[40:55] = False

    class FromRoughMask(Disks):
        def object_probability(self, prompts: tuple[Prompt, ...]):
            drawn = [p.mask for p in prompts if isinstance(p, RoughMask)]
            return np.maximum(super().object_probability(prompts), np.any(drawn, axis=0))

    frame = np.zeros((60, 60, 3), np.uint8)
    curve = click_image(FromRoughMask(), frame, truth, most=1, start=start)
    assert curve.ious[0] > 0.85  # 0.64 before the click in the square that is missing
    assert click_image(Disks(), frame, truth, most=3, start=truth).ious == ()
    without = click_image(Disks(), frame, truth, most=1)
    assert click_image(Disks(), frame, truth, most=1, start=start & False).ious == without.ious


def test_the_robot_brushes_what_is_long_and_thin():
    truth = np.zeros((80, 120), bool)
    truth[30:60, 10:40] = True
    truth[44:47, 40:110] = True  # a rope, 3 px wide
    body = truth.copy()
    body[:, 40:] = False
    robot = StrokeRobot(truth)
    assert all(isinstance(robot.prompt(np.zeros_like(truth)), Click) for _ in range(CLICKS_FIRST))
    stroke = robot.prompt(body)
    assert isinstance(stroke, Scribble)
    assert (stroke.positive, stroke.exact) == (True, True)
    drawn = draw_all([stroke], View.whole(truth.shape)) > 0
    assert (drawn & ~truth).sum() < 0.05 * drawn.sum()  # its end is round
    assert (drawn & truth)[:, 44:].sum() > 0.9 * truth[:, 44:].sum()
    # A superfluous rope is brushed away; an outline that is a little off is left to clicks.
    robot_of_body = StrokeRobot(body)
    for _ in range(CLICKS_FIRST):
        robot_of_body.prompt(np.zeros_like(truth))
    removed = robot_of_body.prompt(truth)
    assert isinstance(removed, Scribble)
    assert not removed.positive
    grown = cv2.dilate(truth.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    assert isinstance(robot.prompt(grown), Click)


def slow_thinning(region):
    """Zhang and Suen's two half-steps as their paper lists them, pixel by pixel."""
    x = np.pad(region, 1)
    ring = ((-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1))
    while True:
        removed = 0
        for first in (True, False):
            gone = []
            for i, j in np.argwhere(x):
                p = [bool(x[i + di, j + dj]) for di, dj in ring]
                changes = sum(not a and b for a, b in zip(p, [*p[1:], p[0]], strict=True))
                north, east, south, west = p[0], p[2], p[4], p[6]
                sides = (
                    not (north and east and south) and not (east and south and west)
                    if first
                    else not (north and east and west) and not (north and south and west)
                )
                if 2 <= sum(p) <= 6 and changes == 1 and sides:
                    gone.append((i, j))
            for place in gone:
                x[place] = False
            removed += len(gone)
        if not removed:
            return x[1:-1, 1:-1]


def test_a_skeleton_agrees_with_a_slow_version():
    rng = np.random.default_rng(2)
    for _ in range(5):
        region = np.zeros((40, 50), bool)
        for _ in range(4):
            y, x, h, w = rng.integers(0, 30), rng.integers(0, 40), *rng.integers(3, 15, 2)
            region[y : y + h, x : x + w] = True
        skeleton = thin_region(region)
        np.testing.assert_array_equal(skeleton, slow_thinning(region))
        parts = [cv2.connectedComponents(m.astype(np.uint8))[0] for m in (region, skeleton)]
        assert parts[0] == parts[1]


def test_the_longest_path_goes_from_end_to_end():
    skeleton = np.zeros((9, 20), bool)
    skeleton[4, 1:18] = True
    skeleton[2:4, 9] = True  # a short branch
    (path,) = longest_paths(skeleton, 4)
    assert {path[0], path[-1]} == {(1, 4), (17, 4)}
    assert len(path) == 17
    assert longest_paths(skeleton, 40) == []


def test_a_bezier_curve_agrees_with_de_casteljau():
    path = [(0, 0), (4, 1), (6, 7), (2, 9), (8, 12)]
    curve = smooth_path(path, samples=11)
    for t, point in zip(np.linspace(0, 1, 11), curve, strict=True):
        points = np.array(path, float)
        while len(points) > 1:
            points = (1 - t) * points[:-1] + t * points[1:]
        np.testing.assert_allclose(point, points[0], atol=1e-9)
    long = [(x, 0) for x in range(900)]
    assert np.isfinite(smooth_path(long)).all()


def test_strokes_are_in_the_errors_and_have_their_sign():
    truth, predicted = np.zeros((60, 80), int), np.zeros((60, 80), int)
    truth[10:30, 5:40] = 2
    predicted[40:55, 10:70] = 2
    strokes = error_strokes(truth, predicted, [2])
    assert [(s.object_id, s.positive) for s in strokes] == [(2, True), (2, False)]
    for x, y in strokes[0].points:
        assert truth[int(y), int(x)] == 2
    for x, y in strokes[1].points:
        assert predicted[int(y), int(x)] == 2
    assert error_strokes(truth, truth, [2]) == []


def test_what_is_too_small_gets_no_stroke():
    region = np.zeros((20, 20), bool)
    region[5, 5:7] = True
    assert region_strokes(region) == []
    assert region_strokes(region & False) == []
