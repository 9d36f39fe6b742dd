"""Report of a result as one self-contained HTML page, without scripts and external files."""

import math
from collections.abc import Mapping
from html import escape
from pathlib import Path

import numpy as np
import numpy.typing as npt

from rotomask.data.sequences import VideoDataset
from rotomask.evaluation.published import published_results
from rotomask.evaluation.reports.charts import bar_chart, curve_chart, legend
from rotomask.evaluation.reports.columns import (
    bar_figures,
    benchmark_title,
    headline,
    title,
    written,
)
from rotomask.evaluation.reports.style import STYLE
from rotomask.evaluation.reports.worst_frames import (
    RESULT_COLOUR,
    TRUTH_COLOUR,
    outlined_picture,
    worst_frames,
)
from rotomask.evaluation.results import EvaluationResult, Figures, ObjectScore, SequenceScore

MAX_LINES = 6
"""Most curves in one chart."""


def html_page(
    result: EvaluationResult,
    *,
    dataset: VideoDataset | None = None,
    results: str | Path | None = None,
) -> str:
    """HTML of the page.

    Args:
        result: A result of `evaluate_results`.
        dataset: The data set; without it, or without `results`, the page has no worst frames.
        results: The folder of result masks.
    """
    heading = f"{benchmark_title(result)}: {result.results}"
    sections = [
        _published(result),
        _bars(result),
        _curves(result),
        _worst(result, dataset, results),
        _table(result),
        _notes(result),
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(heading)}</title><style>{STYLE}</style></head><body><main>"
        f"{_header(result)}{''.join(sections)}"
        "<footer>Made by <b>rotomask</b>. J is region similarity, F boundary accuracy.</footer>"
        "</main></body></html>\n"
    )


def _header(result: EvaluationResult) -> str:
    tiles = "".join(
        f'<div class="tile{" first" if i == 0 else ""}"><b>{escape(written(name, value))}</b>'
        f"<span>{escape(title(name))}</span></div>"
        for i, (name, value) in enumerate(result.figures.items())
    )
    frames = sum(len(item.frames) for s in result.sequences for item in s.objects)
    objects = sum(len(s.objects) for s in result.sequences)
    facts = [f"{len(result.sequences)} sequences", f"{objects} objects", f"{frames} masks scored"]
    facts += [f"{key.replace('_', ' ')} {_fact(v)}" for key, v in result.run.items() if _plain(v)]
    return (
        f'<header><p class="kicker">{escape(benchmark_title(result))}</p>'
        f"<h1>{escape(result.results)}</h1>"
        f'<p class="facts">{escape(" · ".join(facts))}</p>'
        f'<div class="tiles">{tiles}</div></header>'
    )


def _published(result: EvaluationResult) -> str:
    """Table of the result among the published ones, best first."""
    published = published_results(result.benchmark, result.split)
    if not published:
        return ""
    first = headline(result)
    names = [n for n in result.figures if any(n in p.figures for p in published)]
    if first not in names:
        first = names[0]
    rows: list[tuple[str, str, Figures, bool]] = [
        (p.method, p.kind, p.figures, False) for p in published
    ]
    rows.append((result.results, "this result", result.figures, True))
    # The headline decides the order: errors rise from the best to the worst, all others fall.
    lower = first.startswith("error")
    rows.sort(
        key=lambda row: row[2].get(first, math.inf if lower else -math.inf), reverse=not lower
    )
    maximum = max(row[2].get(first, 0) for row in rows) or 1
    body = []
    for method, kind, figures, ours in rows:
        # Bars of errors are relative to the largest in the table, as errors have no upper bound;
        # all other figures are fractions of 1.
        fraction = figures.get(first, math.nan) / (maximum if lower else max(1.0, maximum))
        bar = "" if math.isnan(fraction) else f'<i style="width:{100 * fraction:.1f}%"></i>'
        cells = "".join(
            f"<td>{escape(written(n, figures[n])) if n in figures else ''}</td>" for n in names
        )
        body.append(
            f"<tr{' class=ours' if ours else ''}><th>{escape(method)}</th>"
            f'<td class="kind">{escape(kind)}</td><td class="bar">{bar}</td>{cells}</tr>'
        )
    head = "".join(f"<th>{escape(title(n))}</th>" for n in names)
    return _section(
        "Comparison with published results",
        f'<div class="scroll"><table><thead><tr><th>Method</th><th>Kind</th><th></th>{head}</tr>'
        f"</thead><tbody>{''.join(body)}</tbody></table></div>",
        "Figures as reported in the papers, on the whole split."
        + ("".join(f" {note}." for note in result.notes[:1] if "comparable" in note)),
    )


def _bars(result: EvaluationResult) -> str:
    names = bar_figures(result)
    rows = [(s.name, [s.figures.get(n, math.nan) for n in names]) for s in result.sequences]
    lower = names[0].startswith("error")
    rows.sort(key=lambda row: -_mean(row[1]) if not lower else _mean(row[1]))
    maximum = 1.0
    if lower:
        maximum = max([v for _, values in rows for v in values if not math.isnan(v)], default=1.0)
    titles = [title(n) for n in names]
    return _section("Every sequence", legend(titles) + bar_chart(rows, titles, maximum=maximum))


def _curves(result: EvaluationResult) -> str:
    """Charts of the measures over the frames of each sequence."""
    charts = []
    series: list[str] = []
    many = any(len(_with_curves(sequence)) > 1 for sequence in result.sequences)
    for sequence in result.sequences:
        curves, frames = _lines(sequence, by_object=many)
        if not curves:
            continue
        # One legend for all charts: that of the chart with most curves has the colours of the
        # others.
        series = list(curves) if len(curves) > len(series) else series
        largest = [float(np.nanmax(c)) for c in curves.values() if not np.isnan(c).all()]
        maximum = 1.0 if max(largest, default=0) <= 1 else max(largest)
        charts.append(
            f"<figure><figcaption>{escape(sequence.name)}</figcaption>"
            f"{curve_chart(curves, frames, maximum=maximum)}</figure>"
        )
    if not charts:
        return ""
    return _section("Over time", legend(series) + f'<div class="curves">{"".join(charts)}</div>')


def _with_curves(sequence: SequenceScore) -> list[ObjectScore]:
    """The objects that have values over frames."""
    return [item for item in sequence.objects if item.frames and item.curves]


def _lines(
    sequence: SequenceScore, *, by_object: bool
) -> tuple[Mapping[str, npt.NDArray[np.float64]], tuple[str, ...]]:
    """Curves of a chart, and the names of its frames.

    Args:
        sequence: The sequence of the chart.
        by_object: True for the first measure of each object, False for all measures of the first
            object.
    """
    objects = _with_curves(sequence)
    if not objects:
        return {}, ()
    if not by_object:
        single = {k: c for k, c in objects[0].curves.items() if k != "T"}
        return single, objects[0].frames
    # Objects may appear late; the axis is that of the object scored in most frames, and the others
    # have gaps.
    frames = max(objects, key=lambda item: len(item.frames)).frames
    curves = {}
    for item in objects[:MAX_LINES]:
        name, values = next(iter(item.curves.items()))
        if name == "error":  # each distance of JumpCut has frames of its own
            curves[f"{name}, {item.category}"] = values
            continue
        value_of = dict(zip(item.frames, values, strict=True))
        label = f"{name} of {item.category or ''} {item.object_id}".replace("  ", " ")
        curves[label] = np.array([value_of.get(frame, math.nan) for frame in frames])
    return curves, frames


def _worst(
    result: EvaluationResult, dataset: VideoDataset | None, results: str | Path | None
) -> str:
    if dataset is None or results is None:
        return ""
    figures = []
    for worst in worst_frames(result):
        source = outlined_picture(worst, dataset, Path(results))
        if source is None:
            continue
        values = "  ".join(f"{name} {value:.3f}" for name, value in worst.values.items())
        many = len(result.sequence(worst.sequence).objects) > 1
        suffix = f", object {worst.object_id}" if many and worst.object_id > 0 else ""
        figures.append(
            f'<figure><img alt="" src="{source}"><figcaption><b>{escape(worst.sequence)}</b> '
            f"{escape(worst.frame)}{suffix}<span>{escape(values)}</span></figcaption></figure>"
        )
    if not figures:
        return ""
    return _section(
        "Worst frames",
        f'<p class="legend">{_swatch(TRUTH_COLOUR)}truth</span>{_swatch(RESULT_COLOUR)}'
        f'this result</span></p><div class="pictures">{"".join(figures)}</div>',
        "At most two frames per sequence.",
    )


def _table(result: EvaluationResult) -> str:
    rows = [
        (s.name, str(item.category or item.object_id), item.figures)
        for s in result.sequences
        for item in s.objects
    ]
    names = list(dict.fromkeys(n for _, _, figures in rows for n in figures))
    head = "".join(f"<th>{escape(title(n))}</th>" for n in names)
    body = "".join(
        f"<tr><th>{escape(sequence)}</th><td>{escape(label)}</td>"
        + "".join(f"<td>{written(n, f[n]) if n in f else ''}</td>" for n in names)
        + "</tr>"
        for sequence, label, f in rows
    )
    return _section(
        "Every object",
        f'<details><summary>{len(rows)} rows</summary><div class="scroll"><table><thead><tr>'
        f"<th>Sequence</th><th>Object</th>{head}</tr></thead><tbody>{body}</tbody></table></div>"
        "</details>",
    )


def _notes(result: EvaluationResult) -> str:
    notes = list(result.notes)
    notes += [f"{s.name}: {note}" for s in result.sequences for note in s.notes]
    if not notes:
        return ""
    return _section("Notes", f"<ul>{''.join(f'<li>{escape(note)}</li>' for note in notes)}</ul>")


def _section(heading: str, body: str, remark: str = "") -> str:
    below = f'<p class="remark">{escape(remark)}</p>' if remark else ""
    return f"<section><h2>{escape(heading)}</h2>{below}{body}</section>"


def _swatch(colour: tuple[int, int, int]) -> str:
    return f'<span><i style="background:rgb{colour}"></i>'


def _mean(values: list[float]) -> float:
    """Mean of the values that are not NaN; -1, for sorting, if there are none."""
    valid = [v for v in values if not math.isnan(v)]
    return sum(valid) / len(valid) if valid else -1.0


def _plain(value: object) -> bool:
    """True for the facts of a run that fit on a line: numbers and strings."""
    return isinstance(value, int | float | str) and not isinstance(value, bool)


def _fact(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
