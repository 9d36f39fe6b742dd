"""Tables of a result: CSV with the columns of the davis2017 tool, and LaTeX."""

import csv
import io
import math
from collections.abc import Sequence
from pathlib import Path

from rotomask.evaluation.benchmarks import get_benchmark
from rotomask.evaluation.reports.columns import COUNTS, benchmark_title, title, written
from rotomask.evaluation.results import EvaluationResult, Figures
from rotomask.files import complete_or_absent

OFFICIAL = {
    "J&F": "J&F-Mean",
    "J_mean": "J-Mean",
    "J_recall": "J-Recall",
    "J_decay": "J-Decay",
    "F_mean": "F-Mean",
    "F_recall": "F-Recall",
    "F_decay": "F-Decay",
}
"""Name of a figure -> column of the davis2017 tool."""


def write_csv(result: EvaluationResult, folder: str | Path) -> tuple[Path, Path]:
    """Write ``global_results-SPLIT.csv`` and ``per-sequence_results-SPLIT.csv``.

    For DAVIS they have the columns, names and three decimals of the davis2017 tool, with one row
    per object, named SEQUENCE_ID. Other benchmarks have their own figures in the same two files.

    Returns:
        The two files that were written.

    Raises:
        OutputError: If they cannot be written.
    """
    global_path = Path(folder) / f"global_results-{result.split}.csv"
    sequences_path = Path(folder) / f"per-sequence_results-{result.split}.csv"
    names = list(result.figures)
    _write(global_path, [_columns(names), [_number(n, result.figures[n]) for n in names]])
    rows = [
        (f"{sequence.name}_{item.object_id}", item.figures)
        for sequence in result.sequences
        for item in sequence.objects
    ]
    if not get_benchmark(result.benchmark).objects_tabulated:
        rows = [(sequence.name, sequence.figures) for sequence in result.sequences]
    names = list(dict.fromkeys(name for _, figures in rows for name in figures))
    names = [n for n in names if n in ("J_mean", "F_mean", "T_mean")] or names
    table = [["Sequence", *_columns(names)]]
    table += [
        [label, *(_number(n, figures.get(n, math.nan)) for n in names)] for label, figures in rows
    ]
    _write(sequences_path, table)
    return global_path, sequences_path


def latex_table(*results: EvaluationResult) -> str:
    """A booktabs table with one row per result; the best value of each column is bold.

    Raises:
        ValueError: If no result is given.
    """
    if not results:
        raise ValueError("give at least one result")
    names = [n for n in results[0].figures if n not in COUNTS]
    best = {n: _best(n, results) for n in names}
    lines = [
        f"% {benchmark_title(results[0])}",
        rf"\begin{{tabular}}{{l{'r' * len(names)}}}",
        r"\toprule",
        " & ".join(["Method", *(_latex_title(n) for n in names)]) + r" \\",
        r"\midrule",
    ]
    for result in results:
        cells = [_escaped(result.results)]
        for name in names:
            value = result.figures.get(name, math.nan)
            text = "--" if math.isnan(value) else written(name, value)
            cells.append(
                rf"\textbf{{{text}}}" if len(results) > 1 and value == best[name] else text
            )
        lines.append(" & ".join(cells) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])


def latex_by_object(result: EvaluationResult) -> str:
    """A booktabs table with one row per object."""
    rows: list[tuple[str, Figures]] = [
        (f"{sequence.name} {item.category or item.object_id}", item.figures)
        for sequence in result.sequences
        for item in sequence.objects
    ]
    names = list(dict.fromkeys(name for _, figures in rows for name in figures))
    lines = [
        f"% {benchmark_title(result)}: {result.results}",
        rf"\begin{{tabular}}{{l{'r' * len(names)}}}",
        r"\toprule",
        " & ".join(["Object", *(_latex_title(n) for n in names)]) + r" \\",
        r"\midrule",
    ]
    for label, figures in rows:
        cells = [written(n, figures[n]) if n in figures else "" for n in names]
        lines.append(" & ".join([_escaped(label), *cells]) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])


def _columns(names: Sequence[str]) -> list[str]:
    return [OFFICIAL.get(name, name) for name in names]


def _number(name: str, value: float) -> str:
    if math.isnan(value):
        return ""
    return f"{value:.0f}" if name in COUNTS else f"{value:.3f}"


def _write(path: Path, rows: list[list[str]]) -> None:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    with complete_or_absent(path) as temporary:
        temporary.write_text(text.getvalue(), encoding="utf-8")


def _best(name: str, results: Sequence[EvaluationResult]) -> float:
    values = [r.figures[name] for r in results if not math.isnan(r.figures.get(name, math.nan))]
    lower = "decay" in name or name.startswith(("error", "T_"))
    return math.nan if not values else min(values) if lower else max(values)


def _latex_title(name: str) -> str:
    text = _escaped(title(name))
    for letter in ("J", "F"):
        if text.startswith((f"{letter} ", f"{letter}\\")):
            text = rf"$\mathcal{{{letter}}}$" + text[1:]
    return text.replace(r"\&F", r"\&$\mathcal{F}$")


def _escaped(text: str) -> str:
    return "".join(f"\\{c}" if c in "&%$#_{}" else c for c in text)
