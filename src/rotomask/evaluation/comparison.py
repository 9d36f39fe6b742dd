"""Significance test for the difference of two results on a benchmark."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rotomask.errors import InputError, OptionError, lists_keywords
from rotomask.evaluation.benchmarks import get_benchmark
from rotomask.evaluation.results import EvaluationResult, SequenceScore, read_result

FEW_SEQUENCES = 5
"""With fewer sequences the bootstrap is not reliable."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Difference B - A of a global figure of two results, over the sequences that both have."""

    figure: str
    """Name of the figure, such as "J_mean"."""
    names: tuple[str, str]
    """Names of results A and B."""
    values: tuple[float, float]
    """The figure of A and of B over the common sequences."""
    difference: float
    interval: tuple[float, float]
    """95 % confidence interval of the difference."""
    p_value: float
    """Two-sided p-value of the hypothesis that there is no difference."""
    sequences: tuple[str, ...]
    differences: tuple[float, ...]
    """B - A of each sequence's own figure; NaN if it has none."""
    lower_is_better: bool = False
    notes: tuple[str, ...] = ()

    @property
    def significant(self) -> bool:
        """True if zero is outside the interval and there are enough sequences."""
        low, high = self.interval
        return len(self.sequences) >= FEW_SEQUENCES and (low > 0 or high < 0)

    def __str__(self) -> str:
        a, b = self.names
        # Said of the number, not of the quality: of errors and of decay the lower one is better.
        side = "above" if self.difference >= 0 else "below"
        higher = sum(d > 0 for d in self.differences)
        lower = sum(d < 0 for d in self.differences)
        if len(self.sequences) < FEW_SEQUENCES:
            verdict = f"too few sequences to tell ({len(self.sequences)})"
        else:
            verdict = "significant" if self.significant else "not significant"
        low, high = self.interval
        figure = f"{self.figure} (lower is better)" if self.lower_is_better else self.figure
        return (
            f"{figure}: {a} {self.values[0]:.4f}, {b} {self.values[1]:.4f}; {b} is "
            f"{abs(self.difference):.4f} {side} {a} (95 % interval {low:+.4f} to {high:+.4f}, "
            f"p = {self.p_value:.3g}; higher in {higher} and lower in {lower} of "
            f"{len(self.sequences)} sequences): {verdict}"
        )


@lists_keywords
def compare(
    a: EvaluationResult | str | Path,
    b: EvaluationResult | str | Path,
    *,
    figure: str | None = None,
    resamples: int = 2000,
    seed: int = 0,
) -> Comparison:
    """Test the difference of two results by a paired bootstrap over sequences.

    Sequences are drawn with replacement, the same ones for both results, and the benchmark's global
    figure is computed for each draw (Efron & Tibshirani 1993, ch. 13 and 16).

    Args:
        a: A result, or the JSON file of one.
        b: Another result on the same benchmark and split.
        figure: A global figure, such as "J_mean"; by default the benchmark's first.
        resamples: Number of draws.
        seed: Seed of the draws.

    Raises:
        InputError: If a file has no evaluation, the benchmarks or splits differ, or the results
            have no sequence in common.
        OptionError: If the figure is unknown.
    """
    first = a if isinstance(a, EvaluationResult) else read_result(a)
    second = b if isinstance(b, EvaluationResult) else read_result(b)
    if (first.benchmark, first.split) != (second.benchmark, second.split):
        raise InputError(
            f"cannot compare {first.benchmark} {first.split} with {second.benchmark} "
            f"{second.split}; give two evaluations of the same benchmark and split"
        )
    name = figure or next(iter(first.figures), "")
    for result in (first, second):
        if name not in result.figures:
            raise OptionError(
                f"there is no figure {name!r}; choose from {', '.join(first.figures)}"
            )
    # Paired: a hard sequence is hard for both, and its spread cancels in the difference.
    in_second = {s.name: s for s in second.sequences}
    pairs = [(s, in_second[s.name]) for s in first.sequences if s.name in in_second]
    if not pairs:
        raise InputError("the two evaluations have no sequence in common")
    try:
        values, interval, p_value = _bootstrap(first.benchmark, name, pairs, resamples, seed)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise InputError(
            f"the figure {name} cannot be computed from the sequences of both files ({error!r}); "
            "write them again with `evaluate --json`"
        ) from error
    return Comparison(
        figure=name,
        names=_distinct(first.results, second.results),
        values=values,
        difference=values[1] - values[0],
        interval=interval,
        p_value=p_value,
        sequences=tuple(s.name for s, _ in pairs),
        differences=tuple(_own_figure(q, name) - _own_figure(p, name) for p, q in pairs),
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
    """Figures of both results, the interval of their difference, and its p-value."""
    summarize = get_benchmark(benchmark).summarize

    def values(sample: Sequence[tuple[SequenceScore, SequenceScore]]) -> tuple[float, float]:
        one, other = summarize([p[0] for p in sample]), summarize([p[1] for p in sample])
        return one[figure], other[figure]

    rng = np.random.default_rng(seed)
    draws = rng.integers(len(pairs), size=(resamples, len(pairs)))  # indices of sequences
    # B minus A for every draw: summarize gives (A, B), reversed for np.subtract.
    differences = np.array([np.subtract(*values([pairs[i] for i in draw])[::-1]) for draw in draws])
    differences = differences[~np.isnan(differences)]  # no sequence in the draw has the figure
    observed = values(pairs)
    if differences.size == 0:
        return observed, (float("nan"), float("nan")), float("nan")
    low, high = np.quantile(differences, [0.025, 0.975])
    # Twice the smaller tail beyond 0. The observed sample counts as one more draw, since a p-value
    # from a finite number of draws cannot be 0.
    tail = min((differences <= 0).sum(), (differences >= 0).sum())
    p_value = min(1.0, 2 * (int(tail) + 1) / (differences.size + 1))
    return observed, (float(low), float(high)), p_value


def _own_figure(sequence: SequenceScore, figure: str) -> float:
    """The sequence's value of a global figure; its J&F or J if only data sets have the figure."""
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
