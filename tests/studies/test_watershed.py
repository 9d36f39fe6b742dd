"""Instances from distance: two that touch come apart, one stays whole."""

import cv2
import numpy as np
import pytest

from rotomask.errors import ShapeError
from studies.distance_network import normalised_distance
from studies.watershed import separate_instances


def _disks(*centres: tuple[int, int], radius: int = 20) -> np.ndarray:
    labels = np.zeros((80, 140), np.uint8)
    for k, centre in enumerate(centres):
        cv2.circle(labels, centre, radius, k + 1, -1)
    return labels


def test_touching_instances_are_told_apart_where_components_are_not():
    labels = _disks((45, 40), (84, 40))
    assert cv2.connectedComponents((labels > 0).astype(np.uint8))[0] == 2  # background and one
    found = separate_instances(normalised_distance(labels), labels > 0, core=0.5)
    assert set(np.unique(found)) == {0, 1, 2}
    for k in (1, 2):
        agreement = [((found == j) & (labels == k)).sum() for j in (1, 2)]
        assert max(agreement) > 0.95 * (labels == k).sum()


def test_one_instance_stays_whole():
    labels = _disks((60, 40))
    found = separate_instances(normalised_distance(labels), labels > 0, core=0.5)
    np.testing.assert_array_equal(found > 0, labels > 0)
    assert found.max() == 1


def test_a_part_without_a_core_is_an_instance_and_specks_are_none():
    labels = _disks((30, 40), (100, 40))
    level = normalised_distance(labels)
    level[labels == 2] *= 0.3
    foreground = labels > 0
    foreground[2:4, 2:4] = True
    found = separate_instances(level, foreground, core=0.5)
    assert len(np.unique(found[labels == 1])) == len(np.unique(found[labels == 2])) == 1
    assert found[40, 30] != found[40, 100]
    assert found[40, 100] > 0
    assert found[2, 2] == 0


def test_nothing_gives_nothing():
    empty = np.zeros((20, 30), np.float32)
    assert not separate_instances(empty, empty > 0, core=0.5).any()


def test_sizes_must_agree():
    with pytest.raises(ShapeError, match="one size"):
        separate_instances(np.zeros((4, 5), np.float32), np.zeros((5, 5), bool), core=0.5)
