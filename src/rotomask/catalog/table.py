"""The table: everything that has a name, its network, its weights and its roles."""

from dataclasses import replace
from typing import Any

from rotomask.catalog.entries import (
    ROLES,
    Entry,
    NoSettings,
    Role,
    RoleName,
    SegmenterRole,
    network_builder,
)
from rotomask.detection.lite import LiteConfig, LiteDetector
from rotomask.edges.edge_detector import EdgeDetector, EdgeDetectorConfig
from rotomask.errors import OptionError
from rotomask.flow.learned_flow import LearnedFlow
from rotomask.flow.optical_flow import DISFlow
from rotomask.networks.click_lite import ClickLite, ClickLiteConfig
from rotomask.networks.detector_lite import DetectorLite, DetectorLiteConfig
from rotomask.networks.embedding import EmbeddingConfig, EmbeddingNet
from rotomask.networks.flow_lite import FlowLite, FlowLiteConfig
from rotomask.networks.hepspnet import EdgeConfig, HEPSPNet
from rotomask.networks.oneshot_lite import OneShotLite, OneShotLiteConfig
from rotomask.networks.openvino_network import OpenVINONetwork
from rotomask.networks.osvos import OSVOS, SLIM, OSVOSConfig
from rotomask.networks.precision import Runtime
from rotomask.networks.rgmp import RGMP, RGMPConfig
from rotomask.networks.rgmp_lite import RGMPLite, RGMPLiteConfig
from rotomask.networks.stm import STM, STMConfig
from rotomask.networks.stm_lite import STMLite, STMLiteConfig
from rotomask.networks.stm_refine50 import STMRefine50, STMRefine50Config
from rotomask.prompts.click_marker import ClickMarker, ClickMarkerConfig
from rotomask.prompts.grabcut import GrabCutConfig, GrabCutMarker
from rotomask.prompts.learning import LearningConfig
from rotomask.refine.box_filters import BoxFilterConfig
from rotomask.segmenters.box_filtered import BoxFiltered
from rotomask.segmenters.fine_tuned import (
    OSVOS_FINE_TUNING,
    OSVOS_SLIM_FINE_TUNING,
    FineTunedSegmenter,
    FineTuningConfig,
)
from rotomask.segmenters.oneshot_boxes import OneShotBoxesConfig
from rotomask.segmenters.reference_guided import ReferenceGuidedConfig, ReferenceGuidedSegmenter
from rotomask.segmenters.space_time import SpaceTimeSegmenter
from rotomask.segmenters.space_time_config import SpaceTimeConfig
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
THEN = "+"
"""Between a discoverer and the segmenter that follows what it finds: ``embedding+rgmp-lite``."""


def _one_shot_boxes(network: Any, config: OneShotBoxesConfig, runtime: Runtime) -> BoxFiltered:
    from rotomask.catalog.loading import load_boxes  # which looks detectors up in this table

    detector = load_boxes(config.boxes, device=str(runtime.device), precision=runtime.precision)
    return BoxFiltered(FineTunedSegmenter(network, config, runtime), detector, config.box_filter)


_EDGE_ROLE: Role[EdgeDetector] = Role(
    build=lambda network, config, runtime: EdgeDetector(network, runtime, size=config.size),
    config=EdgeDetectorConfig(),
)
_STM_ROLE = SegmenterRole(
    build=SpaceTimeSegmenter,
    # The published memory: the first frame, the previous one, every fifth; no bound.
    config=SpaceTimeConfig(use_previous=True, memory_frames=None, enlarge="auto"),
    learns_online=True,
    focuses=True,
)
_OSVOS_ROLE = SegmenterRole(
    build=FineTunedSegmenter,
    config=replace(OSVOS_FINE_TUNING, enlarge="auto"),
    learns_reference=True,
    box_filter=BoxFilterConfig(),
)
_OSVOS_SLIM_ROLE = replace(_OSVOS_ROLE, config=replace(OSVOS_SLIM_FINE_TUNING, enlarge="auto"))

CATALOG: dict[str, Entry] = {
    "stm-lite": Entry(
        job="cut",
        quality="J&F 0.867",
        speed="0.09 s a frame",
        summary="space-time memory for a plain CPU; the default",
        network=network_builder(STMLite, STMLiteConfig),
        weights="stm-lite",
        trained_from="imagenet",
        segmenter=SegmenterRole(
            build=SpaceTimeSegmenter,
            config=SpaceTimeConfig(
                memory_every=3, enlarge="auto", small_factor=4 / 3, margin=0.1, thin_beyond=2
            ),
            learns_online=True,
            focuses=True,
            openvino=OpenVINONetwork,
            int8_ranges="stm-lite-int8",
            exports_parts=True,
        ),
    ),
    "stm": Entry(
        job="papers",
        quality="J&F 0.889, its authors' masks",
        speed="2.2 s a frame",
        summary="space-time memory as published (Oh et al. 2019), ResNet-50; bring STM_weights.pth",
        network=network_builder(STM, STMConfig),
        segmenter=_STM_ROLE,
    ),
    "stm-refine50": Entry(
        job="papers",
        quality="not trained by us",
        summary="stm with scale-aware features (after Yu et al. 2019); bring weights that you "
        "trained",
        network=network_builder(STMRefine50, STMRefine50Config),
        segmenter=_STM_ROLE,
    ),
    "rgmp-lite": Entry(
        job="papers",
        quality="J&F 0.802",
        speed="0.17 s a frame",
        summary="reference-guided mask propagation for a plain CPU",
        network=network_builder(RGMPLite, RGMPLiteConfig),
        weights="rgmp-lite",
        trained_from="stm-lite",
        segmenter=SegmenterRole(
            build=ReferenceGuidedSegmenter,
            config=ReferenceGuidedConfig(reach=0.3, enlarge="auto", small_factor=4 / 3),
            averages_scales=True,
            learns_online=True,
        ),
    ),
    "rgmp": Entry(
        job="papers",
        quality="J&F 0.830, its authors' masks",
        speed="3.0 s a frame",
        summary="reference-guided mask propagation (Oh et al. 2018), ResNet-50; bring weights.pth",
        network=network_builder(RGMP, RGMPConfig),
        segmenter=SegmenterRole(
            build=ReferenceGuidedSegmenter,
            config=ReferenceGuidedConfig(enlarge="auto"),
            averages_scales=True,
            learns_online=True,
        ),
    ),
    "oneshot": Entry(
        job="papers",
        quality="J&F 0.809, 60 s of learning",
        speed="0.98 s a frame",
        summary="an appearance network fine-tuned on the first frame, for a plain CPU",
        network=network_builder(OneShotLite, OneShotLiteConfig),
        weights="oneshot",
        trained_from="imagenet",
        segmenter=SegmenterRole(
            build=FineTunedSegmenter,
            config=FineTuningConfig(enlarge="auto"),
            learns_reference=True,
            box_filter=BoxFilterConfig(),
        ),
    ),
    "oneshot-boxes": Entry(
        job="papers",
        quality="J&F 0.811",
        speed="1.75 s a frame",
        summary="oneshot, filtered by the boxes of a detector; --boxes selects which",
        network=network_builder(OneShotLite, OneShotLiteConfig),
        weights="oneshot",
        trained_from="imagenet",
        segmenter=SegmenterRole(
            build=_one_shot_boxes,
            config=OneShotBoxesConfig(enlarge="auto"),
            learns_reference=True,
            filters_by_boxes=True,
            box_filter=BoxFilterConfig(),
        ),
    ),
    "osvos": Entry(
        job="papers",
        quality="J&F 0.808, its authors' masks",
        speed="1.4 s a frame, after learning",
        summary="one-shot segmentation (Caelles et al. 2017), VGG-16; bring parent_epoch-240.pth",
        network=network_builder(OSVOS, OSVOSConfig),
        trained_from="hed",
        segmenter=_OSVOS_ROLE,
    ),
    "osvos-slim": Entry(
        job="papers",
        quality="J&F 0.715 with our training",
        summary="osvos with side features one channel deep; bring weights that you trained",
        network=network_builder(OSVOS, OSVOSConfig, default=SLIM),
        trained_from="hed",
        segmenter=_OSVOS_SLIM_ROLE,
    ),
    "embedding": Entry(
        job="find",
        quality="J&F 0.672; with stm-lite 0.738",
        speed="0.41 s; 0.16 s a frame",
        summary="instance embeddings learnt from stills (Li et al. 2018): finds moving objects in "
        "every frame, or follows annotated ones",
        network=network_builder(EmbeddingNet, EmbeddingConfig),
        weights="embedding",
        trained_from="imagenet",
        segmenter=SegmenterRole(build=EmbeddingSegmenter, config=AnnotatedConfig()),
        discoverer=Role(build=EmbeddingDiscoverer, config=DiscoveryConfig(crf=True)),
    ),
    "flow-saliency": Entry(
        job="papers",
        summary="what moves unlike the camera: the baseline from optical flow alone",
        discoverer=Role(
            build=lambda network, config, runtime: FlowSaliencyDiscoverer(config),
            config=FlowSaliencyConfig(),
        ),
    ),
    "click-lite": Entry(
        job="mark",
        quality="5.5 clicks to IoU 0.85",
        speed="0.04 s a click",
        summary="the mask of one frame from clicks, boxes and scribbles, for a plain CPU",
        network=network_builder(ClickLite, ClickLiteConfig),
        weights="click-lite",
        trained_from="video",
        interactive=Role(build=ClickMarker, config=ClickMarkerConfig()),
    ),
    "click-lite-learning": Entry(
        job="mark",
        speed="slower than click-lite",
        summary="click-lite, adapted to the frame where it disobeys the clicks; slower",
        network=network_builder(ClickLite, ClickLiteConfig),
        weights="click-lite",
        trained_from="video",
        interactive=Role(build=ClickMarker, config=ClickMarkerConfig(learning=LearningConfig())),
    ),
    "grabcut": Entry(
        job="mark",
        quality="13.4 clicks to IoU 0.85",
        speed="1.8 s a click",
        summary="the mask of one frame by GrabCut (Rother et al. 2004), from colours and edges",
        interactive=Role(
            build=lambda network, config, runtime: GrabCutMarker(config), config=GrabCutConfig()
        ),
    ),
    "detector-lite": Entry(
        job="detect",
        quality="AP50 0.671",
        speed="0.04 s a frame",
        summary="boxes of objects of any kind, for a plain CPU",
        network=network_builder(DetectorLite, DetectorLiteConfig),
        weights="detector-lite",
        trained_from="imagenet",
        detector=Role(build=LiteDetector, config=LiteConfig()),
    ),
    "dis": Entry(
        job="flow",
        quality="1.37 px on simulated pairs",
        speed="0.02 s a frame",
        summary="optical flow by dense inverse search (Kroeger et al. 2016), as OpenCV has it",
        flow=Role(build=lambda network, config, runtime: DISFlow(), config=NoSettings()),
    ),
    "flow-lite": Entry(
        job="flow",
        quality="2.63 px",
        speed="0.22 s a frame",
        summary="optical flow by a small network: pyramid, warping, local correlation (after Sun "
        "et al. 2018)",
        network=network_builder(FlowLite, FlowLiteConfig),
        weights="flow-lite",
        trained_from="imagenet",
        flow=Role(
            build=lambda network, config, runtime: LearnedFlow(network, runtime),
            config=NoSettings(),
        ),
    ),
    "dis+flow-lite": Entry(
        job="flow",
        quality="1.25 px",
        speed="0.23 s a frame",
        summary="optical flow by dis, made better by flow-lite's fine levels",
        network=network_builder(FlowLite, FlowLiteConfig),
        weights="flow-lite",
        trained_from="imagenet",
        flow=Role(
            build=lambda network, config, runtime: LearnedFlow(network, runtime, start=DISFlow()),
            config=NoSettings(),
        ),
    ),
    "edges-lite": Entry(
        job="edges",
        quality="F 0.649",
        speed="0.11 s a frame",
        summary="outlines of objects (HED on a light PSPNet), from a frame",
        network=network_builder(HEPSPNet, EdgeConfig),
        weights="edges-lite",
        trained_from="video",
        edges=_EDGE_ROLE,
    ),
    "edges-flow-lite": Entry(
        job="edges",
        quality="F 0.677",
        speed="0.19 s a frame",
        summary="outlines of objects (HED on a light PSPNet), from a frame and its optical flow",
        network=network_builder(HEPSPNet, EdgeConfig),
        weights="edges-flow-lite",
        trained_from="video",
        edges=_EDGE_ROLE,
    ),
}


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
    """Role of an entry as a segmenter, with its capabilities.

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
