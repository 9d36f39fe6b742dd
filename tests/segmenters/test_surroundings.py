"""Objects looked for in the surroundings of their last mask."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rotomask.jobs.loading import load_model
from rotomask.segmenters.space_time import SpaceTimeSegmenter
from rotomask.segmenters.state import restore, state_of
from rotomask.segmenters.surroundings import (
    GRID,
    STEP,
    THINNING,
    Window,
    grown,
    may_go_on_outside,
    near_objects,
    thinned,
    union,
    whole_frame,
    widened,
    window_around,
)

SIZE = (240, 368)  # no multiple of GRID


def _mask(top, bottom, left, right, size=SIZE):
    mask = torch.zeros(size)
    mask[top:bottom, left:right] = 1
    return mask


@given(
    st.integers(0, 239), st.integers(1, 240), st.integers(0, 367), st.integers(1, 368),
    st.floats(0, 2),
)  # fmt: skip
def test_a_window_holds_the_object_and_its_margin(top, height, left, width, margin):
    bottom, right = min(SIZE[0], top + height), min(SIZE[1], left + width)
    rows, columns = window_around(_mask(top, bottom, left, right), margin)
    for side, first, last, length in ((rows, top, bottom, 240), (columns, left, right, 368)):
        added = max(32, int(margin * (last - first)))
        assert side.start <= max(0, first - added)
        assert side.stop >= min(length, last + added)
        assert side.start % GRID == 0
        assert side.stop % GRID == 0 or side.stop == length


@given(st.integers(0, 6), st.integers(1, 7), st.integers(0, 10), st.integers(1, 11))
def test_what_is_decoded_holds_the_window_and_has_few_sizes(top, height, left, width):
    frame = whole_frame(torch.Size(SIZE))
    window = Window(
        slice(GRID * top, min(SIZE[0], GRID * (top + height))),
        slice(GRID * left, min(SIZE[1], GRID * (left + width))),
    )
    wide = widened(window, frame)
    for side, own, length in zip(wide, window, SIZE, strict=True):
        assert side.start <= own.start
        assert own.stop <= side.stop <= length
        assert side.start % GRID == 0
        assert (side.stop - side.start) % STEP == 0 or side.stop == length
    larger = widened(grown(window, frame), frame)
    for part, outer in ((widened(window, larger), larger), (larger, frame)):
        assert outer.holds(part)
        assert part.holds(window)
        assert all(side.start % GRID == 0 for side in part)
        assert part.inside(outer).area == part.area


def test_an_object_that_is_not_visible_is_looked_for_everywhere():
    assert window_around(torch.full(SIZE, 0.1), 0.5) == whole_frame(torch.Size(SIZE))


def test_the_union_holds_every_window():
    first, second = Window(slice(0, 64), slice(32, 96)), Window(slice(32, 96), slice(0, 64))
    assert union([first, second]) == Window(slice(0, 96), slice(0, 96))
    assert first.at(16, union([first, second])) == (slice(0, 4), slice(2, 6))


def test_an_object_at_the_border_of_its_window_may_go_on_outside():
    window = Window(slice(32, 160), slice(0, 128))
    logits = torch.full(SIZE, -9.0)
    assert may_go_on_outside(logits, window)  # not found
    logits[64:96, 0:64] = 9
    assert not may_go_on_outside(logits, window)  # on the frame's own border
    logits[64:96, 64:124] = 9
    assert may_go_on_outside(logits, window)


@given(st.integers(0, 200), st.integers(0, 300), st.integers(0, 3))
def test_memory_has_all_positions_near_an_object_and_one_in_four_of_the_others(top, left, distance):
    size = (240, 368)
    near = near_objects(_mask(top, top + 40, left, left + 60)[None], 16, distance)
    assert near.shape == (15, 23)
    rows, columns = torch.nonzero(near, as_tuple=True)
    assert rows.min() == max(0, top // 16 - distance)
    assert columns.max() == min(22, (min(size[1], left + 60) - 1) // 16 + distance)
    positions, log_weight = thinned(near)
    is_near = near.flatten()[positions]
    assert is_near.sum() == near.sum()
    assert set(log_weight[is_near].tolist()) <= {0.0}
    far = positions[~is_near]
    assert torch.all(far // 23 % THINNING == THINNING // 2)
    assert torch.all(far % 23 % THINNING == THINNING // 2)
    np.testing.assert_allclose(log_weight[~is_near].exp(), THINNING**2, rtol=1e-6)


def _clip(move, frames=8, objects=1):
    """Textured squares on a textured ground that jump by some px a frame."""
    rng = np.random.default_rng(2)
    ground = rng.integers(60, 120, (*SIZE, 3)).astype(np.uint8)
    squares = rng.integers(150, 255, (objects, 48, 48, 3)).astype(np.uint8)
    images, masks = [], []
    for t in range(frames):
        image, mask = ground.copy(), np.zeros(SIZE, np.uint8)
        for k, square in enumerate(squares):
            top, left = 20 + 100 * k, 20 + move * t
            image[top : top + 48, left : left + 48] = square
            mask[top : top + 48, left : left + 48] = k + 1
        images.append(image)
        masks.append(mask)
    return images, masks


def _follow(images, mask, **settings):
    segmenter = load_model("stm-lite", precision="float32", device="cpu", **settings)
    segmenter.start(images[0], mask)
    return [segmenter.step(image) for image in images[1:]]


def _iou(probabilities, mask, k):
    found = probabilities.argmax(0) == k
    return (found & (mask == k)).sum() / (found | (mask == k)).sum()


@pytest.mark.parametrize("objects", [1, 2])
def test_the_surroundings_give_the_masks_of_the_whole_frame(objects):
    images, masks = _clip(move=6, objects=objects)
    around = _follow(images, masks[0])
    everywhere = _follow(images, masks[0], margin=None)
    differ = [(a.argmax(0) != b.argmax(0)).mean() for a, b in zip(around, everywhere, strict=True)]
    assert max(differ) < 0.002
    assert all(a.shape == b.shape for a, b in zip(around, everywhere, strict=True))


def test_surroundings_as_large_as_the_frame_change_nothing():
    images, masks = _clip(move=6, frames=4)
    around = _follow(images, masks[0], margin=100.0)
    everywhere = _follow(images, masks[0], margin=None)
    for a, b in zip(around, everywhere, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_an_object_that_jumps_out_of_its_surroundings_is_found():
    images, masks = _clip(move=0, frames=2)
    jumped, there = _clip(move=200, frames=2)
    found = _follow([images[0], jumped[1]], masks[0])
    assert _iou(found[0], there[1], 1) > 0.6


def test_a_state_goes_on_with_the_same_probabilities():
    images, masks = _clip(move=6)
    segmenter = load_model("stm-lite", precision="float32", device="cpu")
    segmenter.start(images[0], masks[0])
    for image in images[1:4]:
        segmenter.step(image)
    state = state_of(segmenter)
    expected = [segmenter.step(image) for image in images[4:]]
    fresh = load_model("stm-lite", precision="float32", device="cpu")
    restore(fresh, state)
    for image, before in zip(images[4:], expected, strict=True):
        np.testing.assert_array_equal(fresh.step(image), before)


def test_only_the_part_of_a_frame_that_may_hold_the_objects_is_encoded(monkeypatch):
    images, masks = _clip(move=6, frames=10)
    segmenter = load_model("stm-lite", precision="float32", device="cpu")
    assert isinstance(segmenter, SpaceTimeSegmenter)
    sizes = []
    encode = segmenter.network.encode_frame

    def counted(image):
        sizes.append(image.shape[2:].numel())
        return encode(image)

    monkeypatch.setattr(segmenter.network, "encode_frame", counted)
    segmenter.start(images[0], masks[0])
    for image, mask in zip(images[1:], masks[1:], strict=True):
        assert _iou(segmenter.step(image), mask, 1) > 0.6
    # The reference, the first frame after it, and one of three, which is remembered, are whole.
    assert sizes.count(max(sizes)) == 2 + (len(images) - 1) // 3
    assert all(size < max(sizes) / 2 for size in sizes if size != max(sizes))
    assert len(sizes) == 10
