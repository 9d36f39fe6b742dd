"""Selection, headings and number formats of figures in tables and charts."""

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
"""Figures of the bar chart: the first group whose figures a result has."""


def title(name: str) -> str:
    """Column heading of a figure."""
    return TITLES.get(name, name)


def written(name: str, value: float) -> str:
    """A figure as text: three decimals, one for errors, none for counts, a dash for NaN."""
    if math.isnan(value):
        return "–"  # noqa: RUF001
    if name in COUNTS:
        return f"{value:.0f}"
    return f"{value:.1f}" if name.startswith("error") else f"{value:.3f}"


def bar_figures(result: EvaluationResult) -> tuple[str, ...]:
    """Names of the figures in the bar chart."""
    figures: Figures = result.sequences[0].figures
    return next((names for names in BARS if all(n in figures for n in names)), tuple(figures)[:2])


def headline(result: EvaluationResult) -> str:
    """Name of the benchmark's main figure."""
    return next(iter(result.figures))


def benchmark_title(result: EvaluationResult) -> str:
    """Title of the benchmark and split, such as "DAVIS-2016, val"."""
    return f"{get_benchmark(result.benchmark).title}, {result.split}"
