"""Every stage of Li et al. 2018, sec. 3.2 to 3.4, on maps whose right answer is plain."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rotomask.errors import OptionError, ShapeError
from rotomask.unsupervised.config import DiscoveryConfig
from rotomask.unsupervised.embedding_discoverer import ranked_tracks
from rotomask.unsupervised.features import FrameMaps
from rotomask.unsupervised.foreground_sets import (
    background_seeds,
    covered_seeds,
    initial_foreground,
)
from rotomask.unsupervised.frame_seeds import find_frame_seeds, seed_sets
from rotomask.unsupervised.graph import embedding_graph
from rotomask.unsupervised.motion_saliency import lowest_objectness, motion_saliency, region_flows
from rotomask.unsupervised.seeds import candidate_points, diverse_points, find_seeds, seed_regions
from rotomask.unsupervised.soft_scores import sharpen, soft_scores, split_foreground
from rotomask.unsupervised.tracks import distinct_tracks, link_seeds, rank_tracks, seed_scores

SIZE = (24, 40)
BOX = (slice(6, 18), slice(4, 16))
OTHER = (slice(6, 18), slice(24, 36))


def _scene(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Two boxes of far embeddings and high objectness on ground; with a little noise."""
    rng = np.random.default_rng(seed)
    embedding = rng.normal(0, 0.02, (*SIZE, 4)).astype(np.float32)
    embedding[BOX] += (3, 0, 0, 0)
    embedding[OTHER] += (0, 3, 0, 0)
    objectness = np.full(SIZE, 0.05, np.float32) + rng.uniform(0, 0.01, SIZE).astype(np.float32)
    objectness[BOX] += 0.85
    objectness[OTHER] += 0.8
    return embedding, objectness


def _flow() -> np.ndarray:
    flow = np.zeros((*SIZE, 2), np.float32)
    flow[BOX] = (4, 0)
    return flow


def _inside(place: int, box: tuple[slice, slice]) -> bool:
    mask = np.zeros(SIZE, bool)
    mask[box] = True
    return bool(mask.ravel()[place])


def test_candidates_are_the_least_of_their_window():
    edges = np.random.default_rng(0).random((17, 23)).astype(np.float32)
    found = set(candidate_points(edges, 5).tolist())
    for y in range(17):
        for x in range(23):
            window = edges[max(0, y - 2) : y + 3, max(0, x - 2) : x + 3]
            assert (y * 23 + x in found) == (edges[y, x] == window.min())


def test_diverse_points_are_farthest_first():
    points = np.array([[0], [1], [10], [5]], np.float32)
    assert diverse_points(points, 0, 4).tolist() == [0, 2, 3, 1]


@given(seed=st.integers(0, 1000), count=st.integers(1, 30), equal=st.booleans())
@settings(max_examples=25)
def test_diverse_points_are_never_chosen_twice(seed, count, equal):
    points = np.random.default_rng(seed).normal(size=(20, 3)).astype(np.float32)
    if equal:
        points[:] = points[0]
    chosen = diverse_points(points, 3, count)
    assert len(chosen) == min(count, 20)
    assert len(set(chosen.tolist())) == len(chosen)
    assert chosen[0] == 3


def test_seeds_start_at_the_most_objectlike_and_reach_every_object():
    embedding, objectness = _scene()
    seeds = find_seeds(embedding, objectness, window=5, count=8)
    assert objectness.ravel()[seeds.pixels[0]] > 0.8
    assert any(_inside(p, BOX) for p in seeds.pixels[:4])
    assert any(_inside(p, OTHER) for p in seeds.pixels[:4])
    with pytest.raises(ShapeError, match="differ in size"):
        find_seeds(embedding, objectness[1:], window=5, count=8)


def test_regions_follow_the_outlines_of_objects():
    embedding, objectness = _scene()
    seeds = find_seeds(embedding, objectness, window=5, count=8)
    regions = seed_regions(embedding, seeds)
    for box in (BOX, OTHER):
        owners = {int(k) for k in np.unique(regions[box])}
        assert all(_inside(seeds.pixels[k], box) for k in owners)
    assert (regions.ravel()[seeds.pixels] == np.arange(len(seeds.pixels))).all()


def test_region_flows_are_means():
    regions = np.array([[0, 0, 1], [1, 1, 1]])
    flow = np.arange(12, dtype=np.float32).reshape(2, 3, 2)
    means = region_flows(flow, regions, 3)
    np.testing.assert_allclose(means[0], flow[regions == 0].mean(0))
    np.testing.assert_allclose(means[1], flow[regions == 1].mean(0))
    np.testing.assert_array_equal(means[2], 0)


def test_motion_saliency_is_the_distance_to_the_nearest_background_motion():
    flows = np.array([[0, 0], [1, 0], [4, 0], [1, 1]], np.float32)
    saliency = motion_saliency(flows, np.array([0, 1]), still_px=0.5)
    assert saliency is not None
    np.testing.assert_allclose(saliency, [0, 0, 1, 1 / 3])
    assert motion_saliency(flows * 0.1, np.array([0, 1]), still_px=0.5) is None


def test_the_least_objectlike_leave_one_seed_at_least():
    assert lowest_objectness(np.array([0.5, 0.1, 0.3], np.float32), 2).tolist() == [1, 2]
    assert len(lowest_objectness(np.array([0.5, 0.1], np.float32), 10)) == 1
    assert len(lowest_objectness(np.array([0.5], np.float32), 10)) == 0


def test_scores_by_ranking():
    objectness, saliency = np.array([0.9, 0.5], np.float32), np.array([0.1, 1], np.float32)
    np.testing.assert_allclose(seed_scores(objectness, saliency, "both"), [0.09, 0.5])
    assert seed_scores(objectness, saliency, "motion") is saliency
    assert seed_scores(objectness, saliency, "objectness") is objectness
    assert seed_scores(objectness, None, "motion") is objectness


def test_tracks_go_on_with_the_most_similar_seed_to_both_ends():
    points = [np.array(p, np.float32)[:, None] for p in ([0, 10], [11, 1], [2, 12, 30])]
    assert link_seeds(points, 0).tolist() == [[0, 1, 0], [1, 0, 1]]
    assert link_seeds(points, 2).tolist() == [[0, 1, 0], [1, 0, 1], [1, 0, 2]]


def test_tracks_are_ranked_by_their_mean_score():
    points = [np.array(p, np.float32)[:, None] for p in ([0, 10], [10, 0])]
    scores = [np.array([0.2, 0.9], np.float32), np.array([0.5, 0.4], np.float32)]
    best, second = rank_tracks(points, scores, [0, 1])
    assert best.seeds.tolist() == [1, 0]
    assert best.score == pytest.approx(0.7)
    assert second.score == pytest.approx(0.3)


def test_tracks_of_one_object_are_one():
    points = [np.array([[0.0], [0.1], [9.0]], np.float32)] * 3
    scores = [np.array([0.9, 0.8, 0.3], np.float32)] * 3
    ranked = rank_tracks(points, scores, [0])
    one_part, two_parts = [np.array([1, 1, 1])] * 3, [np.array([1, 2, 0])] * 3
    assert [t.seeds[0] for t in distinct_tracks(ranked, points, one_part, 5, 0)] == [0, 2]
    # Alike, but never connected: two of a kind.
    assert [t.seeds[0] for t in distinct_tracks(ranked, points, two_parts, 5, 0)] == [0, 1, 2]
    assert len(distinct_tracks(ranked, points, two_parts, 1, 0)) == 1
    assert len(distinct_tracks(ranked, points, two_parts, 5, 0.5)) == 2


def test_the_initial_foreground_stops_at_the_outline():
    embedding, _ = _scene()
    graph = embedding_graph(embedding)
    seed, ground = np.array([10 * 40 + 8]), np.array([0, 23 * 40 + 20])
    found = initial_foreground(graph, seed, ground).reshape(SIZE)
    assert found[BOX].all()
    assert not found[OTHER].all()
    assert not found[0].any()
    assert initial_foreground(graph, seed, np.array([], np.intp)).all()


def test_seeds_join_when_most_of_their_region_is_foreground():
    regions = np.array([[0, 0, 1, 1, 2]])
    foreground = np.array([[True, True, True, False, False]])
    assert covered_seeds(foreground, regions, 3, 0.4).tolist() == [0, 1]
    assert covered_seeds(foreground, regions, 3, 0.5).tolist() == [0]


def test_background_is_no_object_or_an_object_that_stands_still():
    objectness = np.array([0.9, 0.9, 0.1], np.float32)
    saliency = np.array([0.8, 0.01, 0.8], np.float32)
    limits = {"low_objectness": 0.3, "low_saliency": 0.1}
    assert background_seeds(objectness, saliency, **limits).tolist() == [False, True, True]
    assert background_seeds(objectness, None, **limits).tolist() == [False, False, True]


def test_soft_scores_are_the_papers_share():
    embedding = np.random.default_rng(0).normal(size=(3, 4, 2)).astype(np.float32)
    background = np.array([[0, 0], [1, 1]], np.float32)
    foreground = np.array([[2, 0]], np.float32)
    scores = soft_scores(embedding, background, [foreground])
    for y in range(3):
        for x in range(4):
            to_object, to_ground = (
                max(2 / (1 + np.exp(np.sum((embedding[y, x] - p) ** 2))) for p in points)
                for points in (foreground, background)
            )
            share = to_object / (to_object + to_ground)
            assert scores[1, y, x] == pytest.approx(share, abs=1e-4)
    np.testing.assert_allclose(scores.sum(0), 1, atol=1e-6)


def test_sharper_scores_have_the_same_labels():
    scores = np.random.default_rng(0).dirichlet((1, 1, 1), (4, 5)).astype(np.float32)
    scores = np.moveaxis(scores, -1, 0)
    sharp = sharpen(scores, 15)
    np.testing.assert_array_equal(sharp.argmax(0), scores.argmax(0))
    np.testing.assert_allclose(sharp.sum(0), 1, atol=1e-5)
    assert sharp.max(0).mean() > scores.max(0).mean()
    np.testing.assert_allclose(sharpen(scores, 1), scores, atol=1e-6)


def test_soft_scores_far_from_everything_and_with_empty_sets():
    embedding = np.full((2, 2, 1), 50, np.float32)
    near, far = np.array([[20]], np.float32), np.array([[0]], np.float32)
    empty = np.zeros((0, 1), np.float32)
    np.testing.assert_allclose(soft_scores(embedding, far, [near])[1], 1)
    np.testing.assert_array_equal(soft_scores(embedding, far, [empty])[1], 0)
    np.testing.assert_array_equal(soft_scores(embedding, empty, [empty])[0], 1)


def test_a_frame_through_all_stages_finds_the_box_that_moves():
    embedding, objectness = _scene()
    config = DiscoveryConfig(window=5, seeds=12, background_seeds=3)
    maps = FrameMaps(embedding=embedding, objectness=objectness)
    frame = find_frame_seeds(maps, _flow(), config)
    best = int(frame.scores(config).argmax())
    assert _inside(frame.seeds.pixels[best], BOX)
    sets = seed_sets(maps, frame, [best], config)
    found = soft_scores(embedding, sets.background, sets.objects)[1] > 0.5
    expected = np.zeros(SIZE, bool)
    expected[BOX] = True
    np.testing.assert_array_equal(found, expected)


def test_without_motion_the_most_objectlike_is_found():
    embedding, objectness = _scene()
    config = DiscoveryConfig(window=5, seeds=12, background_seeds=3)
    maps = FrameMaps(embedding=embedding, objectness=objectness)
    for flow in (None, np.zeros((*SIZE, 2), np.float32)):
        frame = find_frame_seeds(maps, flow, config)
        assert frame.saliency is None
        assert _inside(frame.seeds.pixels[int(frame.scores(config).argmax())], BOX)


def test_two_objects_have_a_set_each():
    embedding, objectness = _scene()
    config = DiscoveryConfig(window=5, seeds=12, background_seeds=3)
    maps = FrameMaps(embedding=embedding, objectness=objectness)
    frame = find_frame_seeds(maps, None, config)
    chosen = [
        next(i for i, p in enumerate(frame.seeds.pixels) if _inside(p, box)) for box in (BOX, OTHER)
    ]
    sets = seed_sets(maps, frame, chosen, config)
    together = soft_scores(embedding, sets.background, [np.concatenate(sets.objects)])
    labels = split_foreground(together, sets.owner, 2).argmax(0)
    expected = np.zeros(SIZE, int)
    expected[BOX], expected[OTHER] = 1, 2
    np.testing.assert_array_equal(labels, expected)


def test_objects_that_look_alike_are_told_apart_by_where_they_are():
    embedding, objectness = _scene()
    embedding[OTHER] += (3, -3, 0, 0)
    config = DiscoveryConfig(window=5, seeds=12, background_seeds=3)
    frame = find_frame_seeds(FrameMaps(embedding=embedding, objectness=objectness), None, config)
    ranked = ranked_tracks([frame], config)
    tracks = distinct_tracks(ranked, [frame.seeds.points], [frame.components], 2, 0.1)
    chosen = [int(track.seeds[0]) for track in tracks]
    owners = seed_sets(FrameMaps(embedding=embedding, objectness=objectness), frame, chosen, config)
    assert len({int(k) for k in owners.owner[BOX].ravel()}) == 1
    assert len({int(k) for k in owners.owner[OTHER].ravel()}) == 1
    assert owners.owner[BOX][0, 0] != owners.owner[OTHER][0, 0]


@pytest.mark.parametrize(
    "settings",
    [{"window": 4}, {"seeds": 1}, {"size": 8}, {"adapt_every": 0}, {"background_seeds": 0}],
)
def test_settings_that_make_no_sense_are_refused(settings):
    with pytest.raises(OptionError):
        DiscoveryConfig(**settings)
