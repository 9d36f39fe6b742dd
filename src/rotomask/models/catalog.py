"""Model names, what they are, and where their weights come from."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any

from torch import nn

from rotomask.errors import OptionError, WeightsError
from rotomask.models.base import Segmenter
from rotomask.models.checkpoints import load_into, read_metadata
from rotomask.models.device import choose_runtime
from rotomask.models.space_time import SpaceTimeConfig, SpaceTimeSegmenter
from rotomask.models.stm import STM
from rotomask.models.stm_lite import STMLite, STMLiteConfig

DEFAULT_MODEL = "stm-lite"


@dataclass(frozen=True)
class Model:
    """One line of the catalogue."""

    summary: str
    network: Callable[[dict[str, Any]], nn.Module]
    """Builds the network from the config that its weights carry."""
    shipped: bool
    """Whether its weights are part of the package."""
    config: SpaceTimeConfig
    """How the network is run unless the caller says otherwise."""


MODELS: dict[str, Model] = {
    "stm-lite": Model(
        "space-time memory for a plain CPU; the default",
        lambda config: STMLite(STMLiteConfig(**_tuples(config))),
        shipped=True,
        config=SpaceTimeConfig(),
    ),
    "stm": Model(
        "space-time memory as published (Oh et al. 2019), ResNet-50; bring STM_weights.pth",
        lambda _: STM(),
        shipped=False,
        config=SpaceTimeConfig(use_previous=True),
    ),
}


def load_model(
    name: str = DEFAULT_MODEL,
    *,
    weights: Path | str | None = None,
    device: str = "auto",
    precision: str = "auto",
    config: SpaceTimeConfig | None = None,
    **settings: object,
) -> Segmenter:
    """A segmenter, ready to `start`.

    Args:
        name: A name of `MODELS`.
        weights: A checkpoint to use in place of the shipped one.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        precision: ``auto``, ``float32`` or ``bfloat16``.
        config: How the network is run: processing size, memory, aggregation; by default as suits
            the model.
        **settings: Fields of `SpaceTimeConfig` that differ from it, such as ``size=360``.

    Raises:
        OptionError: If the name, device or precision is unknown.
        WeightsError: If there are no weights, or they are not this model's.
    """
    model = find_model(name)
    runtime = choose_runtime(device, precision)
    path = Path(weights) if weights is not None else shipped_weights(name)
    if path is None:
        raise WeightsError(f"{name} has no weights of ours; give a checkpoint with --weights FILE")
    stored = read_metadata(path) if path.suffix == ".safetensors" else {}
    network = model.network(stored.get("config", {}))
    load_into(network, path)
    chosen = replace(config or model.config, **settings)  # type: ignore[arg-type]
    return SpaceTimeSegmenter(network, chosen, runtime)


def find_model(name: str) -> Model:
    """The catalogue's entry of a name.

    Raises:
        OptionError: If there is none; the message lists the known names.
    """
    if name not in MODELS:
        raise OptionError(f"unknown model {name!r}; known models: {', '.join(MODELS)}")
    return MODELS[name]


def shipped_weights(name: str) -> Path | None:
    """The weights file of a model in the package; None where there is none."""
    if not find_model(name).shipped:
        return None
    return Path(str(resources.files("rotomask") / "weights" / f"{name}.safetensors"))


def model_card(name: str) -> dict[str, Any]:
    """What the shipped weights say of themselves: config, data, training, scores; else empty."""
    path = shipped_weights(name)
    return read_metadata(path) if path is not None else {}


def _tuples(config: dict[str, Any]) -> dict[str, Any]:
    """JSON gives lists where the configs have tuples."""
    return {k: tuple(v) if isinstance(v, list) else v for k, v in config.items()}
