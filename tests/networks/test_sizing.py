"""Sizes at which frames are processed."""

import pytest

from rotomask.errors import OptionError
from rotomask.networks.sizing import fitted_size, working_size


def test_larger_frames_are_reduced_and_smaller_ones_left_or_enlarged():
    assert working_size((1080, 1920), 480, False) == (480, 853)
    assert working_size((240, 320), 480, False) == (240, 320)
    assert working_size((240, 320), 480, True) == (480, 640)
    assert working_size((240, 320), None, True) == (240, 320)
    assert working_size((480, 854), 480, False, scale=0.5) == (240, 427)


@pytest.mark.parametrize("size", [-5, 0, 1, 15])
def test_sizes_without_room_for_a_network_are_refused(size):
    with pytest.raises(OptionError, match=f"short side of 16 px or more, got {size}"):
        working_size((480, 854), size, False)
    if size < 1:
        with pytest.raises(OptionError, match=f"short side of 1 px or more, got {size}"):
            fitted_size((480, 854), size, 32)


def test_fitted_sizes_are_multiples_near_the_frames_shape():
    assert fitted_size((480, 854), 384, 32) == (384, 672)
    assert fitted_size((100, 60), None, 32) == (96, 64)
    assert fitted_size((5, 5), None, 32) == (32, 32)
