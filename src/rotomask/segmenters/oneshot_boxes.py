"""Settings of oneshot-boxes: a one-shot appearance network filtered by boxes.

The whole method of the DAVIS 2017 challenge entry "one-shot segmentation with detector boxes".
"""

from dataclasses import dataclass, field

from rotomask.refine.box_filters import BoxFilterConfig
from rotomask.segmenters.fine_tuned import FineTuningConfig


@dataclass(frozen=True, kw_only=True)
class OneShotBoxesConfig(FineTuningConfig):
    """Settings of fine-tuning, and of filtering by boxes."""

    boxes: str = "detector-lite"
    """Source of the boxes; see `Refinements.boxes`."""
    box_filter: BoxFilterConfig = field(default_factory=BoxFilterConfig)
    """Thresholds of the filter."""
