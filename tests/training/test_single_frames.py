"""Training on single frames: what is labelled, what outlines are, and that it learns."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from rotomask.catalog import load_edge_detector
from rotomask.data.simulation import render
from rotomask.data.training.synthetic import moving_shapes
from rotomask.edges.thinning import thin_edges
from rotomask.evaluation.measures.object_edges import edge_counts, edge_score
from rotomask.networks.checkpoints import read_metadata
from rotomask.networks.hepspnet import EdgeConfig
from rotomask.training.clip_data import Stage
from rotomask.training.hardware import Hardware
from rotomask.training.object_edges import EdgeRecipe, flow_of_clips, outlines
from rotomask.training.run import train
from rotomask.training.single_frames import assign_all_ids
from rotomask.training.task import Schedule
from studies.distance import DistanceRecipe, bin_loss
from studies.distance_network import DistanceConfig, load_distance_estimator, normalised_distance
from tests.scripts import write_stills, write_video

CPU = Hardware(accelerator="cpu", workers=0, precision="32-true")
STAGE = Stage(
    steps=48, batch=2, frames=2, size=64, real=0.5, objects=(0.5, 0.5), occlusion=0.5, appearance=0
)
EDGES = EdgeRecipe(
    name="tiny-edges",
    schedule=Schedule(learning_rate=4e-3, warmup=3, ema=0.9, validate_every=0),
    stage=STAGE,
    model=EdgeConfig(decoder_channels=(24, 16, 16)),
)
DISTANCE = DistanceRecipe(
    name="tiny-distance",
    schedule=EDGES.schedule,
    stage=STAGE,
    model=DistanceConfig(decoder_channels=(24, 16, 16)),
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Shapes as stills and as videos, one of them held out."""
    root = tmp_path_factory.mktemp("data")
    for number, name in enumerate(("first", "second", "hike")):
        write_video(root / "videos", name, 20 + number, 5, size=(96, 128))
    return {"stills": write_stills(root / "stills", range(6)), "videos": root / "videos"}


def test_edges_learn_outlines_of_objects(data, tmp_path):
    path = train(EDGES, data, tmp_path / "run", hardware=CPU)
    card = read_metadata(path)
    assert card["model"] == "edges-lite"
    assert card["start"] == "encoder of the shipped stm-lite"
    frames, labels = moving_shapes(40, frames=1)
    detector = load_edge_detector(weights=path)
    found = detector.detect(frames[0][..., ::-1].copy())
    counts = edge_counts(thin_edges(found.edges), labels[0] > 0)
    noise = np.random.default_rng(0).random(labels[0].shape).astype(np.float32)
    by_chance = edge_score([edge_counts(thin_edges(noise), labels[0] > 0)]).f
    assert edge_score([counts]).f > by_chance + 0.2
    inside = labels[0] > 0
    assert found.foreground[inside].mean() > 2 * found.foreground[~inside].mean()
    # The first stages of the encoder are as they were, the last is not.
    start = EDGES.task(data).build().state_dict()
    trained = detector.network.state_dict()
    kept = [torch.allclose(start[k], trained[k].cpu(), atol=2e-3) for k in start if "stages.0" in k]
    assert all(kept)
    assert not torch.allclose(
        start["decoder.fuse4.weight"], trained["decoder.fuse4.weight"].cpu(), atol=2e-3
    )


def test_a_network_with_flow_goes_on_from_one_without(data, tmp_path):
    short = replace(EDGES, stage=replace(EDGES.stage, steps=1))
    plain = train(short, data, tmp_path / "plain", hardware=CPU)
    with_flow = replace(short, model=replace(short.model, flow=True))
    task = with_flow.task(data, plain)
    network = task.build()
    assert "plain" not in task.description()["start"]
    batch = task.prepare(task.batch(0, 0))
    assert batch["flow"].shape == (4, 3, 64, 64)
    assert torch.isfinite(task.loss(network, batch, 0))
    assert task.description()["model"] == "edges-flow-lite"
    torch.testing.assert_close(
        network(batch["frames"], batch["flow"]).fused,
        load_edge_detector(weights=plain).network(batch["frames"]).fused,
    )


def test_distance_learns_how_deep_a_pixel_lies(data, tmp_path):
    path = train(DISTANCE, data, tmp_path / "run", hardware=CPU)
    assert read_metadata(path)["model"] == "distance-lite"
    frames, labels = moving_shapes(40, frames=1)
    maps = load_distance_estimator(weights=path).estimate(frames[0][..., ::-1].copy())
    truth, inside = normalised_distance(labels[0]), labels[0] > 0
    for level in (maps.distance, maps.level_of_bins()):
        assert np.corrcoef(level[inside], truth[inside])[0, 1] > 0.3


def test_everything_annotated_has_an_id_of_its_own(data):
    task = EDGES.task(data)
    for step in range(6):
        batch = task.batch(step, 0)
        before, after = render(batch).labels, render(assign_all_ids(batch)).labels
        assert (after[before > 0] > 0).all()
        for clip_before, clip_after in zip(before, after, strict=True):
            for k in set(clip_before.unique().tolist()) - {0}:
                assert len(clip_after[clip_before == k].unique()) == 1
    layers = (batch["index"][:, :, 0] >= 0).sum(1)
    assert [
        int(ids.unique().numel()) - 1 for ids in assign_all_ids(batch)["ids"]
    ] >= layers.tolist()


def test_a_still_scene_keeps_no_ids_where_only_what_moves_counts(data):
    stage = replace(STAGE, real=0.0, paste=1.0, occlusion=1.0, batch=4)
    batch = replace(EDGES, stage=stage).task(data).batch(0, 0)
    everything, moving = (
        render(assign_all_ids(batch, still=still)).labels for still in (True, False)
    )
    named = render(batch).labels
    assert (moving[named > 0] > 0).all()
    assert ((moving > 0) <= (everything > 0)).all()
    assert (moving > 0).sum() < (everything > 0).sum()


def test_outlines_are_the_pixels_on_either_side_of_a_border():
    labels = torch.zeros(1, 5, 8, dtype=torch.uint8)
    labels[0, :, 3:6] = 1
    labels[0, :, 6:] = 2
    row = outlines(labels)[0, 0, 2]
    assert row.tolist() == [0, 0, 1, 1, 0, 1, 1, 0]
    assert outlines(torch.ones(1, 5, 8)).sum() == 0


def test_flow_of_clips_shows_what_moves():
    frames, labels = moving_shapes(3, frames=2, size=(128, 128))
    clip = torch.from_numpy(frames).movedim(-1, 1)[None].float() / 255
    flow = flow_of_clips(clip)
    assert flow.shape == (2, 3, 128, 128)
    inside = torch.from_numpy(labels[0] > 0)
    assert flow[0, 2][inside].mean() > flow[0, 2][~inside].mean() + 0.2


def test_bins_that_are_right_cost_nothing_and_background_does_not_count():
    distance = torch.tensor([0.0, 0.1, 0.3, 0.6, 0.9, 1.0]).view(1, 1, 1, 6)
    logits = torch.zeros(1, 4, 1, 6)
    for x, right in enumerate((0, 0, 1, 2, 3, 3)):
        logits[0, right, 0, x] = 50
    assert bin_loss(logits, distance) < 1e-6
    logits[0, :, 0, 0] = torch.tensor([0.0, 50, 0, 0])
    assert bin_loss(logits, distance) < 1e-6
    logits[0, :, 0, 5] = torch.tensor([50.0, 0, 0, 0])
    assert bin_loss(logits, distance) > 5
