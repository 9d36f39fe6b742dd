"""The three ways of merging objects, against plain formulas and what theory promises."""

import math

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from rotomask.errors import OptionError
from rotomask.networks.layers.aggregation import Aggregation, aggregate

METHODS: tuple[Aggregation, ...] = ("soft", "winner-take-all", "naive")
UNIT = st.floats(0, 1, width=32)
INSIDE = st.floats(0.0078125, 0.9921875, width=32)  # away from the ends, where clamping acts

Values = npt.NDArray[np.float32]
any_objects = arrays(np.float32, array_shapes(min_dims=3, max_dims=3, max_side=4), elements=UNIT)
inner_objects = arrays(
    np.float32, array_shapes(min_dims=3, max_dims=3, max_side=4), elements=INSIDE
)


def merged(values: Values, method: Aggregation) -> Values:
    result: Values = aggregate(torch.from_numpy(values), method).numpy()
    return result


def plain(p: list[float], method: Aggregation) -> list[float]:
    """One pixel, by the formula, with Python's own numbers."""
    if method == "winner-take-all":
        p = [x if x == max(p) else 0.0 for x in p]
    everything = [math.prod(1 - x for x in p), *p]
    everything = [min(max(x, 1e-7), 1 - 1e-7) for x in everything]
    weights = everything if method == "naive" else [x / (1 - x) for x in everything]
    return [x / sum(weights) for x in weights]


@pytest.mark.parametrize("method", METHODS)
@given(p=inner_objects)
def test_equals_the_formula_pixel_by_pixel(method: Aggregation, p: Values) -> None:
    result = merged(p, method)
    for y, x in np.ndindex(p.shape[1:]):
        expected = plain(p[:, y, x].tolist(), method)
        np.testing.assert_allclose(result[:, y, x], expected, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("method", METHODS)
@given(p=any_objects)
def test_is_a_distribution(method: Aggregation, p: Values) -> None:
    result = merged(p, method)
    assert result.shape == (p.shape[0] + 1, *p.shape[1:])
    assert result.dtype == np.float32
    assert (result >= 0).all()
    np.testing.assert_allclose(result.sum(0), 1, atol=1e-5)


@pytest.mark.parametrize("method", METHODS)
@given(p=any_objects, data=st.data())
def test_permuting_objects_permutes_the_output(
    method: Aggregation, p: Values, data: st.DataObject
) -> None:
    order = data.draw(st.permutations(range(p.shape[0])))
    expected = merged(p, method)[[0, *(i + 1 for i in order)]]
    np.testing.assert_allclose(merged(p[order], method), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("method", METHODS)
@given(p=any_objects)
def test_a_stronger_object_stays_stronger(method: Aggregation, p: Values) -> None:
    best = merged(p, method)[1:].max(0)
    strongest = np.take_along_axis(merged(p, method)[1:], p.argmax(0)[None], 0)[0]
    np.testing.assert_allclose(strongest, best, rtol=1e-4, atol=1e-6)


@given(p=any_objects)
def test_a_single_object(p: Values) -> None:
    one = p[:1]
    # Odds against odds: soft aggregation sharpens even one object, and keeps its side of a half.
    sharpened = one**2 / (one**2 + (1 - one) ** 2)
    np.testing.assert_allclose(merged(one, "soft")[1:], sharpened, atol=1e-5)
    np.testing.assert_array_equal(merged(one, "winner-take-all"), merged(one, "soft"))
    np.testing.assert_allclose(merged(one, "naive")[1:], one, atol=1e-6)


@given(p=any_objects)
def test_winner_take_all_leaves_losers_nothing(p: Values) -> None:
    result = merged(p, "winner-take-all")[1:]
    assert (result[p < p.max(0)] < 1e-5).all()


@pytest.mark.parametrize("method", METHODS)
def test_certain_masks_stay_certain(method: Aggregation) -> None:
    labels = torch.tensor([[0, 1], [2, 3]])
    one_hot = (labels == torch.arange(4)[:, None, None]).float()
    torch.testing.assert_close(aggregate(one_hot[1:], method), one_hot, rtol=0, atol=1e-5)


def test_soft_lets_the_strong_win_where_naive_shares() -> None:
    p = torch.tensor([0.9, 0.6])[:, None, None]
    assert aggregate(p, "soft")[1] > aggregate(p, "naive")[1]


@pytest.mark.parametrize("method", METHODS)
def test_a_batch_is_its_clips(method: Aggregation) -> None:
    p = torch.rand(2, 3, 4, 5, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(
        aggregate(p, method), torch.stack([aggregate(clip, method) for clip in p])
    )


def test_half_precision_is_merged_in_float32() -> None:
    assert aggregate(torch.ones(2, 1, 1, dtype=torch.bfloat16)).dtype == torch.float32


def test_gradients_reach_every_object() -> None:
    p = torch.tensor([0.2, 0.7])[:, None, None].requires_grad_()
    aggregate(p)[1].sum().backward()
    assert p.grad is not None
    assert (p.grad != 0).all()


def test_unknown_method() -> None:
    with pytest.raises(OptionError, match="unknown aggregation 'hard'; use soft"):
        aggregate(torch.ones(1, 1, 1), "hard")  # type: ignore[arg-type]
