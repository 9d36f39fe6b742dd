"""Whether one result set is better than another, or only luckier with its sequences."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rotomask.errors import InputError, OptionError
from rotomask.evaluation.benchmarks import get_benchmark
from rotomask.evaluation.results import EvaluationResult, SequenceScore, read_result

FEW_SEQUENCES = 5
"""Below this a bootstrap says little."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The difference B - A of one global figure over the sequences both have."""

    figure: str
    names: tuple[str, str]
    """Of result set A and B."""
    values: tuple[float, float]
    difference: float
    interval: tuple[float, float]
    """Holds the difference in 95 of 100 cases, were other sequences drawn of the same kind."""
    p_value: float
    """Two-sided: how often so large a difference arises when there is none."""
    sequences: tuple[str, ...]
    differences: tuple[float, ...]
    """B - A of every sequence's own figure; NaN where it has none."""
    lower_is_better: bool = False
    notes: tuple[str, ...] = ()

    @property
    def significant(self) -> bool:
        """Whether the difference is more than noise: zero is outside the interval."""
        low, high = self.interval
        return len(self.sequences) >= FEW_SEQUENCES and (low > 0 or high < 0)

    def __str__(self) -> str:
        a, b = self.names
        way = "above" if self.difference >= 0 else "below"
        better = sum(d > 0 for d in self.differences)
        worse = sum(d < 0 for d in self.differences)
        if len(self.sequences) < FEW_SEQUENCES:
            verdict = f"too few sequences to tell ({len(self.sequences)})"
        else:
            verdict = "more than noise" if self.significant else "no more than noise"
        low, high = self.interval
        figure = f"{self.figure} (lower is better)" if self.lower_is_better else self.figure
        return (
            f"{figure}: {a} {self.values[0]:.4f}, {b} {self.values[1]:.4f}; {b} is "
            f"{abs(self.difference):.4f} {way} {a} (95 % interval {low:+.4f} to {high:+.4f}, "
            f"p = {self.p_value:.3g}; higher in {better} and lower in {worse} of "
            f"{len(self.sequences)} sequences): {verdict}"
        )


def compare(
    a: EvaluationResult | str | Path,
    b: EvaluationResult | str | Path,
    *,
    figure: str | None = None,
    resamples: int = 2000,
    seed: int = 0,
) -> Comparison:
    """Test the difference of two result sets by a paired bootstrap over sequences.

    Sequences are drawn with replacement, the same ones for both, and the benchmark's global figure
    is worked out anew from each draw (Efron & Tibshirani 1993, ch. 13 and 16).

    Args:
        a: A result, or the JSON file of one.
        b: The other one, of the same benchmark and split.
        figure: A global figure, such as "J_mean"; by default the benchmark's first.
        resamples: How many times sequences are drawn.
        seed: Of the draws: the same seed gives the same answer.

    Raises:
        InputError: If a file is no evaluation, or the two have no sequence in common.
        OptionError: If there is no such figure.
    """
    first = a if isinstance(a, EvaluationResult) else read_result(a)
    second = b if isinstance(b, EvaluationResult) else read_result(b)
    if (first.benchmark, first.split) != (second.benchmark, second.split):
        raise InputError(
            f"cannot compare {first.benchmark} {first.split} with {second.benchmark} "
            f"{second.split}; give two evaluations of one benchmark"
        )
    name = figure or next(iter(first.figures))
    for result in (first, second):
        if name not in result.figures:
            raise OptionError(
                f"there is no figure {name!r}; choose from {', '.join(first.figures)}"
            )
    scored = {s.name: s for s in second.sequences}
    pairs = [(s, scored[s.name]) for s in first.sequences if s.name in scored]
    if not pairs:
        raise InputError("the two evaluations have no sequence in common")
    values, interval, p_value = _bootstrap(first.benchmark, name, pairs, resamples, seed)
    return Comparison(
        figure=name,
        names=_distinct(first.results, second.results),
        values=values,
        difference=values[1] - values[0],
        interval=interval,
        p_value=p_value,
        sequences=tuple(s.name for s, _ in pairs),
        differences=tuple(_own(other, name) - _own(one, name) for one, other in pairs),
        lower_is_better=get_benchmark(first.benchmark).lower_is_better or "decay" in name,
        notes=_notes(first, second, len(pairs)),
    )


def _bootstrap(
    benchmark: str,
    figure: str,
    pairs: list[tuple[SequenceScore, SequenceScore]],
    resamples: int,
    seed: int,
) -> tuple[tuple[float, float], tuple[float, float], float]:
    summarize = get_benchmark(benchmark).summarize

    def values(chosen: Sequence[tuple[SequenceScore, SequenceScore]]) -> tuple[float, float]:
        one, other = summarize([p[0] for p in chosen]), summarize([p[1] for p in chosen])
        return one[figure], other[figure]

    rng = np.random.default_rng(seed)
    draws = rng.integers(len(pairs), size=(resamples, len(pairs)))
    drawn = np.array([np.subtract(*values([pairs[i] for i in draw])[::-1]) for draw in draws])
    drawn = drawn[~np.isnan(drawn)]  # a draw of nothing but sequences without a figure
    observed = values(pairs)
    if drawn.size == 0:
        return observed, (float("nan"), float("nan")), float("nan")
    low, high = np.quantile(drawn, [0.025, 0.975])
    # One more in the numerator and denominator: a p-value from a sample is never 0.
    tail = min((drawn <= 0).sum(), (drawn >= 0).sum())
    p_value = min(1.0, 2 * (int(tail) + 1) / (drawn.size + 1))
    return observed, (float(low), float(high)), p_value


def _own(sequence: SequenceScore, figure: str) -> float:
    """The sequence's own figure; for those that only a data set has, its J&F or J."""
    for name in (figure, "J&F", "J_mean"):
        if name in sequence.figures:
            return sequence.figures[name]
    return float("nan")


def _distinct(a: str, b: str) -> tuple[str, str]:
    return (a, b) if a != b else (f"{a} (A)", f"{b} (B)")


def _notes(first: EvaluationResult, second: EvaluationResult, common: int) -> tuple[str, ...]:
    if common == len(first.sequences) == len(second.sequences):
        return ()
    return (
        f"only the {common} sequences that both have are compared, of "
        f"{len(first.sequences)} and {len(second.sequences)}",
    )
