"""What holds for every segmenter of the catalogue, and for segmenters made of segmenters.

Networks without shipped weights have random ones: the contract does not ask for good masks. They
are large, so that their tests are slow ones.
"""

import copy
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image
from torch import nn

from rotomask.arrays import Frame, Mask
from rotomask.catalog import CATALOG, load_network, names, segmenter_role, with_settings
from rotomask.data.training.synthetic import moving_shapes
from rotomask.errors import MaskError, RotomaskError, ShapeError
from rotomask.jobs.loading import load_model
from rotomask.networks.osvos import OSVOS
from rotomask.networks.precision import choose_runtime
from rotomask.networks.rgmp import RGMP
from rotomask.networks.stm import STM
from rotomask.networks.stm_refine50 import STMRefine50
from rotomask.segmenters.base import Segmenter
from rotomask.segmenters.network_segmenter import NetworkSegmenter
from rotomask.segmenters.refinements import parse_refinements
from rotomask.segmenters.space_time import SpaceTimeSegmenter
from rotomask.segmenters.wrappers import Ensemble
from rotomask.training.online import OnlineConfig, learn_online

SIZE = (35, 51)
"""Odd in both directions: every network has to pad or resize."""
CPU = choose_runtime("cpu", "float32")
FEW_ITERATIONS = {"iterations": 2, "views": 2}

COMPOSITIONS: dict[str, tuple[str, list[str], str | None]] = {
    "flip": ("stm-lite", ["flip"], None),
    "scales": ("stm-lite", ["scales=0.75,1"], None),
    "scales of rgmp": ("rgmp-lite", ["scales=0.5,1"], None),
    "ensemble": ("stm-lite", ["ensemble=rgmp-lite"], None),
    "boxes": ("stm-lite", [], "detector-lite"),
    "tracked boxes": ("rgmp-lite", [], "tracked"),
    "components and CRF": ("stm-lite", ["components", "crf"], None),
    "all": ("stm-lite", ["flip", "scales=0.75,1", "ensemble=rgmp-lite", "crf"], "tracked"),
}


@cache
def network(name: str) -> nn.Module:
    """The network of an entry, with its shipped weights or random ones."""
    if CATALOG[name].weights is not None:
        return load_network(name)
    torch.manual_seed(0)
    build = CATALOG[name].network
    assert build is not None
    return build({})


def entry(name: str) -> Segmenter:
    role = segmenter_role(name)
    settings: dict[str, Any] = FEW_ITERATIONS if role.learns_reference else {}
    return role.build(network(name), with_settings(role.config, settings, name), CPU)


def composition(name: str) -> Segmenter:
    model, specs, boxes = COMPOSITIONS[name]
    return load_model(model, parse_refinements(specs, boxes), device="cpu", precision="float32")


def online(name: str) -> Segmenter:
    return learn_online(entry(name), OnlineConfig(steps=2, clips=1, frames=2, size=64))


SEGMENTERS: dict[str, Callable[[], Segmenter]] = {
    **{name: lambda name=name: entry(name) for name in names("segmenter")},  # type: ignore[misc]
    **{name: lambda name=name: composition(name) for name in COMPOSITIONS},  # type: ignore[misc]
    "online": lambda: online("stm-lite"),
    "online, reference-guided": lambda: online("rgmp-lite"),
}


def is_slow(name: str) -> bool:
    return name == "all" or (name in CATALOG and CATALOG[name].weights is None)


@pytest.fixture(
    params=[
        pytest.param(name, marks=pytest.mark.slow if is_slow(name) else ()) for name in SEGMENTERS
    ]
)
def segmenter(request: pytest.FixtureRequest) -> Segmenter:
    return SEGMENTERS[request.param]()


def clip(seed: int, length: int = 3, objects: int = 2) -> tuple[list[Frame], list[Mask]]:
    frames, labels = moving_shapes(seed, frames=length, size=SIZE, objects=objects)
    return list(frames), [mask.astype(np.int32) for mask in labels]


def follow(segmenter: Segmenter, seed: int, length: int = 3) -> list[npt.NDArray[np.float32]]:
    """Probabilities of the frames of a clip after its first, whose mask is given."""
    frames, labels = clip(seed, length)
    segmenter.start(frames[0], labels[0])
    return [segmenter.step(frame) for frame in frames[1:]]


def same(one: list[npt.NDArray[Any]], other: list[npt.NDArray[Any]]) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_probabilities_have_the_frames_size_the_ids_and_sum_to_one(segmenter: Segmenter) -> None:
    frames, labels = clip(0)
    assert not segmenter.object_ids
    segmenter.start(frames[0], np.array([0, 1000, 7])[labels[0]])
    assert segmenter.object_ids == (7, 1000)
    for frame in frames[1:]:
        probabilities = segmenter.step(frame)
        assert probabilities.shape == (3, *SIZE)
        assert probabilities.dtype == np.float32
        assert probabilities.min() >= -1e-6
        assert np.abs(probabilities.sum(0) - 1).max() < 1e-5
        assert set(np.unique(segmenter.labels(probabilities))) <= {0, 7, 1000}


def test_a_late_object_is_exact_where_given_and_followed_on(segmenter: Segmenter) -> None:
    frames, labels = clip(4, length=4)
    segmenter.start(frames[0], np.where(labels[0] == 1, 5, 0))
    segmenter.step(frames[1])
    late = np.where(labels[2] == 2, 2, 0)
    probabilities = segmenter.add(frames[2], late)
    assert segmenter.object_ids == (5, 2)
    np.testing.assert_array_equal(probabilities[2], late == 2)
    assert np.abs(probabilities.sum(0) - 1).max() < 1e-5
    assert segmenter.step(frames[3]).shape == (3, *SIZE)


def test_writing_into_the_output_changes_nothing(segmenter: Segmenter) -> None:
    expected = follow(segmenter, seed=9, length=4)
    frames, labels = clip(9, length=4)
    segmenter.start(frames[0], labels[0])
    written = []
    for frame in frames[1:]:
        output = segmenter.step(frame)
        written.append(output.copy())
        output[:] = 0.5
    assert same(written, expected)


def test_a_mirrored_view_of_a_frame_is_a_frame(segmenter: Segmenter) -> None:
    frames, labels = clip(9, length=2)
    segmenter.start(frames[0][:, ::-1], labels[0][:, ::-1])
    from_views = segmenter.step(frames[1][:, ::-1])
    segmenter.start(frames[0][:, ::-1].copy(), labels[0][:, ::-1].copy())
    np.testing.assert_array_equal(segmenter.step(frames[1][:, ::-1].copy()), from_views)


@pytest.mark.parametrize(
    ("convert", "message"),
    [
        (lambda frame: frame.tolist(), "got list"),
        (Image.fromarray, r"got PIL\.Image\.Image; convert it with np.asarray"),
        (torch.from_numpy, r"got torch\.Tensor"),
        (lambda frame: frame / 255, r"use \(255 \* frame\)\.round"),
        (lambda frame: frame[..., 0], "repeat a grey frame"),
        (lambda frame: np.moveaxis(frame, 2, 0), "move its channels last"),
        (lambda frame: frame[:0], "it has no pixels"),
    ],
)
def test_what_is_no_frame_is_named(convert: Callable[[Any], Any], message: str) -> None:
    frames, labels = clip(9, length=2)
    segmenter = entry("stm-lite")
    with pytest.raises(ShapeError, match=message):
        segmenter.start(convert(frames[0]), labels[0])
    segmenter.start(frames[0], labels[0])
    with pytest.raises(ShapeError, match=message):
        segmenter.step(convert(frames[1]))


@pytest.mark.parametrize(
    ("convert", "message"),
    [
        (lambda mask: mask.tolist(), "got list"),
        (torch.from_numpy, r"got torch\.Tensor"),
        (lambda mask: mask.astype(np.int64) << 40, "must be at most 2147483647"),
    ],
)
def test_what_is_no_mask_is_named(convert: Callable[[Any], Any], message: str) -> None:
    frames, labels = clip(9, length=2)
    segmenter = entry("stm-lite")
    with pytest.raises(ShapeError, match=message):
        segmenter.start(frames[0], convert(labels[0]))


def test_a_correction_is_exact(segmenter: Segmenter) -> None:
    frames, labels = clip(6)
    segmenter.start(frames[0], labels[0])
    segmenter.step(frames[1])
    probabilities = segmenter.add(frames[2], labels[2])
    np.testing.assert_array_equal(segmenter.labels(probabilities), labels[2])
    assert segmenter.object_ids == (1, 2)


def test_an_object_that_is_said_to_be_absent_is_not_there(segmenter: Segmenter) -> None:
    frames, labels = clip(5, length=2)
    segmenter.start(frames[0], labels[0])
    probabilities = segmenter.add(frames[1], np.zeros(SIZE, int), object_ids=[2])
    assert not probabilities[2].any()
    assert np.abs(probabilities.sum(0) - 1).max() < 1e-5
    assert segmenter.object_ids == (1, 2)


def test_observing_its_own_masks_is_like_having_made_them(segmenter: Segmenter) -> None:
    masks = [segmenter.labels(p) for p in follow(segmenter, seed=3, length=5)]
    frames, labels = clip(3, length=5)
    resumed = []
    for _ in range(2):
        segmenter.start(frames[0], labels[0])
        for frame, mask in zip(frames[1:4], masks[:3], strict=True):
            segmenter.observe(frame, mask)
        resumed.append(segmenter.labels(segmenter.step(frames[4])))
    np.testing.assert_array_equal(resumed[0], resumed[1])
    if not has_random_weights(segmenter):
        # Not all the same: an observed mask is hard where the segmenter's own was soft.
        assert (resumed[0] == masks[3]).mean() > 0.95


def test_a_video_leaves_nothing_behind_but_the_same_network(segmenter: Segmenter) -> None:
    first = follow(segmenter, seed=7)
    before = copy.deepcopy(parameters(segmenter))
    follow(segmenter, seed=8)
    assert same(follow(segmenter, seed=7), first)
    for name, value in parameters(segmenter).items():
        assert torch.equal(value, before[name])


def innermost(segmenter: Any) -> Any:
    """The first segmenter with a network of its own; before it learns online."""
    while not isinstance(segmenter, NetworkSegmenter):
        if isinstance(segmenter, Ensemble):
            segmenter = segmenter.members[0]
        else:
            segmenter = segmenter.parent if "parent" in vars(segmenter) else segmenter.segmenter
    return segmenter


def parameters(segmenter: Segmenter) -> dict[str, torch.Tensor]:
    return dict(innermost(segmenter).network.state_dict())


def has_random_weights(segmenter: Segmenter) -> bool:
    return type(innermost(segmenter).network) in (STM, STMRefine50, RGMP, OSVOS)


def test_twins_in_two_threads_are_as_one_after_the_other(segmenter: Segmenter) -> None:
    seeds = (7, 9)
    serial = [follow(segmenter, seed) for seed in seeds]
    twins = [segmenter.twin() for _ in seeds]
    with ThreadPoolExecutor(len(seeds)) as pool:
        for together, alone in zip(pool.map(follow, twins, seeds), serial, strict=True):
            assert same(together, alone)


def test_a_twin_does_not_disturb_the_video_that_is_followed(segmenter: Segmenter) -> None:
    expected = follow(segmenter, seed=7)
    frames, labels = clip(7)
    segmenter.start(frames[0], labels[0])
    others, other_labels = clip(8, objects=1)
    twin = segmenter.twin()
    twin.start(others[0], other_labels[0] * 9)
    together = []
    for frame, other in zip(frames[1:], others[1:], strict=True):
        together.append(segmenter.step(frame))
        twin.step(other)
    assert same(together, expected)
    assert (segmenter.object_ids, twin.object_ids) == ((1, 2), (9,))


def test_a_reference_from_elsewhere_in_the_video_changes_no_objects(segmenter: Segmenter) -> None:
    frames, labels = clip(6, length=4)
    segmenter.start(frames[0], labels[0])
    segmenter.add_reference(frames[3], labels[3])
    segmenter.add_reference(frames[3], np.where(labels[3] == 1, 77, 0))  # it is not followed
    assert segmenter.object_ids == (1, 2)
    probabilities = segmenter.step(frames[1])
    assert probabilities.shape == (3, *SIZE)
    assert np.abs(probabilities.sum(0) - 1).max() < 1e-5
    again = follow(segmenter, 6)  # a new video knows nothing of it
    assert same(again, follow(segmenter, 6))


def test_wrong_calls_are_named(segmenter: Segmenter) -> None:
    frames, labels = clip(10, length=2)
    with pytest.raises(RotomaskError, match=r"start\(\)"):
        segmenter.step(frames[0])
    with pytest.raises(MaskError, match="reference mask is empty"):
        segmenter.start(frames[0], labels[0] * 0)
    with pytest.raises(ShapeError, match="the mask is 51x34 but its frame is 51x35"):
        segmenter.start(frames[0], labels[0][1:])
    with pytest.raises(ShapeError, match="uint8"):
        segmenter.start(frames[0].astype(float), labels[0])
    with pytest.raises(ShapeError, match="integers"):
        segmenter.start(frames[0], labels[0].astype(float))
    with pytest.raises(ShapeError, match="must be >= 0"):
        segmenter.start(frames[0], -labels[0])
    segmenter.start(frames[0], labels[0])
    with pytest.raises(ShapeError, match="size"):
        segmenter.step(frames[1][2:])
    with pytest.raises(ShapeError, match="size"):
        segmenter.add(frames[1][2:], labels[1][2:])
    with pytest.raises(ShapeError, match="the mask is"):
        segmenter.observe(frames[1], labels[1][2:])
    with pytest.raises(MaskError, match="added mask is empty"):
        segmenter.add(frames[1], labels[1] * 0)


def test_the_default_model_follows_a_shape_better_than_holding_still() -> None:
    frames, labels = moving_shapes(11, frames=10, size=(128, 160))
    segmenter = load_model(device="cpu")
    assert isinstance(segmenter, SpaceTimeSegmenter)
    segmenter.start(frames[0], labels[0].astype(int))
    overlaps = []
    for frame, truth in zip(frames[1:], labels[1:], strict=True):
        mask = segmenter.labels(segmenter.step(frame)) > 0
        overlaps.append((mask & (truth > 0)).sum() / (mask | (truth > 0)).sum())
    still = ((labels[0] > 0) & (labels[-1] > 0)).sum() / ((labels[0] > 0) | (labels[-1] > 0)).sum()
    assert overlaps[-1] > still
    assert np.mean(overlaps) > 0.8
