"""The models that say something of single frames, by name, as `catalog` has the segmenters."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

from torch import nn

from rotomask.edges.edge_detector import EdgeDetector
from rotomask.errors import OptionError
from rotomask.networks.checkpoints import load_into, read_metadata
from rotomask.networks.hepspnet import EdgeConfig, HEPSPNet
from rotomask.networks.precision import choose_runtime

Network = TypeVar("Network", bound=nn.Module)


@dataclass(frozen=True)
class FrameModel:
    """One line of the catalogue."""

    summary: str
    kind: type[nn.Module]
    network: Callable[[dict[str, Any]], nn.Module]
    """Builds the network from the config that its weights carry."""


def _edges(config: dict[str, Any]) -> nn.Module:
    return HEPSPNet(EdgeConfig(**_tuples(config)))


FRAME_MODELS: dict[str, FrameModel] = {
    "edges-lite": FrameModel(
        "outlines of objects (HED on a light PSPNet), from a frame", HEPSPNet, _edges
    ),
    "edges-flow-lite": FrameModel("the same, from a frame and its flow", HEPSPNet, _edges),
}


def load_edge_detector(
    name: str = "edges-lite",
    *,
    weights: Path | str | None = None,
    device: str = "auto",
    precision: str = "auto",
    size: int | None = 480,
) -> EdgeDetector:
    """What finds the outlines of objects in a frame, ready to `detect`.

    Args:
        name: ``edges-lite`` or ``edges-flow-lite``.
        weights: A checkpoint to use in place of the shipped one.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        precision: ``auto``, ``float32`` or ``bfloat16``.
        size: Short side to which larger frames are reduced, px; None: they are not.

    Raises:
        OptionError: If the name, device or precision is unknown.
        WeightsError: If the weights cannot be read or are of another network.
    """
    network = _load(name, weights, HEPSPNet)
    return EdgeDetector(network, choose_runtime(device, precision), size=size)


def frame_model_weights(name: str) -> Path:
    """The shipped weights of a model.

    Raises:
        OptionError: If there is no such model; the message lists the known ones.
    """
    if name not in FRAME_MODELS:
        raise OptionError(f"unknown model {name!r}; known models: {', '.join(FRAME_MODELS)}")
    return Path(str(resources.files("rotomask") / "weights" / f"{name}.safetensors"))


def frame_model_card(name: str) -> dict[str, Any]:
    """What the shipped weights say of themselves: config, data, training, scores."""
    return read_metadata(frame_model_weights(name))


def _load(name: str, weights: Path | str | None, kind: type[Network]) -> Network:
    path = frame_model_weights(name)
    model = FRAME_MODELS[name]
    if not issubclass(model.kind, kind):
        fitting = [k for k, m in FRAME_MODELS.items() if issubclass(m.kind, kind)]
        raise OptionError(f"{name} is a model of another kind; use {' or '.join(fitting)}")
    path = Path(weights) if weights is not None else path
    stored = read_metadata(path) if path.suffix == ".safetensors" else {}
    network = model.network(stored.get("config", {}))
    assert isinstance(network, kind)
    load_into(network, path)
    return network


def _tuples(config: dict[str, Any]) -> dict[str, Any]:
    """JSON gives lists where the configs have tuples."""
    return {k: tuple(v) if isinstance(v, list) else v for k, v in config.items()}
