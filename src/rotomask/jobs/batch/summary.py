"""What became of a batch: ``summary.json`` and ``summary.html``, failures and doubts first."""

import html
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from rotomask import __version__
from rotomask.jobs.batch.item import Item, Outcome
from rotomask.jobs.review import SHEET

JSON, HTML = "summary.json", "summary.html"
MOST_ROWS = 2000
"""Most videos that a table of the page lists; the JSON has all."""

_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem;
       color: #1d2430; background: #fff }
h1 { font-size: 1.5rem } h2 { font-size: 1.15rem; margin-top: 2rem }
table { border-collapse: collapse; width: 100% } th { text-align: left; font-weight: 600 }
td, th { padding: .3rem .9rem .3rem 0; border-bottom: 1px solid #e3e7ed; vertical-align: top }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums }
td:first-child { overflow-wrap: anywhere; min-width: 9rem } .wide { overflow-x: auto }
td.error { color: #a3271b; overflow-wrap: anywhere; min-width: 20rem } .quiet { color: #5b6675 }
td.quiet { white-space: nowrap }
dl { display: flex; flex-wrap: wrap; gap: .5rem 2rem } dt { color: #5b6675; font-size: .85rem }
dd { margin: 0; font-size: 1.25rem } img { max-width: 100%; margin: .4rem 0 }
"""


@dataclass(frozen=True, kw_only=True)
class BatchResult:
    """What became of a batch."""

    folder: str
    """Where the videos' folders are: a path or a URL."""
    outcomes: tuple[Outcome, ...]
    """One a video, in the order of the list. Videos that were not reached are missing."""
    videos: int
    """How many the list has."""
    workers: int
    seconds: float
    outputs: dict[str, str]
    """Name -> path or URL: ``json``, ``html``."""

    @property
    def failures(self) -> tuple[Outcome, ...]:
        """Videos that failed or are damaged."""
        return tuple(o for o in self.outcomes if o.state in ("failed", "damaged"))

    @property
    def doubtful(self) -> tuple[Outcome, ...]:
        """Videos with doubtful frames, the least sure first."""
        doubted = [o for o in self.outcomes if o.doubtful]
        return tuple(sorted(doubted, key=lambda o: (o.confidence or 0.0, o.name)))

    def totals(self) -> dict[str, Any]:
        """Counts and times, plain data."""
        states = [o.state for o in self.outcomes]
        segmented = sum(o.frames_segmented for o in self.outcomes if o.state != "before")
        cpu = sum(o.cpu_seconds for o in self.outcomes if o.state != "before")
        return {
            "videos": self.videos,
            "finished": states.count("finished"),
            "finished before": states.count("before"),
            "damaged": states.count("damaged"),
            "failed": states.count("failed"),
            "not reached": self.videos - len(states),
            "doubtful": len(self.doubtful),
            "frames": sum(o.frames for o in self.outcomes),
            "frames segmented": segmented,
            "workers": self.workers,
            "seconds": round(self.seconds, 1),
            "core seconds": round(cpu, 1),
            "frames a second": round(segmented / self.seconds, 2) if self.seconds else None,
            "core seconds a frame": round(cpu / segmented, 4) if segmented else None,
        }


def summary_json(result: BatchResult, items: Sequence[Item]) -> str:
    """The summary as JSON."""
    by_name = {outcome.name: outcome for outcome in result.outcomes}
    videos = [
        {"video": item.video, "marked by": item.marked, **by_name[item.name].to_json()}
        if item.name in by_name
        else {"video": item.video, "marked by": item.marked, "name": item.name, "state": "waiting"}
        for item in items
    ]
    content = {"rotomask": __version__, "totals": result.totals(), "videos": videos}
    return json.dumps(content, indent=1) + "\n"


def summary_html(result: BatchResult, items: Sequence[Item]) -> str:
    """The summary as a page that stands alone but for the pictures of doubtful frames."""
    videos = {item.name: item.video for item in items}
    totals = "".join(
        f"<div><dt>{html.escape(name)}</dt><dd>{'–' if value is None else f'{value:,}'}</dd></div>"  # noqa: RUF001
        for name, value in result.totals().items()
    )
    body = [f"<h1>Batch: {html.escape(result.folder)}</h1><dl>{totals}</dl>"]
    if result.failures:
        failed = [
            (
                _link(o.name),
                html.escape(videos[o.name]),
                str(o.attempts),
                html.escape(o.error or ""),
            )
            for o in result.failures
        ]
        title, head = f"Failed or damaged: {len(failed)}", ("Video", "From", "Attempts", "Error")
        body.append(_table(title, head, failed, ("", "", "n", "error")))
    else:
        body.append("<h2>Failed or damaged: none</h2>")
    body.append(_doubts(result))
    rows = [
        (
            _link(o.name),
            html.escape(o.state),
            f"{o.frames:,}",
            f"{o.seconds:.1f}",
            f"{o.cpu_seconds:.1f}",
            "–" if o.confidence is None else f"{o.confidence:.2f}",  # noqa: RUF001
            html.escape(o.worker),
        )
        for o in result.outcomes
    ]
    columns = ("Video", "State", "Frames", "Seconds", "Core seconds", "Confidence", "Worker")
    body.append(_table("All videos", columns, rows, ("", "", "n", "n", "n", "n", "quiet")))
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>rotomask batch</title>'
        '<meta name="viewport" content="width=device-width">'
        f"<style>{_STYLE}</style>{''.join(body)}</html>\n"
    )


def _doubts(result: BatchResult) -> str:
    """The doubtful videos with pictures of their doubtful frames."""
    if not result.doubtful:
        return "<h2>Doubtful: none</h2>"
    parts = [
        f"<h2>Doubtful: {len(result.doubtful)}</h2><p class='quiet'>Frames in which the segmenter "
        "was not sure of an object. Correct one with <code>rotomask cut VIDEO --continue FOLDER "
        "--at FRAME --point X,Y</code>.</p>"
    ]
    for outcome in result.doubtful[:MOST_ROWS]:
        frames = ", ".join(f"{index} ({value:.2f})" for index, value in outcome.doubtful)
        why = "".join(f"<li>{html.escape(text)}</li>" for text in outcome.uncertain)
        sheet = _address(f"{outcome.name}/{SHEET}")
        parts.append(
            f"<h3>{_link(outcome.name)}</h3><p>Frames {frames}</p><ul>{why}</ul>"
            f'<img loading="lazy" src="{sheet}" alt="The doubtful frames with their masks">'
        )
    return "".join(parts)


def _link(name: str) -> str:
    return f'<a href="{_address(name)}/">{html.escape(name)}</a>'


def _address(relative: str) -> str:
    """A path beside the page; ``#``, ``?``, ``%`` and a colon are part of a name here."""
    return "./" + quote(relative)


def _table(
    title: str, head: Sequence[str], rows: Sequence[Sequence[str]], classes: Sequence[str]
) -> str:
    shown, more = rows[:MOST_ROWS], len(rows) - MOST_ROWS
    cells = "".join(f'<th class="{c}">{h}</th>' for h, c in zip(head, classes, strict=True))
    lines = [
        "".join(f'<td class="{c}">{v}</td>' for v, c in zip(row, classes, strict=True))
        for row in shown
    ]
    table = "".join(f"<tr>{line}</tr>" for line in lines)
    rest = f"<p>and {more:,} more, in {JSON}</p>" if more > 0 else ""
    return (
        f"<h2>{html.escape(title)}</h2>"
        f'<div class="wide"><table><tr>{cells}</tr>{table}</table></div>{rest}'
    )
