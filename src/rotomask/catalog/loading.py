"""Networks, segmenters, detectors and other tools by name, with their weights."""

from importlib import resources
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from torch import nn

from rotomask.catalog.entries import RoleName, SegmenterRole
from rotomask.catalog.settings import with_settings
from rotomask.catalog.table import (
    CATALOG,
    DEFAULT_DETECTOR,
    DEFAULT_EDGE_DETECTOR,
    DEFAULT_FINDER,
    DEFAULT_FLOW,
    DEFAULT_MARKER,
    DEFAULT_MODEL,
    find,
    names,
    segmenter_role,
)
from rotomask.detection.detector import Detector, NoDetector
from rotomask.edges.edge_detector import EdgeDetector
from rotomask.errors import OptionError, WeightsError
from rotomask.flow.optical_flow import OpticalFlow
from rotomask.memory import is_out_of_memory
from rotomask.networks.checkpoints import load_into, read_metadata
from rotomask.networks.int8 import read_ranges
from rotomask.networks.precision import BACKENDS, Runtime, choose_runtime
from rotomask.prompts.marker import Marker
from rotomask.segmenters.base import Segmenter
from rotomask.segmenters.refinements import TRACKED
from rotomask.unsupervised.base import Discoverer

MORE_WEIGHTS = "rotomask_weights"
"""Module of the package with the weights that the wheel of rotomask leaves out."""
TORCHVISION = "torchvision:"


def load(
    role: RoleName,
    name: str,
    /,
    *,
    weights: Path | str | None = None,
    device: str = "auto",
    precision: str = "auto",
    backend: str = "torch",
    config: Any = None,
    learns: bool = False,
    **settings: object,
) -> Any:
    """A tool of the catalogue, ready to use; `load_model` and its like name its type.

    Args:
        role: What the entry is used as.
        name: An entry that has this role.
        weights: A checkpoint to use in place of the shipped one.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        precision: ``auto``, ``float32`` or ``bfloat16``.
        backend: What computes the network: a name of `networks.precision.BACKENDS`.
        config: Config to use in place of the entry's own.
        learns: A segmenter's network will be trained on, so that its weights stay in float32.
        **settings: Fields of the config that differ from it, such as ``size=360``.

    Raises:
        OptionError: If the name, device, precision, back end or a setting is unknown, or weights
            are given where nothing is learnt, or the back end is not for this model.
        WeightsError: If there are no weights, or they are another network's.
    """
    entry = find(name, role)
    use = entry.roles[role]
    kind = type(use.config)
    if config is not None and not isinstance(config, kind):
        raise OptionError(f"{name} takes a {kind.__name__}, got a {type(config).__name__}")
    configured = with_settings(config or use.config, settings, name)
    runtime = choose_runtime(device, precision)
    without = entry.network is None and weights is None
    network = None if without else load_network(name, weights)
    if backend != "torch":
        network = _on_back_end(backend, name, network, runtime, has_own_weights=weights is not None)
    is_fixed = isinstance(use, SegmenterRole) and not (learns or use.learns_reference)
    if network is not None and is_fixed and backend == "torch":
        runtime.hold_weights(network)
    return use.build(network, configured, runtime)


def load_model(name: str = DEFAULT_MODEL, **options: Any) -> Segmenter:
    """A segmenter, ready to `start`; `rotomask.load_model` adds refinements to it.

    Args:
        name: An entry that is a segmenter: ``stm-lite``, ``rgmp-lite``, ``oneshot`` ...
        **options: As for `load`, which also lists the errors.
    """
    segmenter: Segmenter = load("segmenter", name, **options)
    return segmenter


def load_discoverer(name: str = DEFAULT_FINDER, **options: Any) -> Discoverer:
    """A method without annotation, ready to `discover`; `rotomask.load_discoverer` also follows.

    Args:
        name: An entry that is a discoverer: ``embedding`` or ``flow-saliency``.
        **options: As for `load`, which also lists the errors.
    """
    discoverer: Discoverer = load("discoverer", name, **options)
    return discoverer


def load_marker(name: str = DEFAULT_MARKER, **options: Any) -> Marker:
    """A marker, ready to `open` a frame.

    Args:
        name: An entry that marks objects by prompts: ``click-lite``, ``click-lite-learning`` or
            ``grabcut``.
        **options: As for `load`, which also lists the errors.
    """
    marker: Marker = load("interactive", name, **options)
    return marker


def load_flow(
    name: str = DEFAULT_FLOW, *, precision: str = "float32", **options: Any
) -> OpticalFlow:
    """An optical flow estimator, ready to `estimate`.

    Args:
        name: ``dis``, ``flow-lite`` or ``dis+flow-lite``; DIS runs on the CPU.
        precision: ``float32``, ``bfloat16`` or ``auto``. Fractions of a pixel want float32.
        **options: As for `load`, which also lists the errors.
    """
    estimator: OpticalFlow = load("flow", name, precision=precision, **options)
    return estimator


def load_edge_detector(name: str = DEFAULT_EDGE_DETECTOR, **options: Any) -> EdgeDetector:
    """A detector of objects' outlines, ready to `detect`.

    Args:
        name: ``edges-lite`` or ``edges-flow-lite``.
        **options: As for `load`, which also lists the errors; settings are the fields of
            `EdgeDetectorConfig`.
    """
    detector: EdgeDetector = load("edges", name, **options)
    return detector


def load_detector(
    name: str = DEFAULT_DETECTOR,
    *,
    weights: Path | str | None = None,
    device: str = "auto",
    precision: str = "auto",
    **settings: Any,
) -> Detector:
    """A detector, ready to `detect`.

    Args:
        name: ``detector-lite``; a .safetensors file that training it gave; a detector's .onnx file
            (`detection.onnx_file` says which); or ``torchvision:NAME``, ``torchvision:NAME:FILE``
            with a checkpoint, where torchvision is installed.
        weights: As for `load`; not with a file or torchvision.
        device: As for `load`; onnxruntime selects it by itself.
        precision: As for `load`.
        **settings: Fields of `LiteConfig`, for detector-lite.

    Raises:
        OptionError: If the name or a setting is unknown, or what it needs is not installed.
        WeightsError: If the file is missing, or not a detector's.
    """
    foreign = _foreign_detector(name, device, precision)
    if foreign is not None:
        if weights is not None or settings:
            raise OptionError(f"{name} takes no weights or settings; only {DEFAULT_DETECTOR} does")
        return foreign
    if name not in CATALOG and name.endswith(".safetensors"):
        name, weights = DEFAULT_DETECTOR, name
    if name not in CATALOG:
        raise OptionError(
            f"unknown detector {name!r}; give {', '.join(names('detector'))}, a .onnx or "
            f".safetensors file, or {TORCHVISION}NAME"
        )
    detector: Detector = load(
        "detector", name, weights=weights, device=device, precision=precision, **settings
    )
    return detector


def load_boxes(boxes: str, *, device: str = "auto", precision: str = "auto") -> Detector:
    """The detector of a box filter.

    Args:
        boxes: ``tracked``: no detector, so that an object's box is tracked from its first mask; or
            a name that `load_detector` takes.
        device: As for `load_model`.
        precision: As for `load_model`.

    Raises:
        OptionError: As `load_detector`.
        WeightsError: As `load_detector`.
    """
    if boxes == TRACKED:
        return NoDetector()
    return load_detector(boxes, device=device, precision=precision)


def load_network(name: str, weights: Path | str | None = None) -> nn.Module:
    """The network of an entry with its weights, on the CPU.

    Args:
        name: A name of `CATALOG`.
        weights: A checkpoint to use in place of the shipped one.

    Raises:
        OptionError: If the name is unknown, or nothing is learnt there.
        WeightsError: If there are no weights, or they are another network's.
    """
    build = find(name).network
    if build is None:
        raise OptionError(f"{name} has no network and takes no weights; leave --weights out")
    path = Path(weights) if weights is not None else shipped_weights(name)
    if path is None:
        raise WeightsError(f"{name} has no shipped weights; give a checkpoint with --weights FILE")
    if weights is None and not path.is_file():
        raise WeightsError(
            f"the weights of {name} are in a package of their own; install it with: pip install "
            "rotomask-weights (in a checkout: pip install ./weights)"
        )
    stored = read_metadata(path) if path.suffix == ".safetensors" else {}
    try:
        network = build(stored.get("config", {}))
    except Exception as error:  # another network's config, or that of a newer version
        if is_out_of_memory(error):
            raise
        model = stored.get("model", "another network")
        raise WeightsError(
            f"{path} is a checkpoint of {model}, not of {name}"
            if model != name
            else f"{path} has settings of {name} that this version does not know ({error}); "
            "update rotomask, or use another checkpoint"
        ) from error
    load_into(network, path)
    return network


def shipped_weights(name: str) -> Path | None:
    """The weights file of an entry; None where the user brings the weights.

    It is in the package, or in the package `rotomask-weights` where that is installed.

    Raises:
        OptionError: If the name is unknown.
    """
    stem = find(name).weights
    if stem is None:
        return None
    path = Path(str(resources.files("rotomask") / "weights" / f"{stem}.safetensors"))
    if not path.is_file() and find_spec(MORE_WEIGHTS) is not None:
        return Path(str(resources.files(MORE_WEIGHTS) / path.name))
    return path


def model_card(name: str) -> dict[str, Any]:
    """Config, data, training and scores stored with an entry's shipped weights; else empty.

    Raises:
        OptionError: If the name is unknown.
    """
    path = shipped_weights(name)
    return read_metadata(path) if path is not None and path.is_file() else {}


def _on_back_end(
    backend: str, name: str, network: nn.Module | None, runtime: Runtime, *, has_own_weights: bool
) -> nn.Module:
    """The network of a segmenter as another back end than PyTorch computes it."""
    if backend not in BACKENDS:
        raise OptionError(f"unknown back end {backend!r}; use {', '.join(BACKENDS)}")
    role = CATALOG[name].segmenter
    if role is None or role.openvino is None or network is None:
        able = [n for n in names("segmenter") if segmenter_role(n).openvino is not None]
        raise OptionError(
            f"{name} has no back end {backend}; it is for {', '.join(able)}, leave --backend out"
        )
    if backend == "openvino":
        return role.openvino(network, runtime)
    if role.int8_ranges is None or has_own_weights:
        raise OptionError(
            f"{backend} is for the shipped weights, whose ranges were measured; with --weights "
            "use --backend openvino"
        )
    file = resources.files("rotomask") / "weights" / f"{role.int8_ranges}.json"
    return role.openvino(network, runtime, read_ranges(Path(str(file))))


def _foreign_detector(name: str, device: str, precision: str) -> Detector | None:
    """The detector of a name that is a file of another library or torchvision's; else None."""
    if name.startswith(TORCHVISION):
        from rotomask.detection.torchvision_detector import load_torchvision

        model, _, file = name.removeprefix(TORCHVISION).partition(":")
        runtime = choose_runtime(device, precision)
        return load_torchvision(model, Path(file) if file else None, runtime)
    if name.lower().endswith(".onnx"):
        from rotomask.detection.onnx_file import OnnxDetector

        choose_runtime(device, precision)  # an unknown device is an error here too
        return OnnxDetector(name)
    return None
