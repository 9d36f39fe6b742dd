"""Model names, what they are, and where their weights come from."""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from importlib import resources
from pathlib import Path
from typing import Any

from torch import nn

from rotomask.errors import OptionError, WeightsError
from rotomask.networks.checkpoints import load_into, read_metadata
from rotomask.networks.embedding import EmbeddingConfig, EmbeddingNet
from rotomask.networks.oneshot_lite import OneShotLite, OneShotLiteConfig
from rotomask.networks.osvos import OSVOS, SLIM, OSVOSConfig
from rotomask.networks.precision import Runtime, choose_runtime
from rotomask.networks.rgmp import RGMP, RGMPConfig
from rotomask.networks.rgmp_lite import RGMPLite, RGMPLiteConfig
from rotomask.networks.stm import STM
from rotomask.networks.stm_lite import STMLite, STMLiteConfig
from rotomask.networks.stm_refine50 import STMRefine50, STMRefine50Config
from rotomask.segmenters.base import Segmenter
from rotomask.segmenters.fine_tuned import (
    OSVOS_FINE_TUNING,
    FineTunedSegmenter,
    FineTuningConfig,
)
from rotomask.segmenters.oneshot_boxes import OneShotBoxesConfig, one_shot_boxes
from rotomask.segmenters.reference_guided import ReferenceGuidedConfig, ReferenceGuidedSegmenter
from rotomask.segmenters.space_time import SpaceTimeConfig, SpaceTimeSegmenter
from rotomask.unsupervised.annotated import AnnotatedConfig, EmbeddingSegmenter

DEFAULT_MODEL = "stm-lite"

SegmenterConfig = SpaceTimeConfig | ReferenceGuidedConfig | FineTuningConfig | AnnotatedConfig
"""How a model is run over a video, each kind of segmenter its own."""


@dataclass(frozen=True)
class Model:
    """One line of the catalogue."""

    summary: str
    network: Callable[[dict[str, Any]], nn.Module]
    """Builds the network from the config that its weights carry."""
    shipped: bool
    """Whether its weights are part of the package."""
    segmenter: Callable[[nn.Module, Any, Runtime], Segmenter]
    """Runs the network over a video, given how and where."""
    config: SegmenterConfig
    """How the network is run unless the caller says otherwise."""
    weights_of: str | None = None
    """The model whose weights it has; None: its own."""


MODELS: dict[str, Model] = {
    "stm-lite": Model(
        "space-time memory for a plain CPU; the default",
        lambda config: STMLite(STMLiteConfig(**_tuples(config))),
        shipped=True,
        segmenter=SpaceTimeSegmenter,
        config=SpaceTimeConfig(),
    ),
    "stm": Model(
        "space-time memory as published (Oh et al. 2019), ResNet-50; bring STM_weights.pth",
        lambda _: STM(),
        shipped=False,
        segmenter=SpaceTimeSegmenter,
        config=SpaceTimeConfig(use_previous=True),
    ),
    "stm-refine50": Model(
        "stm with scale-aware features (after Yu et al. 2019); bring weights that you trained",
        lambda config: STMRefine50(STMRefine50Config(**config)),
        shipped=False,
        segmenter=SpaceTimeSegmenter,
        config=SpaceTimeConfig(use_previous=True),
    ),
    "rgmp-lite": Model(
        "reference-guided mask propagation for a plain CPU",
        lambda config: RGMPLite(RGMPLiteConfig(**_tuples(config))),
        shipped=True,
        segmenter=ReferenceGuidedSegmenter,
        config=ReferenceGuidedConfig(reach=0.3),
    ),
    "rgmp": Model(
        "reference-guided mask propagation (Oh et al. 2018), ResNet-50; bring weights.pth",
        lambda config: RGMP(RGMPConfig(**config)),
        shipped=False,
        segmenter=ReferenceGuidedSegmenter,
        config=ReferenceGuidedConfig(),
    ),
    "oneshot": Model(
        "an appearance network fine-tuned on the first frame, for a plain CPU",
        lambda config: OneShotLite(OneShotLiteConfig(**_tuples(config))),
        shipped=True,
        segmenter=FineTunedSegmenter,
        config=FineTuningConfig(),
    ),
    "oneshot-boxes": Model(
        "oneshot, filtered by the boxes of a detector; --detector chooses which",
        lambda config: OneShotLite(OneShotLiteConfig(**_tuples(config))),
        shipped=True,
        segmenter=one_shot_boxes,
        config=OneShotBoxesConfig(),
        weights_of="oneshot",
    ),
    "osvos": Model(
        "one-shot segmentation (Caelles et al. 2017), VGG-16; bring parent_epoch-240.pth",
        lambda config: OSVOS(OSVOSConfig(**config)),
        shipped=False,
        segmenter=FineTunedSegmenter,
        config=OSVOS_FINE_TUNING,
    ),
    "osvos-slim": Model(
        "osvos with side features one channel deep; bring weights that you trained",
        lambda config: OSVOS(OSVOSConfig(**config) if config else SLIM),
        shipped=False,
        segmenter=FineTunedSegmenter,
        config=OSVOS_FINE_TUNING,
    ),
    "embedding": Model(
        "instance embeddings learnt from stills (Li et al. 2018); needs no mask",
        lambda config: EmbeddingNet(EmbeddingConfig(**_tuples(config))),
        shipped=True,
        segmenter=EmbeddingSegmenter,
        config=AnnotatedConfig(),
    ),
}


def load_model(
    name: str = DEFAULT_MODEL,
    *,
    weights: Path | str | None = None,
    device: str = "auto",
    precision: str = "auto",
    config: SegmenterConfig | None = None,
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
        **settings: Fields of the model's config that differ from it, such as ``size=360``.

    Raises:
        OptionError: If the name, device, precision or a setting is unknown.
        WeightsError: If there are no weights, or they are not this model's.
    """
    model = find_model(name)
    chosen = _choose_config(name, config or model.config, settings)
    runtime = choose_runtime(device, precision)
    return model.segmenter(load_network(name, weights), chosen, runtime)


def load_network(name: str, weights: Path | str | None = None) -> nn.Module:
    """The network of a model with its weights.

    Raises:
        OptionError: If the name is unknown.
        WeightsError: If there are no weights, or they are not this model's.
    """
    model = find_model(name)
    path = Path(weights) if weights is not None else shipped_weights(name)
    if path is None:
        raise WeightsError(f"{name} has no weights of ours; give a checkpoint with --weights FILE")
    stored = read_metadata(path) if path.suffix == ".safetensors" else {}
    network = model.network(stored.get("config", {}))
    load_into(network, path)
    return network


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
    model = find_model(name)
    if not model.shipped:
        return None
    return Path(
        str(resources.files("rotomask") / "weights" / f"{model.weights_of or name}.safetensors")
    )


def model_card(name: str) -> dict[str, Any]:
    """What the shipped weights say of themselves: config, data, training, scores; else empty."""
    path = shipped_weights(name)
    return read_metadata(path) if path is not None else {}


def _choose_config(
    name: str, config: SegmenterConfig, settings: dict[str, object]
) -> SegmenterConfig:
    """The config with the settings in it, if they are of the model's kind."""
    kind = type(find_model(name).config)
    if not isinstance(config, kind):
        raise OptionError(f"{name} is run by a {kind.__name__}, got a {type(config).__name__}")
    known = [field.name for field in fields(kind)]
    unknown = [setting for setting in settings if setting not in known]
    if unknown:
        raise OptionError(f"{name} has no setting {unknown[0]!r}; it has {', '.join(known)}")
    return replace(config, **settings)  # type: ignore[arg-type]


def _tuples(config: dict[str, Any]) -> dict[str, Any]:
    """JSON gives lists where the configs have tuples."""
    return {k: tuple(v) if isinstance(v, list) else v for k, v in config.items()}
