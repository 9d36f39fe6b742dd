"""Join the weights that `tools/train_on_gpu.py` wrote in several files.

python tools/join_weights.py weights-1-of-2.safetensors weights-2-of-2.safetensors --out W
"""

import argparse
import json
from pathlib import Path

from safetensors import safe_open
from torch import Tensor

from rotomask.networks.checkpoints import save_weights


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    state: dict[str, Tensor] = {}
    metadata: dict[str, object] = {}
    for path in arguments.files:
        with safe_open(path, "pt") as file:
            state |= {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118
            metadata |= json.loads(file.metadata()["metadata"])
    save_weights(arguments.out, state, metadata)
    print(f"{arguments.out}: {len(state)} tensors")


if __name__ == "__main__":
    main()
