"""J and F: against plain loops, and what must hold of them whatever the masks."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from rotomask.errors import OptionError, ShapeError
from rotomask.evaluation import boundary_accuracy, boundary_map, region_similarity, tolerance_px
from tests.evaluation.plain import plain_boundary, plain_boundary_map, plain_region

sizes = st.tuples(st.integers(1, 24), st.integers(1, 24))


@st.composite
def blobs(draw, size, count=3):
    """A few rectangles, which touch the frame's edges often, and some single pixels."""
    height, width = size
    mask = np.zeros(size, bool)
    for _ in range(draw(st.integers(0, count))):
        top, left = draw(st.integers(0, height - 1)), draw(st.integers(0, width - 1))
        rows, columns = draw(st.integers(1, height)), draw(st.integers(1, width))
        mask[top : top + rows, left : left + columns] ^= True
    return mask


@st.composite
def pairs(draw):
    size = draw(sizes)
    if draw(st.booleans()):
        return draw(arrays(bool, size)), draw(arrays(bool, size)), draw(arrays(bool, size))
    return draw(blobs(size)), draw(blobs(size)), draw(blobs(size, 1))


@settings(max_examples=150)
@given(pairs(), st.sampled_from([0, 0.008, 0.1, 1, 2, 3, 7]), st.booleans())
def test_both_equal_the_plain_loops(masks, tolerance, use_void):
    mask, truth, void = masks
    void = void if use_void else None
    assert region_similarity(mask, truth, void) == pytest.approx(
        plain_region(mask, truth, void), abs=1e-12
    )
    assert boundary_accuracy(mask, truth, void, tolerance) == pytest.approx(
        plain_boundary(mask, truth, void, tolerance), abs=1e-12
    )


@settings(max_examples=60)
@given(sizes.flatmap(lambda size: arrays(bool, size)))
def test_boundary_map_equals_the_plain_loop(mask):
    np.testing.assert_array_equal(boundary_map(mask), plain_boundary_map(mask))


@settings(max_examples=80)
@given(pairs(), st.sampled_from([0, 1, 3]))
def test_bounds_symmetry_and_identity(masks, tolerance):
    mask, truth, _ = masks
    for measure in (region_similarity, lambda a, b: boundary_accuracy(a, b, None, tolerance)):
        assert 0 <= measure(mask, truth) <= 1
        assert measure(mask, truth) == pytest.approx(measure(truth, mask), abs=1e-12)
        assert measure(mask, mask) == 1


@settings(max_examples=80)
@given(pairs())
def test_j_does_not_change_with_flips_and_transposition(masks):
    mask, truth, _ = masks
    value = region_similarity(mask, truth)
    assert region_similarity(mask[::-1], truth[::-1]) == value
    assert region_similarity(mask[:, ::-1], truth[:, ::-1]) == value
    assert region_similarity(mask.T, truth.T) == value


@settings(max_examples=80)
@given(pairs(), st.integers(0, 9), st.integers(0, 9))
def test_f_does_not_change_with_transposition_and_place(masks, down, right):
    """Flips may change F: the boundary map looks east and south, so it is not symmetric."""
    mask, truth, _ = masks
    assert boundary_accuracy(mask.T, truth.T, None, 2) == boundary_accuracy(mask, truth, None, 2)
    # Inside a larger frame, F is the same wherever the masks stand.
    framed = [np.pad(m, ((12, 12), (12, 12))) for m in (mask, truth)]
    moved = [np.roll(m, (down, right), (0, 1)) for m in framed]
    assert boundary_accuracy(moved[0], moved[1], None, 2) == boundary_accuracy(
        framed[0], framed[1], None, 2
    )


def test_a_flip_changes_f_by_little_and_only_through_the_map():
    rng = np.random.default_rng(3)
    mask, truth = (np.pad(rng.random((20, 20)) > 0.5, 6) for _ in range(2))
    value = boundary_accuracy(mask, truth, None, 1)
    flipped = boundary_accuracy(mask[:, ::-1], truth[:, ::-1], None, 1)
    assert flipped == pytest.approx(value, abs=0.05)


def test_empty_masks():
    empty, full = np.zeros((30, 40), bool), np.ones((30, 40), bool)
    dot = empty.copy()
    dot[4, 5] = True
    assert region_similarity(empty, empty) == boundary_accuracy(empty, empty) == 1
    assert region_similarity(dot, empty) == boundary_accuracy(dot, empty) == 0
    # A mask that fills the frame has no outline in it.
    assert boundary_accuracy(full, empty) == 1
    assert region_similarity(full, empty) == 0


def test_void_takes_pixels_out_of_both():
    mask, truth = np.zeros((10, 10), bool), np.zeros((10, 10), bool)
    mask[2:8, 2:8] = truth[2:8, 2:5] = True
    void = np.zeros_like(mask)
    void[:, 5:] = True
    assert region_similarity(mask, truth, void) == boundary_accuracy(mask, truth, void) == 1
    assert region_similarity(mask, truth, np.ones_like(mask)) == 1
    assert boundary_accuracy(mask, truth, np.ones_like(mask)) == 1


@pytest.mark.parametrize(
    ("size", "tolerance", "radius"),
    [
        ((480, 854), 0.008, 8),
        ((720, 1280), 0.008, 12),
        ((1080, 1920), 0.008, 18),
        ((480, 854), 3, 3),
        ((480, 854), 0, 0),
    ],
)
def test_tolerance_in_pixels(size, tolerance, radius):
    assert tolerance_px(size, tolerance) == radius


def test_the_distance_is_euclidean_and_inclusive():
    mask, truth = np.zeros((60, 60), bool), np.zeros((60, 60), bool)
    mask[20, 20] = True
    truth[23, 24] = True  # 5 px away: 3 down and 4 right
    assert boundary_accuracy(mask, truth, None, 5) == 1
    assert boundary_accuracy(mask, truth, None, 4) < 1


def test_wrong_arrays_are_refused():
    good = np.zeros((4, 5), bool)
    with pytest.raises(ShapeError, match=r"mask is 6x4 but the truth is 5x4; resize"):
        region_similarity(np.zeros((4, 6), bool), good)
    with pytest.raises(ShapeError, match=r"must be H×W bool, got .* uint8; use labels =="):
        boundary_accuracy(good.astype(np.uint8), good)
    with pytest.raises(ShapeError, match="void is 5x3"):
        region_similarity(good, good, np.zeros((3, 5), bool))
    with pytest.raises(OptionError, match=">= 0"):
        boundary_accuracy(good, good, None, -1)
