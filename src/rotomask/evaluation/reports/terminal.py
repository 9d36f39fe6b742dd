"""Tables of a result for a terminal."""

import math

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from rotomask.evaluation.published import published_results
from rotomask.evaluation.reports.columns import benchmark_title, headline, title, written
from rotomask.evaluation.results import EvaluationResult, Figures

OURS = "this result"

SHORT = {"semi-supervised": "semi", "unsupervised": "unsup."}
"""Abbreviations that leave room for seven figures in eighty columns."""

MAX_FIGURES = 9
"""Most figures in a row."""


def result_tables(result: EvaluationResult, *, by_object: bool = False) -> RenderableType:
    """Tables for `rich`: the figures of each sequence, published results, and notes.

    Print them by ``rich.console.Console().print(result_tables(result))``.

    Args:
        result: A result of `evaluate_results`.
        by_object: True for one row per object instead of one per sequence.
    """
    parts: list[RenderableType] = [_sequences(result, by_object)]
    published = published_results(result.benchmark, result.split)
    if published:
        parts.append(_published(result))
    parts += [Text(f"note: {note}", style="yellow") for note in result.notes]
    parts += [
        Text(f"note: {sequence.name}: {note}", style="yellow")
        for sequence in result.sequences
        for note in sequence.notes
    ]
    return Group(*parts)


def _sequences(result: EvaluationResult, by_object: bool) -> Table:
    rows: list[tuple[str, Figures]] = [(s.name, s.figures) for s in result.sequences]
    if by_object:
        rows = [
            (f"{s.name} {item.category or item.object_id}", item.figures)
            for s in result.sequences
            for item in s.objects
        ]
    names = list(dict.fromkeys(name for _, figures in rows for name in figures))[:MAX_FIGURES]
    table = Table(title=f"{benchmark_title(result)}: {result.results}", show_footer=True)
    table.add_column("object" if by_object else "sequence", footer="all", no_wrap=True)
    for name in names:
        value = result.figures.get(name)
        footer = "" if value is None else written(name, value)
        table.add_column(title(name), footer=footer, justify="right")
    for label, figures in rows:
        cells = [written(n, figures[n]) if n in figures else "" for n in names]
        table.add_row(label, *cells)
    return table


def _published(result: EvaluationResult) -> Table:
    """The result among the published ones, best first."""
    first = headline(result)
    names = [n for n in result.figures if n not in ("objects", "extracted")][:MAX_FIGURES]
    rows: list[tuple[str, str, Figures]] = [
        (p.method, p.kind, p.figures) for p in published_results(result.benchmark, result.split)
    ]
    rows.append((result.results, OURS, result.figures))
    lower = first.startswith("error")
    rows.sort(key=lambda row: row[2].get(first, math.inf) if lower else -row[2].get(first, -1))
    table = Table(
        title="Comparison with published results",
        box=box.SIMPLE,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    table.add_column("method", min_width=10)  # in narrow terminals, narrow the figures first
    table.add_column("kind")
    for name in names:
        table.add_column(title(name), justify="right")
    for method, kind, figures in rows:
        cells = [written(n, figures[n]) if n in figures else "" for n in names]
        table.add_row(method, SHORT.get(kind, kind), *cells, style="bold green" * (kind == OURS))
    return table
