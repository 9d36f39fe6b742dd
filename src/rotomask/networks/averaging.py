"""One set of weights from several: the mean of a run's last checkpoints.

"Towards good practices" (Yu et al. 2019), sec. 4, finds that scores vary seriously from epoch to
epoch. The mean of checkpoints of one run (Izmailov et al. 2018) varies less than each of them. Runs
from different starts have no common mean: their average is no network worth having.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rotomask.errors import OptionError, WeightsError
from rotomask.networks.checkpoints import load_state, read_metadata, save_weights


def average_weights(files: Sequence[Path], out: Path) -> Path:
    """Write the mean of several checkpoints of one network.

    Args:
        files: Two or more .safetensors, .pth or .pt files with the same parameters.
        out: A .safetensors file, made or replaced. It has the first file's metadata, so that it
            rebuilds the network, but for its scores, and the names of the files as ``averaged``.

    Returns:
        `out`.

    Raises:
        OptionError: If there are fewer than two files, or `out` is no .safetensors file.
        WeightsError: If a file cannot be read or is of another network than the first.
        OutputError: If the file cannot be written.
    """
    if len(files) < 2:
        raise OptionError(f"an average needs two checkpoints or more, got {len(files)}")
    if out.suffix != ".safetensors":
        raise OptionError(f"averaged weights are a .safetensors file, got {out}")
    first, metadata = load_state(files[0]), _metadata(files[0])
    total = {name: value.double() for name, value in first.items()}
    for file in files[1:]:
        _add(total, file, metadata, files[0])
    mean = {
        # What is no real number, such as a counter of batch norm, is the first file's.
        name: (value / len(files)).float() if first[name].is_floating_point() else first[name]
        for name, value in total.items()
    }
    kept = {k: v for k, v in metadata.items() if k != "validation"}
    save_weights(out, mean, {**kept, "averaged": [file.name for file in files]})
    return out


def _add(total: dict[str, Tensor], file: Path, metadata: dict[str, Any], first: Path) -> None:
    state = load_state(file)
    if _shapes(state) != _shapes(total) or _metadata(file).get("config") != metadata.get("config"):
        raise WeightsError(f"{file} is not of the same network as {first}; average one run's files")
    for name, value in state.items():
        total[name] += value


def _shapes(state: dict[str, Tensor]) -> dict[str, torch.Size]:
    return {name: value.shape for name, value in state.items()}


def _metadata(file: Path) -> dict[str, Any]:
    return read_metadata(file) if file.suffix == ".safetensors" else {}
