"""The official figures of DAVIS-2016, frame by frame."""

import json

import cv2
import numpy as np
import pytest

from rotomask.data.benchmarks.label_files import Labels
from rotomask.evaluation import evaluate_results, score_sequence
from tests.evaluation.davis_golden import (
    official_figures,
    shared_path,
    unzip_results,
    whole_davis2016,
)

# shared/protocols.md, from the papers and the benchmark's site.
PUBLISHED = {
    "osvos": {"J": (0.798, 0.936, 0.149), "F": (0.806, 0.926, 0.150)},
    "rgmp": {"J": (0.815, 0.917, 0.109), "F": (0.820, 0.908, 0.101)},
    "stm": {"J": (0.887, 0.974, 0.050), "F": (0.901, 0.952, 0.042)},
}


@pytest.mark.parametrize("author", sorted(PUBLISHED))
def test_every_frame_and_the_global_figures_are_the_official_ones(author, tmp_path):
    results = unzip_results(author, tmp_path)
    dataset = whole_davis2016(tmp_path)
    result = evaluate_results(dataset, results, processes=2)
    official = official_figures(author)
    assert len(result.sequences) == 20
    assert result.notes == ()
    for sequence in result.sequences:
        (scored,) = sequence.objects
        for measure in "JF":
            values = np.array(official[sequence.name][measure], float)
            np.testing.assert_allclose(scored.curves[measure], values, rtol=0, atol=0.001)
    for measure, figures in PUBLISHED[author].items():
        for name, value in zip(("mean", "recall", "decay"), figures, strict=True):
            # Published to three decimals; STM's J recall is .9744 here and .974 there.
            assert result.figures[f"{measure}_{name}"] == pytest.approx(value, abs=0.0006)


def test_the_perturbed_ground_truth_has_the_official_codes_figures(tmp_path):
    golden = json.loads(shared_path("golden/golden_davis16_perturbed.json").read_text())
    everything = []
    for sequence in whole_davis2016(tmp_path):
        truths = [sequence.annotation(name) for name in sequence.frame_names]
        score = score_sequence([_perturbed(truth) for truth in truths], truths, merged=True)
        expected = golden["sequences"][sequence.name]
        assert len(score.objects[0].frames) == expected["frames_scored"]
        for name in ("J_mean", "J_recall", "J_decay", "F_mean", "F_recall", "F_decay"):
            assert score.figures[name] == pytest.approx(expected[name], abs=1e-6)
        everything.append(score.figures)
    whole = golden["global_official"]
    assert np.mean([f["J_mean"] for f in everything]) == pytest.approx(whole["J_mean"], abs=1e-6)
    assert np.mean([f["J&F"] for f in everything]) == pytest.approx(whole["JF_mean"], abs=1e-6)


def _perturbed(truth: Labels) -> Labels:
    """The rule written in the golden file: 2 px larger, then 1 px to the right and down."""
    grown = cv2.dilate((truth > 0).astype(np.uint8), np.ones((5, 5), np.uint8))
    moved = np.zeros(truth.shape, np.uint8)
    moved[1:, 1:] = grown[:-1, :-1]
    return moved
