"""detector-lite: its targets and losses, the loop, and a small one that finds moving shapes."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rotomask.catalog import load_detector
from rotomask.data.training.scenes import SceneConfig
from rotomask.data.training.synthetic import moving_shapes
from rotomask.detection import Detections
from rotomask.detection.boxes import box_iou, label_boxes
from rotomask.detection.lite import LiteConfig, LiteDetector, peaks
from rotomask.errors import OptionError, WeightsError
from rotomask.evaluation.measures.detection import average_precision, recall
from rotomask.networks.checkpoints import read_metadata, save_weights
from rotomask.networks.detector_lite import (
    BoxMaps,
    DetectorLite,
    DetectorLiteConfig,
    boxes_at_cells,
    cell_centres,
)
from rotomask.networks.precision import Runtime
from rotomask.training.detector import (
    DetectionLoss,
    DetectorRecipe,
    box_targets,
    detection_loss,
    focal_loss,
    generalised_iou,
    training_boxes,
)
from rotomask.training.hardware import Hardware
from rotomask.training.run import train
from rotomask.training.starting import lite0_imagenet_weights
from rotomask.training.task import Schedule
from tests.scripts import write_stills, write_video

TINY = DetectorRecipe(
    name="tiny",
    optimiser_steps=2,
    schedule=Schedule(warmup=1, validate_every=0),
    model=DetectorLiteConfig(decoder_channels=(16, 16)),
    scenes=SceneConfig(size=64),
    batch_size=3,
    real=0.5,
    held_out=("second",),
)
CPU = Runtime(torch.device("cpu"), "float32")


def _data(root: Path) -> dict[str, Path]:
    """Shapes in the layouts of DUTS-TR and DAVIS."""
    for number, name in enumerate(("first", "second")):
        write_video(root / "davis", name, 50 + number, 4)
    return {"duts": write_stills(root / "stills", range(5)), "davis": root / "davis"}


def test_the_loop_trains_a_detector_that_loads(tmp_path):
    hardware = Hardware(accelerator="cpu", workers=0)
    path = train(TINY, _data(tmp_path), tmp_path / "run", hardware=hardware)
    card = read_metadata(path)
    assert card["model"] == "detector-lite"
    assert card["data"] == {"duts": 5, "videos": 1, "video frames": 4}
    assert 0 <= card["validation"]["AP50"] <= 1
    assert 0 <= card["validation"]["recall"] <= 1
    frames, _ = moving_shapes(0, frames=1)
    found = load_detector(str(path)).detect(frames[0])
    assert isinstance(found, Detections)
    save_weights(tmp_path / "other.safetensors", {}, {"model": "embedding"})
    with pytest.raises(WeightsError, match="is not a checkpoint of DetectorLite"):
        load_detector(str(tmp_path / "other.safetensors"))


def test_batches_are_a_function_of_seed_and_step_and_hold_the_objects(tmp_path):
    task = TINY.task(_data(tmp_path))
    first, again, other = task.batch(1, 0), task.batch(1, 0), task.batch(2, 0)
    assert all(torch.equal(first[k], again[k]) for k in first)
    assert not torch.equal(first["images"], other["images"])
    boxes = torch.cat([b["boxes"][b["present"]] for b in (first, other)])
    assert len(boxes) >= 4
    assert (boxes >= 0).all()
    assert (boxes <= 64).all()
    assert ((boxes[:, 2:] - boxes[:, :2]) >= TINY.losses.smallest_px).all()


def test_a_detector_needs_stills(tmp_path):
    data = _data(tmp_path)
    for wrong in ({}, {"davis": data["davis"]}, {**data, "voc": tmp_path}):
        with pytest.raises(OptionError, match="trained on stills"):
            TINY.task(wrong)


def test_small_objects_are_not_learned_and_large_ones_come_first():
    labels = np.zeros((64, 64), np.uint8)
    labels[2:20, 2:20], labels[30:60, 30:60], labels[50:55, 2:25] = 1, 2, 3
    assert training_boxes(labels, 10).tolist() == [[30, 30, 60, 60], [2, 2, 20, 20]]
    assert training_boxes(np.zeros((8, 8), np.uint8), 10).shape == (0, 4)


def _targets(boxes, cells=(8, 8)):
    tensor = torch.tensor(boxes, dtype=torch.float32)[None]
    present = torch.ones(1, len(boxes), dtype=torch.bool)
    return tensor, present, *box_targets(tensor, present, cells, 0.54)


def test_targets_are_ones_at_the_centres_and_the_smaller_box_wins():
    large, small = [0, 0, 64, 64], [28, 28, 44, 44]
    _, _, heat, weight, target = _targets([large, small])
    assert heat[0, 4, 4] == 1
    assert heat.max() == 1
    assert target[0, 4, 4].tolist() == small
    assert target[0, 1, 4].tolist() == large
    logs = np.log(64 * 64) + np.log(16 * 16)
    assert float(weight.sum()) == pytest.approx(logs, rel=1e-4)
    assert (weight[0] > 0).sum() > 1


def test_what_the_targets_say_has_no_loss():
    boxes, present, heat, _, target = _targets([[0, 0, 40, 32], [40, 24, 64, 64]])
    x, y = cell_centres(8, 8, 8, torch.device("cpu"))
    reach = torch.stack(
        [x - target[..., 0], y - target[..., 1], target[..., 2] - x, target[..., 3] - y], 1
    )
    assert torch.equal(boxes_at_cells(reach, 8), target)
    right = BoxMaps(torch.where(heat == 1, 12.0, -12.0), reach)
    config = DetectionLoss()
    none = detection_loss(right, boxes, present, config)
    assert float(none["centres"]) < 1e-3
    assert float(none["boxes"]) < 1e-5
    wrong = BoxMaps(-right.centre, reach + 30)
    much = detection_loss(wrong, boxes, present, config)
    assert float(much["centres"]) > 5
    assert float(much["boxes"]) > 0.5
    double = detection_loss(wrong, boxes, present, DetectionLoss(boxes=2 * config.boxes))
    assert float(double["boxes"]) == pytest.approx(2 * float(much["boxes"]))


def test_an_image_without_objects_teaches_that_there_is_none():
    boxes, present = torch.zeros(1, 3, 4), torch.zeros(1, 3, dtype=torch.bool)
    for logit, least, most in ((-9.0, 0, 1e-3), (3.0, 100, 1e4)):
        maps = BoxMaps(torch.full((1, 8, 8), logit), torch.full((1, 4, 8, 8), 8.0))
        parts = detection_loss(maps, boxes, present, DetectionLoss())
        assert least <= float(parts["centres"]) < most
        assert float(parts["boxes"]) == 0


def test_near_a_centre_a_high_score_costs_less():
    heat = torch.zeros(1, 1, 3)
    heat[0, 0, 0], heat[0, 0, 1] = 1, 0.8

    def cost(place):
        logits = torch.full((1, 1, 3), -6.0)
        logits[0, 0, 0] = logits[0, 0, place] = 4.0
        return float(focal_loss(logits, heat))

    assert cost(1) < 0.1 * cost(2)


_box = st.tuples(*[st.floats(0, 50), st.floats(0, 50), st.floats(1, 40), st.floats(1, 40)])


@settings(max_examples=60)
@given(_box, _box)
def test_generalised_overlap_against_its_definition(a, b):
    one, other = (np.array([[x, y, x + w, y + h]], np.float32) for x, y, w, h in (a, b))
    value = float(generalised_iou(torch.from_numpy(one), torch.from_numpy(other))[0])
    low, high = np.minimum(one, other)[0, :2], np.maximum(one, other)[0, 2:]
    hull_area = float((high - low).prod())
    union = (a[2] * a[3] + b[2] * b[3]) / (1 + float(box_iou(one, other)[0, 0]))
    expected = float(box_iou(one, other)[0, 0]) - (hull_area - union) / hull_area
    assert value == pytest.approx(expected, abs=1e-3)
    assert -1 <= value <= 1 + 1e-6


def test_peaks_are_the_highest_of_their_neighbours():
    centre = torch.full((1, 6, 6), -8.0)
    centre[0, 1, 1], centre[0, 1, 2], centre[0, 4, 4] = 2.0, 1.0, 0.0
    boxes, scores = peaks(BoxMaps(centre, torch.full((1, 4, 6, 6), 10.0)), 10, 0.05)
    assert boxes.tolist() == [[2, 2, 22, 22], [26, 26, 46, 46]]
    assert scores == pytest.approx([0.8808, 0.5], abs=1e-3)


def test_a_small_detector_learns_to_find_moving_shapes():
    torch.manual_seed(0)
    network = DetectorLite(DetectorLiteConfig(decoder_channels=(32, 32)))
    network.encoder.load_imagenet(lite0_imagenet_weights())
    clips = [moving_shapes(seed, frames=4, size=(96, 128), objects=2) for seed in range(10)]
    images = torch.from_numpy(np.concatenate([frames for frames, _ in clips]))
    images = images.movedim(-1, 1).float() / 255
    truths = [label_boxes(labels) for _, many in clips for labels in many]
    boxes = torch.zeros(len(truths), 2, 4)
    present = torch.zeros(len(truths), 2, dtype=torch.bool)
    for i, truth in enumerate(truths):
        boxes[i, : len(truth)], present[i, : len(truth)] = torch.from_numpy(truth), True

    def scores():
        detector = LiteDetector(network, LiteConfig(size=96), CPU)
        unseen = [moving_shapes(seed, frames=1, size=(96, 128), objects=2) for seed in (90, 91, 92)]
        found = [detector.detect(frames[0]) for frames, _ in unseen]
        true = [label_boxes(labels[0]) for _, labels in unseen]
        return average_precision(found, true), recall(found, true)

    before = scores()
    learned = [m for name, m in network.named_children() if name != "encoder"]
    for module in learned:
        module.requires_grad_(True)
    optimiser = torch.optim.Adam([p for m in learned for p in m.parameters()], 3e-3)
    generator = torch.Generator().manual_seed(0)
    for _ in range(45):
        chosen = torch.randint(len(images), (4,), generator=generator)
        maps = network(images[chosen])
        parts = detection_loss(maps, boxes[chosen], present[chosen], DetectionLoss())
        optimiser.zero_grad()
        torch.stack(list(parts.values())).sum().backward()
        optimiser.step()
    after = scores()
    assert after[0] > before[0] + 0.3
    assert after[1] >= 0.6


def test_detections_are_in_the_frames_own_pixels():
    torch.manual_seed(1)
    network = DetectorLite(DetectorLiteConfig(decoder_channels=(16, 16)))
    detector = LiteDetector(network, LiteConfig(size=64, least_score=0.0), CPU)
    frames, _ = moving_shapes(2, frames=1, size=(64, 96))
    large = cv2.resize(frames[0], (288, 192), interpolation=cv2.INTER_NEAREST)
    small, big = detector.detect(frames[0]), detector.detect(large.astype(np.uint8))
    assert len(small) == len(big)
    assert np.abs(big.boxes - 3 * small.boxes).max() < 1
    assert (small.boxes[:, 2:] <= (96, 64)).all()


def test_wrong_settings_are_named():
    with pytest.raises(OptionError, match="got 16 px"):
        LiteConfig(size=16)
