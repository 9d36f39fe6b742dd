"""Everything that has a name: one table, from a name to what it is, its network and its weights.

The command line and `load_model`, `load_discoverer`, `load_detector`, `load_flow` and
`load_edge_detector` take these names; Python code may use the classes themselves. A new network is
its own file and an entry here.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from importlib import resources
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

from torch import nn

from rotomask.detection.detector import Detector, NoDetector
from rotomask.detection.lite import LiteConfig, LiteDetector
from rotomask.edges.edge_detector import EdgeDetector, EdgeDetectorConfig
from rotomask.errors import OptionError, WeightsError
from rotomask.flow.learned_flow import LearnedFlow
from rotomask.flow.optical_flow import DISFlow, OpticalFlow
from rotomask.networks.checkpoints import load_into, read_metadata
from rotomask.networks.click_lite import ClickLite, ClickLiteConfig
from rotomask.networks.detector_lite import DetectorLite, DetectorLiteConfig
from rotomask.networks.embedding import EmbeddingConfig, EmbeddingNet
from rotomask.networks.flow_lite import FlowLite, FlowLiteConfig
from rotomask.networks.hepspnet import EdgeConfig, HEPSPNet
from rotomask.networks.oneshot_lite import OneShotLite, OneShotLiteConfig
from rotomask.networks.osvos import OSVOS, SLIM, OSVOSConfig
from rotomask.networks.precision import Runtime, choose_runtime
from rotomask.networks.rgmp import RGMP, RGMPConfig
from rotomask.networks.rgmp_lite import RGMPLite, RGMPLiteConfig
from rotomask.networks.stm import STM, STMConfig
from rotomask.networks.stm_lite import STMLite, STMLiteConfig
from rotomask.networks.stm_refine50 import STMRefine50, STMRefine50Config
from rotomask.prompts.click_marker import ClickMarker, ClickMarkerConfig
from rotomask.prompts.grabcut import GrabCutConfig, GrabCutMarker
from rotomask.prompts.learning import LearningConfig
from rotomask.prompts.marker import Marker
from rotomask.refine.box_filters import FOLLOWING, BoxFilterConfig
from rotomask.segmenters.base import Segmenter
from rotomask.segmenters.box_filtered import BoxFiltered
from rotomask.segmenters.fine_tuned import (
    OSVOS_FINE_TUNING,
    FineTunedSegmenter,
    FineTuningConfig,
)
from rotomask.segmenters.oneshot_boxes import OneShotBoxesConfig
from rotomask.segmenters.reference_guided import ReferenceGuidedConfig, ReferenceGuidedSegmenter
from rotomask.segmenters.refinements import TRACKED
from rotomask.segmenters.space_time import SpaceTimeConfig, SpaceTimeSegmenter
from rotomask.unsupervised.base import Discoverer
from rotomask.unsupervised.config import DiscoveryConfig
from rotomask.unsupervised.embedding_discoverer import EmbeddingDiscoverer
from rotomask.unsupervised.embedding_segmenter import AnnotatedConfig, EmbeddingSegmenter
from rotomask.unsupervised.flow_saliency import FlowSaliencyConfig, FlowSaliencyDiscoverer

DEFAULT_MODEL = "stm-lite"
DEFAULT_FINDER = "embedding"
DEFAULT_DISCOVERER = "embedding+stm-lite"
DEFAULT_DETECTOR = "detector-lite"
DEFAULT_FLOW = "dis"
DEFAULT_EDGE_DETECTOR = "edges-lite"
DEFAULT_MARKER = "click-lite"
TORCHVISION = "torchvision:"
THEN = "+"
"""Between a discoverer and the segmenter that follows what it finds: ``embedding+rgmp-lite``."""

RoleName = Literal["segmenter", "discoverer", "interactive", "detector", "flow", "edges"]
ROLES: dict[RoleName, str] = {
    "segmenter": "model",
    "discoverer": "discoverer",
    "interactive": "marker",
    "detector": "detector",
    "flow": "flow estimator",
    "edges": "edge detector",
}
"""What an entry can be used as, and how messages call it."""

Tool = TypeVar("Tool")
Settings = TypeVar("Settings")
NetworkBuilder = Callable[[Mapping[str, Any]], nn.Module]


@dataclass(frozen=True, kw_only=True)
class Role(Generic[Tool]):
    """One use of an entry."""

    build: Callable[[Any, Any, Runtime], Tool]
    """From the network (None where there is none to learn), the config and the runtime."""
    config: Any
    """Default config: a frozen dataclass of the settings that `load_model` and its like take."""


@dataclass(frozen=True, kw_only=True)
class SegmenterRole(Role[Segmenter]):
    """Follows annotated objects through a video."""

    averages_scales: bool = False
    """Averages over its setting ``scales`` itself, before it goes on to the next frame (RGMP)."""
    learns_reference: bool = False
    """Always learns from the annotated frame: settings ``iterations`` and ``seconds`` (OSVOS)."""
    learns_online: bool = False
    """Its decoder can be fine-tuned on the annotated frame (`training.online`)."""
    filters_by_boxes: bool = False
    """Always filters by boxes: setting ``boxes``."""
    box_filter: BoxFilterConfig = FOLLOWING
    """Thresholds of the box filter for its probabilities."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """What a name stands for."""

    summary: str
    network: NetworkBuilder | None = None
    """Builds the network from the config stored with its weights; None: nothing is learnt."""
    weights: str | None = None
    """Stem of the shipped weights' file; None: the user brings the weights."""
    segmenter: SegmenterRole | None = None
    discoverer: Role[Discoverer] | None = None
    interactive: Role[Marker] | None = None
    detector: Role[Detector] | None = None
    flow: Role[OpticalFlow] | None = None
    edges: Role[EdgeDetector] | None = None

    @property
    def roles(self) -> dict[RoleName, Role[Any]]:
        """Uses of the entry by name."""
        uses = {role: getattr(self, role) for role in ROLES}
        return {role: use for role, use in uses.items() if use is not None}


@dataclass(frozen=True, kw_only=True)
class NoSettings:
    """Config of what has no settings."""


def _network(
    kind: Callable[[Any], nn.Module], config: type[Any], default: Any = None
) -> NetworkBuilder:
    """Builder of a network; `default` is its config where none is stored."""

    def build(stored: Mapping[str, Any]) -> nn.Module:
        if not stored and default is not None:
            return kind(default)
        # JSON gives lists where the configs have tuples.
        shape = {k: tuple(v) if isinstance(v, list) else v for k, v in stored.items()}
        return kind(config(**shape))

    return build


def _one_shot_boxes(network: Any, config: OneShotBoxesConfig, runtime: Runtime) -> BoxFiltered:
    detector = load_boxes(config.boxes, device=str(runtime.device), precision=runtime.precision)
    return BoxFiltered(FineTunedSegmenter(network, config, runtime), detector, config.box_filter)


def _grabcut(network: None, config: GrabCutConfig, runtime: Runtime) -> GrabCutMarker:
    return GrabCutMarker(config)


def _click_lite(network: Any, config: ClickMarkerConfig, runtime: Runtime) -> ClickMarker:
    return ClickMarker(network, config, runtime)


def _dis(network: None, config: NoSettings, runtime: Runtime) -> DISFlow:
    return DISFlow()


def _flow_lite(network: Any, config: NoSettings, runtime: Runtime) -> LearnedFlow:
    return LearnedFlow(network, runtime)


def _refined_dis(network: Any, config: NoSettings, runtime: Runtime) -> LearnedFlow:
    return LearnedFlow(network, runtime, start=DISFlow())


def _flow_saliency(
    network: None, config: FlowSaliencyConfig, runtime: Runtime
) -> FlowSaliencyDiscoverer:
    return FlowSaliencyDiscoverer(config)


def _edge_detector(network: Any, config: EdgeDetectorConfig, runtime: Runtime) -> EdgeDetector:
    return EdgeDetector(network, runtime, size=config.size)


_STM_ROLE = SegmenterRole(
    build=SpaceTimeSegmenter,
    # The published memory: the first frame, the previous one, every fifth; no bound.
    config=SpaceTimeConfig(use_previous=True, memory_frames=None, enlarge="auto"),
    learns_online=True,
)
_OSVOS_ROLE = SegmenterRole(
    build=FineTunedSegmenter,
    config=replace(OSVOS_FINE_TUNING, enlarge="auto"),
    learns_reference=True,
    box_filter=BoxFilterConfig(),
)

CATALOG: dict[str, Entry] = {
    "stm-lite": Entry(
        summary="space-time memory for a plain CPU; the default",
        network=_network(STMLite, STMLiteConfig),
        weights="stm-lite",
        segmenter=SegmenterRole(
            build=SpaceTimeSegmenter, config=SpaceTimeConfig(enlarge="auto"), learns_online=True
        ),
    ),
    "stm": Entry(
        summary="space-time memory as published (Oh et al. 2019), ResNet-50; bring STM_weights.pth",
        network=_network(STM, STMConfig),
        segmenter=_STM_ROLE,
    ),
    "stm-refine50": Entry(
        summary="stm with scale-aware features (after Yu et al. 2019); bring weights that you "
        "trained",
        network=_network(STMRefine50, STMRefine50Config),
        segmenter=_STM_ROLE,
    ),
    "rgmp-lite": Entry(
        summary="reference-guided mask propagation for a plain CPU",
        network=_network(RGMPLite, RGMPLiteConfig),
        weights="rgmp-lite",
        segmenter=SegmenterRole(
            build=ReferenceGuidedSegmenter,
            config=ReferenceGuidedConfig(reach=0.3, enlarge="auto"),
            averages_scales=True,
            learns_online=True,
        ),
    ),
    "rgmp": Entry(
        summary="reference-guided mask propagation (Oh et al. 2018), ResNet-50; bring weights.pth",
        network=_network(RGMP, RGMPConfig),
        segmenter=SegmenterRole(
            build=ReferenceGuidedSegmenter,
            config=ReferenceGuidedConfig(enlarge="auto"),
            averages_scales=True,
            learns_online=True,
        ),
    ),
    "oneshot": Entry(
        summary="an appearance network fine-tuned on the first frame, for a plain CPU",
        network=_network(OneShotLite, OneShotLiteConfig),
        weights="oneshot",
        segmenter=SegmenterRole(
            build=FineTunedSegmenter,
            config=FineTuningConfig(enlarge="auto"),
            learns_reference=True,
            box_filter=BoxFilterConfig(),
        ),
    ),
    "oneshot-boxes": Entry(
        summary="oneshot, filtered by the boxes of a detector; --boxes selects which",
        network=_network(OneShotLite, OneShotLiteConfig),
        weights="oneshot",
        segmenter=SegmenterRole(
            build=_one_shot_boxes,
            config=OneShotBoxesConfig(enlarge="auto"),
            learns_reference=True,
            filters_by_boxes=True,
            box_filter=BoxFilterConfig(),
        ),
    ),
    "osvos": Entry(
        summary="one-shot segmentation (Caelles et al. 2017), VGG-16; bring parent_epoch-240.pth",
        network=_network(OSVOS, OSVOSConfig),
        segmenter=_OSVOS_ROLE,
    ),
    "osvos-slim": Entry(
        summary="osvos with side features one channel deep; bring weights that you trained",
        network=_network(OSVOS, OSVOSConfig, default=SLIM),
        segmenter=_OSVOS_ROLE,
    ),
    "embedding": Entry(
        summary="instance embeddings learnt from stills (Li et al. 2018): finds moving objects in "
        "every frame, or follows annotated ones",
        network=_network(EmbeddingNet, EmbeddingConfig),
        weights="embedding",
        segmenter=SegmenterRole(build=EmbeddingSegmenter, config=AnnotatedConfig()),
        discoverer=Role(build=EmbeddingDiscoverer, config=DiscoveryConfig(crf=True)),
    ),
    "flow-saliency": Entry(
        summary="what moves unlike the camera: the baseline from optical flow alone",
        discoverer=Role(build=_flow_saliency, config=FlowSaliencyConfig()),
    ),
    "click-lite": Entry(
        summary="the mask of one frame from clicks, boxes and scribbles, for a plain CPU",
        network=_network(ClickLite, ClickLiteConfig),
        weights="click-lite",
        interactive=Role(build=_click_lite, config=ClickMarkerConfig()),
    ),
    "click-lite-learning": Entry(
        summary="click-lite, adapted to the frame where it disobeys the clicks; slower",
        network=_network(ClickLite, ClickLiteConfig),
        weights="click-lite",
        interactive=Role(build=_click_lite, config=ClickMarkerConfig(learning=LearningConfig())),
    ),
    "grabcut": Entry(
        summary="the mask of one frame by GrabCut (Rother et al. 2004), from colours and edges",
        interactive=Role(build=_grabcut, config=GrabCutConfig()),
    ),
    "detector-lite": Entry(
        summary="boxes of objects of any kind, for a plain CPU",
        network=_network(DetectorLite, DetectorLiteConfig),
        weights="detector-lite",
        detector=Role(build=LiteDetector, config=LiteConfig()),
    ),
    "dis": Entry(
        summary="optical flow by dense inverse search (Kroeger et al. 2016), as OpenCV has it",
        flow=Role(build=_dis, config=NoSettings()),
    ),
    "flow-lite": Entry(
        summary="optical flow by a small network: pyramid, warping, local correlation (after Sun "
        "et al. 2018)",
        network=_network(FlowLite, FlowLiteConfig),
        weights="flow-lite",
        flow=Role(build=_flow_lite, config=NoSettings()),
    ),
    "dis+flow-lite": Entry(
        summary="optical flow by dis, made better by flow-lite's fine levels",
        network=_network(FlowLite, FlowLiteConfig),
        weights="flow-lite",
        flow=Role(build=_refined_dis, config=NoSettings()),
    ),
    "edges-lite": Entry(
        summary="outlines of objects (HED on a light PSPNet), from a frame",
        network=_network(HEPSPNet, EdgeConfig),
        weights="edges-lite",
        edges=Role(build=_edge_detector, config=EdgeDetectorConfig()),
    ),
    "edges-flow-lite": Entry(
        summary="outlines of objects (HED on a light PSPNet), from a frame and its optical flow",
        network=_network(HEPSPNet, EdgeConfig),
        weights="edges-flow-lite",
        edges=Role(build=_edge_detector, config=EdgeDetectorConfig()),
    ),
}


def load_model(
    name: str = DEFAULT_MODEL,
    *,
    weights: Path | str | None = None,
    device: str = "auto",
    precision: str = "auto",
    config: Any = None,
    **settings: object,
) -> Segmenter:
    """A segmenter, ready to `start`; `rotomask.load_model` adds refinements to it.

    Args:
        name: An entry that is a segmenter: ``stm-lite``, ``rgmp-lite``, ``oneshot`` ...
        weights: A checkpoint to use in place of the shipped one.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        precision: ``auto``, ``float32`` or ``bfloat16``.
        config: Config to use in place of the entry's own.
        **settings: Fields of the config that differ from it, such as ``size=360``.

    Raises:
        OptionError: If the name, device, precision or a setting is unknown.
        WeightsError: If there are no weights, or they are another network's.
    """
    role = segmenter_role(name)
    return _load(name, role, (weights, device, precision), config, settings)


def load_discoverer(
    name: str = DEFAULT_FINDER,
    *,
    weights: Path | str | None = None,
    device: str = "auto",
    precision: str = "auto",
    config: Any = None,
    **settings: object,
) -> Discoverer:
    """A method without annotation, ready to `discover`; `rotomask.load_discoverer` also follows.

    Args:
        name: An entry that is a discoverer: ``embedding`` or ``flow-saliency``.
        weights: As for `load_model`.
        device: As for `load_model`.
        precision: As for `load_model`.
        config: As for `load_model`.
        **settings: As for `load_model`.

    Raises:
        OptionError: If the name, device, precision or a setting is unknown.
        WeightsError: If there are no weights, or they are another network's.
    """
    role = find(name, "discoverer").discoverer
    assert role is not None
    return _load(name, role, (weights, device, precision), config, settings)


def load_marker(
    name: str = DEFAULT_MARKER,
    *,
    weights: Path | str | None = None,
    device: str = "auto",
    precision: str = "auto",
    config: Any = None,
    **settings: object,
) -> Marker:
    """A marker, ready to `open` a frame.

    Args:
        name: An entry that marks objects by prompts: ``click-lite``, ``click-lite-learning`` or
            ``grabcut``.
        weights: As for `load_model`.
        device: As for `load_model`.
        precision: As for `load_model`.
        config: As for `load_model`.
        **settings: As for `load_model`.

    Raises:
        OptionError: If the name, device, precision or a setting is unknown.
        WeightsError: If there are no weights, or they are another network's.
    """
    role = find(name, "interactive").interactive
    assert role is not None
    return _load(name, role, (weights, device, precision), config, settings)


def load_detector(
    name: str = DEFAULT_DETECTOR,
    *,
    weights: Path | str | None = None,
    device: str = "auto",
    precision: str = "auto",
    **settings: object,
) -> Detector:
    """A detector, ready to `detect`.

    Args:
        name: ``detector-lite``; a .safetensors file that training it gave; a detector's .onnx file
            (`detection.onnx_file` says which); or ``torchvision:NAME``, ``torchvision:NAME:FILE``
            with a checkpoint, where torchvision is installed.
        weights: As for `load_model`; not with a file or torchvision.
        device: As for `load_model`; onnxruntime selects it by itself.
        precision: As for `load_model`.
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
    role = find(name, "detector").detector
    assert role is not None
    return _load(name, role, (weights, device, precision), None, settings)


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


def load_flow(
    name: str = DEFAULT_FLOW,
    *,
    weights: Path | str | None = None,
    device: str = "auto",
    precision: str = "float32",
) -> OpticalFlow:
    """An optical flow estimator, ready to `estimate`.

    Args:
        name: ``dis``, ``flow-lite`` or ``dis+flow-lite``.
        weights: A checkpoint to use in place of the shipped one.
        device: As for `load_model`; DIS runs on the CPU.
        precision: ``float32``, ``bfloat16`` or ``auto``. Fractions of a pixel want float32.

    Raises:
        OptionError: If the name, device or precision is unknown, or DIS is given weights.
        WeightsError: If there are no weights, or they are another network's.
    """
    role = find(name, "flow").flow
    assert role is not None
    return _load(name, role, (weights, device, precision), None, {})


def load_edge_detector(
    name: str = DEFAULT_EDGE_DETECTOR,
    *,
    weights: Path | str | None = None,
    device: str = "auto",
    precision: str = "auto",
    **settings: object,
) -> EdgeDetector:
    """A detector of objects' outlines, ready to `detect`.

    Args:
        name: ``edges-lite`` or ``edges-flow-lite``.
        weights: As for `load_model`.
        device: As for `load_model`.
        precision: As for `load_model`.
        **settings: Fields of `EdgeDetectorConfig`, such as ``size=360``.

    Raises:
        OptionError: If the name, device, precision or a setting is unknown.
        WeightsError: If there are no weights, or they are another network's.
    """
    role = find(name, "edges").edges
    assert role is not None
    return _load(name, role, (weights, device, precision), None, settings)


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
    stored = read_metadata(path) if path.suffix == ".safetensors" else {}
    try:
        network = build(stored.get("config", {}))
    except Exception as error:  # another network's config, or that of a newer version
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
    """The weights file of an entry in the package; None where there is none.

    Raises:
        OptionError: If the name is unknown.
    """
    stem = find(name).weights
    if stem is None:
        return None
    return Path(str(resources.files("rotomask") / "weights" / f"{stem}.safetensors"))


def model_card(name: str) -> dict[str, Any]:
    """Config, data, training and scores stored with an entry's shipped weights; else empty.

    Raises:
        OptionError: If the name is unknown.
    """
    path = shipped_weights(name)
    return read_metadata(path) if path is not None else {}


def names(role: RoleName | None = None) -> tuple[str, ...]:
    """Names of the catalogue, of all entries or of those with a role."""
    return tuple(n for n, entry in CATALOG.items() if role is None or role in entry.roles)


def find(name: str, role: RoleName | None = None) -> Entry:
    """The entry of a name.

    Raises:
        OptionError: If there is none with this role; the message lists those that there are.
    """
    entry = CATALOG.get(name)
    if entry is not None and (role is None or role in entry.roles):
        return entry
    kind = "model" if role is None else ROLES[role]
    choice = f"known {kind}s: {', '.join(names(role))}"
    if entry is None:
        raise OptionError(f"unknown {kind} {name!r}; {choice}")
    uses = " and ".join(ROLES[use] for use in entry.roles)
    raise OptionError(f"{name} is of another kind ({uses}); {choice}")


def segmenter_role(name: str) -> SegmenterRole:
    """How an entry follows objects, and what it is capable of.

    Raises:
        OptionError: If the entry is no segmenter; the message lists those that there are.
    """
    role = find(name, "segmenter").segmenter
    assert role is not None
    return role


def find_then_follow(name: str) -> tuple[str, str | None]:
    """The discoverer and the segmenter by which a model cuts a video that nobody annotated.

    Args:
        name: ``A+B``: A finds the objects, B follows them from the frame in which they are
            clearest; a discoverer alone: it segments every frame; a segmenter alone: it follows
            what ``embedding`` finds.

    Returns:
        Their names; None in place of the segmenter where nothing is followed.

    Raises:
        OptionError: If one of the names is unknown.

    Example:
        >>> find_then_follow("flow-saliency+rgmp-lite")
        ('flow-saliency', 'rgmp-lite')
        >>> find_then_follow("stm-lite"), find_then_follow("embedding")
        (('embedding', 'stm-lite'), ('embedding', None))
    """
    first, then, second = name.partition(THEN)
    if then and name not in CATALOG:
        find(first, "discoverer")
        find(second, "segmenter")
        return first, second
    if name in names("discoverer"):
        return name, None
    find(name, "segmenter")
    return DEFAULT_FINDER, name


def needs_no_mask(name: str) -> bool:
    """True of a method without annotation: a discoverer, or ``A+B``.

    Raises:
        OptionError: If the name is unknown.
    """
    _, follower = find_then_follow(name)
    return follower != name


def with_settings(config: Settings, settings: Mapping[str, object], owner: str) -> Settings:
    """A config with some fields changed.

    Args:
        config: A dataclass.
        settings: New values by field. ``end``, the last frame as on the command line, is taken for
            ``stop``.
        owner: What the message says that the settings are of.

    Raises:
        OptionError: If a setting is no field of the config; the message lists those that are.
    """
    choice = [field.name for field in fields(config)]  # type: ignore[arg-type]
    if "stop" in choice and "stop" not in settings and isinstance(settings.get("end"), int):
        others = {name: value for name, value in settings.items() if name != "end"}
        settings = {**others, "stop": settings["end"] + 1}  # type: ignore[operator]
    for setting in settings:
        if setting not in choice:
            listed = ", ".join(choice) or "none"
            raise OptionError(f"{owner} has no setting {setting!r}; it has {listed}")
    return replace(config, **settings)  # type: ignore[type-var]


def _load(
    name: str,
    role: Role[Tool],
    source: tuple[Path | str | None, str, str],
    config: Any,
    settings: Mapping[str, object],
) -> Tool:
    """Build an entry for one of its roles; the source is weights, device and precision."""
    weights, device, precision = source
    kind = type(role.config)
    if config is not None and not isinstance(config, kind):
        raise OptionError(f"{name} takes a {kind.__name__}, got a {type(config).__name__}")
    configured = with_settings(config or role.config, settings, name)
    runtime = choose_runtime(device, precision)
    without = find(name).network is None and weights is None
    return role.build(None if without else load_network(name, weights), configured, runtime)


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
