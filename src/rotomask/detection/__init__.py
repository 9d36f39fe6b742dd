"""Detectors: boxes, classes and scores of the objects in a frame."""

from rotomask.detection.detector import NOTHING, Detections, Detector
from rotomask.detection.loading import DEFAULT_DETECTOR, load_detector

__all__ = ["DEFAULT_DETECTOR", "NOTHING", "Detections", "Detector", "load_detector"]
