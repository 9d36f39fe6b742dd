"""Decisions at the edges: what is missing, odd, empty or very short."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from rotomask.errors import DatasetError, MaskError, OptionError, ShapeError
from rotomask.evaluation import (
    EvaluationResult,
    TrackProtocol,
    evaluate_results,
    open_benchmark,
    score_sequence,
    summarize,
)
from tests.evaluation.small_datasets import (
    moving_labels,
    spoiled,
    write_davis2017,
    write_grey,
    write_results,
)


@pytest.fixture
def davis(tmp_path):
    """Two sequences of two and one objects, with perfect results in `out`."""
    truths = {"two": moving_labels(1, 8, 2), "one": moving_labels(2, 6, 1)}
    write_davis2017(tmp_path / "DAVIS", truths)
    for name, labels in truths.items():
        write_results(tmp_path / "out", name, labels)
    return tmp_path


def evaluate(root: Path, **options: Any) -> EvaluationResult:
    return evaluate_results(open_benchmark("davis2017", root / "DAVIS"), root / "out", **options)


def test_perfect_results_score_one(davis):
    figures = evaluate(davis).figures
    assert figures["J&F"] == figures["J_mean"] == figures["F_recall"] == 1
    assert figures["J_decay"] == 0


def test_a_missing_frame_is_refused_or_counts_as_empty(davis):
    (davis / "out/one/00003.png").unlink()
    with pytest.raises(DatasetError, match=r"for one lack 1 of the 4 scored frames: 00003; add"):
        evaluate(davis)
    result = evaluate(davis, on_missing="empty")
    assert result.sequence("one").objects[0].curves["J"][2] == 0
    assert "1 of 4 frames have no result" in result.sequence("one").notes[0]
    assert result.notes[-1] == "notes on 1 sequences: one"


def test_frames_that_are_not_scored_need_no_result(davis):
    for frame in ("00000", "00005"):
        (davis / f"out/one/{frame}.png").unlink()
    assert evaluate(davis).figures["J&F"] == 1


def test_a_missing_sequence_is_named(davis):
    for path in (davis / "out/one").iterdir():
        path.unlink()
    (davis / "out/one").rmdir()
    with pytest.raises(DatasetError, match=r"lacks 1 of 2 sequences: one; add a folder"):
        evaluate(davis)
    dataset = open_benchmark("davis2017", davis / "DAVIS").select(["two"])
    assert evaluate_results(dataset, davis / "out").figures["J&F"] == 1
    with pytest.raises(DatasetError, match="does not exist"):
        evaluate_results(dataset, davis / "nowhere")
    with pytest.raises(OptionError, match=r"has no sequence bear; it has two, one"):
        open_benchmark("davis2017", davis / "DAVIS").select(["bear"])


def test_a_missing_object_scores_zero_where_it_is_seen(davis):
    labels = moving_labels(1, 8, 2)
    write_results(davis / "out", "two", np.where(labels == 1, 1, 0).astype(np.uint8))
    second = evaluate(davis).sequence("two").objects[1]
    seen = [(mask == 2).any() for mask in labels[1:-1]]
    np.testing.assert_array_equal(second.curves["J"], np.where(seen, 0, 1))


def test_extra_ids_are_background_and_are_reported(davis):
    labels = moving_labels(1, 8, 2)
    labels[:, -4:, -4:] = 9
    write_results(davis / "out", "two", labels)
    score = evaluate(davis).sequence("two")
    assert score.notes == ("ids that the annotation lacks were scored as background: 9",)
    assert score.figures["J_mean"] > 0.8


def test_masks_of_another_size_are_refused(davis):
    write_results(davis / "out", "one", moving_labels(2, 6, 1, (52, 68)))
    with pytest.raises(MaskError, match=r"00001.png is 68x52 but its annotation is 34x26; write"):
        evaluate(davis)


def test_a_damaged_mask_is_named(davis):
    (davis / "out/one/00002.png").write_bytes(b"\x89PNG\r\n\x1a\n nothing more")
    with pytest.raises(MaskError, match=r"00002.png is not a readable image"):
        evaluate(davis)


def test_white_masks_stand_for_the_only_object(davis):
    for t, mask in enumerate(moving_labels(2, 6, 1)):
        write_grey(davis / f"out/one/{t:05d}.png", 255 * mask)
    score = evaluate(davis).sequence("one")
    assert score.figures["J&F"] == 1
    assert score.notes[0].endswith("frames: 255 was scored as object 1")


def test_white_masks_say_nothing_about_two_objects(davis):
    for t, mask in enumerate(moving_labels(1, 8, 2)):
        write_grey(davis / f"out/two/{t:05d}.png", 255 * (mask > 0))
    score = evaluate(davis).sequence("two")
    assert score.figures["J_mean"] < 0.2
    assert score.notes[0].endswith("background: 255")


def test_any_label_is_foreground_in_davis2016(tmp_path):
    truth = moving_labels(3, 6, 1)
    for t, mask in enumerate(truth):
        write_grey(tmp_path / f"DAVIS/Annotations/480p/dog/{t:05d}.png", 255 * mask)
    dataset = open_benchmark("davis2016", tmp_path / "DAVIS")
    for value in (1, 7, 255):
        write_results(tmp_path / f"out{value}", "dog", (value * truth).astype(np.uint8))
        result = evaluate_results(dataset, tmp_path / f"out{value}")
        assert result.figures["J&F"] == 1
        assert result.sequences[0].notes == ()
    assert result.notes == ("1 of the 20 sequences of val: not comparable with published figures",)


@pytest.mark.parametrize("mode", ["RGB", "P", "1", "I;16", "webp"])
def test_results_of_any_image_type(davis, mode):
    for t, mask in enumerate(moving_labels(2, 6, 1)):
        path = davis / f"out/one/{t:05d}.png"
        path.unlink()
        if mode == "RGB":
            Image.fromarray(np.stack([128 * mask, 0 * mask, 0 * mask], axis=2)).save(path)
        elif mode == "I;16":
            Image.fromarray(mask.astype(np.uint16)).save(path)
        elif mode == "1":
            Image.fromarray(mask > 0).save(path)
        elif mode == "webp":
            Image.fromarray(255 * mask).save(path.with_suffix(".webp"), lossless=True)
        else:
            Image.fromarray(mask).convert("P").save(path)
    assert evaluate(davis).figures["J&F"] == 1


@pytest.mark.parametrize("frames", [1, 2])
def test_one_and_two_frames_have_nothing_to_score(tmp_path, frames):
    write_davis2017(
        tmp_path / "DAVIS", {"short": moving_labels(4, frames, 1), "long": moving_labels(5, 5, 1)}
    )
    write_results(tmp_path / "out", "long", spoiled(moving_labels(5, 5, 1), 1))
    result = evaluate(tmp_path)
    short, long = result.sequence("short"), result.sequence("long")
    assert np.isnan(short.figures["J&F"])
    assert short.notes == ("no frame is scored: the sequence does not count for the means",)
    assert result.figures == pytest.approx(long.figures)
    in_memory = score_sequence(moving_labels(4, frames, 1), moving_labels(4, frames, 1))
    assert np.isnan(in_memory.figures["J_mean"])
    in_memory = score_sequence(
        moving_labels(4, frames, 1), moving_labels(4, frames, 1), dropped="none"
    )
    assert in_memory.figures["J_mean"] == 1
    assert len(in_memory.objects[0].frames) == frames


def test_three_frames_score_the_middle_one():
    truth = moving_labels(7, 3, 1)
    score = score_sequence(np.zeros_like(truth), truth)
    assert score.objects[0].frames == ("00001",)
    assert score.figures["J_decay"] == 0


def test_decay_beyond_256_frames():
    """The official tool holds bin edges in 8 bits; there the last quarter would be wrong."""
    values = np.linspace(1, 0, 401)
    assert summarize(values).decay == pytest.approx(0.75, abs=1e-12)
    assert summarize(np.repeat([1.0, 0.5], 200)).decay == pytest.approx(0.5)
    truth = np.zeros((300, 6, 6), np.uint8)
    truth[:, 1:5, 1:5] = 1
    result = truth.copy()
    result[250:] = 0
    score = score_sequence(result, truth, dropped="none")
    edges = np.round(np.linspace(1, 300, 5) + 1e-10).astype(int) - 1
    expected = 1 - (250 - edges[3]) / (edges[4] - edges[3] + 1)
    assert score.figures["J_decay"] == pytest.approx(expected)


def test_decay_of_very_few_frames():
    assert summarize([0.7]).decay == 0
    assert summarize([0.7, 0.5]).decay == pytest.approx(0.2)
    assert summarize([0.9, 0.5, 0.1]).decay == pytest.approx(0.7 - 0.1)  # the first two share
    assert np.isnan(summarize([]).mean)


def test_recall_is_strict_and_unknown_frames_do_not_count():
    assert summarize([0.5, 0.5, 0.6]).recall == pytest.approx(1 / 3)
    assert summarize([np.nan, 0.4, 0.8]).mean == pytest.approx(0.6)
    assert summarize([np.nan, 0.4, 0.8]).recall == 0.5


def test_permuted_ids_permute_the_figures():
    truth = moving_labels(8, 7, 3)
    result = spoiled(truth, 9)
    order = np.array([0, 2, 3, 1], np.uint8)
    plain, permuted = score_sequence(result, truth), score_sequence(order[result], order[truth])
    for item in plain.objects:
        (other,) = [o for o in permuted.objects if o.object_id == order[item.object_id]]
        np.testing.assert_array_equal(item.curves["J"], other.curves["J"])
        np.testing.assert_array_equal(item.curves["F"], other.curves["F"])
    assert plain.figures == pytest.approx(permuted.figures)


def test_ids_need_not_be_consecutive_and_may_be_large():
    truth = moving_labels(8, 5, 2).astype(np.int32)
    truth[truth == 2] = 40000
    score = score_sequence(truth, truth)
    assert [item.object_id for item in score.objects] == [1, 40000]
    assert score.figures["J&F"] == 1


def test_void_over_an_object_counts_for_nothing():
    truth = moving_labels(8, 5, 1)
    result = spoiled(truth, 1)
    void = truth.copy()
    void[:, :13] = 255
    score = score_sequence(result, void, object_ids=[1], void_label=255)
    cut = score_sequence(result[:, 13:], truth[:, 13:], object_ids=[1])
    np.testing.assert_allclose(score.objects[0].curves["J"], cut.objects[0].curves["J"])
    everything = np.full_like(truth, 255)
    assert score_sequence(result, everything, object_ids=[1], void_label=255).figures["J&F"] == 1


def test_merged_takes_every_label_for_the_object():
    truth = moving_labels(8, 5, 3)
    score = score_sequence(truth + np.uint8(3) * (truth > 0), 255 * (truth > 0), merged=True)
    assert score.figures["J&F"] == 1
    assert score.objects[0].object_id == 1


def test_wrong_use_in_memory():
    truth = moving_labels(8, 4, 1)
    with pytest.raises(ShapeError, match="there are only 3 predictions"):
        score_sequence(truth[:3], truth)
    with pytest.raises(ShapeError, match="of the same size, got"):
        score_sequence(truth[:, 1:], truth)
    with pytest.raises(ShapeError, match="no frame to score"):
        score_sequence([], [])
    with pytest.raises(OptionError, match="must be ends, first or none"):
        score_sequence(truth, truth, dropped="last")  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="measures must be J, F or T"):
        TrackProtocol(measures=("IoU",))


def test_unknown_names_list_the_known(tmp_path):
    with pytest.raises(
        OptionError, match=r"unknown benchmark 'davis'; known: davis2016, davis2017"
    ):
        open_benchmark("davis", tmp_path)


def test_processes_give_the_same_figures(davis):
    one, two = evaluate(davis, processes=1), evaluate(davis, processes=2)
    assert one.to_dict() == two.to_dict()
    with pytest.raises(OptionError, match="at least 1"):
        evaluate(davis, processes=0)


def test_an_error_reaches_the_caller_from_another_process(davis):
    write_results(davis / "out", "one", moving_labels(2, 6, 1, (52, 68)))
    with pytest.raises(MaskError, match="is 68x52"):
        evaluate(davis, processes=2)


def test_a_script_without_its_guard_is_told_so(davis):
    script = davis / "script.py"
    script.write_text(
        "from rotomask.evaluation import evaluate_results, open_benchmark\n"
        f"dataset = open_benchmark('davis2017', {str(davis / 'DAVIS')!r})\n"
        f"evaluate_results(dataset, {str(davis / 'out')!r}, processes=2)\n"
    )
    run = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=120)
    assert run.returncode == 1
    assert "RotomaskError: a scoring process died; put the script's work under" in run.stderr
