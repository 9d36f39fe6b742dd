"""A contact sheet of object proposals."""

from collections.abc import Sequence

import numpy as np

from rotomask.arrays import Frame
from rotomask.render import Pixels, contact_sheet, overlay
from rotomask.unsupervised.base import Proposal

PROPOSAL_WIDTH_PX = 360


def proposal_sheet(proposals: Sequence[Proposal]) -> Pixels:
    """A contact sheet: each proposal's mask on its frame, captioned with id, frame and score."""
    overlays: list[Frame] = [overlay(p.frame, p.mask.astype(np.int32)) for p in proposals]
    captions = [f"{p.object_id}: frame {p.frame_index}, score {p.score:.2f}" for p in proposals]
    return contact_sheet(overlays, captions, columns=3, cell_width_px=PROPOSAL_WIDTH_PX)
