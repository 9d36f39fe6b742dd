"""Deprecated: `rotomask.catalog.load_detector`; goes when its users have moved."""

from pathlib import Path
from typing import Any

from rotomask.detection.detector import Detector

DEFAULT_DETECTOR = "detector-lite"


def load_detector(name: str = DEFAULT_DETECTOR, **where: Any) -> Detector:
    """A detector, ready to `detect`."""
    from rotomask import catalog

    return catalog.load_detector(name, **where)


def shipped_detector() -> Path:
    """The weights file in the package."""
    from rotomask.catalog import shipped_weights

    path = shipped_weights(DEFAULT_DETECTOR)
    assert path is not None
    return path
