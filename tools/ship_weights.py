"""Copy a run's weights into the package, with the scores that were measured.

    python tools/ship_weights.py runs/long/weights.safetensors --benchmark run.json
    python tools/ship_weights.py runs/edges/weights.safetensors --figures edges.json \\
        --row "appearance (edges-lite)"
    python tools/ship_weights.py runs/slim/weights.safetensors --eight-bit --benchmark run.json
    python tools/ship_weights.py runs/flow-lite/weights.safetensors --figures flow.json

`--benchmark` takes the file of `rotomask benchmark --json`; `--figures` that of
`python -m studies.edges measure --json` or `python -m studies.optical_flow --json`.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from rotomask.catalog import shipped_weights
from rotomask.networks.checkpoints import load_state, read_metadata, save_weights


def training_lines(card: dict[str, Any], origin: str | None) -> dict[str, str]:
    """Training data and validation scores, as far as the weights store them."""
    lines = {}
    data = card.get("data", {})
    stills, videos = data.get("stills", data.get("duts")), data.get("videos")
    if stills is not None and videos is not None:
        start = origin or card.get("start", "encoder from ImageNet")
        lines["trained on"] = (
            f"{stills} stills of DUTS-TR, {videos} videos of DAVIS-2016 train; {start}"
        )
    scores = {k: v for k, v in card.get("validation", {}).items() if k in ("J", "F")}
    scores |= {
        label: card["validation"][key]
        for key, label in (
            ("AP50", "AP50"),
            ("recall", "recall of 10"),
            *((f"IoU@{clicks}", f"IoU@{clicks}") for clicks in (1, 3, 5)),
        )
        if key in card.get("validation", {})
    }
    if scores:
        figures = ", ".join(f"{name} {value:.3f}" for name, value in scores.items())
        lines["held-out videos"] = f"{figures} (4 of DAVIS-2016 train)"
    return lines


def benchmark_lines(file: Path) -> dict[str, str]:
    """Scores, time and memory of a run over a benchmark."""
    result = json.loads(file.read_text())
    figures, run = result["figures"], result["run"]
    return {
        f"{result['benchmark']}, {len(result['sequences'])} sequences": (
            f"J&F {figures['J&F']:.3f} (J {figures['J_mean']:.3f} F {figures['F_mean']:.3f}), "
            f"{run['seconds_per_frame']:.3f} s a frame, peak {run['peak_memory_mib']:.0f} MiB"
        )
    }


def figure_lines(file: Path, row: str | None) -> dict[str, str]:
    """Figures of a study: one row of its table, or the summary that it wrote."""
    content = json.loads(file.read_text())
    if row is None:
        return {str(name): str(text) for name, text in content["summary"].items()}
    figures = content["rows"][row]
    line = ", ".join(f"{name} {value:.3f}" for name, value in figures.items())
    return {"ten videos of DAVIS-2016 val": line}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("weights", type=Path)
    parser.add_argument("--name", help="entry of the catalogue; default: the weights' own model")
    parser.add_argument("--origin", help="what the run started from; default: as stored")
    parser.add_argument("--benchmark", type=Path)
    parser.add_argument("--figures", type=Path)
    parser.add_argument("--row", help="row of the figures")
    parser.add_argument("--eight-bit", action="store_true", help="store weights in 8 bits")
    arguments = parser.parse_args()
    card, state = read_metadata(arguments.weights), load_state(arguments.weights)
    name = arguments.name or card["model"]
    path = shipped_weights(name)
    if path is None:
        parser.error(f"{name} ships no weights")
    if card["model"] != name:
        parser.error(f"{arguments.weights} is of {card['model']}, not {name}")
    summary = {"parameters": f"{sum(v.numel() for v in state.values()) / 1e6:.2f} M"}
    summary |= training_lines(card, arguments.origin)
    if arguments.benchmark:
        summary |= benchmark_lines(arguments.benchmark)
    if arguments.figures:
        summary |= figure_lines(arguments.figures, arguments.row)
    save_weights(path, state, {**card, "summary": summary}, eight_bit=arguments.eight_bit)
    print(json.dumps(summary, indent=1), f"{path.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
