"""Paired bootstrap: what is noise and what is not."""

import dataclasses
import json

import numpy as np
import pytest

from rotomask.errors import InputError, OptionError
from rotomask.evaluation import compare
from rotomask.evaluation.results import EvaluationResult, ObjectScore, SequenceScore
from tests.evaluation.small_results import davis2017_result


def made_up(
    values: list[float], name: str = "ours", benchmark: str = "davis2016"
) -> EvaluationResult:
    """A result with these J_mean, a sequence each."""
    sequences = []
    for i, value in enumerate(values):
        figures = {"J_mean": float(value)}
        sequences.append(
            SequenceScore(
                name=f"s{i}", figures=figures, objects=(ObjectScore(object_id=1, figures=figures),)
            )
        )
    return EvaluationResult(
        benchmark=benchmark,
        split="val",
        results=name,
        figures={"J_mean": float(np.nanmean(values))},
        sequences=tuple(sequences),
    )


def test_a_result_equals_itself():
    values = [0.5, 0.7, 0.9, 0.6, 0.8]
    comparison = compare(made_up(values), made_up(values))
    assert comparison.difference == 0
    assert comparison.interval == (0, 0)
    assert comparison.p_value == 1
    assert not comparison.significant
    assert "not significant" in str(comparison)


def test_a_steady_gain_is_more_than_noise_though_sequences_differ_a_lot():
    rng = np.random.default_rng(1)
    values = rng.uniform(0.3, 0.95, 20)
    gained = values + rng.normal(0.02, 0.01, 20)
    comparison = compare(made_up(list(values), "old"), made_up(list(gained), "new"))
    assert comparison.significant
    assert comparison.difference == pytest.approx((gained - values).mean())
    assert comparison.interval[0] < comparison.difference < comparison.interval[1]
    assert comparison.p_value < 0.01
    assert comparison.names == ("old", "new")
    backwards = compare(made_up(list(gained)), made_up(list(values)))
    assert backwards.difference == pytest.approx(-comparison.difference)
    assert backwards.names == ("ours (A)", "ours (B)")


def test_a_gain_on_one_sequence_is_noise():
    values = np.full(20, 0.7)
    lucky = values.copy()
    lucky[3] += 0.2
    lucky[7:12] -= 0.02
    comparison = compare(made_up(list(values)), made_up(list(lucky)))
    assert comparison.difference > 0
    assert not comparison.significant


def test_noise_is_called_significant_about_as_rarely_as_it_should_be():
    rng = np.random.default_rng(5)
    called = 0
    for i in range(60):
        values = rng.uniform(0.4, 0.9, 20)
        other = values + rng.normal(0, 0.05, 20)
        comparison = compare(made_up(list(values)), made_up(list(other)), resamples=200, seed=i)
        called += comparison.significant
    assert called <= 9  # 5 % of 60 is 3


def test_few_sequences_tell_nothing():
    comparison = compare(made_up([0.1, 0.2]), made_up([0.8, 0.9]))
    assert not comparison.significant
    assert "too few sequences to tell (2)" in str(comparison)


def test_only_common_sequences_are_compared():
    one = made_up([0.5, 0.6, 0.7, 0.8, 0.9, 0.4])
    other = dataclasses.replace(one, sequences=one.sequences[1:])
    comparison = compare(one, other)
    assert comparison.sequences == ("s1", "s2", "s3", "s4", "s5")
    assert comparison.notes == ("only the 5 sequences that both have are compared, of 6 and 5",)


def test_objects_weigh_as_in_the_benchmark(tmp_path):
    first, _, _ = davis2017_result(tmp_path, 1)
    second, _, _ = davis2017_result(tmp_path, 2)
    comparison = compare(first, second)
    assert comparison.figure == "J&F"
    assert comparison.values == (first.figures["J&F"], second.figures["J&F"])
    first.to_json(tmp_path / "a.json")
    second.to_json(tmp_path / "b.json")
    assert compare(tmp_path / "a.json", tmp_path / "b.json") == comparison


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data.update(figures={"J_mean": {"a": 1}}),
        lambda data: data.update(figures=[1]),
        lambda data: data.update(sequences=3),
        lambda data: data.update(sequences=["s"]),
        lambda data: data.update(run=None),
        lambda data: data["sequences"][0].update(objects=[{"id": 1}]),
        lambda data: data["sequences"][0].update(name=["s"]),
        lambda data: data["figures"].update(J_mean=float("inf")),
    ],
)
def test_a_result_with_odd_json_is_named(tmp_path, change):
    data = made_up([0.5]).to_dict()
    change(data)
    path = tmp_path / "odd.json"
    path.write_text(json.dumps(data))
    with pytest.raises(InputError, match=r"odd\.json is not an evaluation"):
        compare(path, made_up([0.5]))


def test_a_result_without_figures_is_named():
    empty = SequenceScore(name="s0", figures={})
    without = dataclasses.replace(made_up([0.5]), sequences=(empty,))
    with pytest.raises(InputError, match="J_mean cannot be computed"):
        compare(made_up([0.5]), without)
    with pytest.raises(OptionError, match="no figure ''"):
        compare(dataclasses.replace(made_up([0.5]), figures={}), made_up([0.5]))


def test_json_has_no_infinity(tmp_path):
    run = {"peak_mib": float("nan"), "seconds": {"s0": float("inf")}, "versions": ["1"]}
    result = dataclasses.replace(made_up([0.5]), figures={"J_mean": float("inf")}, run=run)
    data = json.loads(result.to_json(), parse_constant=pytest.fail)
    assert data["figures"] == {"J_mean": None}
    assert data["run"] == {"peak_mib": None, "seconds": {"s0": None}, "versions": ["1"]}


def test_what_cannot_be_compared():
    with pytest.raises(InputError, match=r"cannot compare davis2016 val with davis2017 val"):
        compare(made_up([0.5]), made_up([0.5], benchmark="davis2017"))
    with pytest.raises(OptionError, match=r"no figure 'F_mean'; choose from J_mean"):
        compare(made_up([0.5]), made_up([0.5]), figure="F_mean")
    other = dataclasses.replace(made_up([0.5]), sequences=())
    with pytest.raises(InputError, match="no sequence in common"):
        compare(made_up([0.5]), other)
