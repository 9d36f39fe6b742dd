"""Seed accuracy and embedding drift, on embeddings whose drift is known."""

import numpy as np
import pytest

from rotomask.errors import ShapeError
from studies.embedding_measures import embedding_drift, resampled, seed_accuracy
from tests.evaluation.small_datasets import moving_labels


def test_seed_accuracy():
    truths = moving_labels(1, 3, 1)
    inside = [(int(y), int(x)) for y, x in (np.argwhere(m == 1)[0] for m in truths[:2])]
    assert seed_accuracy([*inside, (25, 33)], list(truths)) == pytest.approx(2 / 3)
    with pytest.raises(ShapeError, match="one seed per frame, got 1 for 3"):
        seed_accuracy([(0, 0)], list(truths))


def test_drift_of_embeddings_that_move_towards_the_background():
    truth = np.zeros((10, 12), np.uint8)
    truth[2:6, 3:8] = 1
    frames = []
    for step in range(5):  # foreground at 0, moving by 2 a frame; background at 5
        frames.append(np.where(truth[..., None] == 1, 2.0 * step, 5.0) * np.ones(3))
    drift = embedding_drift(frames, [truth] * 5)
    np.testing.assert_allclose(drift.time, [0, 0.25, 0.5, 0.75, 1])
    np.testing.assert_allclose(drift.misclassified, [0, 0, 1, 1, 1])  # 4 is nearer to 5 than to 0
    np.testing.assert_allclose(drift.foreground_distance, np.sqrt(3) * np.arange(0, 10, 2))
    np.testing.assert_allclose(drift.background_distance, 0)


def test_frames_without_foreground_have_no_figure():
    truth = np.zeros((4, 4), np.uint8)
    truth[0, 0] = 3
    embedding = np.random.default_rng(0).random((4, 4, 2))
    drift = embedding_drift([embedding, embedding], [truth, np.zeros_like(truth)])
    assert np.isnan(drift.misclassified[1])
    assert drift.misclassified[0] == 0
    values = np.array([1.0, np.nan, 3.0])  # not a drift of 0 in the middle
    np.testing.assert_allclose(resampled(np.array([0, 0.5, 1]), values, np.array([0.5])), 2)
    with pytest.raises(ShapeError, match="needs both foreground and background"):
        embedding_drift([embedding], [np.zeros_like(truth)])
    with pytest.raises(ShapeError, match="differ in size"):
        embedding_drift([embedding[1:]], [truth])
