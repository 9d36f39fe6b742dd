"""Found objects, marked anew: the outline comes from a network that was trained to mark objects.

What a discoverer finds tells which object is meant, but its scores are those of a small map. As a
rough mask it tells the same to a marker, whose masks are sharper. This goes beyond Li et al. 2018,
whose outlines come from a dense CRF.
"""

from dataclasses import dataclass

import numpy as np

from rotomask.arrays import Frame, Probabilities
from rotomask.prompts import Marker, RoughMask
from rotomask.prompts.regions import iou
from rotomask.unsupervised.base import Refine

LEAST_IOU = 0.3
"""Overlap of an object's new mask with what was found, below which the marker took something else
for the object, which then stays as it was found."""

LEAST_LEFT = 1e-3
"""Where the other objects and the background have less than this, a missed object had all: what it
loses is the background's."""


@dataclass(frozen=True)
class MarkedAnew:
    """A refinement of found objects by a marker."""

    marker: Marker
    before: Refine | None = None
    """A refinement that comes first, such as `dense_crf`."""
    passes: int = 2
    """How often the marker improves the mask, its own after the first time."""

    def __call__(self, probabilities: Probabilities, frame: Frame) -> Probabilities:
        """Probabilities O+1×H×W of the objects, each marked anew from what was found of it.

        An object whose new mask is another thing stays as it was found; one without a pixel of its
        own gets none.
        """
        if self.before is not None:
            probabilities = self.before(probabilities, frame)
        labels = probabilities.argmax(0)
        rows = [row for row in range(1, len(probabilities)) if (labels == row).any()]
        if not rows:
            return probabilities
        self.marker.open(frame)
        marked, chosen = probabilities, labels
        for _ in range(self.passes):
            masks = [RoughMask(chosen == row, row) for row in rows if (chosen == row).any()]
            if not masks:
                break
            marked = np.zeros_like(probabilities)
            marked[[0, *(mask.object_id for mask in masks)]] = self.marker.mask(masks)
            chosen = marked.argmax(0)
        missed = [row for row in rows if iou(chosen == row, labels == row) < LEAST_IOU]
        if missed:
            # Missed objects are as they were found; the others and the background share the rest.
            marked[missed] = 0
            marked[0] += marked.sum(0) < LEAST_LEFT
            marked *= (1 - probabilities[missed].sum(0)) / marked.sum(0)
            marked[missed] = probabilities[missed]
        return marked
