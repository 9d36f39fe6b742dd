"""What a further object needs: objectness and motion of its own, one place at a time."""

import numpy as np
import pytest

from rotomask.data.training.clips import find_videos
from rotomask.errors import OptionError
from rotomask.jobs.loading import load_discoverer
from rotomask.unsupervised.base import FrameList
from rotomask.unsupervised.config import DiscoveryConfig
from rotomask.unsupervised.evidence import (
    NO_EVIDENCE,
    EvidenceConfig,
    SeedFacts,
    are_parts_of_one,
    compact,
    tracks_with_evidence,
)
from rotomask.unsupervised.tracks import SeedTrack
from tests.evaluation.davis_golden import shared_path

FRAMES = 4
BODY, SHIRT, RIDER, GRASS, POST, OTHER = range(6)
OBJECTNESS = np.array([0.95, 0.9, 0.9, 0.2, 0.9, 0.9], np.float32)
COMPONENTS = np.array([1, 1, 1, 0, 0, 2])
FLOWS = np.array([[8, 0], [7, 1], [-3, 4], [8, 0], [0, 0], [8, 0]], np.float32)
CONFIG = EvidenceConfig()


def track(seed: int, score: float = 0.8) -> SeedTrack:
    return SeedTrack(seeds=np.full(FRAMES, seed), score=score)


def facts(flows: np.ndarray | None = FLOWS) -> list[SeedFacts]:
    return [SeedFacts(objectness=OBJECTNESS, components=COMPONENTS, flows=flows)] * FRAMES


def test_a_shirt_is_part_of_its_wearer_and_a_rider_is_not_of_the_horse():
    assert are_parts_of_one(track(SHIRT), track(BODY), facts(), CONFIG)
    assert not are_parts_of_one(track(RIDER), track(BODY), facts(), CONFIG)  # moves otherwise
    assert not are_parts_of_one(track(OTHER), track(BODY), facts(), CONFIG)  # apart
    assert not are_parts_of_one(track(POST), track(GRASS), facts(), CONFIG)  # in no object
    assert not are_parts_of_one(track(SHIRT), track(BODY), facts(None), CONFIG)  # a still image


def test_what_moves_without_objectness_is_no_object():
    tracks = [track(BODY), track(GRASS), track(POST), track(OTHER)]
    kept = tracks_with_evidence(tracks, facts(), CONFIG)
    assert [int(t.seeds[0]) for t in kept] == [BODY, OTHER]
    # The best one is never taken away: something is always proposed.
    assert len(tracks_with_evidence([track(GRASS)], facts(), CONFIG)) == 1


def test_pieces_far_from_the_seed_are_background():
    scores = np.zeros((3, 40, 60), np.float32)
    scores[1, 5:15, 5:15] = 0.9  # with the seed
    scores[1, 5:15, 16:20] = 0.8  # a pole of one pixel in front
    scores[1, 20:30, 40:50] = 0.9  # something else
    scores[2, 30:38, 5:12] = 0.7
    scores[0] = 1 - scores[1:].sum(0)
    found = compact(scores, np.array([10 * 60 + 10, 33 * 60 + 8]), 0.04)
    np.testing.assert_allclose(found.sum(0), 1, atol=1e-6)
    np.testing.assert_array_equal(found[1][:, :40], scores[1][:, :40])
    assert not found[1, 20:30, 40:50].any()
    np.testing.assert_array_equal(found[2], scores[2])
    outside = compact(scores, np.array([0, 0]), 0.04)  # no seed on its object: nothing to tell by
    np.testing.assert_array_equal(outside, scores)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["boat", "hike"])
def test_one_that_moves_is_one_object_however_many_are_asked_for(name):
    """Without evidence a part of the boat, and the ground beside the hiker, are objects too."""
    videos = {v.name: v for v in find_videos(shared_path("data/davis2016-train"))}
    frames = [videos[name].read(t)[0] for t in range(10)]
    found = {
        evidence: load_discoverer("embedding", config=DiscoveryConfig(evidence=evidence)).discover(
            FrameList(frames), objects=3
        )
        for evidence in (NO_EVIDENCE, CONFIG)
    }
    assert len(found[NO_EVIDENCE].object_ids) > 1
    assert found[CONFIG].object_ids == (1,)
    (proposal,) = found[CONFIG].proposals()
    truth = videos[name].read(proposal.frame_index)[1] > 0
    assert (proposal.mask & truth).sum() / (proposal.mask | truth).sum() > 0.5


def test_wrong_settings_are_named():
    with pytest.raises(OptionError, match="least_objectness lies between 0 and 1"):
        EvidenceConfig(least_objectness=2)
