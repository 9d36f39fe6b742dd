"""The segmenter's contract for reference-guided networks, and each of its settings."""

from typing import Literal

import numpy as np
import pytest
import torch

from rotomask.catalog import load_model
from rotomask.data.training.synthetic import moving_shapes
from rotomask.errors import OptionError
from rotomask.networks.precision import choose_runtime
from rotomask.networks.rgmp import RGMP
from rotomask.networks.rgmp_lite import RGMPLite, RGMPLiteConfig
from rotomask.segmenters import reference_guided
from rotomask.segmenters.reference_guided import ReferenceGuidedConfig, ReferenceGuidedSegmenter
from tests.golden import filled_state
from tests.segmenters.sizes import answer_of_size

RUNTIME = choose_runtime("cpu", "float32")


def _small(visual_memory: bool = False, coarsest: Literal[16, 32] = 16) -> RGMPLite:
    config = RGMPLiteConfig(
        coarsest=coarsest,
        match_channels=16,
        decoder_channels=(16, 16, 8),
        visual_memory=visual_memory,
    )
    network = RGMPLite(config)
    network.load_state_dict(filled_state(network.state_dict()))
    return network.eval()


@pytest.fixture(scope="module")
def network() -> RGMPLite:
    return _small()


@pytest.fixture(scope="module")
def recurrent() -> RGMPLite:
    return _small(visual_memory=True)


@pytest.fixture(scope="module")
def published() -> RGMP:
    network = RGMP()
    network.load_state_dict(filled_state(network.state_dict()))
    return network.eval()


def _segmenter(network: RGMP | RGMPLite, **config: object) -> ReferenceGuidedSegmenter:
    settings: dict[str, object] = {"scales": (1.0,)} | config
    return ReferenceGuidedSegmenter(network, ReferenceGuidedConfig(**settings), RUNTIME)  # type: ignore[arg-type]


def _last(segmenter: ReferenceGuidedSegmenter, frames, mask, count: int = 2):
    segmenter.start(frames[0], mask)
    return [segmenter.step(frame) for frame in frames[1 : 1 + count]][-1]


@pytest.mark.parametrize("size", [(32, 32), (7, 9), (1, 40)])
def test_any_size(network, size):
    segmenter = _segmenter(network, scales=(0.5, 1.0))
    assert answer_of_size(segmenter, size).shape == (2, *size)


@pytest.mark.parametrize("kind", ["network", "published"])
def test_equals_the_network_used_by_hand(kind, request):
    """One object, one scale: encode, match, refine, and the answer guides the next frame."""
    network = request.getfixturevalue(kind)
    frames, labels = moving_shapes(2, frames=3, size=(64, 96))
    images = torch.from_numpy(frames).permute(0, 3, 1, 2).float() / 255
    mask = torch.from_numpy(labels[:1]).float()
    with torch.inference_mode():
        reference = network.encode(images[:1], mask).coarsest
        for t in (1, 2):
            target = network.encode(images[t : t + 1], mask)
            mask = torch.sigmoid(network.decode(target, network.match(target, reference)))
    answer = _last(_segmenter(network), frames, labels[0].astype(int))
    assert np.abs(answer[1] - mask[0].numpy()).max() < 1e-5
    assert np.abs(answer[0] - 1 + mask[0].numpy()).max() < 1e-5


def test_scales_are_averaged_before_the_objects_are_merged(network):
    frames, labels = moving_shapes(3, frames=2, size=(64, 96))
    mask = labels[0].astype(int)
    alone = [_last(_segmenter(network, scales=(s,)), frames, mask, 1) for s in (0.5, 1.0)]
    both = _last(_segmenter(network, scales=(0.5, 1.0)), frames, mask, 1)
    assert np.abs(alone[0] - alone[1]).max() > 1e-3
    assert np.abs((alone[0] + alone[1]) / 2 - both).max() < 1e-5


def test_the_reference_is_encoded_once(network, monkeypatch):
    frames, labels = moving_shapes(4, frames=6, size=(32, 64))
    encode = RGMPLite.encode
    calls = []

    def counted(self, *given):
        calls.append(1)
        return encode(self, *given)

    monkeypatch.setattr(RGMPLite, "encode", counted)
    _last(_segmenter(network, scales=(0.5, 1.0)), frames, labels[0].astype(int), count=5)
    assert len(calls) == 2 * (1 + 5)


@pytest.mark.parametrize(
    "setting",
    [
        {"aggregation": "winner-take-all"},
        {"aggregation": "naive"},
        {"background": "product"},
        {"reach": 0.05},
        {"use_reference": False},
        {"use_previous": False},
        {"scales": (0.75, 1.0)},
        {"size": 32},
        {"size": 96, "enlarge": True},
    ],
    ids=lambda setting: ",".join(setting),
)
def test_every_setting_does_something(network, setting):
    frames, labels = moving_shapes(5, frames=3, size=(64, 96), objects=2)
    mask = labels[0].astype(int)
    usual = _last(_segmenter(network), frames, mask)
    assert np.abs(usual - _last(_segmenter(network, **setting), frames, mask)).max() > 1e-4


def test_without_reference_the_reference_frame_is_not_seen(network):
    frames, labels = moving_shapes(6, frames=2, size=(32, 64))
    mask = labels[0].astype(int)
    other = np.ascontiguousarray(255 - frames[0])
    for use_reference, same in ((False, True), (True, False)):
        segmenter = _segmenter(network, use_reference=use_reference)
        answers = []
        for reference in (frames[0], other):
            segmenter.start(reference, mask)
            answers.append(segmenter.step(frames[1]))
        assert (answers[0] == answers[1]).all() == same


def test_without_previous_the_frames_between_are_not_seen(network):
    frames, labels = moving_shapes(7, frames=4, size=(32, 64))
    mask = labels[0].astype(int)
    for use_previous, same in ((False, True), (True, False)):
        segmenter = _segmenter(network, use_previous=use_previous, reach=0.1)
        after_three = _last(segmenter, frames, mask, count=3)
        segmenter.start(frames[0], mask)
        assert (segmenter.step(frames[3]) == after_three).all() == same


def test_background_of_several_objects_is_one_minus_the_merged_foreground(network):
    """Eq. 1 by hand, from three runs with one object each."""
    frames, labels = moving_shapes(8, frames=2, size=(64, 96), objects=2)
    segmenter = _segmenter(network)
    masks = [labels[0] > 0, labels[0] == 1, labels[0] == 2]
    merged, one, two = (
        _last(segmenter, frames, m.astype(int), count=1)[1].clip(1e-7, 1 - 1e-7) for m in masks
    )
    odds = np.stack([p / (1 - p) for p in (1 - merged, one, two)])
    answer = _last(segmenter, frames, labels[0].astype(int), count=1)
    assert np.abs(answer - odds / odds.sum(0)).max() < 1e-4


def test_permuted_objects_permute_the_answer(network):
    frames, labels = moving_shapes(9, frames=3, size=(64, 96), objects=2)
    straight = _last(_segmenter(network), frames, labels[0].astype(int))
    swapped = _last(_segmenter(network), frames, np.array([0, 2, 1])[labels[0]])
    assert np.abs(straight[[0, 2, 1]] - swapped).max() < 1e-4


def test_more_objects_than_fit_at_once_give_the_same_answer(network, monkeypatch):
    mask = np.zeros((32, 64), int)
    for k in range(4):
        mask[4:28, 16 * k : 16 * k + 14] = k + 1
    frames, _ = moving_shapes(10, frames=3, size=(32, 64))
    answers = []
    for at_once in (8, 2):
        monkeypatch.setattr(reference_guided, "OBJECTS_AT_ONCE", at_once)
        answers.append(_last(_segmenter(network), frames, mask))
    assert np.abs(answers[0] - answers[1]).max() < 1e-4


@pytest.mark.parametrize("background", ["merged", "product"])
def test_an_added_object_is_exact_where_given_and_followed_on(network, background):
    segmenter = _segmenter(network, background=background)
    frames, labels = moving_shapes(11, frames=3, size=(64, 96), objects=2)
    segmenter.start(frames[0], np.where(labels[0] == 1, 1, 0))
    two = np.where(labels[1] == 2, 9, 0)
    answer = segmenter.add(frames[1], two)
    assert segmenter.object_ids == (1, 9)
    assert (segmenter.labels(answer)[two == 9] == 9).all()
    assert (answer[2][two != 9] == 0).all()
    assert np.abs(answer.sum(0) - 1).max() < 1e-5
    assert segmenter.step(frames[2]).shape == (3, 64, 96)


def test_each_object_keeps_its_own_reference(network):
    """An object that came later is guided by the frame it came in, the first by its own."""
    frames, labels = moving_shapes(12, frames=3, size=(32, 64), objects=2)
    segmenter = _segmenter(network)
    segmenter.start(frames[0], np.where(labels[0] == 1, 1, 0))
    first = segmenter._scales[0].references.clone()
    segmenter.add(frames[1], np.where(labels[1] == 2, 2, 0))
    rows = segmenter._scales[0].references
    assert len(rows) == 3
    assert torch.equal(rows[0], first[0])
    merged_later = ReferenceGuidedSegmenter(network, segmenter.config, RUNTIME)
    merged_later.start(frames[1], np.where(labels[1] == 2, 2, 0))
    torch.testing.assert_close(rows[1], merged_later._scales[0].references[0], rtol=0, atol=1e-4)


def test_a_correction_is_exact_and_becomes_the_reference(network):
    frames, labels = moving_shapes(13, frames=4, size=(32, 64))
    corrected = _segmenter(network)
    corrected.start(frames[0], labels[0].astype(int))
    corrected.step(frames[1])
    answer = corrected.labels(corrected.add(frames[2], labels[2].astype(int)))
    assert (answer == labels[2]).all()
    assert corrected.object_ids == (1,)
    anew = _segmenter(network)
    anew.start(frames[2], labels[2].astype(int))
    assert np.abs(corrected.step(frames[3]) - anew.step(frames[3])).max() < 1e-5


def test_an_object_known_to_be_absent_is_not_there_and_keeps_its_reference(network):
    frames, labels = moving_shapes(14, frames=2, size=(32, 64), objects=2)
    segmenter = _segmenter(network)
    segmenter.start(frames[0], labels[0].astype(int))
    reference = segmenter._scales[0].references[1].clone()
    answer = segmenter.add(frames[1], np.zeros(labels[0].shape, int), object_ids=[2])
    assert not answer[2].any()
    assert answer[1].any()
    assert np.abs(answer.sum(0) - 1).max() < 1e-5
    assert torch.equal(segmenter._scales[0].references[1], reference)


@pytest.mark.parametrize("kind", ["network", "recurrent"])
def test_observing_is_what_the_network_would_have_seen(kind, request):
    """The observed mask guides the next frame; the visual memory has seen the observed frame."""
    network = request.getfixturevalue(kind)
    frames, labels = moving_shapes(15, frames=3, size=(32, 64))
    images = torch.from_numpy(frames).permute(0, 3, 1, 2).float() / 255
    masks = torch.from_numpy(labels).float()
    segmenter = _segmenter(network)
    segmenter.start(frames[0], labels[0].astype(int))
    segmenter.observe(frames[1], labels[1].astype(int))
    answer = segmenter.step(frames[2])
    with torch.inference_mode():
        reference = network.encode(images[:1], masks[:1]).coarsest
        state = network.match(network.encode(images[1:2], masks[:1]), reference)
        target = network.encode(images[2:], masks[1:2])
        matched = network.match(target, reference, state)
        expected = torch.sigmoid(network.decode(target, matched))
    assert np.abs(answer[1] - expected[0].numpy()).max() < 1e-5


def test_the_visual_memory_remembers(recurrent):
    """With zeros for guidance, only the memory can tell what the frames between were."""
    frames, labels = moving_shapes(16, frames=4, size=(32, 64))
    segmenter = _segmenter(recurrent, use_previous=False)
    mask = labels[0].astype(int)
    after_three = _last(segmenter, frames, mask, count=3)
    segmenter.start(frames[0], mask)
    assert np.abs(segmenter.step(frames[3]) - after_three).max() > 1e-4


def test_the_visual_memory_follows_late_objects_and_resumes(recurrent):
    frames, labels = moving_shapes(17, frames=4, size=(32, 64), objects=2)
    segmenter = _segmenter(recurrent)
    segmenter.start(frames[0], np.where(labels[0] == 1, 1, 0))
    segmenter.step(frames[1])
    segmenter.add(frames[2], np.where(labels[2] == 2, 2, 0))
    states = segmenter._scales[0].states
    assert states is not None
    assert [bool(row.any()) for row in states] == [True, False, False]
    assert segmenter.step(frames[3]).shape == (3, 32, 64)


def test_an_object_is_found_within_reach_only_and_anywhere_once_it_is_lost(network):
    frames, _ = moving_shapes(20, frames=3, size=(64, 96))
    corner = np.zeros((64, 96), int)
    corner[:16, :16] = 1
    far = _segmenter(network, reach=0.25)
    far.start(frames[0], corner)
    answer = far.step(frames[1])
    free = _segmenter(network)
    free.start(frames[0], corner)
    usual = free.step(frames[1])
    near = np.zeros((64, 96), bool)
    near[:32, :32] = True  # 16 px of mask and a quarter of 64 px
    assert np.abs(answer[1] - usual[1])[near].max() < 1e-6
    assert usual[1][~near].max() > 0.01
    assert answer[1][~near].max() == 0
    far.add(frames[2], corner * 0, object_ids=[1])
    assert far.step(frames[2])[1][~near].max() > 0.01


def test_impossible_settings_are_named():
    with pytest.raises(OptionError, match="scales"):
        ReferenceGuidedConfig(scales=())
    with pytest.raises(OptionError, match="reach must be above 0"):
        ReferenceGuidedConfig(reach=0.0)
    with pytest.raises(OptionError, match="background"):
        ReferenceGuidedConfig(background="black")  # type: ignore[arg-type]


def test_the_catalogue_runs_a_users_checkpoint(published, tmp_path):
    """The authors' file has `module.` before every name; the published scales are the default."""
    path = tmp_path / "weights.pth"
    torch.save({f"module.{k}": v for k, v in published.state_dict().items()}, path)
    segmenter = load_model("rgmp", weights=path, device="cpu", precision="float32", size=32)
    assert isinstance(segmenter, ReferenceGuidedSegmenter)
    assert segmenter.config == ReferenceGuidedConfig(size=32, enlarge="auto")
    frames, labels = moving_shapes(19, frames=2, size=(32, 64))
    answer = _last(segmenter, frames, labels[0].astype(int), 1)
    by_hand = _segmenter(published, scales=(0.5, 0.75, 1.0), size=32)
    assert np.abs(answer - _last(by_hand, frames, labels[0].astype(int), 1)).max() < 1e-5
    with pytest.raises(OptionError, match="no setting 'memory_every'"):
        load_model("rgmp", weights=path, memory_every=2)
    with pytest.raises(OptionError, match="takes a SpaceTimeConfig"):
        load_model("stm-lite", config=ReferenceGuidedConfig())


def test_the_shipped_model_follows_a_shape_better_than_holding_still():
    frames, labels = moving_shapes(11, frames=8, size=(128, 160))
    segmenter = load_model("rgmp-lite", device="cpu")
    segmenter.start(frames[0], labels[0].astype(int))
    overlaps, still = [], []
    for frame, truth in zip(frames[1:], labels[1:], strict=True):
        found = segmenter.labels(segmenter.step(frame)) > 0
        overlaps.append((found & (truth > 0)).sum() / (found | (truth > 0)).sum())
        held = labels[0] > 0
        still.append((held & (truth > 0)).sum() / (held | (truth > 0)).sum())
    assert np.mean(overlaps) > max(0.7, np.mean(still))
