"""Hardware of a training run, and Lightning Fabric on it."""

import logging
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from rotomask.errors import OptionError
from rotomask.networks.precision import choose_runtime

if TYPE_CHECKING:
    from lightning_fabric import Fabric

Precision = Literal["auto", "bf16-mixed", "32-true"]


@dataclass(frozen=True, kw_only=True)
class Hardware:
    """What a run may use; the recipe does not depend on it, but for the number of processes."""

    accelerator: str = "auto"
    """``auto``, ``cpu``, ``cuda`` or ``mps``."""
    devices: int = 1
    """Processes on each machine, one a GPU or, on the CPU, one a group of cores."""
    nodes: int = 1
    """Machines. The run starts on each by SLURM, torchrun or by hand (docs/guide/training.md)."""
    precision: Precision = "auto"
    """``auto``: bfloat16 where the processor computes in it, as `choose_runtime` says."""
    workers: int = 1
    """Loader processes beside each training process."""


def choose_hardware(
    accelerator: str, devices: int, precision: str, workers: int, nodes: int = 1
) -> Hardware:
    """Hardware by the names of the command line.

    Raises:
        OptionError: If a name is unknown or a number too small.
    """
    precisions: dict[str, Precision] = {
        "auto": "auto",
        "bfloat16": "bf16-mixed",
        "float32": "32-true",
    }
    if precision not in precisions:
        raise OptionError(f"unknown precision {precision!r}; use {', '.join(precisions)}")
    if accelerator not in ("auto", "cpu", "cuda", "mps"):
        raise OptionError(f"unknown accelerator {accelerator!r}; use auto, cpu, cuda or mps")
    if devices < 1 or nodes < 1 or workers < 0:
        raise OptionError(
            f"need at least 1 device, 1 node and 0 workers, got {devices}, {nodes} and {workers}"
        )
    return Hardware(
        accelerator=accelerator,
        devices=devices,
        nodes=nodes,
        precision=precisions[precision],
        workers=workers,
    )


def check_packages() -> None:
    """Check that the packages of the extra `train` are there.

    Raises:
        OptionError: If one is not.
    """
    if find_spec("lightning_fabric") is None or find_spec("tensorboardX") is None:
        raise OptionError("training needs further packages: pip install 'rotomask[train]'")


def open_fabric(hardware: Hardware, folder: Path) -> "Fabric":
    """Fabric on this hardware, launched.

    Raises:
        OptionError: If the accelerator, the precision or a package is not available.
    """
    check_packages()
    from lightning_fabric import Fabric
    from lightning_fabric.loggers.tensorboard import TensorBoardLogger

    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    try:
        fabric = Fabric(
            accelerator=hardware.accelerator,
            devices=hardware.devices,
            num_nodes=hardware.nodes,
            strategy="ddp" if hardware.devices * hardware.nodes > 1 else "auto",
            precision=_precision(hardware),
            loggers=TensorBoardLogger(root_dir=folder, name="tensorboard", version=""),
        )
    except (RuntimeError, ValueError) as error:
        raise OptionError(
            f"cannot train on {hardware.devices} × {hardware.accelerator} with "
            f"{hardware.precision}: {error}"
        ) from error
    fabric.launch()
    return fabric


def _precision(hardware: Hardware) -> Literal["bf16-mixed", "32-true"]:
    """The precision asked for, or the one that `cut` would choose on this device."""
    if hardware.precision != "auto":
        return hardware.precision
    runtime = choose_runtime(hardware.accelerator)
    return "bf16-mixed" if runtime.precision == "bfloat16" else "32-true"
