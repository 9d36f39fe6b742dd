"""The most probable object of every pixel, against `argmax`."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from rotomask.arrays import most_probable

MAPS = arrays(
    np.float32,
    array_shapes(min_dims=3, max_dims=3, max_side=5),
    elements=st.sampled_from([0.0, 0.25, 0.5, 1.0, np.nan]),  # few values: many ties
)


@given(MAPS)
def test_the_most_probable_object_is_that_of_argmax(probabilities):
    ids = np.array([0, 7, 3, 200, 65535])[: len(probabilities)]
    labels = most_probable(probabilities, ids[1:].tolist())
    numbers = ~np.isnan(probabilities).any(0)
    np.testing.assert_array_equal(labels[numbers], ids[probabilities.argmax(0)][numbers])
    assert labels.dtype == np.int32


def test_a_pixel_without_a_finite_background_has_no_object():
    assert most_probable(np.full((2, 1, 1), np.nan, np.float32), [1]) == 0
