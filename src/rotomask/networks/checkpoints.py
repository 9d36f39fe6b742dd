"""Weights on disk: ours as float16 safetensors, the authors' as they published them.

A .pth or .pt file is read without running code from it. The `module.` that torch puts before every
name when a network was trained on several GPUs is taken off.
"""

import contextlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from rotomask.errors import WeightsError
from rotomask.files import complete_or_absent

PICKLE_SUFFIXES = (".pth", ".pt")
METADATA_KEY = "rotomask"
NAMES_SHOWN = 3


def load_state(path: Path) -> dict[str, Tensor]:
    """Parameters of a checkpoint by name, on the CPU.

    Args:
        path: A .safetensors, .pth or .pt file that holds nothing but named tensors.

    Returns:
        Floating-point tensors as float32, whatever they are stored as; others as they are.

    Raises:
        WeightsError: If the file is missing, damaged or something else.
    """
    with _readable(path):
        if path.suffix == ".safetensors":
            stored: object = safetensors.torch.load_file(path)
        else:
            stored = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(stored, Mapping) or not all(isinstance(v, Tensor) for v in stored.values()):
        raise WeightsError(
            f"{path} holds something else than named tensors; give the network's state dict"
        )
    return {
        str(name).removeprefix("module."): value.float() if value.is_floating_point() else value
        for name, value in stored.items()
    }


def load_into(network: nn.Module, path: Path) -> None:
    """Give the network the parameters of a checkpoint, all of them and no others.

    Counters of batch norm (`num_batches_tracked`) may be absent, as they are from files older than
    them.

    Raises:
        WeightsError: If the file cannot be read or is not of this network.
    """
    state, own = load_state(path), network.state_dict()
    missing = [
        name for name in own if name not in state and not name.endswith("num_batches_tracked")
    ]
    unexpected = [name for name in state if name not in own]
    misshaped = [
        f"{name} {tuple(state[name].shape)} instead of {tuple(value.shape)}"
        for name, value in own.items()
        if name in state and state[name].shape != value.shape
    ]
    faults = {"missing": missing, "unexpected": unexpected, "of another shape": misshaped}
    found = [f"{fault}: {_first(names)}" for fault, names in faults.items() if names]
    if found:
        raise WeightsError(
            f"{path} is not a checkpoint of {type(network).__name__}, the network asked for; "
            + "; ".join(found)
        )
    network.load_state_dict(state, strict=False)


def save_weights(path: Path, state: Mapping[str, Tensor], metadata: Mapping[str, object]) -> None:
    """Write parameters as float16 safetensors; the file is complete or absent.

    Args:
        path: A .safetensors file, made or replaced.
        state: Parameters by name.
        metadata: What JSON can hold, for `read_metadata`: the network's config, how it was trained.

    Raises:
        WeightsError: If a value does not fit into float16, or is not a number.
        OutputError: If the file cannot be written.
    """
    stored = {}
    for name, value in state.items():
        small = value.half() if value.is_floating_point() else value
        if not small.isfinite().all():
            raise WeightsError(
                f"cannot save {name} as float16: it holds values that are not finite or beyond "
                "65504; did the training diverge?"
            )
        # A copy: safetensors takes no tensors that share memory.
        stored[name] = small.detach().cpu().clone(memory_format=torch.contiguous_format)
    content = safetensors.torch.save(stored, {METADATA_KEY: json.dumps(dict(metadata))})
    with complete_or_absent(path) as temporary:
        temporary.write_bytes(content)


def read_metadata(path: Path) -> dict[str, Any]:
    """What `save_weights` was given beside the parameters; empty for a file not written by it.

    Raises:
        WeightsError: If the file is missing, damaged or not safetensors.
    """
    with _readable(path), safetensors.safe_open(path, framework="pt") as file:
        metadata: dict[str, Any] = json.loads((file.metadata() or {}).get(METADATA_KEY, "{}"))
    return metadata


@contextlib.contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Check that the file is there, and turn whatever reading it raises into a `WeightsError`."""
    if path.suffix not in (".safetensors", *PICKLE_SUFFIXES):
        raise WeightsError(f"weights must be a .safetensors, .pth or .pt file, got {path}")
    if not path.is_file():
        raise WeightsError(f"no weights at {path}: it is missing or not a file")
    try:
        yield
    except OSError as error:
        raise WeightsError(f"cannot read weights {path}: {error.strerror or error}") from error
    except Exception as error:  # a damaged pickle raises anything, from EOFError to IndexError
        raise WeightsError(
            f"{path} is damaged or not a {path.suffix} file of plain tensors; get it anew"
        ) from error


def _first(names: list[str]) -> str:
    shown = ", ".join(names[:NAMES_SHOWN])
    return shown if len(names) <= NAMES_SHOWN else f"{shown} and {len(names) - NAMES_SHOWN} more"
