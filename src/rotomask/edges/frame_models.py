"""Deprecated: `rotomask.catalog.load_edge_detector`; goes when its users have moved."""

from pathlib import Path

from rotomask.catalog import CATALOG, load_edge_detector, shipped_weights
from rotomask.catalog import model_card as frame_model_card

FRAME_MODELS = {name: entry for name, entry in CATALOG.items() if entry.edges is not None}

__all__ = ["FRAME_MODELS", "frame_model_card", "frame_model_weights", "load_edge_detector"]


def frame_model_weights(name: str) -> Path:
    """The shipped weights of a model."""
    return Path(str(shipped_weights(name)))
