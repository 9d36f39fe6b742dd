"""Components under two thresholds, against a plain flood fill."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rotomask.errors import OptionError, ShapeError
from rotomask.refine import ComponentsConfig, filter_components, strong_components

FRAME = np.zeros((1, 1, 3), np.uint8)


def _flood(mask: np.ndarray, seeds: np.ndarray) -> np.ndarray:
    """Pixels of the mask that are reached from seeds over 8 neighbours."""
    reached, todo = np.zeros_like(mask), list(zip(*np.nonzero(mask & seeds), strict=True))
    while todo:
        y, x = todo.pop()
        if not reached[y, x]:
            reached[y, x] = True
            window = mask[max(0, y - 1) : y + 2, max(0, x - 1) : x + 2]
            ys, xs = np.nonzero(window)
            todo += zip(ys + max(0, y - 1), xs + max(0, x - 1), strict=True)
    return reached


@settings(max_examples=40)
@given(st.integers(1, 14), st.integers(1, 14), st.integers(0, 10_000), st.booleans())
def test_agrees_with_a_flood_fill(height, width, seed, with_region):
    rng = np.random.default_rng(seed)
    probability = rng.random((height, width)).astype(np.float32)
    region = rng.random((height, width)) < 0.6 if with_region else None
    config = ComponentsConfig(low=0.5, high=0.85)
    strong, weak = probability >= 0.85, probability >= 0.5
    if region is not None:
        strong = _flood(strong, region)
        weak = strong | (weak & region)
    assert (strong_components(probability, config, region) == _flood(weak, strong)).all()


def test_labels_are_the_kept_components_and_probabilities_a_distribution():
    rng = np.random.default_rng(3)
    drawn = rng.dirichlet(np.ones(3) * 0.4, (40, 50)).transpose(2, 0, 1)
    probabilities = drawn.astype(np.float32)
    config = ComponentsConfig(low=0.3, high=0.95)
    filtered = filter_components(probabilities, FRAME, config)
    assert np.abs(filtered.sum(0) - 1).max() < 1e-6
    kept = np.stack([strong_components(p, config) for p in probabilities[1:]])
    assert ((filtered.argmax(0) > 0) == kept.any(0)).all()
    assert (filtered[1:][~kept] == 0).all()
    assert (filtered.argmax(0) != probabilities.argmax(0)).any()


def test_a_speck_goes_and_a_faint_limb_comes():
    probability = np.zeros((20, 20), np.float32)
    probability[5:10, 5:10] = 0.9
    probability[10:16, 7] = 0.45
    probability[17, 17] = 0.7
    both = np.stack([1 - probability, probability]).astype(np.float32)
    filtered = filter_components(both, FRAME)
    labels = filtered.argmax(0)
    assert labels[12, 7] == 1
    assert labels[17, 17] == 0
    assert labels[7, 7] == 1


def test_wrong_thresholds_and_shapes_are_named():
    with pytest.raises(OptionError, match=r"low 0\.6 and high 0\.5"):
        ComponentsConfig(low=0.6, high=0.5)
    with pytest.raises(ShapeError, match="H×W"):
        strong_components(np.zeros((2, 3, 3), np.float32))
    with pytest.raises(ShapeError, match=r"\(4, 3\)"):
        strong_components(np.zeros((3, 3), np.float32), None, np.ones((4, 3), bool))
