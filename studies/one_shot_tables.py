"""Tables of the one-shot systems from what `rotomask benchmark --json` wrote.

    rotomask benchmark davis2016 --root DAVIS --model oneshot --seconds 60 --out a --json a.json
    python -m studies.one_shot_tables "oneshot, 60 s=a.json" "stm-lite=b.json" --write

One line a system: J, F and seconds a frame, fine-tuning among them; then J and F by sequence, as
table 1 of the DAVIS-2017 report has them. --write renews docs/results.md.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from studies.results_page import markdown_table, write_block


def systems(results: dict[str, dict[str, Any]]) -> str:
    """J, F and time of each."""
    rows = []
    for name, result in results.items():
        figures, run = result["figures"], result["run"]
        values = [f"{figures[key]:.3f}" for key in ("J&F", "J_mean", "F_mean")]
        rows.append([name, *values, f"{run['seconds_per_frame']:.2f}"])
    return markdown_table(["system", "J&F", "J mean", "F mean", "s a frame"], rows)


def sequences(results: dict[str, dict[str, Any]]) -> str:
    """J / F of each, a column a sequence."""
    names = [s["name"] for s in next(iter(results.values()))["sequences"]]
    rows = []
    for label, result in results.items():
        figures = {s["name"]: s["figures"] for s in result["sequences"]}
        cells = [f"{figures[n]['J_mean']:.2f} / {figures[n]['F_mean']:.2f}" for n in names]
        rows.append([label, *cells])
    return markdown_table(["J / F", *names], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("results", nargs="+", metavar="NAME=FILE")
    parser.add_argument("--note", default="", help="how it was measured")
    parser.add_argument("--write", action="store_true", help="renew docs/results.md")
    arguments = parser.parse_args()
    results = {}
    for text in arguments.results:
        name, _, file = text.rpartition("=")
        results[name] = json.loads(Path(file).read_text())
    count = {len(r["sequences"]) for r in results.values()}
    if len(count) > 1:
        parser.error(f"the results are of different numbers of sequences: {sorted(count)}")
    intro = f"{count.pop()} sequences of DAVIS-2016 val. {arguments.note}".strip()
    text = f"{intro}\n\n{systems(results)}\n\nBy sequence:\n\n{sequences(results)}"
    print(text)
    if arguments.write:
        command = "python -m studies.one_shot_tables NAME=run.json ... --write"
        write_block("one-shot", f"## One-shot systems\n\n    {command}\n\n{text}")


if __name__ == "__main__":
    main()
