"""One-shot segmentation: what fine-tuning learns, keeps and costs, on clips of moving shapes."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

import rotomask
from rotomask.data.training.synthetic import moving_shapes
from rotomask.errors import MaskError, OptionError, RotomaskError
from rotomask.jobs.loading import load_model
from rotomask.masks import read_labels
from rotomask.networks.layers.pyramid_pooling import PyramidPooling
from rotomask.networks.oneshot_lite import OneShotLite, OneShotLiteConfig
from rotomask.networks.osvos import OSVOS
from rotomask.networks.precision import Runtime
from rotomask.segmenters.fine_tuned import (
    FineTunedSegmenter,
    FineTuningConfig,
    make_views,
)
from rotomask.segmenters.refinements import Refinements
from rotomask.training.starting import lite0_imagenet_weights

CPU = Runtime(torch.device("cpu"), "float32")
SMALL = OneShotLiteConfig(decoder_channels=(24, 16, 16))
QUICK = FineTuningConfig(iterations=40, views=6, batch=2, learning_rate=3e-3)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    network = OneShotLite(SMALL)
    network.encoder.load_imagenet(lite0_imagenet_weights())
    return network


def _overlap(found, truth):
    return (found & truth).sum() / (found | truth).sum()


def _run(network, config, frames, labels):
    segmenter = FineTunedSegmenter(network, config, CPU)
    segmenter.start(frames[0], labels[0].astype(int))
    return segmenter, [segmenter.labels(segmenter.step(frame)) for frame in frames[1:]]


def test_fine_tuning_finds_the_object_in_later_frames(network):
    frames, labels = moving_shapes(4, frames=5, size=(96, 128))
    _, found = _run(network, QUICK, frames, labels)
    ours = np.mean([_overlap(f > 0, t > 0) for f, t in zip(found, labels[1:], strict=True)])
    none = FineTuningConfig(iterations=0)
    _, blind = _run(network, none, frames, labels)
    before = np.mean([_overlap(f > 0, t > 0) for f, t in zip(blind, labels[1:], strict=True)])
    assert ours > 0.75
    assert ours > before + 0.3


def test_two_objects_are_told_apart_and_keep_their_ids(network):
    frames, labels = moving_shapes(8, frames=3, size=(96, 128), objects=2)
    given = np.where(labels == 2, 9, labels.astype(int) * 4)
    segmenter, found = _run(network, QUICK, frames, given)
    assert segmenter.object_ids == (4, 9)
    assert all(_overlap(found[-1] == k, given[-1] == k) > 0.5 for k in (4, 9))


def test_a_budget_of_seconds_ends_fine_tuning(network):
    done: list[float] = []
    config = FineTuningConfig(iterations=100000, seconds=0.5, views=2)
    segmenter = FineTunedSegmenter(network, config, CPU)
    segmenter.report_learning(done.append)
    frames, labels = moving_shapes(8, frames=1, size=(64, 96), objects=2)
    segmenter.start(frames[0], labels[0].astype(int))
    assert 0 < len(done) < 1000
    assert done == sorted(done)
    assert done[-1] == 1
    assert max(done[:-1]) <= 1, "both objects share the time"


def test_starting_again_from_the_same_frame_learns_nothing_anew(network):
    frames, labels = moving_shapes(4, frames=2, size=(64, 96))
    done: list[float] = []
    segmenter = FineTunedSegmenter(network, replace(QUICK, iterations=3), CPU)
    segmenter.report_learning(done.append)
    segmenter.start(frames[0], labels[0].astype(int))
    before = segmenter.step(frames[1])
    count = len(done)
    segmenter.start(frames[0], labels[0].astype(int))
    assert len(done) == count == 4
    assert np.array_equal(segmenter.step(frames[1]), before)
    segmenter.start(frames[1], labels[1].astype(int))
    assert len(done) == 2 * count


def test_a_correction_is_learned_and_shown_exactly(network):
    frames, labels = moving_shapes(6, frames=3, size=(64, 96))
    segmenter, _ = _run(network, FineTuningConfig(iterations=3), frames[:1], labels[:1])
    wrong = segmenter.labels(segmenter.step(frames[2]))
    deep = FineTunedSegmenter(network, QUICK, CPU)
    deep.start(frames[0], labels[0].astype(int))
    full = deep.add(frames[1], labels[1].astype(int))
    assert (deep.labels(full) == labels[1]).all()
    right = deep.labels(deep.step(frames[2]))
    assert _overlap(right > 0, labels[2] > 0) > _overlap(wrong > 0, labels[2] > 0)


def test_views_move_frame_and_mask_together():
    frame, mask = torch.zeros(1, 3, 64, 96), torch.zeros(1, 1, 64, 96)
    mask[..., 20:40, 30:60] = 1
    frame[:] = mask
    views = make_views(frame, mask, FineTuningConfig(views=8), torch.Generator().manual_seed(0))
    assert len(views) == 8
    assert torch.equal(views[0][0], frame)
    for image, found in views:
        assert ((image[:, :1] >= 0.5).float() == found).float().mean() > 0.99
    assert len({round(float(m.sum())) for _, m in views}) > 4, "turned and resized"


def test_osvos_is_fine_tuned_whole_with_its_layers_rates():
    torch.manual_seed(0)
    network = OSVOS()
    rates = {}
    names = {id(p): name for name, p in network.named_parameters()}
    for group in network.parameter_groups(1.0):
        rates[names[id(group["params"][0])]] = group["lr"]
    assert rates["stages.0.0.weight"] == 1
    assert rates["stages.0.0.bias"] == 2
    assert rates["fuse.weight"] == pytest.approx(0.01)
    assert rates["score_dsn.1.bias"] == pytest.approx(0.2)
    assert not any(name.startswith("upscale") for name in rates)
    frames, labels = moving_shapes(4, frames=2, size=(32, 32))
    config = FineTuningConfig(iterations=2, views=2, optimiser="sgd", learning_rate=1e-8)
    _, found = _run(network, config, frames, labels)
    assert found[0].shape == (32, 32)


def test_a_share_of_the_parents_weights_is_kept(network):
    frames, labels = moving_shapes(4, frames=1, size=(64, 96))
    tuned = {}
    for kept in (0.0, 0.25):
        config = replace(QUICK, iterations=2, kept=kept)
        segmenter = FineTunedSegmenter(network, config, CPU)
        segmenter.start(frames[0], labels[0].astype(int) > 0)
        tuned[kept] = list(segmenter._objects[1].tuned.parameters())
    parent = list(network.trainable_part().parameters())
    moved = 0
    for part, learned, mixed in zip(parent, tuned[0.0], tuned[0.25], strict=True):
        torch.testing.assert_close(mixed, 0.75 * learned + 0.25 * part)
        moved += not torch.equal(learned, part)
    assert moved > 4
    with pytest.raises(OptionError, match="a share from 0 to below 1, got 1"):
        replace(QUICK, kept=1.0)


def test_pyramid_pooling_lets_far_parts_of_the_frame_matter():
    torch.manual_seed(0)
    pooling = PyramidPooling(16, 8)
    x = torch.zeros(1, 16, 24, 24, requires_grad=True)
    corner = pooling(x + 0.1)[0, :, 0, 0].sum()
    (gradient,) = torch.autograd.grad(corner, x)
    assert float(gradient[0, :, -1, -1].abs().sum()) > 0


def test_what_cannot_be_is_refused(network):
    frames, labels = moving_shapes(0, frames=1, size=(64, 96))
    segmenter = FineTunedSegmenter(network, QUICK, CPU)
    with pytest.raises(RotomaskError, match=r"start\(\) the segmenter"):
        segmenter.step(frames[0])
    with pytest.raises(MaskError, match="reference mask is empty"):
        segmenter.start(frames[0], labels[0].astype(int) * 0)
    with pytest.raises(OptionError, match="budget of fine-tuning"):
        FineTuningConfig(seconds=0)


def test_a_job_learns_once_within_its_time_and_says_how_far_it_is(tmp_path):
    """The shipped network: from a mask in the middle both ways, for a second."""
    frames, labels = moving_shapes(4, frames=5, size=(96, 128))
    folder = tmp_path / "frames"
    folder.mkdir()
    for t, frame in enumerate(frames):
        cv2.imwrite(str(folder / f"{t:05d}.png"), frame[..., ::-1])
    learned: list[int] = []

    def on_progress(stage, done, total):
        if stage == "learn":
            learned.append(done)

    result = rotomask.cut(
        folder,
        labels[2].astype(int),
        tmp_path / "out",
        at=2,
        model="oneshot",
        refinements=Refinements(online_steps=25),
        formats=(),
        on_progress=on_progress,
    )
    assert result.frames_segmented == 4
    assert learned[-1] == 100
    assert len(learned) == 26, "25 iterations and the end, not twice"
    found = [read_labels(p) > 0 for p in sorted((tmp_path / "out" / "masks").iterdir())]
    overlaps = [_overlap(f, t > 0) for f, t in zip(found, labels, strict=True)]
    assert np.mean(overlaps) > 0.7


def test_seconds_are_a_setting_of_one_shot_models():
    timed = load_model("oneshot", Refinements(online_seconds=7), device="cpu")
    assert isinstance(timed, FineTunedSegmenter)
    assert timed.config.seconds == 7
    assert timed.config.iterations == FineTuningConfig().iterations
    scaled = load_model("oneshot", Refinements(scales=(0.5,)), device="cpu")
    assert "scale=0.5" in repr(scaled), "one network at another size, not other views"
