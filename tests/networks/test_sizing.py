"""Sizes at which frames are processed."""

import numpy as np
import pytest

from rotomask.errors import OptionError
from rotomask.networks.sizing import enlarged_side, fitted_size, working_size


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


def test_a_video_is_enlarged_by_itself_only_where_it_is_small_and_an_object_too():
    ball, wide = np.zeros((150, 200), np.int32), np.zeros((150, 200), np.int32)
    ball[60:80, 90:110] = 1
    wide[10:140, 20:180] = 1
    both = np.where(ball, 2, wide)
    assert enlarged_side(ball, 480, "auto") == 480
    assert enlarged_side(both, 480, "auto") == 480  # the smallest object decides
    assert enlarged_side(wide, 480, "auto") is None
    assert enlarged_side(ball[50:100], 480, "auto") == 200  # by 4 at most
    assert enlarged_side(ball, None, "auto") is None
    assert enlarged_side(ball, 480, False) is None
    assert enlarged_side(wide, 480, True) == 480


def test_frames_of_the_processing_size_and_larger_are_left_to_it():
    small = np.zeros((480, 854), np.int32)
    small[100:110, 100:110] = 1
    assert enlarged_side(small, 480, "auto") is None
    assert enlarged_side(np.kron(small, np.ones((2, 2), np.int32)), 480, "auto") is None


def test_small_objects_get_more_pixels_than_others_by_the_factor():
    small = np.zeros((480, 854), np.int32)
    small[100:150, 100:150] = 1
    large = np.where(np.arange(480)[:, None] < 240, 1, 0) * np.ones((1, 854), np.int32)
    double = np.kron(small, np.ones((2, 2), np.int32))
    assert enlarged_side(small, 480, "auto", 4 / 3) == 640
    assert enlarged_side(double, 480, "auto", 4 / 3) == 640  # small as it is processed
    assert enlarged_side(large, 480, "auto", 4 / 3) is None
    assert enlarged_side(small[::4, ::4], 480, "auto", 4 / 3) == 480  # by 4 at most
    assert enlarged_side(small, 480, True, 4 / 3) is None
    assert enlarged_side(small, None, "auto", 4 / 3) is None


def test_many_objects_get_no_more_pixels_than_others():
    columns = np.arange(854)[None] // 50 + 1  # 18 objects
    many = np.where(np.arange(480)[:, None] < 50, columns, 0).astype(np.int32)
    few = np.where(many <= 16, many, 0)
    assert enlarged_side(few, 480, "auto", 4 / 3) == 640
    assert enlarged_side(many, 480, "auto", 4 / 3) is None
    assert enlarged_side(many[::2, ::2], 480, "auto", 4 / 3) == 480  # small videos still are
