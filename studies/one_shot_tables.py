"""Tables of the one-shot systems from what `rotomask benchmark --json` wrote.

    rotomask benchmark davis2016 --root DAVIS --model oneshot --refine online=60s \\
        --out a --json a.json
    python -m studies.one_shot_tables "oneshot, 60 s=a.json" "stm-lite=b.json" --write

One line a system: J, F and seconds a frame, fine-tuning included; then J and F by sequence, as in
table 1 of the DAVIS-2017 report. `--write` updates docs/results.md.
"""

import json
from pathlib import Path
from typing import Any

from studies.results_page import markdown_table
from studies.scripts import add_write, parse, publish, script_parser


def systems(results: dict[str, dict[str, Any]]) -> str:
    """A table of J, F and time of each system."""
    rows = []
    for name, result in results.items():
        figures, run = result["figures"], result["run"]
        values = [f"{figures[key]:.3f}" for key in ("J&F", "J_mean", "F_mean")]
        rows.append([name, *values, f"{run['seconds_per_frame']:.2f}"])
    return markdown_table(["system", "J&F", "J mean", "F mean", "s a frame"], rows)


def sequences(results: dict[str, dict[str, Any]]) -> str:
    """A table of J / F of each system, a column a sequence."""
    names = [s["name"] for s in next(iter(results.values()))["sequences"]]
    rows = []
    for label, result in results.items():
        figures = {s["name"]: s["figures"] for s in result["sequences"]}
        cells = [f"{figures[n]['J_mean']:.2f} / {figures[n]['F_mean']:.2f}" for n in names]
        rows.append([label, *cells])
    return markdown_table(["J / F", *names], rows)


def main() -> None:
    parser = script_parser(__doc__)
    parser.add_argument("results", nargs="+", metavar="NAME=FILE")
    parser.add_argument("--note", default="", help="how it was measured")
    add_write(parser)
    arguments = parse(parser)
    results = {}
    for text in arguments.results:
        name, _, file = text.rpartition("=")
        results[name] = json.loads(Path(file).read_text())
    count = {len(r["sequences"]) for r in results.values()}
    if len(count) > 1:
        parser.error(f"the results are of different numbers of sequences: {sorted(count)}")
    intro = f"{count.pop()} sequences of DAVIS-2016 val. {arguments.note}".strip()
    text = f"{intro}\n\n{systems(results)}\n\nBy sequence:\n\n{sequences(results)}"
    command = "python -m studies.one_shot_tables NAME=run.json ... --write"
    publish(arguments, "one-shot", "One-shot systems", text, command=command)


if __name__ == "__main__":
    main()
