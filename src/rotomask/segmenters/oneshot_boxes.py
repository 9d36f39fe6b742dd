"""oneshot-boxes: paper 4 whole, a one-shot appearance network filtered by a detector's boxes."""

from dataclasses import dataclass, field

from torch import nn

from rotomask.detection import DEFAULT_DETECTOR, load_detector
from rotomask.networks.oneshot_lite import OneShotLite
from rotomask.networks.precision import Runtime
from rotomask.refine.box_filters import BoxFilterConfig
from rotomask.segmenters.box_filtered import BoxFiltered
from rotomask.segmenters.fine_tuned import FineTunedSegmenter, FineTuningConfig


@dataclass(frozen=True, kw_only=True)
class OneShotBoxesConfig(FineTuningConfig):
    """How the appearance network is fine-tuned, which detector filters it, and how."""

    detector: str = DEFAULT_DETECTOR
    """As `load_detector` takes it."""
    boxes: BoxFilterConfig = field(default_factory=BoxFilterConfig)


def one_shot_boxes(network: nn.Module, config: OneShotBoxesConfig, runtime: Runtime) -> BoxFiltered:
    """The segmenter of these parts.

    Raises:
        OptionError: If there is no such detector, or what it needs is not installed.
        WeightsError: If the detector's file is missing or not its own.
    """
    assert isinstance(network, OneShotLite)
    detector = load_detector(
        config.detector, device=str(runtime.device), precision=runtime.precision
    )
    return BoxFiltered(FineTunedSegmenter(network, config, runtime), detector, config.boxes)
