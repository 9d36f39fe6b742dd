"""Memory reading against a slow loop, and what the bank keeps."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rotomask.errors import OptionError, ShapeError
from rotomask.networks.layers.memory import memory_read
from rotomask.segmenters.memory_bank import MemoryBank, MemoryFrame, read_joined
from rotomask.segmenters.state import plain_of


def _slow_read(query, key, value, similarity, top_k):
    """One query position at a time, in float64."""
    query, key, value = (x.double().numpy() for x in (query, key, value))
    out = np.zeros((query.shape[0], value.shape[1], query.shape[2]))
    for b in range(query.shape[0]):
        for n in range(query.shape[2]):
            scores = np.empty(key.shape[2])
            for m in range(key.shape[2]):
                q, k = query[b, :, n], key[b, :, m]
                scores[m] = q @ k if similarity == "dot" else -((q - k) ** 2).sum()
            scores /= np.sqrt(query.shape[1])
            if top_k is not None:
                scores[np.argsort(scores)[: max(0, len(scores) - top_k)]] = -np.inf
            weights = np.exp(scores - scores.max())
            out[b, :, n] = value[b] @ (weights / weights.sum())
    return out


def _tensors(batch=2, c=5, v=7, n=6, m=11, seed=0):
    generator = torch.Generator().manual_seed(seed)
    shapes = ((batch, c, n), (batch, c, m), (batch, v, m))
    return tuple(torch.randn(s, generator=generator) for s in shapes)


@pytest.mark.parametrize("similarity", ["dot", "l2"])
@pytest.mark.parametrize("top_k", [None, 1, 4, 11, 50])
def test_reading_equals_the_slow_loop(similarity, top_k):
    query, key, value = _tensors()
    read = memory_read(query, key, value, similarity=similarity, top_k=top_k)
    expected = _slow_read(query, key, value, similarity, top_k)
    assert np.abs(read.numpy() - expected).max() < 1e-5


@pytest.mark.parametrize("similarity", ["dot", "l2"])
def test_wide_keys_and_values_of_many_heads(similarity):
    query, key, value = _tensors(batch=1, c=140, v=300, n=3, m=5)
    read = memory_read(query, key, value, similarity=similarity)
    assert np.abs(read.numpy() - _slow_read(query, key, value, similarity, None)).max() < 1e-4


def test_l2_in_bfloat16_keeps_the_norm():
    query, key, value = _tensors(batch=1, c=64, v=16, n=20, m=40)
    half = memory_read(query.bfloat16(), (3 * key).bfloat16(), value.bfloat16(), similarity="l2")
    exact = _slow_read(query.bfloat16(), (3 * key).bfloat16(), value.bfloat16(), "l2", None)
    assert np.abs(half.float().numpy() - exact).max() < 0.1


@pytest.mark.parametrize("far", [1, 30])
@pytest.mark.parametrize(("limit", "bound"), [("BAND_ROWS", 7), ("BAND_BYTES", 4 * 512 * 7)])
def test_bands_of_seven_queries_read_as_the_slow_loop(far, limit, bound, monkeypatch):
    monkeypatch.setattr(f"rotomask.networks.layers.memory.{limit}", bound)
    query, key, value = _tensors(batch=2, c=12, v=30, n=20, m=40)
    with torch.inference_mode():
        read = memory_read(far * query, far * key, value, similarity="l2")
    expected = _slow_read(far * query, far * key, value, "l2", None)
    assert np.abs(read.numpy() - expected).max() < 1e-4


def test_bands_in_bfloat16_round_what_is_far_and_not_what_is_near():
    query, key, value = _tensors(batch=1, c=64, v=16, n=20, m=40)
    query = 3 * query.bfloat16() + 20
    key = torch.cat([3 * key.bfloat16()[..., 20:] + 20, query + query.new_tensor(0.25)], -1)
    with torch.inference_mode():
        half = memory_read(query, key, value.bfloat16(), similarity="l2")
    exact = _slow_read(query, key, value.bfloat16(), "l2", None)
    assert np.abs(half.float().numpy() - exact).max() < 0.1


@pytest.mark.parametrize("in_bands", [True, False])
def test_a_position_that_stands_for_four_is_read_as_four(in_bands):
    query, key, value = _tensors(batch=1, c=12, v=30, n=20, m=40)
    count = torch.where(torch.arange(40) % 3 == 0, 4, 1)
    with torch.inference_mode(in_bands):  # with gradients the fused kernel reads
        read = memory_read(query, key, value, similarity="l2", log_weight=count.float().log())
    keys, values = key.repeat_interleave(count, 2), value.repeat_interleave(count, 2)
    expected = _slow_read(query, keys, values, "l2", None)
    assert np.abs(read.numpy() - expected).max() < 1e-5


def test_weights_need_distances():
    query, key, value = _tensors()
    with pytest.raises(OptionError, match="only with the similarity l2"):
        memory_read(query, key, value, similarity="dot", log_weight=torch.zeros(11))


def test_shapes_and_names_are_checked():
    query, key, value = _tensors()
    with pytest.raises(ShapeError, match="keys must be"):
        memory_read(query, key[:, :3], value)
    with pytest.raises(ShapeError, match="values"):
        memory_read(query, key, value[..., :3])
    with pytest.raises(OptionError, match="unknown similarity"):
        memory_read(query, key, value, similarity="cosine")  # type: ignore[arg-type]


def _remembered(index, ids=(1,), *, reference=False, shared=True):
    key = torch.full((1 if shared else len(ids), 4, 3), float(index))
    return MemoryFrame(index, ids, key, torch.full((len(ids), 2, 3), float(index)), reference)


@given(st.integers(2, 8), st.integers(1, 60))
@settings(max_examples=60)
def test_the_budget_holds_and_the_reference_stays(budget, count):
    bank = MemoryBank(budget)
    bank.remember(_remembered(0, reference=True))
    for i in range(1, count):
        bank.remember(_remembered(5 * i))
        assert len(bank.frames) <= budget
        assert bank.frames[0].index == 0
        assert bank.frames[-1].index == 5 * i


def test_what_is_kept_covers_the_video_and_is_dense_at_the_end():
    bank = MemoryBank(8)
    bank.remember(_remembered(0, reference=True))
    for i in range(1, 200):
        bank.remember(_remembered(i))
    kept = [f.index for f in bank.frames]
    gaps = np.diff(kept)
    assert kept[-1] == 199
    assert any(20 <= i <= 150 for i in kept), "the middle of the video is remembered too"
    assert gaps[-1] <= gaps[0]


def test_no_object_loses_the_last_frame_that_knows_it():
    bank = MemoryBank(3)
    for i in range(6):
        bank.remember(_remembered(i, ids=(i,)))
    assert {k for f in bank.frames for k in f.object_ids} == set(range(6))


def test_objects_read_only_from_frames_that_know_them():
    bank = MemoryBank(4)
    bank.remember(_remembered(10, ids=(1,), reference=True))
    bank.remember(_remembered(20, ids=(1, 2)))
    query = torch.zeros(1, 4, 5)
    read = read_joined(bank.joined((2, 1), "dot"), query, None)
    assert torch.allclose(read[0], torch.full((2, 5), 20.0)), "object 2 never saw frame 10"
    assert torch.allclose(read[1], torch.full((2, 5), 15.0))


def test_the_memory_is_joined_again_only_when_it_changes():
    bank = MemoryBank(4)
    bank.remember(_remembered(0, ids=(1, 2), reference=True))
    joined = bank.joined((1, 2), "dot")
    assert bank.joined((1, 2), "dot") is joined
    assert bank.joined((1,), "dot") is not joined
    again = bank.joined((1, 2), "dot")
    bank.remember(_remembered(5, ids=(1, 2)))
    assert bank.joined((1, 2), "dot") is not again
    fields = plain_of(bank)["fields"]
    assert fields.keys() == {"budget", "frames", "previous"}, "it is not part of a stored state"


def test_keys_of_each_object_are_its_own():
    bank = MemoryBank(4)
    key = torch.stack([torch.eye(3), -torch.eye(3)]) * 50
    value = torch.arange(6.0).view(2, 1, 3)
    bank.remember(MemoryFrame(0, (1, 2), key, value, True))
    read = read_joined(bank.joined((1, 2), "dot"), torch.eye(3)[None] * 5, None)
    assert torch.allclose(read[0], value[0], atol=1e-3)
    assert not torch.allclose(read[1], value[1], atol=1e-1)
