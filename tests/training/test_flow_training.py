"""Training flow-lite: batches, the loss, and a run that learns."""

from pathlib import Path

import numpy as np
import pytest
import torch

from rotomask.catalog import load_flow
from rotomask.data.simulation.flow_pairs import FlowPairConfig
from rotomask.data.training.synthetic import moving_shapes
from rotomask.errors import OptionError
from rotomask.flow.optical_flow import DISFlow
from rotomask.networks.checkpoints import read_metadata
from rotomask.networks.flow_lite import FlowLite, FlowLiteConfig
from rotomask.training.flow import FLOW_SCALE, RECIPE, FlowRecipe, FlowTask, mean_error
from rotomask.training.hardware import Hardware
from rotomask.training.run import train
from rotomask.training.task import Schedule
from tests.scripts import write_stills

TINY = FlowRecipe(
    name="tiny",
    optimiser_steps=3,
    schedule=Schedule(warmup=1, validate_every=0),
    model=FlowLiteConfig(
        match_channels=8, shallow_channels=4, context_channels=4, width=8, fine_width=8
    ),
    pairs=FlowPairConfig(size=64),
    validation=FlowPairConfig(size=64),
    validation_pairs=2,
    batch_size=2,
)


@pytest.fixture(scope="module")
def stills(tmp_path_factory: pytest.TempPathFactory) -> Path:
    names = (f"{seed:02d}" for seed in range(40))
    return write_stills(tmp_path_factory.mktemp("data") / "stills", names, size=(80, 100))


def _task(stills: Path, recipe: FlowRecipe = TINY) -> FlowTask:
    task = recipe.task({"stills": stills})
    assert isinstance(task, FlowTask)
    return task


def test_stills_that_are_validated_on_are_not_trained_on(stills):
    task = _task(stills)
    assert len(task.train) == 38
    assert len(task.held_out) == 2
    kept_out = [task.held_out[i][0] for i in range(2)]
    for i in range(len(task.train)):
        assert not any(np.array_equal(task.train[i][0], image) for image in kept_out)


def test_batches_are_a_function_of_the_step_and_hold_the_flow(stills):
    task = _task(stills)
    batch, again, next_one = task.batch(5, 0), task.batch(5, 0), task.batch(6, 0)
    assert all(torch.equal(batch[k], again[k]) for k in batch)
    assert not torch.equal(batch["first"], next_one["first"])
    frames = [batch[k][0].permute(1, 2, 0).numpy() for k in ("first", "second")]
    start = batch["start"][0].permute(1, 2, 0).float() / FLOW_SCALE
    np.testing.assert_allclose(DISFlow().estimate(*frames), start, atol=1 / FLOW_SCALE)


def test_the_loss_is_least_at_the_truth(stills):
    """A network that says the truth at every level has less loss than one that says nothing."""
    task = _task(stills)
    batch = task.batch(0, 0)
    truth = batch["flow"].float() / FLOW_SCALE

    class Says(FlowLite):
        def __init__(self, factor: float) -> None:
            super().__init__(TINY.model)
            self.factor = factor

        def levels(self, first, second, start=None):
            pooled = [torch.nn.functional.avg_pool2d(truth, s) for s in (32, 16, 8, 4)]
            return [self.factor * flow for flow in (*pooled, truth)]

    losses = [float(task.loss(Says(factor), batch, 0)) for factor in (1.0, 0.5, 0.0)]
    assert losses[0] < losses[1] < losses[2]


def test_a_run_is_resumed_validated_and_loaded(stills, tmp_path):
    pytest.importorskip("lightning_fabric")
    cpu = Hardware(accelerator="cpu", workers=0)
    weights = train(TINY, {"stills": stills}, tmp_path / "run", hardware=cpu)
    card = read_metadata(weights)
    assert card["model"] == "flow-lite"
    assert {"error px", "error px from DIS", "error px of DIS"} <= set(card["validation"])
    frames, _ = moving_shapes(3, frames=2, size=(50, 70))
    for name in ("flow-lite", "dis+flow-lite"):
        flow = load_flow(name, weights=weights, device="cpu").estimate(frames[0], frames[1])
        assert flow.shape == (50, 70, 2)
        assert np.isfinite(flow).all()


def test_learning_makes_what_dis_found_better(stills):
    """Some small steps on pairs of shapes: less error than at the start."""
    recipe = FlowRecipe(
        name="short",
        optimiser_steps=35,
        schedule=Schedule(learning_rate=2e-3, warmup=5, validate_every=0),
        model=TINY.model,
        pairs=FlowPairConfig(size=64, scene_shift=0.02, object_shift=0.03),
        validation=FlowPairConfig(size=64, scene_shift=0.02, object_shift=0.03),
        validation_pairs=6,
        started=1.0,
    )
    task = _task(stills, recipe)
    torch.manual_seed(0)
    network = task.build()
    before = task.validate(network)["error px from DIS"]
    optimiser = torch.optim.AdamW(task.rates(network)[0][0], lr=2e-3)
    for step in range(35):
        loss = task.loss(network, task.batch(step, 0), step)
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
    assert task.validate(network)["error px from DIS"] < 0.8 * before


def test_the_named_recipe_takes_stills_alone(stills):
    with pytest.raises(OptionError, match="trained on stills"):
        RECIPE.task({"davis": stills})
    assert mean_error(DISFlow(), []) == 0
