"""Parents of one-shot networks: what they learn, with which rates, and what is exported."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from rotomask.catalog import load_model, shipped_weights
from rotomask.data.training.clips import find_videos
from rotomask.errors import WeightsError
from rotomask.networks.checkpoints import load_state, read_metadata, save_weights
from rotomask.networks.layers.efficientnet_lite import EfficientNetLite0
from rotomask.networks.oneshot_lite import OneShotLite, OneShotLiteConfig
from rotomask.networks.osvos import OSVOS, SLIM
from rotomask.segmenters.fine_tuned import FineTuningConfig
from rotomask.training.clip_data import Stage
from rotomask.training.foreground import ForegroundRecipe, ForegroundTask
from rotomask.training.hardware import Hardware
from rotomask.training.recipes import find_recipe
from rotomask.training.run import train
from rotomask.training.starting import lite0_imagenet_weights, start_from
from rotomask.training.task import Schedule
from tests.scripts import write_video

CPU = Hardware(accelerator="cpu", workers=0)

SHAPE = OneShotLiteConfig(decoder_channels=(24, 16, 16))
TINY = ForegroundRecipe(
    name="tiny",
    schedule=Schedule(learning_rate=4e-3, warmup=2, validate_every=0, ema=0.8),
    model=SHAPE,
    stage=Stage(steps=40, batch=2, frames=2, size=64, real=1.0, objects=(1.0,)),
    held_out=("shape-3",),
    fine_tuning=FineTuningConfig(iterations=0),
)


@pytest.fixture(scope="module")
def davis(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Videos of moving shapes in the layout of DAVIS."""
    root = tmp_path_factory.mktemp("davis")
    for i in range(4):
        write_video(root, f"shape-{i}", 100 + i, 6, size=(96, 128))
    return root


def test_a_parent_knows_objects_without_fine_tuning(davis, tmp_path):
    """Those it was trained on: three videos do not teach what an object is."""
    weights = train(TINY, {"davis": davis}, tmp_path / "run", hardware=CPU)
    card = read_metadata(weights)
    assert card["model"] == "oneshot"
    assert "J shape-3" in card["validation"]
    parent = load_model("oneshot", weights=weights, device="cpu", iterations=0)
    overlaps = []
    for video in find_videos(davis, exclude=TINY.held_out):
        frame, labels = video.read(0)
        parent.start(frame, labels.astype(int))
        found = parent.labels(parent.step(frame)) > 0
        overlaps.append((found & (labels > 0)).sum() / (found | (labels > 0)).sum())
    assert np.mean(overlaps) > 0.5


def test_side_losses_fade_and_are_absent_without_sides(davis):
    task = TINY.task({"davis": davis})
    assert isinstance(task, ForegroundTask)
    torch.manual_seed(0)
    network = task.build()
    batch = task.prepare(task.batch(0, 0))
    steps = (0, TINY.steps)
    begin, end = (float(task.loss(network, batch, step).detach()) for step in steps)
    assert begin > end
    bare = replace(TINY, model=replace(SHAPE, sides=False)).task({"davis": davis})
    torch.manual_seed(0)
    network = bare.build()
    same = [float(bare.loss(network, batch, step).detach()) for step in steps]
    assert same[0] == same[1]


def test_osvos_trains_by_sgd_with_the_layers_own_rates(davis, tmp_path):
    torch.manual_seed(0)
    start = tmp_path / "start.safetensors"
    network = OSVOS(SLIM)
    for module in network.stages.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight)
    save_weights(start, network.state_dict(), {})
    recipe = find_recipe("osvos-slim")
    assert isinstance(recipe, ForegroundRecipe)
    assert recipe.schedule.optimiser == "sgd"
    small = replace(
        recipe,
        schedule=replace(recipe.schedule, learning_rate=1e-2, ema=0.0, validate_every=0),
        stage=replace(recipe.stage, steps=2, batch=1, size=32),
        held_out=(),
    )
    weights = train(small, {"davis": davis}, tmp_path / "run", hardware=CPU, initial=start)
    before, after = load_state(start), load_state(weights)
    assert not torch.equal(before["side_prep.3.weight"], after["side_prep.3.weight"])
    assert torch.equal(before["upscale.0.weight"], after["upscale.0.weight"]), "never trained"
    rates = dict(
        zip(("weight", "bias"), small.task({"davis": davis}).rates(OSVOS(SLIM)), strict=False)
    )
    assert rates["bias"][1] == 2 * rates["weight"][1]


def test_early_stages_of_vgg16_may_be_frozen(davis):
    recipe = find_recipe("osvos-slim-distilled")
    assert isinstance(recipe, ForegroundRecipe)
    network = OSVOS(SLIM)
    rates = replace(recipe, frozen_stages=2).task({"davis": davis}).rates(network)
    trained = {id(parameter) for parameters, _ in rates for parameter in parameters}
    for name, parameter in network.named_parameters():
        is_early = name.startswith(("stages.0.", "stages.1."))
        is_fixed = is_early or name.startswith("upscale")
        assert (id(parameter) in trained) != is_fixed, name
        assert parameter.requires_grad != is_fixed, name


@pytest.mark.parametrize("has_stride32", [True, False])
def test_a_network_may_start_from_the_encoder_of_another(tmp_path, has_stride32):
    shipped = shipped_weights("stm-lite")
    assert shipped is not None
    given = load_state(shipped)
    if not has_stride32:  # as an stm-lite without the context branch
        given = {k: v for k, v in given.items() if not k.startswith("encoder.stages.5")}
    save_weights(tmp_path / "w.safetensors", given, {})
    network = OneShotLite(SHAPE)
    decoder = {k: v.clone() for k, v in network.decoder.state_dict().items()}
    started = start_from(network, tmp_path / "w.safetensors")
    rest = "" if has_stride32 else "; its last stage: EfficientNet"
    assert started.startswith(f"the encoder of w.safetensors{rest}")
    deepest = EfficientNetLite0(with_stride32=True)
    deepest.load_imagenet(lite0_imagenet_weights())
    for name, value in network.encoder.state_dict().items():
        expected = given.get(f"encoder.{name}", deepest.state_dict()[name])
        assert torch.equal(value, expected)
    assert all(torch.equal(v, decoder[k]) for k, v in network.decoder.state_dict().items())


def test_other_weights_are_refused(tmp_path):
    save_weights(tmp_path / "other.safetensors", {"encoder.stem.weight": torch.zeros(1)}, {})
    with pytest.raises(WeightsError, match="of another network with its encoder"):
        start_from(OneShotLite(SHAPE), tmp_path / "other.safetensors")
