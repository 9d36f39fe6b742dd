"""Copy a run's weights into the package, with the scores that `rotomask benchmark` measured.

python tools/ship_weights.py runs/long/weights.safetensors --benchmark run.json
"""

import argparse
import json
from pathlib import Path

from rotomask.catalog import shipped_weights
from rotomask.networks.checkpoints import load_state, read_metadata, save_weights


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("weights", type=Path)
    parser.add_argument("--benchmark", type=Path, help="the file of `rotomask benchmark --json`")
    parser.add_argument(
        "--origin", default="encoder from ImageNet", help="what the run started from"
    )
    parser.add_argument("--name", default="stm-lite")
    arguments = parser.parse_args()
    card = read_metadata(arguments.weights)
    state = load_state(arguments.weights)
    data, held_out = card["data"], card["validation"]
    summary = {
        "parameters": f"{sum(v.numel() for v in state.values()) / 1e6:.2f} M",
        "trained on": f"{data['stills']} stills of DUTS-TR, {data['videos']} videos of DAVIS-2016 "
        f"train; {arguments.origin}",
        "held-out videos": f"J {held_out['J']:.3f} F {held_out['F']:.3f} (4 of DAVIS-2016 train)",
    }
    if arguments.benchmark:
        result = json.loads(arguments.benchmark.read_text())
        figures, run = result["figures"], result["run"]
        summary[f"{result['benchmark']}, {len(result['sequences'])} sequences"] = (
            f"J&F {figures['J&F']:.3f} (J {figures['J_mean']:.3f} F {figures['F_mean']:.3f}), "
            f"{run['seconds_per_frame']:.3f} s a frame, peak {run['peak_memory_mib']:.0f} MiB"
        )
    path = shipped_weights(arguments.name)
    if path is None:
        parser.error(f"{arguments.name} ships no weights")
    save_weights(path, state, {**card, "summary": summary})
    print(json.dumps(summary, indent=1))


if __name__ == "__main__":
    main()
