"""Detectors: boxes, classes and scores of the objects in a frame."""

from rotomask.detection.base import NOTHING, Detections, Detector
from rotomask.detection.catalog import DEFAULT_DETECTOR, load_detector

__all__ = ["DEFAULT_DETECTOR", "NOTHING", "Detections", "Detector", "load_detector"]
