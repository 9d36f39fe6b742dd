"""What every marker promises, and what each does on real frames."""

import itertools
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from rotomask.catalog import load_marker
from rotomask.errors import PromptError, ShapeError
from rotomask.evaluation.measures.region import region_similarity
from rotomask.networks.click_lite import ClickLite
from rotomask.networks.precision import Runtime
from rotomask.prompts import (
    Box,
    Click,
    ClickMarker,
    ClickMarkerConfig,
    GrabCutMarker,
    LearningConfig,
    Marker,
    Painted,
    Polygon,
    Prompt,
    RoughMask,
    Scribble,
)
from rotomask.prompts.drawing import View, draw_all
from tests.refine.demo_frames import demo_frame

CPU = Runtime(torch.device("cpu"), "float32")


def make_network():
    """A network of random weights whose outputs depend visibly on its prompts."""
    torch.manual_seed(0)
    network = ClickLite()
    with torch.no_grad():
        network.decoder.predict.weight.mul_(20)
    return network


MARKERS: dict[str, Callable[[], Marker]] = {
    "grabcut": GrabCutMarker,
    "clicks": lambda: ClickMarker(make_network(), ClickMarkerConfig(long_side=128), CPU),
    "learning": lambda: ClickMarker(
        make_network(), ClickMarkerConfig(long_side=128, learning=LearningConfig(steps=2)), CPU
    ),
}


@pytest.fixture(params=MARKERS)
def marker(request):
    return MARKERS[request.param]()


@pytest.fixture(scope="module")
def scene():
    """A textured picture with a bright disk, 90×120, and the disk."""
    rng = np.random.default_rng(3)
    y, x = np.mgrid[:90, :120]
    disk = (y - 45) ** 2 + (x - 50) ** 2 < 24**2
    frame = rng.normal(70, 12, (90, 120, 3)) + 90 * disk[..., None] * (1.0, 0.6, 0.2)
    return np.clip(frame, 0, 255).astype(np.uint8), disk


PROMPTS = (
    Click(50, 45),
    Scribble(((40, 40), (60, 50))),
    Click(110, 80, positive=False),
    Click(100, 10, object_id=2),
    Polygon(((45, 40), (55, 40), (50, 50))),
    Box(20, 15, 60, 60),
)


def test_the_mask_is_a_function_of_the_list(marker: Marker, scene):
    """At once or one by one, after an undo or after another frame: the same bits."""
    frame, _ = scene
    marker.open(frame)
    at_once = marker.mask(PROMPTS)
    marker.open(frame[::-1].copy())
    marker.mask(PROMPTS[:2])
    marker.open(frame)
    for count in range(1, len(PROMPTS) + 1):
        one_by_one = marker.mask(PROMPTS[:count])
    marker.mask(PROMPTS[:3])
    marker.mask((*PROMPTS[:3], Click(60, 60)))
    np.testing.assert_array_equal(one_by_one, at_once)
    np.testing.assert_array_equal(marker.mask(PROMPTS), at_once)


def test_masks_are_distributions_of_the_frame_s_size(marker: Marker, scene):
    marker.open(scene[0])
    probabilities = marker.mask(PROMPTS)
    assert probabilities.shape == (3, 90, 120)
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities.sum(0), 1, atol=1e-5)
    assert set(np.unique(marker.labels(PROMPTS))) <= {0, 1, 2}


def test_prompts_are_obeyed(marker: Marker, scene):
    marker.open(scene[0])
    labels = marker.labels(PROMPTS[:4])
    assert labels[45, 50] == 1
    assert labels[80, 110] == 0
    assert labels[10, 100] == 2


def test_a_brush_changes_its_own_pixels_alone(marker: Marker, scene):
    frame, disk = scene
    marker.open(frame)
    line = Scribble(((80, 85), (119, 60)), True, 1, 2, exact=True)
    eraser = Scribble(((40, 45), (60, 45)), False, 1, 3, exact=True)
    told: list[Prompt] = [Click(50, 45), Box(20, 15, 60, 60)]
    drawn = [draw_all([brush], View.whole((90, 120))) > 0 for brush in (line, eraser)]
    before, after = marker.labels(told) == 1, marker.labels([*told, line, eraser]) == 1
    np.testing.assert_array_equal(after, (before | drawn[0]) & ~drawn[1])
    # A rough mask is not improved elsewhere, and without any other prompt nothing else is marked.
    rough = marker.labels([RoughMask(disk), line, eraser]) == 1
    np.testing.assert_array_equal(rough, (disk | drawn[0]) & ~drawn[1])
    np.testing.assert_array_equal(marker.labels([line]) == 1, drawn[0])
    # Another object's brush takes pixels away.
    labels = marker.labels([RoughMask(disk), replace(eraser, positive=True, object_id=2)])
    np.testing.assert_array_equal(labels, disk & ~drawn[1] | 2 * drawn[1])


def test_nothing_is_left_far_outside_a_box(marker: Marker, scene):
    marker.open(scene[0])
    labels = marker.labels([Box(20, 15, 60, 60)])
    outside = np.ones(labels.shape, bool)
    outside[12:78, 17:83] = False
    assert not labels[outside].any()


def test_odd_sizes_are_taken(marker: Marker):
    frame = np.random.default_rng(0).integers(0, 256, (37, 53, 3)).astype(np.uint8)
    marker.open(frame)
    assert marker.labels([Click(52, 36), Box(0, 0, 53, 37)]).shape == (37, 53)


def test_a_frame_must_be_open_and_prompts_on_it(marker: Marker, scene):
    with pytest.raises(ShapeError, match="no frame is open; call open"):
        marker.mask([Click(1, 1)])
    with pytest.raises(ShapeError, match="a frame must be H×W×3 uint8 RGB"):
        marker.open(np.zeros((9, 9), np.uint8))
    marker.open(scene[0])
    with pytest.raises(PromptError, match="outside the frame"):
        marker.mask([Click(500, 1)])


@pytest.mark.parametrize(
    "prompts",
    [
        [Scribble(((35, 35), (65, 55))), Scribble(((5, 5), (115, 5), (115, 85)), positive=False)],
        [Box(24, 19, 53, 53)],
        [Click(50, 45), Click(20, 10, positive=False), Click(100, 70, positive=False)],
    ],
    ids=["scribbles", "box", "clicks"],
)
def test_grabcut_separates_colours(scene, prompts):
    frame, disk = scene
    marker = GrabCutMarker()
    marker.open(frame)
    mask = marker.labels(prompts) == 1
    assert (mask & disk).sum() / (mask | disk).sum() > 0.9


def test_grabcut_survives_what_it_cannot_learn_from():
    """A frame of one colour, a stroke over all of it: OpenCV's GrabCut asserts or degenerates."""
    frame = np.full((40, 60, 3), 127, np.uint8)
    marker = GrabCutMarker()
    marker.open(frame)
    stroke = [Scribble(((10, 10), (30, 20)))]
    drawn = draw_all(stroke, View.whole((40, 60))) > 0
    assert (marker.labels(stroke)[drawn] == 1).all()
    everything = [Painted(np.ones((40, 60), bool))]
    assert (marker.labels(everything) == 1).all()
    assert marker.labels([Box(0, 0, 60, 40)]).shape == (40, 60)


def test_grabcut_keeps_the_stroked_component_and_its_hole():
    """Of two disks of one colour the stroked one; its hole stays if a stroke says so."""
    rng = np.random.default_rng(1)
    frame = rng.normal(60, 5, (100, 160, 3))
    y, x = np.mgrid[:100, :160]
    ring = ((y - 50) ** 2 + (x - 50) ** 2 < 900) & ((y - 50) ** 2 + (x - 50) ** 2 > 144)
    frame[ring | ((y - 50) ** 2 + (x - 125) ** 2 < 400)] += 120
    marker = GrabCutMarker()
    marker.open(np.clip(frame, 0, 255).astype(np.uint8))
    around = tuple((50 + 21 * np.cos(a), 50 + 21 * np.sin(a)) for a in np.linspace(0, 6.2, 30))
    labels = marker.labels([Scribble(around), Scribble(((47, 50), (53, 50)), positive=False)])
    assert not labels[:, 105:].any()
    assert (labels[ring] == 1).mean() > 0.95
    assert labels[50, 50] == 0


def test_grabcut_marks_a_real_object_by_scribbles():
    frame, truth = demo_frame(0)
    ys, xs = np.nonzero(truth == truth.max())
    height, width = truth.shape
    x0, x1, y0, y1 = xs.min(), xs.max(), ys.min(), ys.max()
    middle = [(int(np.median(xs[ys == y])), int(y)) for y in range(y0 + 4, y1 - 3, 4)]
    edge = 12
    frame_of = (
        (max(0, x0 - edge), max(0, y0 - edge)),
        (min(width - 1, x1 + edge), max(0, y0 - edge)),
        (min(width - 1, x1 + edge), min(height - 1, y1 + edge)),
        (max(0, x0 - edge), min(height - 1, y1 + edge)),
    )
    inside = [p for p in middle if truth[p[1], p[0]] == truth.max()]
    marker = GrabCutMarker()
    marker.open(frame)
    closed = (*frame_of, frame_of[0])
    mask = marker.labels([Scribble(tuple(inside)), Scribble(closed, positive=False)]) == 1
    wanted = truth == truth.max()
    assert (mask & wanted).sum() / (mask | wanted).sum() > 0.5


def test_a_click_marker_zooms_and_keeps_what_lies_outside(scene):
    """A further click on a small object changes nothing outside the view around it."""
    rng = np.random.default_rng(5)
    frame = rng.integers(0, 256, (300, 400, 3)).astype(np.uint8)
    # The network is not trained and disagrees with every mask: a rough one is never given up.
    config = ClickMarkerConfig(long_side=128, keep_rough=0)
    marker = ClickMarker(make_network(), config, CPU)
    marker.open(frame)
    rough = np.zeros((300, 400), bool)
    rough[40:80, 40:80] = True
    rough[200:260, 300:390] = True
    after = marker.mask([RoughMask(rough), Click(60, 60, positive=False)])
    far = np.zeros(rough.shape, bool)
    far[150:, 200:] = True
    np.testing.assert_array_equal(after[1][far] > 0.5, rough[far])
    # The same list, asked for prompt by prompt.
    other = marker.twin()
    other.open(frame)
    other.mask([RoughMask(rough)])
    again = other.mask([RoughMask(rough), Click(60, 60, positive=False)])
    np.testing.assert_array_equal(again, after)


def test_a_rough_mask_is_given_up_if_most_of_it_is_wrong():
    """A mask beside the object does not hinder the clicks on it; one that fits it stays."""
    frame, labels = demo_frame(0)
    truth = labels == labels.max()
    ys, xs = np.nonzero(truth)
    middle = ys == int(np.median(ys))
    click = Click(int(np.median(xs[middle])), int(np.median(ys)))
    assert truth[int(click.y), int(click.x)]
    marker = load_marker("click-lite")
    marker.open(frame)
    beside = np.roll(truth, int(np.ptp(xs) * 1.5), axis=1)
    after = marker.mask([RoughMask(beside), click])[1] > 0.5
    assert region_similarity(after, truth) > region_similarity(beside, truth) + 0.5
    # A correct mask without a corner: the rest stays as it is, to the pixel.
    rough = truth & (np.arange(truth.shape[0])[:, None] > ys.min() + 3)
    after = marker.mask([RoughMask(rough), Click(click.x, click.y)])[1] > 0.5
    assert region_similarity(after, rough) > 0.97


def test_a_rough_mask_is_not_given_up_for_nothing():
    """On noise the network sees no object: a negative click takes away what it touches, not all."""
    frame = np.random.default_rng(3).integers(0, 256, (48, 64, 3)).astype(np.uint8)
    rough = np.zeros((48, 64), bool)
    rough[4:14, 4:20] = True
    rough[30:40, 40:60] = True

    class Blind(ClickMarker):
        def _run(self, view, prompts, mask):
            return np.zeros_like(mask)

    marker = Blind(make_network(), None, CPU)
    marker.open(frame)
    after = marker.mask([RoughMask(rough), Click(8, 8, positive=False)])[1] > 0.5
    assert not after[:20].any()
    np.testing.assert_array_equal(after[25:], rough[25:])


def test_details_are_corrected_in_a_finer_view():
    frame, _ = demo_frame(0)
    sizes = []

    class Watched(ClickMarker):
        def _run(self, view, prompts, mask):
            sizes.append(max(view.size))
            return super()._run(view, prompts, mask)

    config = ClickMarkerConfig(long_side=64, fine_side=128, fine_from=3, zoom_below=0.0)
    marker = Watched(make_network(), config, CPU)
    marker.open(frame)
    clicks = [Click(60 + 10 * i, 60) for i in range(4)]
    marker.mask(clicks)
    assert sizes == [64, 64, 128, 128]


def test_views_map_pixels_to_pixels():
    view = View(10, 20, 30, 60, (80, 40))  # twice the size
    assert view.pixel((10, 20)) == (1, 1)
    assert view.pixel((29.7, 59.2)) == (39, 79)
    for (x, y), kind in itertools.product([(10, 20), (29, 59)], [Click, None]):
        prompt = Click(x, y) if kind else Scribble(((x, y),), width_px=1)
        drawn = draw_all([prompt], view)
        assert drawn[view.pixel((x, y))[1], view.pixel((x, y))[0]] == 255


def test_learning_moves_the_mask_towards_the_clicks(scene):
    """Where the network disobeys, the learnt network's own output obeys better."""
    frame, _ = scene
    clicks = [Click(50, 45), Click(30, 45), Click(110, 80, positive=False)]
    errors = []
    for learning in (None, LearningConfig(steps=25, learning_rate=0.1, keep=0.0)):
        config = ClickMarkerConfig(long_side=128, learning=learning)
        marker = ClickMarker(make_network(), config, CPU)
        marker.open(frame)
        p = marker.object_probability(tuple(clicks))
        wanted = [(p[45, 50], 1), (p[45, 30], 1), (p[80, 110], 0)]
        errors.append(sum(abs(a - b) for a, b in wanted))
    assert errors[1] < errors[0]
