"""The real loop on small data: it learns, resumes exactly, and says what is wrong."""

import csv
import itertools
import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from rotomask.data.clips import ClipConfig, find_videos, sample_clip
from rotomask.data.simulated import SimulatedConfig, simulate_clip
from rotomask.data.stills import find_stills
from rotomask.data.synthetic import moving_shapes
from rotomask.errors import DatasetError, OptionError, OutputError, WeightsError
from rotomask.models.catalog import load_model
from rotomask.models.stm_lite import STMLite, STMLiteConfig
from rotomask.training.batches import open_batches
from rotomask.training.loop import Run, fit
from rotomask.training.losses import bootstrapped_cross_entropy, dice_loss
from rotomask.training.recipes import RECIPES, Recipe, Stage
from rotomask.training.run import train

TINY = Recipe(
    name="tiny",
    model=STMLiteConfig(key_channels=16, value_channels=32, decoder_channels=(32, 24, 16)),
    stages=(
        Stage(steps=3, batch=2, size=64, real=0.5, max_gap=(1, 2)),
        Stage(steps=3, batch=2, size=64, frames=4, real=0.5, max_gap=(1, 1)),
    ),
    warmup=2,
    validation=("shape-3",),
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Stills and videos of moving shapes in the layouts of DUTS and DAVIS."""
    root = tmp_path_factory.mktemp("data")
    stills, davis = root / "stills", root / "davis"
    for folder in ("images", "masks"):
        (stills / folder).mkdir(parents=True)
    for i in range(12):
        frames, labels = moving_shapes(i, frames=1, size=(96, 128))
        cv2.imwrite(str(stills / "images" / f"{i}.png"), frames[0])
        cv2.imwrite(str(stills / "masks" / f"{i}.png"), labels[0] * 255)
    for i in range(4):
        frames, labels = moving_shapes(100 + i, frames=10, size=(96, 128))
        for part in ("JPEGImages", "Annotations"):
            (davis / part / "480p" / f"shape-{i}").mkdir(parents=True)
        for t in range(10):
            name = f"shape-{i}/{t:05d}"
            cv2.imwrite(str(davis / "JPEGImages" / "480p" / f"{name}.jpg"), frames[t])
            cv2.imwrite(str(davis / "Annotations" / "480p" / f"{name}.png"), labels[t] * 255)
    return {"stills": stills, "davis": davis}


def _losses(folder: Path) -> list[str]:
    with (folder / "losses.csv").open() as file:
        return [row[1] for row in csv.reader(file)]


def test_training_writes_weights_that_load_and_know_their_origin(data, tmp_path):
    path = train(TINY, data, tmp_path / "run")
    segmenter = load_model("stm-lite", weights=path, device="cpu")
    frames, labels = moving_shapes(0, frames=2)
    segmenter.start(frames[0], labels[0].astype(int))
    assert segmenter.step(frames[1]).shape == (2, 96, 128)
    scores = json.loads((tmp_path / "run" / "validation.json").read_text())
    assert 0 <= scores["J"] <= 1
    assert "J shape-3" in scores
    from rotomask.models.checkpoints import read_metadata

    card = read_metadata(path)
    assert card["steps"] == 6
    assert card["recipe"]["name"] == "tiny"
    assert card["data"] == {"stills": 12, "videos": 3, "video frames": 30}


def test_a_stopped_run_resumes_with_the_same_losses(data, tmp_path):
    train(TINY, data, tmp_path / "whole")
    torch.manual_seed(TINY.seed)
    network = STMLite(TINY.model)
    from rotomask.training.run import imagenet_weights

    network.encoder.load_imagenet(imagenet_weights())
    torn = tmp_path / "torn"
    torn.mkdir()
    run = Run(TINY, network, torn)
    steps = fit(run, open_batches(TINY, data), save_every=2)
    list(itertools.islice(steps, 3))  # stopped after the third step; the second was saved
    del steps
    from dataclasses import asdict

    (torn / "recipe.json").write_text(json.dumps(asdict(TINY)))
    train(TINY, data, torn, resume=True)
    whole = _losses(tmp_path / "whole")
    assert _losses(torn) == [*whole[:3], *whole[2:]]


def test_the_same_seed_gives_the_same_losses(data, tmp_path):
    for name in ("a", "b"):
        train(TINY, data, tmp_path / name)
    assert _losses(tmp_path / "a") == _losses(tmp_path / "b")
    train(replace(TINY, seed=5), data, tmp_path / "c")
    assert _losses(tmp_path / "a") != _losses(tmp_path / "c")


@pytest.mark.slow
def test_a_small_model_learns_to_follow(data, tmp_path):
    """Trained for seconds it must beat holding the first mask still."""
    recipe = replace(
        TINY,
        stages=(Stage(steps=120, batch=4, size=64, real=0.4, two_objects=0, max_gap=(1, 3)),),
        learning_rate=1e-3,
        warmup=10,
        hardest=(1.0, 1.0),
    )
    path = train(recipe, data, tmp_path / "run")
    losses = [float(x) for x in _losses(tmp_path / "run")]
    assert np.mean(losses[-20:]) < 0.6 * np.mean(losses[:10])
    segmenter = load_model("stm-lite", weights=path, device="cpu")
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
    train(TINY, data, tmp_path / "run")
    with pytest.raises(OutputError, match="holds a run; --resume"):
        train(TINY, data, tmp_path / "run")
    with pytest.raises(OutputError, match="another recipe"):
        train(replace(TINY, seed=3), data, tmp_path / "run", resume=True)


def test_missing_data_is_named(data, tmp_path):
    with pytest.raises(OptionError, match="--data duts=FOLDER"):
        train(TINY, {"davis": data["davis"]}, tmp_path / "run")
    with pytest.raises(DatasetError, match="folder of images and a folder of masks"):
        train(TINY, {**data, "stills": tmp_path}, tmp_path / "run")
    with pytest.raises(DatasetError, match="JPEGImages"):
        train(TINY, {**data, "davis": tmp_path}, tmp_path / "run")
    with pytest.raises(OptionError, match="known recipes: stm-lite"):
        train("resnet", data, tmp_path / "run")
    with pytest.raises(WeightsError, match="no weights at"):
        train(TINY, data, tmp_path / "run", initial=tmp_path / "none.safetensors")
    assert not (tmp_path / "run" / "checkpoint.pt").exists()


def test_simulated_clips_show_their_objects_and_follow_their_seed(data):
    stills = find_stills(data["stills"])
    config = SimulatedConfig(frames=4, size=64)
    for seed, objects in itertools.product(range(5), (1, 2)):
        frames, labels = simulate_clip(stills, config, np.random.default_rng(seed), objects=objects)
        assert frames.shape == (4, 64, 64, 3)
        assert labels.shape == (4, 64, 64)
        assert set(np.unique(labels[0])) - {0} == set(range(1, objects + 1))
        again = simulate_clip(stills, config, np.random.default_rng(seed), objects=objects)
        assert (again[0] == frames).all()
        assert (again[1] == labels).all()
    assert len({f.tobytes() for f in frames}) == 4, "the frames of a clip differ"


def test_real_clips_keep_frame_and_mask_together(data):
    videos = find_videos(data["davis"], exclude=("shape-3",))
    assert [v.name for v in videos] == ["shape-0", "shape-1", "shape-2"]
    config = ClipConfig(frames=3, size=64, max_gap=2)
    frames, labels = sample_clip(videos, config, np.random.default_rng(0))
    assert frames.shape == (3, 64, 64, 3)
    inside = frames[0][labels[0] == 1].astype(float).mean(0)
    outside = frames[0][labels[0] == 0].astype(float).mean(0)
    assert np.abs(inside - outside).max() > 5


def test_losses_are_what_their_definitions_say():
    generator = torch.Generator().manual_seed(0)
    probabilities = torch.softmax(torch.randn(2, 3, 64, 64, generator=generator), 1)
    labels = torch.randint(0, 3, (2, 64, 64), generator=generator)
    each = -torch.log(probabilities.gather(1, labels[:, None]))
    assert torch.isclose(bootstrapped_cross_entropy(probabilities, labels, 1.0), each.mean())
    hardest = each.flatten().topk(each.numel() // 4).values.mean()
    found = bootstrapped_cross_entropy(probabilities, labels, 0.25)
    assert torch.isclose(found, hardest, rtol=0.05)
    exact = torch.nn.functional.one_hot(labels, 3).movedim(-1, 1).float()
    assert dice_loss(exact, labels) < 1e-3
    assert dice_loss(exact.roll(1, 1), labels) > 0.9


def test_recipes_fit_together():
    for name, recipe in RECIPES.items():
        assert recipe.name == name
        assert recipe.steps == sum(s.steps for s in recipe.stages)
        assert all(s.size % 16 == 0 for s in recipe.stages)
        assert recipe.stage_at(recipe.steps - 1) == (recipe.stages[-1], 1.0)
