"""Copy a run's weights of edges-lite or edges-flow-lite into the package.

    python tools/ship_frame_weights.py runs/edges/weights.safetensors --name edges-lite \\
        --figures edges.json --row "appearance (edges-lite)"

The figures are the file of `python -m studies.edges measure --json`.
"""

import argparse
import json
from pathlib import Path

from rotomask.edges.frame_models import FRAME_MODELS, frame_model_weights
from rotomask.networks.checkpoints import load_state, read_metadata, save_weights


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("weights", type=Path)
    parser.add_argument("--name", choices=FRAME_MODELS, required=True)
    parser.add_argument("--figures", type=Path)
    parser.add_argument("--row", help="row of the figures")
    arguments = parser.parse_args()
    card, state = read_metadata(arguments.weights), load_state(arguments.weights)
    if card["model"] != arguments.name:
        parser.error(f"{arguments.weights} is of {card['model']}, not {arguments.name}")
    data = card["data"]
    summary = {
        "parameters": f"{sum(v.numel() for v in state.values()) / 1e6:.2f} M",
        "trained on": f"{data['stills']} stills of DUTS-TR, {data['videos']} videos of DAVIS-2016 "
        f"train; {card['start']}",
    }
    if arguments.figures:
        figures = json.loads(arguments.figures.read_text())["rows"][arguments.row]
        summary["ten videos of DAVIS-2016 val"] = ", ".join(
            f"{key} {value:.3f}" for key, value in figures.items()
        )
    path = frame_model_weights(arguments.name)
    save_weights(path, state, {**card, "summary": summary})
    print(json.dumps(summary, indent=1), f"{path.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
