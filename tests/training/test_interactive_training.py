"""click-lite's training: its samples, its losses, and the loop over both."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from rotomask.catalog import load_marker
from rotomask.data.simulation.click_samples import (
    BOX,
    NEGATIVE,
    POSITIVE,
    PREVIOUS,
    SampleConfig,
    click_error,
    draw_sample,
    first_prompts,
    spoil_mask,
)
from rotomask.data.training.clips import find_videos
from rotomask.data.training.stills import FolderStills, find_stills
from rotomask.data.training.synthetic import moving_shapes
from rotomask.errors import OptionError
from rotomask.networks.checkpoints import read_metadata
from rotomask.networks.click_lite import ClickLiteConfig
from rotomask.prompts import Click
from rotomask.training.hardware import Hardware
from rotomask.training.interactive import (
    InteractiveRecipe,
    held_out_stills,
    normalised_focal_loss,
    soft_iou,
    without_held_out,
)
from rotomask.training.run import train
from rotomask.training.task import Schedule
from tests.scripts import write_stills, write_video

TINY = InteractiveRecipe(
    name="tiny",
    optimiser_steps=3,
    schedule=Schedule(warmup=1, validate_every=0),
    model=ClickLiteConfig(decoder_channels=(32, 16, 16), deep_channels=32),
    samples=SampleConfig(size=64, smallest_px=30),
    batch_size=3,
    held_out=("second",),
    validate_stride=2,
)
CPU = Hardware(accelerator="cpu", workers=0)


def write_data(root: Path) -> dict[str, Path]:
    """Shapes in the layouts of DUTS-TR and DAVIS."""
    for number, name in enumerate(("first", "second")):
        write_video(root / "davis", name, 50 + number, 4)
    return {"duts": write_stills(root / "stills", range(5)), "davis": root / "davis"}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_data(tmp_path_factory.mktemp("data"))


def test_the_loop_trains_a_marker_that_loads(data, tmp_path):
    path = train(TINY, data, tmp_path / "run", hardware=CPU)
    card = read_metadata(path)
    assert card["model"] == "click-lite"
    assert card["data"] == {"duts": 5, "videos": 1, "video frames": 4}
    assert set(card["validation"]) == {"score", "IoU@1", "IoU@3", "IoU@5"}
    marker = load_marker("click-lite", weights=path, device="cpu", long_side=64)
    marker.open(moving_shapes(3, frames=1)[0][0])
    assert marker.labels([Click(5, 5)])[5, 5] == 1


def test_a_resumed_run_learns_the_same(data, tmp_path):
    """The encoder stays; the rest is the same to the bit whether a run was stopped or not."""

    def stop(progress):
        if progress.step == 2:
            raise KeyboardInterrupt

    whole = train(TINY, data, tmp_path / "whole", hardware=CPU)
    with pytest.raises(KeyboardInterrupt):
        train(TINY, data, tmp_path / "stopped", hardware=CPU, on_step=stop)
    resumed = train(TINY, data, tmp_path / "stopped", hardware=CPU, resume=True)
    assert whole.read_bytes() == resumed.read_bytes()


def test_data_is_asked_for():
    with pytest.raises(OptionError, match="an interactive network is trained on stills"):
        TINY.task({})


def test_samples_are_a_function_of_the_step(data):
    task = TINY.task(data)
    first, again, other = task.batch(4, 0), task.batch(4, 0), task.batch(5, 0)
    for name, value in first.items():
        torch.testing.assert_close(value, again[name])
    assert not torch.equal(first["images"], other["images"])


def test_first_prompts_say_what_is_asked_for():
    """Positive prompts of all kinds begin on the object; nothing begins without a prompt."""
    truth = np.zeros((64, 64), bool)
    truth[20:44, 16:50] = True
    for seed in range(60):
        maps = first_prompts(truth, SampleConfig(size=64), np.random.default_rng(seed)) > 0
        assert maps[[POSITIVE, BOX, PREVIOUS]].any()
        grown = cv2.dilate(truth.astype(np.uint8), np.ones((13, 13), np.uint8)) > 0
        assert not (maps[POSITIVE] & ~grown).any()
    nothing = first_prompts(truth & False, SampleConfig(size=64), np.random.default_rng(0)) > 0
    assert nothing[NEGATIVE].any()
    assert not nothing[[POSITIVE, BOX, PREVIOUS]].any()


def test_corrections_are_on_the_larger_error():
    truth, predicted = np.zeros((64, 64), bool), np.zeros((64, 64), bool)
    truth[8:40, 8:40], predicted[8:40, 8:20], predicted[50:54, 50:54] = True, True, True
    for seed in range(20):
        maps = np.zeros((4, 64, 64), np.uint8)
        click_error(maps, truth, predicted, np.random.default_rng(seed))
        ys, xs = np.nonzero(maps[POSITIVE])
        assert truth[round(ys.mean()), round(xs.mean())]
        assert not predicted[round(ys.mean()), round(xs.mean())]
        assert not maps[NEGATIVE].any()
    unchanged = np.zeros((4, 64, 64), np.uint8)
    click_error(unchanged, truth, truth, np.random.default_rng(0))
    assert not unchanged.any()


@pytest.mark.parametrize("iou", [0.5, 0.7, 0.9])
def test_spoilt_masks_are_about_as_wrong_as_asked(iou):
    truth = np.zeros((96, 96), bool)
    truth[24:72, 30:66] = True
    overlaps = []
    for seed in range(12):
        spoilt = spoil_mask(truth, iou, np.random.default_rng(seed))
        overlaps.append((spoilt & truth).sum() / (spoilt | truth).sum())
    assert abs(np.mean(overlaps) - iou) < 0.15
    assert max(overlaps) < 1


def test_samples_are_drawn_from_all_sources(data):
    stills, videos = find_stills(data["duts"]), find_videos(data["davis"])
    rng = np.random.default_rng(0)
    samples = [draw_sample(stills, videos, TINY.samples, rng) for _ in range(20)]
    assert all(s.image.shape == (64, 64, 3) and s.maps.shape == (4, 64, 64) for s in samples)
    assert np.mean([s.truth.mean() for s in samples]) > 0.05


def test_held_out_stills_depend_on_their_names_alone(tmp_path):
    pairs = [(tmp_path / f"n{i:05d}.jpg", tmp_path / f"n{i:05d}.png") for i in range(1000)]
    first = held_out_stills(FolderStills(pairs)).pairs
    again = held_out_stills(FolderStills(pairs[::-1])).pairs
    assert first == again
    assert len(first) == 200
    trained = without_held_out(FolderStills(pairs))
    assert isinstance(trained, FolderStills)
    assert set(trained.pairs) | set(first) == set(pairs)
    assert not set(trained.pairs) & set(first)


def test_the_normalised_focal_loss_is_the_paper_s():
    """Its weights have a mean of 1 in each sample, computed here pixel by pixel."""
    torch.manual_seed(0)
    logits, truths = torch.randn(2, 5, 6), (torch.rand(2, 5, 6) > 0.5).float()
    expected = []
    for sample, truth in zip(logits, truths, strict=True):
        p = torch.where(truth > 0.5, torch.sigmoid(sample), 1 - torch.sigmoid(sample))
        weight = (1 - p) ** 2
        weight = weight / weight.mean()
        expected.append((0.5 * weight * -p.log()).mean())
    torch.testing.assert_close(normalised_focal_loss(logits, truths), torch.stack(expected))


def test_the_soft_iou_of_sure_masks_is_their_iou():
    a, b = torch.zeros(1, 40, 40), torch.zeros(1, 40, 40)
    a[:, :20], b[:, 10:30] = 1, 1
    sure = (a * 2 - 1) * 50
    torch.testing.assert_close(soft_iou(sure, b), torch.tensor([401 / 1201]))
    assert F.sigmoid(sure).max() <= 1
