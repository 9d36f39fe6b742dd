"""The result as tables for a terminal."""

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
"""What fits beside seven figures in eighty columns."""

SHOWN = 9
"""Figures a row at most."""


def result_tables(result: EvaluationResult, *, by_object: bool = False) -> RenderableType:
    """What rich prints: a row a sequence (or object), the global figures, published ones, notes.

    Use it as ``rich.console.Console().print(result_tables(result))``.
    """
    parts: list[RenderableType] = [_sequences(result, by_object)]
    published = published_results(result.benchmark, result.split)
    if published:
        parts.append(_beside_published(result))
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
    names = list(dict.fromkeys(name for _, figures in rows for name in figures))[:SHOWN]
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


def _beside_published(result: EvaluationResult) -> Table:
    first = headline(result)
    names = [n for n in result.figures if n not in ("objects", "extracted")][:SHOWN]
    rows: list[tuple[str, str, Figures]] = [
        (p.method, p.kind, p.figures) for p in published_results(result.benchmark, result.split)
    ]
    rows.append((result.results, OURS, result.figures))
    lower = first.startswith("error")
    rows.sort(key=lambda row: row[2].get(first, math.inf) if lower else -row[2].get(first, -1))
    table = Table(
        title="Beside published results", box=box.SIMPLE, pad_edge=False, padding=(0, 1, 0, 0)
    )
    table.add_column("method", min_width=10)  # names are worth more than the width of figures
    table.add_column("kind")
    for name in names:
        table.add_column(title(name), justify="right")
    for method, kind, figures in rows:
        cells = [written(n, figures[n]) if n in figures else "" for n in names]
        table.add_row(method, SHORT.get(kind, kind), *cells, style="bold green" * (kind == OURS))
    return table
