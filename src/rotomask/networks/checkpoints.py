"""Weights on disk: our own as safetensors in float16 or 8 bits, the papers' authors' as published.

A .pth or .pt file is read with ``weights_only=True``: no code from it is run. The prefix `module.`,
which DataParallel puts before every parameter name, is removed.
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
from rotomask.files import access_fault, complete_or_absent
from rotomask.memory import memory_errors

PICKLE_SUFFIXES = (".pth", ".pt")
METADATA_KEY = "rotomask"
SCALE_SUFFIX = ":scale"
"""After the name of a weight in 8 bits: the name of its scales. Parameter names have no colon."""
NAMES_SHOWN = 3


def load_state(path: Path) -> dict[str, Tensor]:
    """Parameters of a checkpoint by name, on the CPU.

    Args:
        path: A .safetensors, .pth or .pt file that holds only named tensors.

    Returns:
        Floating-point tensors and weights in 8 bits converted to float32; others with their stored
        dtype.

    Raises:
        WeightsError: If the file is missing, damaged, not a state dict, or has values that are not
            finite.
        MemoryError: If there is no memory for it.
    """
    with _readable(path):
        if path.suffix == ".safetensors":
            stored: object = safetensors.torch.load_file(path)
        else:
            # weights_only: a pickle may run any code when it is read, this reader makes tensors
            # only.
            stored = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(stored, Mapping) or not all(isinstance(v, Tensor) for v in stored.values()):
        raise WeightsError(
            f"{path} holds more than named tensors; pass a file with only the network's state dict"
        )
    infinite = [str(name) for name, value in stored.items() if not value.isfinite().all()]
    if infinite:
        raise WeightsError(
            f"{path} has values that are not finite, in {_first(infinite)}; the training diverged "
            "or the file is damaged, use another checkpoint"
        )
    stored = _without_scales(path, stored)
    return {
        # DataParallel puts `module.` before every name, as in the authors' files.
        str(name).removeprefix("module."): value.float() if value.is_floating_point() else value
        for name, value in stored.items()
    }


def load_into(network: nn.Module, path: Path) -> None:
    """Load a checkpoint into a network; parameter names and shapes must match exactly.

    Batch norm counters (`num_batches_tracked`) may be missing: PyTorch before 0.4.1 saved none.

    Raises:
        WeightsError: If the file cannot be read or belongs to another network.
        MemoryError: If there is no memory for it.
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
    differences = [f"{fault}: {_first(names)}" for fault, names in faults.items() if names]
    if differences:
        raise WeightsError(
            f"{path} is not a checkpoint of {type(network).__name__}, the requested network; "
            + "; ".join(differences)
        )
    # Not strict only for the counters that old files lack; all else was compared above.
    network.load_state_dict(state, strict=False)


def save_weights(
    path: Path,
    state: Mapping[str, Tensor],
    metadata: Mapping[str, object],
    *,
    eight_bit: bool = False,
) -> None:
    """Write parameters as float16 safetensors; the file is complete or absent.

    Args:
        path: The .safetensors file to write; an existing one is replaced.
        state: Parameters by name.
        metadata: JSON-serialisable settings for `read_metadata`: the network's config, how it was
            trained.
        eight_bit: Store weights of two dimensions or more as int8, with a float32 scale for each
            output channel (the first axis): half of the size, and values at most 1/254 of the
            channel's largest away.

    Raises:
        WeightsError: If a value is not finite or exceeds the range of float16.
        OutputError: If the file cannot be written.
    """
    stored = {}
    for name, value in state.items():
        half = value.half() if value.is_floating_point() else value
        if not half.isfinite().all():
            raise WeightsError(
                f"cannot save {name} as float16: some values are not finite or beyond 65504; "
                "check whether the training diverged"
            )
        if eight_bit and value.is_floating_point() and value.dim() >= 2:
            stored[name], stored[name + SCALE_SUFFIX] = _in_eight_bits(value)
            continue
        # Clone: safetensors refuses tensors that share memory.
        stored[name] = half.detach().cpu().clone(memory_format=torch.contiguous_format)
    content = safetensors.torch.save(stored, {METADATA_KEY: json.dumps(dict(metadata))})
    with complete_or_absent(path) as temporary:
        temporary.write_bytes(content)


def read_metadata(path: Path) -> dict[str, Any]:
    """The `metadata` passed to `save_weights`; empty for files from elsewhere.

    Raises:
        WeightsError: If the file is missing, damaged or not safetensors.
        MemoryError: If there is no memory to read it.
    """
    with _readable(path), safetensors.safe_open(path, framework="pt") as file:
        metadata = json.loads((file.metadata() or {}).get(METADATA_KEY, "{}"))
    if not isinstance(metadata, dict):
        raise WeightsError(
            f"{path} has settings that are no JSON object; it was written by another program"
        )
    return metadata


@contextlib.contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Check that the file exists, and convert exceptions of its reader to `WeightsError`.

    A lack of memory is no fault of the file and stays a `MemoryError`.
    """
    if path.suffix not in (".safetensors", *PICKLE_SUFFIXES):
        raise WeightsError(f"weights must be a .safetensors, .pth or .pt file, got {path}")
    fault = access_fault(path)
    if fault and "cannot" in fault:
        raise WeightsError(f"weights {path} {fault}")
    if not path.is_file():
        raise WeightsError(f"no weights at {path}: the path is missing or not a file")
    try:
        with memory_errors(path):
            yield
    except MemoryError:
        raise
    except OSError as error:
        raise WeightsError(f"cannot read weights {path}: {error.strerror or error}") from error
    except Exception as error:  # a damaged pickle raises anything, from EOFError to IndexError
        raise WeightsError(
            f"{path} is damaged or not a {path.suffix} file of plain tensors; download it again"
        ) from error


def _in_eight_bits(weight: Tensor) -> tuple[Tensor, Tensor]:
    """A weight C×... as int8, and its scales, C, float32."""
    rows = weight.detach().float().cpu().flatten(1)
    scale = (rows.abs().amax(1) / 127).clamp_min(torch.finfo(torch.float32).tiny)
    return (rows / scale[:, None]).round().to(torch.int8).view(weight.shape), scale


def _without_scales(path: Path, stored: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What a file stores, with weights in 8 bits multiplied by their scales."""
    values = {name: value for name, value in stored.items() if not name.endswith(SCALE_SUFFIX)}
    for name, scale in stored.items():
        weight = name.removesuffix(SCALE_SUFFIX)
        if weight == name:
            continue
        value = values.get(weight)
        if value is None or value.dim() < 2 or scale.shape != value.shape[:1]:
            raise WeightsError(f"{path} has scales of {weight} that do not fit it; it is damaged")
        values[weight] = (value.flatten(1).float() * scale[:, None]).view(value.shape)
    return values


def _first(names: list[str]) -> str:
    text = ", ".join(names[:NAMES_SHOWN])
    return text if len(names) <= NAMES_SHOWN else f"{text} and {len(names) - NAMES_SHOWN} more"
