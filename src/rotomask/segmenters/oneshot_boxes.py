"""Settings of oneshot-boxes: a one-shot appearance network filtered by boxes.

The whole method of the DAVIS 2017 challenge entry "one-shot segmentation with detector boxes".
"""

from dataclasses import dataclass, field

from rotomask.refine.box_filters import BoxFilterConfig
from rotomask.segmenters.fine_tuned import FineTuningConfig


@dataclass(frozen=True, kw_only=True)
class OneShotBoxesConfig(FineTuningConfig):
    """How the appearance network is fine-tuned, and by which boxes its masks are filtered."""

    boxes: str = "detector-lite"
    """As `Refinements.boxes`."""
    box_filter: BoxFilterConfig = field(default_factory=BoxFilterConfig)
    """Thresholds of the filter."""
