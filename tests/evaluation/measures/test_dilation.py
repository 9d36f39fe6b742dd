"""Dilation by a disk: against scikit-image, for every radius up to beyond the decomposed ones."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from skimage.morphology import disk

from rotomask.evaluation.measures.dilation import (
    MAX_DECOMPOSED_RADIUS,
    decompose,
    disk_offsets,
    grow,
)


@pytest.mark.parametrize("radius", range(MAX_DECOMPOSED_RADIUS + 3))
def test_one_pixel_grows_to_the_disk(radius):
    planes = np.zeros((2 * radius + 1, 2 * radius + 1), np.uint8)
    planes[radius, radius] = 1
    np.testing.assert_array_equal(grow(planes, radius), disk(radius))


@pytest.mark.parametrize("radius", range(MAX_DECOMPOSED_RADIUS + 1))
def test_the_steps_sum_to_the_disk(radius):
    core, pairs, rest = decompose(radius)
    reached = set(core)
    for down, right in pairs:
        reached |= {(y + down, x + right) for y, x in reached}
    assert reached | set(rest) == disk_offsets(radius)


@settings(max_examples=60)
@given(
    st.tuples(st.integers(1, 40), st.integers(1, 40)).flatmap(
        lambda size: arrays(np.uint8, size, elements=st.sampled_from([0] * 20 + [1, 2, 3, 128]))
    ),
    st.integers(0, MAX_DECOMPOSED_RADIUS + 2),
)
def test_masks_do_not_wrap_round_the_edges_or_mix(planes, radius):
    grown = grow(planes, radius)
    y, x = np.mgrid[: planes.shape[0], : planes.shape[1]]
    expected = np.zeros_like(planes)
    for row, column in zip(*np.nonzero(planes), strict=True):
        near = (y - row) ** 2 + (x - column) ** 2 <= radius**2
        expected[near] |= planes[row, column]
    np.testing.assert_array_equal(grown, expected)
