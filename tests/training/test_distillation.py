"""Relations between positions, and a VGG-16 that learns those of `oneshot`."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rotomask.errors import OptionError
from rotomask.networks.osvos import OSVOS, SLIM
from rotomask.training.distillation import RelationTeacher, relations
from rotomask.training.recipes import find_recipe


def test_relations_are_correlations_of_the_features_of_all_positions():
    features = torch.randn(2, 5, 3, 4, generator=torch.Generator().manual_seed(1))
    found = relations(features, (48, 64))
    vectors = features.permute(0, 2, 3, 1).reshape(24, 5).double().numpy()
    vectors = vectors - vectors.mean(0)
    lengths = np.linalg.norm(vectors, axis=1)
    expected = (vectors @ vectors.T) / np.outer(lengths, lengths)
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-6)


@settings(deadline=None, max_examples=20)
@given(
    seed=st.integers(0, 1000),
    stride=st.sampled_from([8, 16, 32]),
    scale=st.floats(0.1, 10),
    shift=st.floats(-5, 5),
)
def test_relations_do_not_depend_on_scale_and_mean(
    seed: int, stride: int, scale: float, shift: float
):
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(2, 6, 64 // stride, 96 // stride, generator=generator)
    found = relations(features, (64, 96))
    assert found.shape == (48, 48)  # at stride 16, whatever theirs is
    torch.testing.assert_close(
        found, relations(scale * features + shift, (64, 96)), atol=1e-3, rtol=0
    )
    torch.testing.assert_close(found, found.T)
    assert found.abs().max() <= 1 + 1e-5


def test_a_network_learns_the_relations_of_the_teacher():
    torch.manual_seed(0)
    network, teacher = OSVOS(SLIM), RelationTeacher()
    frames = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(2))
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-4)
    losses = []
    for _ in range(8):
        loss = teacher.loss(network, network.stage_features(network.prepare(frames)), frames)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.8 * losses[0]


def test_only_osvos_learns_relations():
    with pytest.raises(OptionError, match="set distillation to 0"):
        replace(find_recipe("oneshot-lite"), distillation=1.0)  # type: ignore[call-arg]
