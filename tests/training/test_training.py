"""The real loop on small data: it learns, resumes exactly, and says what is wrong."""

import csv
import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
import pytest
import torch

from rotomask.catalog import load_model
from rotomask.data.training.synthetic import moving_shapes
from rotomask.errors import DatasetError, OptionError, OutputError, WeightsError
from rotomask.networks import precision
from rotomask.networks.checkpoints import read_metadata, save_weights
from rotomask.networks.layers.aggregation import aggregate
from rotomask.networks.layers.efficientnet_lite import DepthwiseConv2d
from rotomask.networks.layers.resnet import ResNet50
from rotomask.networks.losses import bootstrapped_cross_entropy, class_weights, dice_loss
from rotomask.networks.stm import STM, STMConfig
from rotomask.networks.stm_lite import STMLite, STMLiteConfig
from rotomask.training.clip_data import Difficulty, Stage, draw_frames
from rotomask.training.hardware import choose_hardware, open_fabric
from rotomask.training.loop import Progress, Run, fit
from rotomask.training.recipes import RECIPES
from rotomask.training.run import train
from rotomask.training.space_time import (
    Recurrence,
    SpaceTimeRecipe,
    _disturbed,
    _memory_frames,
    read_clip_memory,
    segment_clip,
)
from rotomask.training.starting import start_from
from rotomask.training.task import Schedule, learning_rate
from tests.training.tiny import CPU, TINY, write_data


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Data to train `TINY` on."""
    return write_data(tmp_path_factory.mktemp("data"))


def _losses(folder: Path) -> list[str]:
    with (folder / "losses.csv").open() as file:
        return [f"{row['step']} {row['loss']}" for row in csv.DictReader(file)]


class StoppedError(Exception):
    """What a test raises to kill a run."""


def test_training_writes_weights_that_load_and_know_their_origin(data, tmp_path):
    told: list[Progress] = []
    path = train(TINY, data, tmp_path / "run", hardware=CPU, on_step=told.append)
    segmenter = load_model("stm-lite", weights=path, device="cpu", enlarge=False)
    frames, labels = moving_shapes(0, frames=2)
    segmenter.start(frames[0], labels[0].astype(int))
    assert segmenter.step(frames[1]).shape == (2, 96, 128)
    card = read_metadata(path)
    assert card["recipe"]["name"] == "tiny"
    assert card["start"] == "EfficientNet-Lite0 on ImageNet"
    assert card["data"] == {"stills": 12, "videos": 3, "video frames": 30}
    assert [p.step for p in told] == [1, 2, 3, 4, 5, 6]
    assert [p.step for p in told if p.scores] == [3, 6]
    with (tmp_path / "run" / "validation.csv").open() as file:
        rows = list(csv.DictReader(file))
    best = max(rows, key=lambda row: float(row["score"]))
    assert card["steps"] == int(best["step"])
    assert card["validation"]["score"] == pytest.approx(float(best["score"]), abs=1e-4)
    assert "J shape-3" in rows[0]
    kept = sorted(p.name for p in (tmp_path / "run" / "weights").iterdir())
    assert kept == ["000003.safetensors", "000006.safetensors", "best.safetensors"]
    assert list((tmp_path / "run" / "tensorboard").glob("events*"))


@pytest.mark.parametrize("kill_after", [3, 5])
def test_a_killed_run_resumes_with_the_same_loss_curve(data, tmp_path, kill_after):
    def stop(progress: Progress) -> None:
        if progress.step == kill_after:
            raise StoppedError

    train(TINY, data, tmp_path / "whole", hardware=CPU)
    task = TINY.task(data)
    with pytest.raises(StoppedError):
        fit(task, tmp_path / "torn", CPU, save_every=2, on_step=stop)
    fit(TINY.task(data), tmp_path / "torn", CPU, resume=True, save_every=2)
    assert _losses(tmp_path / "torn") == _losses(tmp_path / "whole")
    whole, torn = (
        (tmp_path / name / "weights" / "000006.safetensors") for name in ("whole", "torn")
    )
    assert torn.read_bytes()[-1000:] == whole.read_bytes()[-1000:]


@pytest.mark.parametrize("kill_in", [3, 6])
def test_a_run_killed_in_a_validation_validates_when_it_resumes(
    data, tmp_path, kill_in, monkeypatch
):
    task = TINY.task(data)
    validate = task.validate

    def killed(network):
        if _losses(tmp_path / "torn")[-1].split()[0] == str(kill_in):
            raise StoppedError
        return validate(network)

    monkeypatch.setattr(task, "validate", killed)
    told: list[Progress] = []
    with pytest.raises(StoppedError):
        fit(task, tmp_path / "torn", CPU, save_every=100, on_step=told.append)
    fit(TINY.task(data), tmp_path / "torn", CPU, resume=True, save_every=100, on_step=told.append)
    fit(TINY.task(data), tmp_path / "whole", CPU)
    # No step is made twice, and each is told of once.
    assert [p.step for p in told] == [1, 2, 3, 4, 5, 6]
    assert [p.step for p in told if p.scores] == [3, 6]
    for name in ("losses.csv", "validation.csv"):
        torn, whole = ((tmp_path / run / name).read_text() for run in ("torn", "whole"))
        assert [r.split(",")[:2] for r in torn.split()] == [r.split(",")[:2] for r in whole.split()]


def test_the_same_seed_gives_the_same_losses_also_from_a_loader_process(data, tmp_path):
    for name, workers in (("a", 0), ("b", 1)):
        train(TINY, data, tmp_path / name, hardware=replace(CPU, workers=workers))
    assert _losses(tmp_path / "a") == _losses(tmp_path / "b")
    other = replace(TINY, schedule=replace(TINY.schedule, seed=5))
    train(other, data, tmp_path / "c", hardware=CPU)
    assert _losses(tmp_path / "a") != _losses(tmp_path / "c")


def test_accumulated_batches_make_one_step(data, tmp_path):
    twice = replace(TINY, schedule=replace(TINY.schedule, accumulate=2, validate_every=0))
    train(twice, data, tmp_path / "run", hardware=CPU)
    assert len(_losses(tmp_path / "run")) == 6
    first = float(_losses(tmp_path / "run")[0].split()[1])
    task = TINY.task(data)
    torch.manual_seed(0)
    network = task.build()
    parts = [task.loss(network, task.prepare(task.batch(0, part)), 0).item() for part in (0, 1)]
    assert first == pytest.approx(np.mean(parts), rel=0.05)


TWO_PROCESSES = """
import sys
from dataclasses import replace
from pathlib import Path
from tests.training.tiny import TINY
from rotomask.training.hardware import Hardware
from rotomask.training.run import train

recipe = replace(TINY, schedule=replace(TINY.schedule, validate_every=0))
data = {"stills": Path(sys.argv[1]), "davis": Path(sys.argv[2])}
hardware = Hardware(accelerator="cpu", devices=2, workers=0, precision="32-true")
train(recipe, data, Path(sys.argv[3]), hardware=hardware)
"""


def test_two_processes_do_what_one_does_with_accumulated_batches(data, tmp_path):
    script = tmp_path / "train.py"
    script.write_text(TWO_PROCESSES)
    root = Path(__file__).parents[2]
    command = [sys.executable, str(script), str(data["stills"]), str(data["davis"])]
    environment = {**os.environ, "PYTHONPATH": f"{root}:{root / 'src'}", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, str(tmp_path / "two")], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    one = replace(TINY, schedule=replace(TINY.schedule, validate_every=0, accumulate=2))
    train(one, data, tmp_path / "one", hardware=replace(CPU, precision="32-true"))
    losses = [
        [float(line.split()[1]) for line in _losses(tmp_path / name)] for name in ("one", "two")
    ]
    assert losses[1] == pytest.approx(losses[0], rel=2e-3)


@pytest.mark.slow
def test_two_machines_do_what_one_does_with_two_processes(data, tmp_path):
    """The script is started once for each machine; both are this one."""
    script = tmp_path / "train.py"
    script.write_text(TWO_PROCESSES.replace("devices=2", "nodes=2"))
    root = Path(__file__).parents[2]
    command = [sys.executable, str(script), str(data["stills"]), str(data["davis"])]
    environment = {
        **os.environ,
        "PYTHONPATH": f"{root}:{root / 'src'}",
        "OMP_NUM_THREADS": "1",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(_free_port()),
    }
    machines = [
        subprocess.Popen(
            [*command, str(tmp_path / "nodes")], env={**environment, "NODE_RANK": str(rank)}
        )
        for rank in range(2)
    ]
    assert [machine.wait() for machine in machines] == [0, 0]
    environment = {k: v for k, v in environment.items() if not k.startswith("MASTER")}
    script.write_text(TWO_PROCESSES)
    subprocess.run([*command, str(tmp_path / "two")], env=environment, check=True)
    losses = [
        [float(line.split()[1]) for line in _losses(tmp_path / name)] for name in ("two", "nodes")
    ]
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.mark.slow
def test_a_small_model_learns_to_follow(data, tmp_path):
    """Trained for seconds it must beat holding the first mask still."""
    recipe = replace(
        TINY,
        schedule=Schedule(learning_rate=1e-3, warmup=10, validate_every=0),
        stages=(Stage(steps=120, batch=4, size=64, real=0.4, objects=(1.0,), max_gap=(1, 3)),),
        hardest=(1.0, 1.0),
    )
    path = train(recipe, data, tmp_path / "run", hardware=CPU)
    losses = [float(line.split()[1]) for line in _losses(tmp_path / "run")]
    assert np.mean(losses[-20:]) < 0.6 * np.mean(losses[:10])
    segmenter = load_model("stm-lite", weights=path, device="cpu", enlarge=False)
    gains = []
    for seed in range(200, 206):
        frames, labels = moving_shapes(seed, frames=10)
        segmenter.start(frames[0], labels[0].astype(int))
        for frame in frames[1:]:
            found = segmenter.labels(segmenter.step(frame)) > 0
        truth, still = labels[-1] > 0, labels[0] > 0
        ours = (found & truth).sum() / (found | truth).sum()
        gains.append(ours - (still & truth).sum() / (still | truth).sum())
    assert np.mean(gains) > 0.05


def test_a_folder_with_a_run_is_not_overwritten(data, tmp_path):
    train(TINY, data, tmp_path / "run", hardware=CPU)
    with pytest.raises(OutputError, match="holds a run; --resume"):
        train(TINY, data, tmp_path / "run", hardware=CPU)
    with pytest.raises(OutputError, match="another recipe"):
        train(replace(TINY, dice=0.1), data, tmp_path / "run", resume=True, hardware=CPU)


def test_missing_data_is_named(data, tmp_path):
    def begin(data_given, **more):
        train(TINY, data_given, tmp_path / "run", hardware=CPU, **more)

    with pytest.raises(OptionError, match="needs stills: --data duts=FOLDER"):
        begin({"davis": data["davis"]})
    with pytest.raises(OptionError, match="unknown training data pets; stills are named"):
        begin({**data, "pets": tmp_path})
    with pytest.raises(DatasetError, match="folder of images and a folder of masks"):
        begin({**data, "stills": tmp_path})
    with pytest.raises(DatasetError, match="JPEGImages"):
        begin({**data, "davis": tmp_path})
    with pytest.raises(OptionError, match=r"known recipes: .*stm-lite"):
        train("resnet", data, tmp_path / "run")
    with pytest.raises(WeightsError, match="no weights at"):
        begin(data, initial=tmp_path / "none.safetensors")
    with pytest.raises(OptionError, match="unknown precision"):
        choose_hardware("cpu", 1, "float8", 0)
    assert not (tmp_path / "run" / "checkpoint.pt").exists()


def test_masks_without_objects_are_an_error_not_an_endless_search(data, tmp_path):
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
        cv2.imwrite(str(tmp_path / folder / "a.png"), np.zeros((32, 32), np.uint8))
    recipe = replace(
        TINY,
        schedule=Schedule(),
        stages=(Stage(steps=1, batch=1, size=32, real=0.0, objects=(1.0,)),),
    )
    task = recipe.task({"stills": tmp_path})
    with pytest.raises(DatasetError, match="are the masks empty"):
        task.batch(0, 0)


def test_losses_are_what_their_definitions_say():
    generator = torch.Generator().manual_seed(0)
    probabilities = torch.softmax(torch.randn(2, 3, 64, 64, generator=generator), 1)
    labels = torch.randint(0, 3, (2, 64, 64), generator=generator)
    each = -torch.log(probabilities.gather(1, labels[:, None]))
    whole = bootstrapped_cross_entropy(probabilities, labels, 1.0)
    assert torch.allclose(whole, each.flatten(1).mean(1))
    hardest = each.flatten().topk(each.numel() // 4).values.mean()
    found = bootstrapped_cross_entropy(probabilities, labels, 0.25).mean()
    assert torch.isclose(found, hardest, rtol=0.05)
    exact = torch.nn.functional.one_hot(labels, 3).movedim(-1, 1).float()
    assert (dice_loss(exact, labels) < 1e-3).all()
    assert (dice_loss(exact.roll(1, 1), labels) > 0.9).all()


def test_balanced_classes_weigh_the_same_whatever_their_size():
    labels = torch.zeros(1, 10, 10, dtype=torch.long)
    labels[0, 0, :2], labels[0, 5:] = 1, 2
    weights = class_weights(labels, 4)
    sums = [float(weights[labels == k].sum()) for k in range(3)]
    assert sums == pytest.approx([100 / 3] * 3)
    assert float(weights.mean()) == pytest.approx(1)
    probabilities = torch.full((1, 4, 10, 10), 0.2)
    probabilities[:, 1] = 0.1  # the small object is the one that is missed
    plain = bootstrapped_cross_entropy(probabilities, labels, 1.0)
    assert bootstrapped_cross_entropy(probabilities, labels, 1.0, balanced=True) > plain


def test_hard_videos_come_more_often_after_a_refresh():
    difficulty = Difficulty(3)
    for _ in range(20):
        for source, loss in ((0, 0.1), (1, 0.4), (-1, 9.0)):
            difficulty.tell(source, loss)
    assert difficulty.odds.tolist() == [1, 1, 1]
    difficulty.refresh()
    assert difficulty.odds[1] > 2 * difficulty.odds[0]
    assert difficulty.odds[2] == 1, "a video that was not drawn yet keeps even odds"
    copy = Difficulty(3)
    copy.load_state(difficulty.state())
    assert copy.state() == difficulty.state()


def test_frames_of_a_clip_skip_reverse_and_fit_the_video():
    rng = np.random.default_rng(0)
    drawn = [draw_frames(20, 4, 3, rng, random_reference=False) for _ in range(200)]
    gaps = np.array([np.diff(d) for d in drawn if d is not None])
    assert {int(g) for g in np.abs(gaps).ravel()} == {1, 2, 3}
    assert 0.3 < (gaps[:, 0] > 0).mean() < 0.7, "either direction of time"
    numbers = np.concatenate([d for d in drawn if d is not None])
    assert numbers.min() >= 0
    assert numbers.max() < 20
    anywhere = [draw_frames(20, 4, 1, rng, random_reference=True) for _ in range(200)]
    assert max(abs(int(d[0] - d[1])) for d in anywhere if d is not None) > 10
    assert draw_frames(3, 4, 1, rng, random_reference=False) is None
    short = draw_frames(4, 4, 9, rng, random_reference=False)
    assert sorted(short if short is not None else []) == [0, 1, 2, 3]


CALM: dict[str, Any] = {
    "skip_previous": 0.0,
    "guidance_dropped": 0.0,
    "guidance_stale": 0.0,
    "guidance_moved": 0.0,
}


def _clip(data, **recurrence):
    """A clip's frames, in the graph, and its probabilities."""
    task = TINY.task(data)
    torch.manual_seed(0)
    network = cast(STMLite, task.build())
    batch = task.prepare(task.batch(4, 0))
    batch["frames"].requires_grad_()
    out = segment_clip(network, batch, Recurrence(**{**CALM, **recurrence}))
    return batch["frames"], out


def test_gradients_flow_back_through_the_clip_as_far_as_asked(data):
    reach = {}
    for name, steps in (("whole", None), ("one", 1), ("two", 2)):
        frames, out = _clip(data, steps=steps)
        (gradient,) = torch.autograd.grad(out[:, -1, 1:].sum(), frames)
        reach[name] = [float(gradient[:, t].abs().sum()) > 0 for t in range(4)]
    assert reach["whole"] == [True] * 4
    assert reach["one"] == [False, False, True, True]
    assert reach["two"] == [False, False, True, True]


def test_without_recurrence_frames_are_segmented_from_the_true_masks(data):
    _, own = _clip(data)
    _, true = _clip(data, own_masks=0.0)
    assert torch.allclose(own[:, 0], true[:, 0], atol=1e-5), "the first frame has the true mask"
    assert not torch.allclose(own[:, 1:], true[:, 1:], atol=1e-4)


@pytest.mark.parametrize(
    "change", ["skip_previous", "guidance_dropped", "guidance_stale", "guidance_moved"]
)
def test_guidance_and_memory_are_disturbed_as_the_recipe_says(data, change):
    _, plain = _clip(data)
    _, other = _clip(data, **{change: 1.0})
    assert not torch.allclose(plain, other, atol=1e-5)


def test_stm_trains_through_the_same_loop(data):
    """The paper's network at toy width: its keys are per object, its batch norm stays frozen."""
    recipe = replace(
        TINY,
        network="stm",
        model=STMConfig(key_channels=8, value_channels=16, decoder_channels=8),
        stages=(Stage(steps=6, batch=2, size=64, frames=3, real=0.0, objects=(0.0, 1.0)),),
    )
    task = recipe.task({"stills": data["stills"]})
    network = task.build()
    before = network.state_dict()["Encoder_Q.bn1.running_mean"].clone()
    loss = task.loss(network, task.prepare(task.batch(0, 0)), 0)
    loss.backward()
    assert torch.equal(before, network.state_dict()["Encoder_Q.bn1.running_mean"])
    gradient = network.get_parameter("KV_M_r4.Key.weight").grad
    assert gradient is not None
    assert gradient.abs().sum() > 0
    assert task.description()["start"].startswith("random weights: no ResNet-50")


def test_a_wider_network_continues_a_narrower_one(tmp_path):
    torch.manual_seed(1)
    narrow = STMLite(STMLiteConfig(key_channels=64, decoder_channels=(48, 32, 16))).eval()
    save_weights(tmp_path / "narrow.safetensors", narrow.state_dict(), {})
    narrow.load_state_dict({k: v.half().float() for k, v in narrow.state_dict().items()})
    config = STMLiteConfig(key_channels=128, decoder_channels=(64, 40, 24), context_channels=32)
    wide = STMLite(config).eval()
    assert start_from(wide, tmp_path / "narrow.safetensors") == "grown from narrow.safetensors"
    image, masks = torch.rand(1, 3, 64, 96), torch.rand(2, 64, 96)
    with torch.no_grad():
        for network in (narrow, wide):
            features = network.encode_frame(image)
            _, value = network.encode_value(image, features, masks)
            logits = network.decode(value, features, masks)
            if network is narrow:
                expected = logits
    assert torch.allclose(logits, expected, atol=1e-4)
    with pytest.raises(WeightsError, match="neither a checkpoint of STM, nor"):
        start_from(STM(), tmp_path / "narrow.safetensors")


def test_a_resnet50_of_torchvision_goes_into_both_encoders(tmp_path):
    torch.manual_seed(2)
    published = {}
    for name, value in ResNet50(last_stage=5).state_dict().items():
        if name.startswith("res"):
            name = f"layer{int(name[3]) - 1}{name[4:]}"
        if name not in ("mean", "std"):
            published[name] = torch.rand_like(value.float())
    published["fc.weight"] = torch.rand(1000, 2048)
    torch.save(published, tmp_path / "resnet50.pth")
    network = STM(STMConfig(key_channels=8, value_channels=8, decoder_channels=8))
    mask_layer = network.Encoder_M.conv1_m.weight.clone()
    assert start_from(network, tmp_path / "resnet50.pth") == "ResNet-50 of resnet50.pth"
    for encoder in (network.Encoder_M, network.Encoder_Q):
        ours = encoder.get_parameter("res4.5.conv2.weight")
        assert torch.equal(ours, published["layer3.5.conv2.weight"])
    assert torch.equal(mask_layer, network.Encoder_M.conv1_m.weight)
    with pytest.raises(WeightsError, match="has none that could take it"):
        start_from(STMLite(), tmp_path / "resnet50.pth")


def test_the_learning_rate_warms_up_and_falls():
    schedule = Schedule(learning_rate=1.0, warmup=100, decay_part=0.5)
    rates = [learning_rate(schedule, step, 1000) for step in range(1000)]
    assert rates[0] == pytest.approx(0.01)
    assert rates[99] == rates[499] == 1
    assert rates[749] == pytest.approx(0.51, abs=0.01)
    assert rates[-1] == pytest.approx(0.02, abs=0.001)
    constant = Schedule(learning_rate=1.0, decay="constant")
    assert learning_rate(constant, 999, 1000) == 1


def test_recipes_fit_together():
    for name, recipe in RECIPES.items():
        assert recipe.name == name
        if isinstance(recipe, SpaceTimeRecipe):
            assert recipe.stage_at(recipe.steps - 1) == (recipe.stages[-1], 1.0)
    assert TINY.steps == 6
    with pytest.raises(OptionError, match="at least one stage"):
        replace(TINY, stages=())
    with pytest.raises(OptionError, match="at least 1 step"):
        Stage(steps=0)


def test_weight_decay_spares_biases(data, tmp_path):
    fabric = open_fabric(CPU, tmp_path)
    run = Run(TINY.task(data), tmp_path, fabric)
    for group in run.optimiser.param_groups:
        for parameter in group["params"]:
            assert (group["weight_decay"] > 0) == (parameter.ndim > 1)
    assert {g["factor"] for g in run.optimiser.param_groups} == {1.0, TINY.encoder_factor}


def test_precision_follows_the_processor_as_for_cutting(monkeypatch, tmp_path):
    for computes, expected in ((True, "bf16-mixed"), (False, "32-true")):
        monkeypatch.setattr(precision, "_computes_bfloat16", lambda _, known=computes: known)
        fabric = open_fabric(choose_hardware("cpu", 1, "auto", 0), tmp_path)
        assert fabric._precision.precision == expected
    assert choose_hardware("cpu", 1, "bfloat16", 0).precision == "bf16-mixed"


def test_each_clip_has_hardest_pixels_of_its_own():
    """An easy clip beside a hard one: over the batch none of its pixels is among the hardest."""
    probabilities = torch.full((2, 2, 64, 64), 0.01)
    probabilities[0, 0], probabilities[1, 0] = 0.98, 0.2
    labels = torch.zeros(2, 64, 64, dtype=torch.long)
    probabilities[0, 0, :16] = 0.9
    over_batch = bootstrapped_cross_entropy(probabilities, labels, 0.2)
    per_clip = bootstrapped_cross_entropy(probabilities, labels, 0.2, per_clip=True)
    assert over_batch[0] == 0
    assert float(per_clip[0]) == pytest.approx(-np.log(0.9), rel=1e-3)
    assert float(per_clip[1]) == pytest.approx(-np.log(0.2), rel=1e-3)


def test_frozen_filters_and_stages_keep_their_weights(data, tmp_path):
    recipe = replace(TINY, frozen_filters=True, frozen_stages=4)
    run = Run(recipe.task(data), tmp_path, open_fabric(CPU, tmp_path))
    before = {k: v.clone() for k, v in run.network.state_dict().items()}
    for step in range(2):
        run.learn([run.task.prepare(run.task.batch(step, 0))])
    changed = {k for k, v in run.network.state_dict().items() if not torch.equal(v, before[k])}
    layers = dict(run.network.named_modules())
    for name in before:
        module = layers[name.rpartition(".")[0]]
        early = name.startswith(("encoder.stem", *(f"encoder.stages.{i}." for i in range(4))))
        frozen = early or isinstance(module, DepthwiseConv2d)
        assert (name not in changed) == frozen, (name, frozen)


def _true_masks_one_by_one(network, batch, recurrence):
    """What the single pass computes, frame after frame."""
    labels = batch["labels"]
    ids = torch.arange(1, int(labels.max()) + 1)[:, None, None]
    masks = [(labels[:, t, None] == ids).float() for t in range(labels.shape[1])]
    features = [network.encode_frame(frame) for frame in batch["frames"].unbind(1)]
    memory, outputs = [], []
    for t in range(1, labels.shape[1]):
        memory.append(network.encode_value(None, features[t - 1], masks[t - 1]))
        read = read_clip_memory(network, features[t].key, memory)
        outputs.append(aggregate(torch.sigmoid(network.decode(read, features[t], masks[t - 1]))))
    return torch.stack(outputs, 1)


@pytest.mark.parametrize("others", [False, True])
def test_true_masks_in_one_pass_are_as_frame_by_frame(data, others):
    task = replace(TINY, model=replace(TINY.model, others_guidance=others)).task(data)
    torch.manual_seed(0)
    network = cast(STMLite, task.build())
    batch = task.prepare(task.batch(4, 0))
    recurrence = replace(Recurrence(**CALM), own_masks=0.0)
    with torch.no_grad():
        found = segment_clip(network, batch, recurrence)
        expected = _true_masks_one_by_one(network, batch, recurrence)
    assert (found - expected).abs().max() < 1e-3


def test_memory_in_training_is_the_first_frame_and_some_of_the_past():
    recurrence = Recurrence(memory_frames=2, skip_previous=0.5)
    drawn = set()
    for seed in range(40):
        draws = torch.rand(3, 8, 3, generator=torch.Generator().manual_seed(seed))
        for t in range(1, 8):
            remembered = _memory_frames(t, draws, recurrence)
            assert remembered[0] == 0
            assert len(remembered) == len(set(remembered)) <= 3
            assert max(remembered) < t
            assert _memory_frames(t, draws, recurrence) == remembered
            drawn |= {(t, i) for i in remembered}
    assert {i for t, i in drawn if t == 7} == set(range(7))


def test_clips_that_need_their_guidance_keep_it(data):
    task = TINY.task(data)
    batch = task.prepare(task.batch(4, 0))
    masks, stale = torch.rand(2, 1, 64, 64), torch.rand(2, 1, 64, 64)
    batch["keeps_guidance"] = torch.tensor([True, False])
    found = _disturbed(masks, stale, batch, 2, Recurrence(guidance_dropped=1.0))
    assert torch.equal(found[0], masks[0])
    assert not found[1].any()


def test_a_network_that_sees_the_others_continues_one_that_does_not(tmp_path):
    torch.manual_seed(3)
    config = STMLiteConfig(key_channels=16, value_channels=32, decoder_channels=(32, 24, 16))
    plain = STMLite(config).eval()
    save_weights(tmp_path / "plain.safetensors", plain.state_dict(), {})
    plain.load_state_dict({k: v.half().float() for k, v in plain.state_dict().items()})
    seeing = STMLite(replace(config, others_guidance=True)).eval()
    assert start_from(seeing, tmp_path / "plain.safetensors") == "grown from plain.safetensors"
    image, masks = torch.rand(1, 3, 64, 96), torch.rand(3, 64, 96)
    answers = {}
    for name, network in (("plain", plain), ("seeing", seeing)):
        with torch.no_grad():
            features = network.encode_frame(image)
            _, value = network.encode_value(image, features, masks)
            answers[name] = network.decode(value, features, masks)
    assert torch.allclose(answers["plain"], answers["seeing"], atol=1e-5)
    with torch.no_grad():
        seeing.decoder.fuse16.weight[:, -1] = 1
        other = seeing.decode(value, features, masks)
    assert not torch.allclose(answers["seeing"], other, atol=1e-4)
