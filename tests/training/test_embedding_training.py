"""The pair loss against the paper's formula, and training that makes instances differ."""

import math

import numpy as np
import pytest
import torch

from rotomask.catalog import load_model
from rotomask.data.training.scenes import SceneConfig
from rotomask.data.training.synthetic import moving_shapes
from rotomask.errors import OptionError
from rotomask.jobs.loading import load_discoverer
from rotomask.networks.checkpoints import read_metadata
from rotomask.networks.embedding import EmbeddingConfig, EmbeddingMaps, EmbeddingNet
from rotomask.training.embedding import (
    EmbeddingLoss,
    EmbeddingRecipe,
    embedding_loss,
    objectness_loss,
    pure_labels,
)
from rotomask.training.hardware import Hardware
from rotomask.training.pairwise import neighbour_pair_loss, pair_loss, sampled_pair_loss
from rotomask.training.run import train
from rotomask.training.task import Schedule
from rotomask.unsupervised.base import FrameList
from rotomask.unsupervised.config import DiscoveryConfig
from tests.scripts import write_stills

TINY = EmbeddingRecipe(
    name="tiny",
    optimiser_steps=3,
    schedule=Schedule(warmup=1, validate_every=0),
    model=EmbeddingConfig(embedding_channels=4, decoder_channels=(16, 16, 16)),
    scenes=SceneConfig(size=64),
    batch_size=2,
)
CPU = Hardware(accelerator="cpu", workers=0)


def test_the_loop_trains_weights_that_find_and_follow(tmp_path):
    path = train(
        TINY, {"duts": write_stills(tmp_path / "stills", range(6))}, tmp_path / "run", hardware=CPU
    )
    card = read_metadata(path)
    assert card["model"] == "embedding"
    assert card["data"] == {"duts": 6}
    assert card["config"]["embedding_channels"] == 4
    frames, labels = moving_shapes(0, frames=2)
    segmenter = load_model("embedding", weights=path, size=64)
    segmenter.start(frames[0], labels[0].astype(int))
    assert segmenter.step(frames[1]).shape == (2, 96, 128)
    config = DiscoveryConfig(size=64)
    discoverer = load_discoverer("embedding", weights=path, config=config)
    assert len(list(discoverer.discover(FrameList(list(frames))).frames())) == 2


def test_batches_are_a_function_of_seed_and_step(tmp_path):
    task = TINY.task({"stills": write_stills(tmp_path / "stills", range(6))})
    first, again, other = task.batch(1, 0), task.batch(1, 0), task.batch(2, 0)
    assert torch.equal(first["images"], again["images"])
    assert torch.equal(first["labels"], again["labels"])
    assert not torch.equal(first["images"], other["images"])


def test_embeddings_are_trained_on_stills_alone(tmp_path):
    for data in ({}, {"davis": tmp_path}):
        with pytest.raises(OptionError, match="trained on stills"):
            TINY.task(data)


def test_pair_loss_is_the_cross_entropy_of_the_similarity():
    d2 = torch.tensor([0.01, 0.5, 2.0, 8.0], dtype=torch.float64)
    similarity = 2 / (1 + d2.exp())
    same = torch.ones(4, dtype=torch.bool)
    torch.testing.assert_close(pair_loss(d2, same), -similarity.log())
    torch.testing.assert_close(pair_loss(d2, ~same), -(1 - similarity).log())


def test_pair_loss_stays_finite_where_the_formula_does_not():
    d2 = torch.tensor([0.0, 900.0], requires_grad=True)
    for same in (True, False):
        loss = pair_loss(d2, torch.full((2,), same))
        loss.sum().backward()
        assert loss.isfinite().all()
        assert d2.grad is not None
        assert d2.grad.isfinite().all()


def test_large_and_small_instances_count_alike():
    """A point whose one wrong neighbour is a small instance or a large one costs the same."""
    embedding = torch.zeros(1, 1, 8, 8)
    embedding[..., 4:] = 3.0
    small, large = torch.zeros(2, 8, 8, dtype=torch.int64)
    small[0, 0], large[:4, :4] = 1, 1
    small[:, 4:], large[:, 4:] = 2, 2
    losses = [
        sampled_pair_loss(
            embedding,
            labels[None],
            samples=64,
            background=1.0,
            generator=torch.Generator().manual_seed(0),
        )
        for labels in (small, large)
    ]
    torch.testing.assert_close(losses[0], losses[1])


def test_background_pairs_have_their_weight_and_negative_labels_none():
    embedding = torch.randn(1, 2, 6, 6, generator=torch.Generator().manual_seed(1))
    labels = torch.zeros(1, 6, 6, dtype=torch.int64)
    labels[0, :3] = 1

    def loss(background: float, labels: torch.Tensor) -> float:
        generator = torch.Generator().manual_seed(0)
        return float(
            sampled_pair_loss(
                embedding, labels, samples=16, background=background, generator=generator
            )
        )

    assert loss(0.0, labels) != loss(1.0, labels)
    assert loss(1.0, torch.full_like(labels, -1)) == 0


def test_neighbour_loss_looks_across_boundaries():
    labels = torch.zeros(1, 4, 8, dtype=torch.int64)
    labels[..., 4:] = 1
    flat, sharp = torch.zeros(1, 1, 4, 8), torch.zeros(1, 1, 4, 8)
    sharp[..., 4:] = 4.0
    assert neighbour_pair_loss(sharp, labels) < 0.01 < neighbour_pair_loss(flat, labels)
    assert neighbour_pair_loss(flat, torch.full_like(labels, -1)) == 0


def test_cells_of_two_labels_are_not_sampled():
    labels = torch.zeros(1, 8, 8, dtype=torch.int64)
    labels[0, :4, :6] = 3
    assert pure_labels(labels, 4).tolist() == [[[3, -1], [0, 0]]]


def test_objectness_loss_is_least_at_the_truth():
    covered = torch.zeros(1, 4, 4)
    covered[0, :2] = 1
    right, wrong = (covered * 2 - 1) * 10, (1 - covered * 2) * 10
    assert objectness_loss(right, covered) < 0.01 < objectness_loss(wrong, covered)
    unsure = objectness_loss(torch.zeros(1, 4, 4), covered)
    # Half of everything: overlap 4 of 12, with a cell's worth of smoothing.
    assert float(unsure) == pytest.approx(math.log(2) + 1 - 5 / 13, abs=1e-5)


def test_the_parts_of_the_loss_are_weighed():
    maps = EmbeddingMaps(torch.randn(1, 4, 8, 8), torch.randn(1, 8, 8))
    labels = torch.zeros(1, 32, 32, dtype=torch.int64)
    labels[0, 8:24, 8:24] = 1

    def parts(config: EmbeddingLoss) -> dict[str, float]:
        found = embedding_loss(maps, labels, config, torch.Generator().manual_seed(0))
        return {name: float(value) for name, value in found.items()}

    once, twice = parts(EmbeddingLoss()), parts(EmbeddingLoss(neighbours=1.0, objectness=2.0))
    assert twice["pairs"] == pytest.approx(once["pairs"])
    assert twice["neighbours"] == pytest.approx(2 * once["neighbours"])
    assert twice["objectness"] == pytest.approx(2 * once["objectness"])


def test_a_small_network_learns_to_tell_shapes_apart():
    torch.manual_seed(0)
    network = EmbeddingNet(EmbeddingConfig(embedding_channels=4, decoder_channels=(16, 16, 16)))
    frames, labels = moving_shapes(3, frames=2, size=(96, 96), objects=2)
    images = torch.from_numpy(frames).movedim(-1, 1).float() / 255
    truth = torch.from_numpy(labels).long()
    optimiser = torch.optim.Adam(network.parameters(), 3e-3)
    losses = []
    for step in range(25):
        parts = embedding_loss(
            network(images), truth, EmbeddingLoss(), torch.Generator().manual_seed(step)
        )
        loss = torch.stack(list(parts.values())).sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert np.mean(losses[-5:]) < 0.6 * np.mean(losses[:5])


def test_the_network_gives_maps_at_stride_four():
    network = EmbeddingNet(EmbeddingConfig(embedding_channels=8)).eval()
    with torch.inference_mode():
        maps = network(torch.rand(2, 3, 64, 96))
    assert maps.embedding.shape == (2, 8, 16, 24)
    assert maps.objectness.shape == (2, 16, 24)
    assert maps.embedding.dtype == torch.float32
