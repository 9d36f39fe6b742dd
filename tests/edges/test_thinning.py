"""Thinned edges: ridges stay, flanks go."""

import numpy as np
import pytest

from rotomask.edges.thinning import thin_edges
from rotomask.errors import ShapeError


@pytest.mark.parametrize("angle_deg", [0, 30, 45, 80, 135])
def test_a_line_keeps_its_ridge_whatever_its_direction(angle_deg):
    y, x = np.mgrid[0:80, 0:80].astype(np.float32)
    angle = np.deg2rad(angle_deg)
    away = np.abs((x - 40) * np.sin(angle) + (y - 40) * np.cos(angle))
    edges = np.exp(-np.square(away) / 18).astype(np.float32)
    inner = (slice(12, -12), slice(12, -12))
    thin, away = thin_edges(edges)[inner], away[inner]
    assert away[thin > 0.05].max() < 1
    # No more than two pixels across, and no gaps along it.
    assert (thin > 0.05).sum() < 2.5 * 56
    along = np.asarray((thin > 0.5).any(0 if angle_deg in (0, 30, 135) else 1))
    assert along[2:-2].all()


def test_an_edge_map_that_is_thin_stays_so():
    edges = np.zeros((30, 30), np.float32)
    edges[15, 5:25] = 0.8
    np.testing.assert_array_equal(thin_edges(edges)[:, 8:22], edges[:, 8:22])


def test_an_empty_map_stays_empty():
    assert not thin_edges(np.zeros((10, 12), np.float32)).any()


def test_colour_is_refused():
    with pytest.raises(ShapeError, match="H×W"):
        thin_edges(np.zeros((4, 5, 3), np.float32))
