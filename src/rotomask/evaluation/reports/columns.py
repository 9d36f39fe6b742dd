"""Which figures of a result stand in tables and charts, and how they are written."""

import math

from rotomask.evaluation.benchmarks import get_benchmark
from rotomask.evaluation.results import EvaluationResult, Figures

TITLES = {
    "J&F": "J&F",
    "J_mean": "J mean",
    "J_recall": "J recall",
    "J_decay": "J decay",
    "F_mean": "F mean",
    "F_recall": "F recall",
    "F_decay": "F decay",
    "T_mean": "T",
    "J_seen": "J seen",
    "F_seen": "F seen",
    "J_unseen": "J unseen",
    "F_unseen": "F unseen",
    "F_foreground": "F foreground",
    "P_foreground": "P foreground",
    "R_foreground": "R foreground",
    "J_foreground": "J foreground",
    "error_8": "error % at 8",
    "error_16": "error % at 16",
    "error_32": "error % at 32",
}

COUNTS = ("objects", "extracted")

BARS = (
    ("J_mean", "F_mean"),
    ("F", "F_foreground"),
    ("error_8", "error_16", "error_32"),
    ("J_mean",),
    ("F_mean",),
)
"""What is drawn for each sequence: the first of these that a result has."""


def title(name: str) -> str:
    """How a figure is headed."""
    return TITLES.get(name, name)


def written(name: str, value: float) -> str:
    """A figure as text: three decimals, counts whole, a dash where there is none."""
    if math.isnan(value):
        return "–"  # noqa: RUF001
    if name in COUNTS:
        return f"{value:.0f}"
    return f"{value:.1f}" if name.startswith("error") else f"{value:.3f}"


def bar_figures(result: EvaluationResult) -> tuple[str, ...]:
    """The figures to draw for each sequence."""
    have: Figures = result.sequences[0].figures
    return next((names for names in BARS if all(n in have for n in names)), tuple(have)[:2])


def headline(result: EvaluationResult) -> str:
    """The name of the global figure that counts most."""
    return next(iter(result.figures))


def benchmark_title(result: EvaluationResult) -> str:
    """The benchmark and split, for people."""
    return f"{get_benchmark(result.benchmark).title}, {result.split}"
