"""What the long training stands on: packs, composed validation, stages within a budget of time."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from rotomask.catalog import load_model, load_network, shipped_weights
from rotomask.data.packs import read_pack, write_pack
from rotomask.data.training.clips import find_videos
from rotomask.data.training.stills import find_stills
from rotomask.data.training.synthetic import moving_shapes
from rotomask.errors import DatasetError, WeightsError
from rotomask.networks.checkpoints import load_state, save_weights
from rotomask.networks.stm_lite import STMLite
from rotomask.training import campaign, starting
from rotomask.training.clip_data import open_clip_data
from rotomask.training.composed_videos import compose_videos
from rotomask.training.hardware import Hardware
from rotomask.training.loop import fit
from rotomask.training.recipes import RECIPES, STM_LITE
from rotomask.training.starting import start_from
from tests.scripts import write_stills, write_video

ROOT = Path(__file__).parents[2]
CPU = Hardware(accelerator="cpu", workers=0)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Stills with kinds, and videos two of which are held out by name."""
    root = tmp_path_factory.mktemp("data")
    for i, name in enumerate(("bear", "bus", "hike", "swing")):
        write_video(root / "davis", name, 100 + i, 12)
    stills = write_stills(root / "stills", [f"n0000000{i % 2}_{i}" for i in range(8)])
    return {"stills": stills, "davis": root / "davis"}


@pytest.fixture(scope="module")
def pack(data, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both in two files of a folder."""
    folder = tmp_path_factory.mktemp("pack")
    tool = ROOT / "tools" / "pack_training_data.py"
    for arguments in (
        ["--duts", data["stills"], "--out", folder / "stills.zip", "--side", "64"],
        ["--davis", data["davis"], "--out", folder / "videos.zip", "--quality", "90"],
    ):
        subprocess.run([sys.executable, tool, *map(str, arguments)], check=True)
    return folder


def test_a_pack_holds_what_was_packed(data, pack):
    stills, videos = read_pack(pack)
    assert len(stills) == 8
    assert stills.kinds == find_stills(data["stills"]).kinds
    image, labels = stills[3]
    whole, expected = find_stills(data["stills"])[3]
    assert image.shape == (64, 85, 3)
    small = cv2.resize(whole, (85, 64), interpolation=cv2.INTER_AREA)
    assert np.abs(image.astype(int) - small).mean() < 12
    assert labels.mean() == pytest.approx(expected.mean(), rel=0.05)
    found = find_videos(data["davis"])
    assert [(v.name, len(v)) for v in videos] == [(v.name, len(v)) for v in found]
    for ours, theirs in zip(videos, found, strict=True):
        assert (ours.read(5)[1] == theirs.read(5)[1]).all()
        assert np.abs(ours.read(5)[0].astype(int) - theirs.read(5)[0]).mean() < 6
    only_videos, _ = read_pack(pack / "videos.zip")
    assert len(only_videos) == 0


def test_a_pack_trains_like_the_folders(data, pack):
    clips, held_out = open_clip_data({"pack": pack}, held_out=("swing",))
    assert clips.describe() == {"stills": 8, "videos": 3, "video frames": 36}
    assert [v.name for v in held_out] == ["swing"]
    stage = replace(campaign.A.stages[0], batch=3, size=64)
    first, again = (clips.batch(stage, 0.5, (1, 2)) for _ in range(2))
    assert all(torch.equal(first[name], again[name]) for name in first)


def test_what_is_no_pack_is_named(tmp_path):
    with pytest.raises(DatasetError, match="holds no pack"):
        read_pack(tmp_path)
    (tmp_path / "a.zip").write_bytes(b"no zip")
    with pytest.raises(DatasetError, match=r"cannot read the pack .*a\.zip"):
        read_pack(tmp_path)


def test_several_labels_survive_packing(tmp_path):
    frames, labels = moving_shapes(0, frames=1, size=(64, 96), objects=3)
    write_pack(tmp_path / "p.zip", stills=[("a", (frames[0], labels[0]))], side=32)
    stills, _ = read_pack(tmp_path / "p.zip")
    assert set(np.unique(stills[0][1])) == set(np.unique(labels[0]))


def test_composed_videos_have_several_objects_and_are_always_the_same(data):
    videos = [v for v in find_videos(data["davis"]) if v.name in ("hike", "swing")]
    composed = compose_videos(videos, frames=6, size=64)
    again = compose_videos(videos[::-1], frames=6, size=64)
    assert [v.name for v in composed] == [v.name for v in again]
    assert {v.name.split("-")[1] for v in composed} <= {"twins", "others"}
    assert any(v.name.endswith("-others") for v in composed)
    for video, other in zip(composed, again, strict=True):
        objects = 2 if video.name.endswith("-twins") else 3
        frame, labels = video.read(0)
        assert frame.shape == (64, 64, 3)
        assert set(np.unique(labels)) == set(range(objects + 1))
        for t in range(len(video)):
            assert all((a == b).all() for a, b in zip(video.read(t), other.read(t), strict=True))


def test_stages_follow_each_other_and_scale():
    for recipe in (*campaign.STAGES, campaign.FINISH):
        assert RECIPES[recipe.name] is recipe
        assert recipe.model == campaign.MODEL
        shorter = campaign.with_steps(recipe, 50)
        assert shorter.steps == shorter.stages[0].steps == 50
        assert shorter.schedule.ema == pytest.approx(1 - 1 / 10)
    sizes = [r.stages[0].size * r.stages[0].frames for r in campaign.STAGES]
    assert sizes == sorted(sizes)
    rates = [campaign.for_gpu(r).schedule.learning_rate for r in campaign.STAGES]
    assert rates[0] == pytest.approx(2 * campaign.A.schedule.learning_rate)


def test_training_goes_on_from_the_shipped_weights():
    torch.manual_seed(0)
    shipped, network = shipped_weights("stm-lite"), STMLite(STM_LITE).eval()
    assert shipped is not None
    assert start_from(network, shipped).startswith("grown from")
    original = load_network("stm-lite").eval()
    assert isinstance(original, STMLite)
    image, mask = torch.rand(1, 3, 64, 96), torch.rand(2, 64, 96)
    with torch.inference_mode():
        found = [n.encode_value(image, n.encode_frame(image), mask) for n in (network, original)]
        decoded = [n.decode(found[1][1], n.encode_frame(image), mask) for n in (network, original)]
    torch.testing.assert_close(found[0][1], found[1][1], atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(decoded[0], decoded[1], atol=1e-3, rtol=1e-3)


def test_weights_without_the_masks_of_others_begin_the_campaign(tmp_path):
    torch.manual_seed(0)
    narrow = replace(STM_LITE, others_guidance=False)
    save_weights(tmp_path / "shipped.safetensors", STMLite(narrow).state_dict(), {})
    network = STMLite(campaign.MODEL)
    assert start_from(network, tmp_path / "shipped.safetensors").startswith("grown from")
    assert not network.decoder.fuse16.weight[:, -1].any()
    assert network.decoder.fuse16.weight[:, -2].any()


def test_weights_to_start_from_stand_in_for_the_package_of_imagenet(data, tmp_path, monkeypatch):
    def missing():
        raise WeightsError("training starts from the weights in the package x")

    monkeypatch.setattr(starting, "lite0_imagenet_weights", missing)
    save_weights(tmp_path / "w.safetensors", STMLite(campaign.MODEL).state_dict(), {})
    network = campaign.A.task(data, tmp_path / "w.safetensors").build()
    assert isinstance(network, STMLite)
    with pytest.raises(WeightsError, match="training starts from"):
        campaign.A.task(data).build()


def test_a_run_can_be_stopped_and_goes_on_as_if_it_had_not_been(data, pack, tmp_path):
    recipe = campaign.with_steps(campaign.B, 6)
    recipe = replace(
        recipe,
        model=replace(STM_LITE, key_channels=16, value_channels=32, decoder_channels=(32, 24, 16)),
        stages=(replace(recipe.stages[0], batch=2, size=64),),
        held_out=("hike", "swing"),
        composed_validation=False,
    )
    answers = iter([False, True])
    for name, stop in (("whole", None), ("torn", lambda: next(answers))):
        run = fit(recipe.task({"pack": pack}), tmp_path / name, CPU, stop=stop)
    assert run.step == 2
    run = fit(recipe.task({"pack": pack}), tmp_path / "torn", CPU, resume=True)
    losses = []
    for name in ("whole", "torn"):
        lines = (tmp_path / name / "losses.csv").read_text().splitlines()
        assert lines[0].endswith("core_hours")
        losses.append([line.split(",")[:2] for line in lines])
        hours = [float(line.split(",")[4]) for line in lines[1:]]
        assert hours == sorted(hours)
    assert losses[0] == losses[1]


@pytest.mark.slow
def test_the_stages_train_within_a_budget_over_several_calls(pack, tmp_path):
    """Tiny clips on the CPU: calls go on where the last one stopped, weights load in the end."""
    torch.manual_seed(0)
    network = STMLite(campaign.MODEL)
    save_weights(tmp_path / "initial.safetensors", network.state_dict(), {})
    command = [sys.executable, str(ROOT / "tools" / "train_on_gpu.py"), "--small"]
    command += ["--data", str(pack), "--run", str(tmp_path / "run"), "--workers", "0"]
    command += ["--accelerator", "cpu", "--initial", str(tmp_path / "initial.safetensors")]
    reached = []
    for call in range(6):
        out = tmp_path / f"out-{call}"
        arguments = ["--out", str(out), "--minutes", "0.9", "--total", "0.8"]
        done = subprocess.run([*command, *arguments], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        if not (out / "states.json").is_file():
            break
        states = json.loads((out / "states.json").read_text())
        # A stage that a call only measured has no step yet.
        reached.append(sum(state.get("step", 0) for state in states.values()))
        if (tmp_path / "run" / "stm-lite-d" / "weights.safetensors").is_file():
            break
    assert reached == sorted(reached)
    assert set(states) == {r.name for r in campaign.STAGES}
    assert "score" in states["stm-lite-d"]["validation"]
    shards = sorted(out.glob("weights-*.safetensors"))
    assert all(p.stat().st_size <= 16 * 2**20 for p in shards)
    assert next(iter(load_file(shards[0]).values())).dtype == torch.float16
    joined = tmp_path / "joined.safetensors"
    tool = ROOT / "tools" / "join_weights.py"
    join = [sys.executable, str(tool), *map(str, shards), "--out", str(joined)]
    subprocess.run(join, check=True)
    assert set(load_state(joined)) == set(network.state_dict())
    frames, labels = moving_shapes(0, frames=2)
    segmenter = load_model("stm-lite", weights=joined, device="cpu")
    segmenter.start(frames[0], labels[0].astype(int))
    assert segmenter.step(frames[1]).shape == (2, 96, 128)
