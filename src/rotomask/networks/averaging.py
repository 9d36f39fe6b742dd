"""Weight averaging: the mean of checkpoints of one training run, and of weights and those before.

"Towards good practices" (Yu et al. 2019), sec. 4, reports that scores vary seriously from epoch to
epoch. The mean of several checkpoints of one run (Izmailov et al. 2018) varies less. Do not average
runs that started from different weights: the mean of two separate optima is not a usable network.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rotomask.errors import OptionError, WeightsError, lists_keywords
from rotomask.networks.checkpoints import load_state, read_metadata, save_weights


@lists_keywords
def average_weights(files: Sequence[Path], out: Path) -> Path:
    """Write the mean of several checkpoints of one network.

    Args:
        files: Two or more .safetensors, .pth or .pt files with the same parameters.
        out: The .safetensors file to write; an existing one is replaced. Its metadata are those of
            the first file without the validation scores, plus the file names as ``averaged``.

    Returns:
        `out`.

    Raises:
        OptionError: If there are fewer than two files, or `out` is not a .safetensors file.
        WeightsError: If a file cannot be read or belongs to another network than the first.
        OutputError: If the file cannot be written.
    """
    if len(files) < 2:
        raise OptionError(f"averaging needs two checkpoints or more, got {len(files)}")
    if out.suffix != ".safetensors":
        raise OptionError(f"averaged weights are written as a .safetensors file, got {out}")
    first, metadata = load_state(files[0]), _metadata(files[0])
    # Sum in float64: a float32 sum of many checkpoints loses the last digits.
    total = {name: value.double() for name, value in first.items()}
    for file in files[1:]:
        _add(total, file, metadata, files[0])
    mean = {
        # Integers, such as batch norm's counters, are taken from the first file.
        name: (value / len(files)).float() if first[name].is_floating_point() else first[name]
        for name, value in total.items()
    }
    inherited = {k: v for k, v in metadata.items() if k != "validation"}
    save_weights(out, mean, {**inherited, "averaged": [file.name for file in files]})
    return out


def keep_weights(learned: Iterable[Tensor], before: Iterable[Tensor], kept: float) -> None:
    """Set weights to a mean of themselves and those before they learned, in place.

    A network that learned from one video keeps more of what it knew of others (Wortsman et al.
    2022, "Robust fine-tuning of zero-shot models").

    Args:
        learned: Parameters of a network, or of a part of it.
        before: The same parameters as they were, in the same order.
        kept: Share of those before, 0 to 1.
    """
    with torch.no_grad():
        for parameter, old in zip(learned, before, strict=True):
            parameter.lerp_(old, kept)


def _add(total: dict[str, Tensor], file: Path, metadata: dict[str, Any], first: Path) -> None:
    state = load_state(file)
    if _shapes(state) != _shapes(total) or _metadata(file).get("config") != metadata.get("config"):
        raise WeightsError(
            f"{file} and {first} are checkpoints of different networks; average files of one run"
        )
    for name, value in state.items():
        total[name] += value


def _shapes(state: dict[str, Tensor]) -> dict[str, torch.Size]:
    return {name: value.shape for name, value in state.items()}


def _metadata(file: Path) -> dict[str, Any]:
    return read_metadata(file) if file.suffix == ".safetensors" else {}
