"""The device, the precision and the back end in which a network runs."""

import contextlib
import functools
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from rotomask.errors import OptionError
from rotomask.threads import compute_alone

DeviceName = Literal["auto", "cpu", "cuda", "mps"]
Precision = Literal["auto", "float32", "bfloat16"]
Backend = Literal["torch", "openvino", "openvino-int8"]
BACKENDS: dict[str, str] = {
    "torch": "PyTorch",
    "openvino": "OpenVINO, in float",
    "openvino-int8": "OpenVINO, with 8-bit integers",
}
"""Each back end and what it is, for help texts."""


@dataclass(frozen=True)
class Runtime:
    """A device and a precision."""

    device: torch.device
    precision: Literal["float32", "bfloat16"]

    def autocast(self) -> torch.autocast:
        """A context in which layers compute in bfloat16 if that is the precision."""
        return torch.autocast(self.device.type, torch.bfloat16, self.precision == "bfloat16")

    @contextlib.contextmanager
    def inference(self) -> Iterator[None]:
        """A context for inference: no gradients, and `autocast`."""
        # inference_mode rather than no_grad: tensors made in it skip version counting as well.
        with torch.inference_mode(), self.autocast():
            yield

    def hold_weights(self, network: nn.Module) -> None:
        """Hold weights of convolutions and linear layers in the type in which `autocast` computes.

        In bfloat16 they take half of the memory, and outputs are the same to the bit, as these
        layers would convert them in each call. A network that is to be trained needs float32.

        Args:
            network: Changed in place.
        """
        if self.precision == "float32":
            return
        for layer in network.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                layer.to(torch.bfloat16)


def choose_runtime(device: str = "auto", precision: str = "auto") -> Runtime:
    """The device and precision for the given options.

    Args:
        device: ``auto`` (CUDA, else Apple's MPS, else the CPU), ``cpu``, ``cuda``, ``cuda:1`` or
            ``mps``.
        precision: ``auto`` (bfloat16 where it is faster, else float32), ``float32`` or
            ``bfloat16``.

    Raises:
        OptionError: If a name is unknown or the device is not available.
    """
    _compute_alone_after_fork()
    if precision not in ("auto", "float32", "bfloat16"):
        raise OptionError(f"unknown precision {precision!r}; use auto, float32 or bfloat16")
    selected = _select_device(device)
    if precision == "auto":
        return Runtime(selected, "bfloat16" if _computes_bfloat16(selected) else "float32")
    return Runtime(selected, "bfloat16" if precision == "bfloat16" else "float32")


@functools.cache
def _compute_alone_after_fork() -> None:
    """Let a process forked from this one compute with one thread; it would hang with more."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=compute_alone)


def _select_device(name: str) -> torch.device:
    has_cuda, has_mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if name == "auto":
        return torch.device("cuda" if has_cuda else "mps" if has_mps else "cpu")
    kind = name.partition(":")[0]
    if kind not in ("cpu", "cuda", "mps"):
        raise OptionError(f"unknown device {name!r}; use auto, cpu, cuda or mps")
    if (kind == "cuda" and not has_cuda) or (kind == "mps" and not has_mps):
        raise OptionError(f"there is no {kind} device here; use --device auto or cpu")
    try:
        return torch.device(name)
    except RuntimeError as error:
        raise OptionError(f"unknown device {name!r}; use auto, cpu, cuda or mps") from error


def _computes_bfloat16(device: torch.device) -> bool:
    """True if the device has bfloat16 arithmetic, so that it is faster than float32.

    Every CPU can emulate bfloat16, but then it is slower.
    """
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    if device.type == "mps":
        return False
    capabilities = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    # AMX and AVX-512 on x86, BF16 on Arm.
    return any(capabilities.get(k, False) for k in ("amx_bf16", "avx512_bf16", "bf16"))
