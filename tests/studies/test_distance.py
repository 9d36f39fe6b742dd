"""Distance targets against a slow search, and the maps of a frame."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rotomask.errors import ShapeError
from studies.distance_network import (
    DistanceConfig,
    DistanceEstimator,
    DistanceMaps,
    DistanceNet,
    distance_bins,
    normalised_distance,
)


@settings(max_examples=20)
@given(st.integers(0, 10_000))
def test_distance_is_that_of_a_slow_search_in_each_instance(seed):
    rng = np.random.default_rng(seed)
    labels = np.zeros((14, 18), np.uint8)
    for k in (1, 2):
        top, left = rng.integers(0, 9, 2)
        labels[top : top + rng.integers(2, 7), left : left + rng.integers(2, 9)] = k
    expected = np.zeros(labels.shape)
    for k in set(np.unique(labels)) - {0}:
        others = np.argwhere(labels != k)
        own = np.argwhere(labels == k)
        nearest = np.sqrt(np.square(own[:, None] - others[None]).sum(-1)).min(1)
        expected[labels == k] = nearest / nearest.max()
    found = normalised_distance(labels)
    np.testing.assert_allclose(found, expected, atol=1e-3)
    bins = distance_bins(found)
    for q in range(4):
        inside = labels > 0
        chosen = inside & (expected > q / 4 + 1e-3) & (expected < (q + 1) / 4 - 1e-3)
        assert (bins[chosen] == q).all()


def test_touching_instances_have_a_valley_between_them():
    labels = np.ones((21, 40), np.uint8)
    labels[:, 20:] = 2
    distance = normalised_distance(labels)
    assert distance[:, 19:21].max() < 0.1
    assert distance[10, 0] == distance[10, 39] == 1  # the frame's edge is no border


def test_an_instance_that_fills_the_frame_is_all_core():
    np.testing.assert_array_equal(normalised_distance(np.full((4, 5), 3)), 1)
    np.testing.assert_array_equal(normalised_distance(np.zeros((4, 5), int)), 0)


def test_the_level_of_bins_is_their_expected_middle():
    bins = np.zeros((4, 1, 2), np.float32)
    bins[3, 0, 0] = 1
    bins[:2, 0, 1] = 0.5
    maps = DistanceMaps(bins, bins[0], bins[0])
    np.testing.assert_allclose(maps.level_of_bins(), [[0.875, 0.25]])


def test_maps_have_the_frames_size():
    frame = np.random.default_rng(0).integers(0, 256, (50, 70, 3), np.uint8)
    network = DistanceNet(DistanceConfig(decoder_channels=(16, 12, 8)))
    maps = DistanceEstimator(network, size=48).estimate(frame)
    assert maps.bins.shape == (4, 50, 70)
    np.testing.assert_allclose(maps.bins.sum(0), 1, atol=1e-2)
    assert maps.distance.shape == maps.foreground.shape == (50, 70)


def test_labels_of_several_frames_are_refused():
    with pytest.raises(ShapeError, match="H×W"):
        normalised_distance(np.zeros((2, 4, 5), int))
