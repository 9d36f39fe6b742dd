"""Training of reference-guided networks: what they see, what flows where, and the recipes."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rotomask.catalog import load_model, shipped_weights
from rotomask.data.training.synthetic import moving_shapes
from rotomask.errors import OptionError
from rotomask.networks.checkpoints import load_state, read_metadata, save_weights
from rotomask.networks.rgmp import RGMP, RGMPConfig
from rotomask.networks.rgmp_lite import RGMPLite, RGMPLiteConfig
from rotomask.training.clip_data import Stage
from rotomask.training.recipes import RECIPES, find_recipe
from rotomask.training.reference_guided import (
    Inputs,
    ReferenceGuidedRecipe,
    ReferenceGuidedTask,
    enlarge,
    propagate,
    pyramid_loss,
)
from rotomask.training.run import train
from rotomask.training.space_time import SpaceTimeRecipe
from rotomask.training.task import Schedule
from tests.golden import filled_state
from tests.training.tiny import write_data

SMALL = RGMPLiteConfig(match_channels=16, decoder_channels=(16, 16, 8))


def _recipe(**changes: Any) -> ReferenceGuidedRecipe:
    recipe = ReferenceGuidedRecipe(
        name="tiny",
        schedule=Schedule(warmup=1, validate_every=0),
        model=SMALL,
        pre_training=Stage(steps=2, batch=2, frames=3, size=64, real=0.0),
        fine_tuning=(Stage(steps=2, batch=2, frames=4, size=64, real=1.0, objects=(1.0,)),),
        held_out=("shape-3",),
    )
    return replace(recipe, **changes)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Stills and videos of moving shapes in the layouts of DUTS and DAVIS."""
    return write_data(tmp_path_factory.mktemp("data"), stills=8, frames=8)


@pytest.fixture
def batch() -> dict[str, torch.Tensor]:
    frames, labels = moving_shapes(0, frames=3, size=(64, 64))
    images = torch.from_numpy(frames).permute(0, 3, 1, 2)[None].float() / 255
    masks = torch.from_numpy(labels)[None].float()
    return {"frames": images, "masks": masks, "guidance": masks[:, 0].clone()}


@pytest.fixture
def network() -> RGMPLite:
    network = RGMPLite(SMALL)
    network.load_state_dict(filled_state(network.state_dict()))
    return network


def _answers(network: RGMPLite, batch, **inputs: bool) -> list[torch.Tensor]:
    with torch.no_grad():
        return [sides[0] for sides in propagate(network, batch, Inputs(**inputs))]


def _changed(batch, name: str) -> dict[str, torch.Tensor]:
    values = batch[name].clone()
    if name == "masks":  # those after the reference
        values[:, 1:] = 1 - values[:, 1:]
    elif name == "frames":  # the reference
        values[:, 0] = 1 - values[:, 0]
    else:
        values = 1 - values
    return {**batch, name: values}


def test_each_frame_is_guided_by_the_answer_for_the_one_before(network, batch):
    answers = _answers(network, batch)
    with torch.no_grad():
        reference = network.encode(batch["frames"][:, 0], batch["masks"][:, 0]).coarsest
        guidance = torch.sigmoid(enlarge(answers[0]))
        target = network.encode(batch["frames"][:, 2], guidance)
        expected = network.side_logits(target, network.match(target, reference))[0]
    torch.testing.assert_close(answers[1], expected)


@pytest.mark.parametrize(
    ("inputs", "name", "matters"),
    [
        ({}, "frames", True),
        ({}, "guidance", True),
        ({}, "masks", False),
        ({"use_reference": False}, "frames", False),
        ({"use_reference": False}, "guidance", True),
        ({"use_previous": False}, "frames", True),
        ({"use_previous": False}, "guidance", False),
        ({"recurrence": False}, "masks", True),
    ],
)
def test_the_ablations_switch_off_what_they_say(network, batch, inputs, name, matters):
    usual = _answers(network, batch, **inputs)
    changed = _answers(network, _changed(batch, name), **inputs)
    assert (not torch.equal(usual[-1], changed[-1])) == matters


@pytest.mark.parametrize("recurrence", [True, False])
def test_gradients_flow_back_through_time(network, batch, recurrence):
    """The last answer's loss reaches the first guidance mask, unless there is no recurrence."""
    batch["guidance"].requires_grad_(True)
    outputs = propagate(network, batch, Inputs(recurrence=recurrence))
    outputs[-1][0].square().mean().backward()
    reached = batch["guidance"].grad is not None and bool(batch["guidance"].grad.abs().max() > 0)
    assert reached == recurrence


def test_loss_is_small_for_the_truth_and_sees_every_side():
    truth = torch.zeros(1, 1, 64, 64)
    truth[..., 16:48, 32:] = 1

    def sides(factors: tuple[float, ...]) -> list[list[torch.Tensor]]:
        pooled = (torch.nn.functional.avg_pool2d(truth, s)[:, 0] for s in (4, 8, 16))
        return [[f * 20 * (p - 0.5) for f, p in zip(factors, pooled, strict=True)]]

    def loss(*factors: float, weight: float = 1.0) -> float:
        return float(pyramid_loss(sides(factors), truth, 1.0, dice=0.5, sides=weight).mean())

    assert loss(1, 1, 1) < 0.1
    for wrong in ((-1, 1, 1), (1, -1, 1), (1, 1, -1)):
        assert loss(*wrong) > loss(1, 1, 1) + 1
    assert loss(1, -1, -1, weight=0.0) == pytest.approx(loss(1, 1, 1, weight=0.0))


def test_a_batch_has_the_reference_first_and_only_one_objects_mask(data):
    task = _recipe().task(data)
    assert isinstance(task, ReferenceGuidedTask)
    prepared = task.prepare(task.batch(3, 0))
    assert prepared["frames"].shape == (2, 3, 3, 64, 64)
    assert prepared["masks"].shape == (2, 3, 64, 64)
    assert prepared["guidance"].shape == (2, 64, 64)
    assert set(prepared["masks"].unique().tolist()) == {0.0, 1.0}
    again = task.prepare(task.batch(3, 0))
    assert torch.equal(prepared["frames"], again["frames"])
    assert not torch.equal(prepared["frames"], task.prepare(task.batch(2, 0))["frames"])


def test_training_makes_weights_that_the_catalogue_runs(data, tmp_path):
    """The real loop: each stage once, weights changed where they may, scores, origin."""
    path = train(_recipe(), data, tmp_path / "run")
    card = read_metadata(path)
    assert card["model"] == "rgmp-lite"
    assert card["steps"] == 4
    assert "of the encoder" in card["start"]
    assert "J shape-3" in card["validation"]
    state = load_state(path)
    start = load_state(Path(str(shipped_weights("stm-lite"))))
    frozen, trained = "encoder.stages.0.0.body.0.weight", "encoder.stages.3.0.body.0.weight"
    torch.testing.assert_close(state[frozen], start[frozen].half().float())
    assert not torch.equal(state[trained], start[trained])
    assert state["mask_filters.weight"].abs().max() > 0
    frames, labels = moving_shapes(0, frames=2)
    segmenter = load_model("rgmp-lite", weights=path, device="cpu")
    segmenter.start(frames[0], labels[0].astype(int))
    assert segmenter.step(frames[1]).shape == (2, 96, 128)


def test_a_few_steps_on_one_clip_teach_it_the_clip(data):
    torch.manual_seed(0)
    task = _recipe(sides=0.1).task(data)
    network = task.build()
    batch = task.prepare(task.batch(3, 0))
    optimiser = torch.optim.Adam(
        [{"params": params, "lr": 2e-3 * factor} for params, factor in task.rates(network)]
    )
    losses = []
    for step in range(12):
        loss = task.loss(network, batch, 0)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
        assert np.isfinite(losses[-1]), step
    assert losses[-1] < 0.7 * losses[0]


def test_only_the_visual_memory_is_trained_where_the_recipe_says_so(data, tmp_path):
    plain = train(_recipe(), data, tmp_path / "plain")
    model = replace(SMALL, visual_memory=True)
    recipe = _recipe(model=model, trained="visual memory")
    memory = train(recipe, data, tmp_path / "memory", initial=plain)
    before, after = load_state(plain), load_state(memory)
    for name, value in before.items():
        assert torch.equal(value, after[name]), name
    task = recipe.task(data, plain)
    fresh = task.build().state_dict()
    moved = [k for k in after if k.startswith("visual_memory") and "weight" in k]
    assert moved
    assert not any(torch.equal(after[k], fresh[k].half().float()) for k in moved)
    with pytest.raises(OptionError, match="visual_memory"):
        _recipe(trained="visual memory")


def test_paper_size_takes_a_users_resnet50_and_keeps_its_batch_norm(data, tmp_path):
    """Names as torchvision and timm have them; statistics of batch norm stay in training."""
    small = Stage(steps=1, batch=1, frames=3, size=64, real=0.0)
    recipe = _recipe(schedule=Schedule(), model=RGMPConfig(), pre_training=small, fine_tuning=())
    without = recipe.task(data)
    without.build()
    assert "no ResNet-50 was given" in without.description()["start"]
    published = {}
    encoder = filled_state(RGMP().Encoder.state_dict())
    for name, value in encoder.items():
        stage, dot, rest = name.partition(".")
        if stage not in ("mean", "std", "conv1_p"):
            stage = f"layer{int(stage[3:]) - 1}" if stage.startswith("res") else stage
            published[stage + dot + rest] = value
    published |= {"fc.weight": torch.zeros(10, 2048), "fc.bias": torch.zeros(10)}
    path = tmp_path / "resnet50.pth"
    torch.save(published, path)
    task = recipe.task(data, path)
    network = task.build()
    assert "resnet50.pth" in task.description()["start"]
    assert isinstance(network, RGMP)
    assert torch.equal(
        network.Encoder.state_dict()["res5.2.conv3.weight"], encoder["res5.2.conv3.weight"]
    )
    network.train()
    task.loss(network, task.prepare(task.batch(0, 0)), 0).backward()
    mean = "res2.0.bn1.running_mean"
    assert torch.equal(network.Encoder.state_dict()[mean], encoder[mean])
    assert network.Encoder.conv1_p.weight.grad is not None


@pytest.mark.parametrize("what", ["-Ref", "-Prev", "-PT", "-FT", "-Rec"])
def test_an_ablation_changes_one_thing_and_not_the_budget(what):
    full = RECIPES["rgmp-lite-short"]
    assert isinstance(full, ReferenceGuidedRecipe)
    recipe = full.without(what)
    assert recipe.schedule == full.schedule
    assert recipe.steps == full.steps
    changed = {
        "-Ref": ("inputs", Inputs(use_reference=False)),
        "-Prev": ("inputs", Inputs(use_previous=False)),
        "-Rec": ("inputs", Inputs(recurrence=False)),
        "-PT": ("pre_training", None),
        "-FT": ("fine_tuning", ()),
    }[what]
    assert getattr(recipe, changed[0]) == changed[1]
    assert find_recipe(f"rgmp-lite-short{what.lower()}") == recipe
    if what in ("-PT", "-FT"):
        with pytest.raises(OptionError, match="cannot be trained -"):
            recipe.without("-FT" if what == "-PT" else "-PT")


def test_the_curriculum_of_the_visual_memory_grows_by_one_frame():
    """RGMP, sec. 4.3: one more recursion in each stage, up to five; then all weights together."""
    for name in ("rgmp-gru", "rgmp-lite-gru"):
        recipe = RECIPES[name]
        assert isinstance(recipe, ReferenceGuidedRecipe)
        assert recipe.trained == "visual memory"
        assert [stage.frames - 2 for stage in recipe.all_stages] == [1, 2, 3, 4, 5]
        together = RECIPES[f"{name}-all"]
        assert isinstance(together, ReferenceGuidedRecipe)
        assert together.trained == "all"
        assert together.model == recipe.model


def test_recipes_that_cannot_be_are_named():
    with pytest.raises(OptionError, match="at least 3 frames"):
        _recipe(pre_training=Stage(steps=2, frames=2, size=64, real=0.0))
    with pytest.raises(OptionError, match="at least one stage"):
        _recipe(pre_training=None, fine_tuning=())


def test_refine50_is_trained_by_the_loop(data, tmp_path):
    """One step at paper size: the refinement leaves zero."""
    recipe = RECIPES["stm-refine50"]
    assert isinstance(recipe, SpaceTimeRecipe)
    stage = Stage(steps=1, batch=1, frames=3, size=64, real=0.0)
    short = replace(recipe, schedule=Schedule(warmup=1), stages=(stage,))
    task = short.task(data)
    network = task.build()
    loss = task.loss(network, task.prepare(task.batch(0, 0)), 0)
    loss.backward()
    projections = [p for k, p in network.named_parameters() if "refinement" in k and "project" in k]
    assert projections
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in projections)
    path = tmp_path / "refine50.safetensors"
    save_weights(path, network.state_dict(), task.description())
    assert load_model("stm-refine50", weights=path, device="cpu").object_ids == ()
