"""What an entry of the catalogue is made of: its network, its roles and their capabilities."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

from torch import nn

from rotomask.detection.detector import Detector
from rotomask.edges.edge_detector import EdgeDetector
from rotomask.flow.optical_flow import OpticalFlow
from rotomask.networks.precision import Runtime
from rotomask.prompts.marker import Marker
from rotomask.refine.box_filters import FOLLOWING, BoxFilterConfig
from rotomask.segmenters.base import Segmenter
from rotomask.unsupervised.base import Discoverer

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

JobName = Literal["cut", "find", "mark", "detect", "flow", "edges", "papers"]
JOBS: dict[JobName, tuple[str, str]] = {
    "cut": ("Follow marked objects: rotomask cut --mask, --point, --box", "stm-lite"),
    "find": ("Find what moves: rotomask cut without a mask, rotomask propose", "embedding"),
    "mark": ("Mark objects in one frame: rotomask mark, rotomask cut --point", "click-lite"),
    "detect": ("Boxes of objects: rotomask detect, rotomask cut --boxes", "detector-lite"),
    "flow": ("Optical flow: rotomask flow", "dis"),
    "edges": ("Outlines of objects: rotomask edges", "edges-lite"),
    "papers": ("Methods of the papers, to compare and to train: rotomask benchmark, train", ""),
}
"""What entries are for, as `rotomask models` groups them, and which one to take."""

Tool = TypeVar("Tool")
TrainingStart = Literal["imagenet", "hed", "video", "stm-lite"]
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
    focuses: bool = False
    """Can process a window around the objects of large frames (`segmenters.focused`)."""
    openvino: Callable[..., nn.Module] | None = None
    """Makes of the network one that OpenVINO computes: from the network, the runtime and the ranges
    for int8, as `networks.openvino_network.OpenVINONetwork`. None: PyTorch alone computes it."""
    int8_ranges: str | None = None
    """Stem of the shipped ranges' file, which fit the shipped weights; None: not in int8."""
    exports_parts: bool = False
    """Its network can be written as ONNX files (`jobs.export_model`)."""
    filters_by_boxes: bool = False
    """Always filters by boxes: setting ``boxes``."""
    box_filter: BoxFilterConfig = FOLLOWING
    """Thresholds of the box filter for its probabilities."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """What a name stands for."""

    summary: str
    job: JobName = "cut"
    """What it is taken for; ``papers``: to compare with, no better at a job than others."""
    quality: str = ""
    """How good it is, in a few words: a measure, its value and on what, as in docs/results.md."""
    speed: str = ""
    """Time of a frame on a plain CPU, or a word on it."""
    network: NetworkBuilder | None = None
    """Builds the network from the config stored with its weights; None: nothing is learnt."""
    weights: str | None = None
    """Stem of the shipped weights' file; None: the user brings the weights."""
    trained_from: TrainingStart | None = None
    """Weights that training starts from (`training.starting.STARTS`); None: random ones."""
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


def network_builder(
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
