"""The scripts of tools/ on small data."""

import json
import shutil
from dataclasses import asdict

import cv2
import pytest
import torch

from rotomask.catalog import load_network, shipped_weights
from rotomask.networks.checkpoints import save_weights
from rotomask.networks.stm_lite import STMLite, STMLiteConfig
from rotomask.video import open_video
from tests.scripts import run_script, write_davis, write_video
from tools import revive_context, ship_weights

pytestmark = pytest.mark.slow


def test_the_split_holds_out_videos_by_their_name(tmp_path):
    root = tmp_path / "youtube-vos"
    names = [f"video{number}" for number in range(6)]
    for number, name in enumerate(names):
        write_video(tmp_path, name, seed=number, frames=2)
    for folder in ("JPEGImages", "Annotations"):
        (root / "train").mkdir(parents=True, exist_ok=True)
        shutil.move(tmp_path / folder / "480p", root / "train" / folder)
    objects = {name: {"objects": {"1": {"category": "dog", "frames": ["00000"]}}} for name in names}
    (root / "train" / "meta.json").write_text(json.dumps({"videos": objects}))
    for seed in (0, 1):
        out = tmp_path / f"splits-{seed}"
        run_script(
            "tools.youtube_vos_split", "--root", root, "--out", out, "--count", 2, "--seed", seed
        )
        held_out = (out / "held-out.txt").read_text().split()
        train = (out / "train.txt").read_text().split()
        assert len(held_out) == 2
        assert sorted(held_out + train) == names


def test_the_gallery_of_training_clips(tmp_path):
    davis = write_davis(tmp_path / "davis", ("first", "second"), frames=24)
    picture = tmp_path / "clips.jpg"
    run_script("tools.training_gallery", "--davis", davis, "--out", picture)
    image = cv2.imread(str(picture))
    assert image is not None
    assert image.shape[1] == 7 * 128 + 6 * 4


def test_a_card_tells_training_data_and_scores(tmp_path):
    card = {
        "data": {"stills": 4600, "videos": 25},
        "start": "EfficientNet-Lite0 on ImageNet",
        "validation": {"J": 0.8, "F": 0.9, "score": 0.85},
    }
    assert ship_weights.training_lines(card, None) == {
        "trained on": "4600 stills of DUTS-TR, 25 videos of DAVIS-2016 train; "
        "EfficientNet-Lite0 on ImageNet",
        "held-out videos": "J 0.800, F 0.900 (4 of DAVIS-2016 train)",
    }
    figures = tmp_path / "edges.json"
    figures.write_text(
        json.dumps({"rows": {"appearance": {"F": 0.5}}, "summary": {"pairs": "1 px"}})
    )
    assert ship_weights.figure_lines(figures, "appearance") == {
        "ten videos of DAVIS-2016 val": "F 0.500"
    }
    assert ship_weights.figure_lines(figures, None) == {"pairs": "1 px"}


def test_weights_of_another_model_are_refused(capsys, monkeypatch):
    file = shipped_weights("stm-lite")
    monkeypatch.setattr("sys.argv", ["ship_weights", str(file), "--name", "rgmp-lite"])
    shipped = shipped_weights("rgmp-lite")
    assert shipped is not None
    before = shipped.read_bytes()
    with pytest.raises(SystemExit):
        ship_weights.main()
    assert "is of stm-lite, not rgmp-lite" in capsys.readouterr().err
    assert shipped.read_bytes() == before


def test_a_dead_context_branch_is_revived_and_the_output_stays(tmp_path):
    torch.manual_seed(5)
    old = STMLite(STMLiteConfig(context_channels=16, decoder_channels=(16, 16, 8)))
    branch = old.decoder.context
    assert branch is not None
    assert branch.whole.bias is not None
    torch.nn.init.constant_(branch.whole.bias, -1e3)  # nothing passes the last ReLU
    card = {"model": "stm-lite", "config": asdict(old.config)}
    save_weights(tmp_path / "old.safetensors", old.state_dict(), card)
    run_script(
        "tools.revive_context", tmp_path / "old.safetensors", "--out", tmp_path / "new.safetensors"
    )
    new = load_network("stm-lite", weights=tmp_path / "new.safetensors")
    assert isinstance(new, STMLite)
    images = torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(3))
    masks = torch.zeros(1, 64, 96)
    masks[:, 16:48, 32:64] = 1
    outputs = []
    for network in (old.eval(), new.eval()):
        with torch.inference_mode():
            features = network.encode_frame(images)
            _, value = network.encode_value(images, features, masks)
            outputs.append(network.decode(value, features, masks))
    torch.testing.assert_close(outputs[1], outputs[0], rtol=1e-3, atol=1e-3)
    assert revive_context.alive_part(old, images) == 0
    assert revive_context.alive_part(new, images) > 0.05


def test_dead_channels_are_left_out_and_the_output_stays(tmp_path):
    torch.manual_seed(6)
    config = STMLiteConfig(context_channels=16, decoder_channels=(48, 32, 16), value_channels=32)
    old = STMLite(config).eval()
    branch = old.decoder.context
    assert branch is not None
    with torch.no_grad():
        branch.get_parameter("whole.bias").fill_(-1e3)  # nothing passes the last ReLU
        branch.get_parameter("project.bias").fill_(0.5)
        for name in ("value_encoder.refine", "decoder.refine16", "value_encoder.to_stride16"):
            layer = old.get_submodule(name)
            conv = layer if isinstance(layer, torch.nn.Conv2d) else layer.get_submodule("conv1")
            conv.get_parameter("bias")[:20] = -1e3
    card = {"model": "stm-lite", "config": asdict(config)}
    save_weights(tmp_path / "old.safetensors", old.state_dict(), card)
    rounded = load_network("stm-lite", weights=tmp_path / "old.safetensors")  # to float16
    davis = write_davis(tmp_path / "davis", ("first", "second"), frames=9)
    printed = run_script(
        *("tools.prune_channels", tmp_path / "old.safetensors"),
        *("--davis", davis, "--frames", 2, "--keep", 1, "--out", tmp_path / "new.safetensors"),
    )
    assert "context branch's output: 0" in printed
    new = load_network("stm-lite", weights=tmp_path / "new.safetensors")
    assert isinstance(new, STMLite)
    assert new.config.context_channels == 0
    hidden = new.config.hidden_channels
    assert hidden is not None
    assert hidden[1:4] == (16, 16, 32)  # of 12, 12 and 28 that are left, in blocks of 16
    video = open_video(davis / "JPEGImages" / "480p" / "first")
    image = torch.from_numpy(video[4].copy()).permute(2, 0, 1)[None] / 255
    masks = torch.zeros(2, *image.shape[2:])
    masks[0, 16:48, 32:64] = masks[1, :24, 70:] = 1
    outputs = []
    for network in (rounded.eval(), new.eval()):
        assert isinstance(network, STMLite)
        with torch.inference_mode():
            features = network.encode_frame(image)
            _, value = network.encode_value(image, features, masks)
            outputs.append(network.decode(value, features, masks))
    torch.testing.assert_close(outputs[1], outputs[0], rtol=2e-3, atol=2e-3)
