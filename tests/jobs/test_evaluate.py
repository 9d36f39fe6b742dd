"""Scores of existing masks, as a job: options, reports, progress."""

import pytest

import rotomask
from rotomask.errors import OptionError
from rotomask.evaluation.results import read_result
from tests.evaluation.small_results import davis2017_result


def test_it_scores_the_named_sequences_and_writes_the_reports(tmp_path):
    expected, _, results = davis2017_result(tmp_path)
    told = []
    score = rotomask.evaluate(
        "davis2017",
        tmp_path / "DAVIS",
        results,
        sequences=("one",),
        json=tmp_path / "one.json",
        html=tmp_path / "one.html",
        on_progress=lambda *progress: told.append(progress),
    )
    assert [s.name for s in score.sequences] == ["one"]
    assert score.sequence("one").figures == expected.sequence("one").figures
    assert read_result(tmp_path / "one.json").figures == score.figures
    assert "one" in (tmp_path / "one.html").read_text()
    assert told == [("score", 1, 1)]


def test_a_missing_mask_is_an_error_unless_it_is_allowed(tmp_path):
    _, _, results = davis2017_result(tmp_path)
    next((results / "one").glob("*00004*")).unlink()
    arguments = ("davis2017", tmp_path / "DAVIS", results)
    with pytest.raises(rotomask.RotomaskError, match="00004"):
        rotomask.evaluate(*arguments)
    assert rotomask.evaluate(*arguments, allow_missing=True, stability=True).figures["T_mean"] > 0


def test_an_unknown_keyword_lists_the_known_ones(tmp_path):
    with pytest.raises(OptionError, match=r"evaluate has no setting 'on_missing'.*allow_missing"):
        rotomask.evaluate("davis2017", tmp_path, tmp_path, on_missing="empty")  # type: ignore[call-arg]
