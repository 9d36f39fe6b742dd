"""Object detectors: boxes, classes and scores of the objects in a frame."""

from rotomask.detection.detector import NO_DETECTIONS, Detections, Detector
from rotomask.detection.loading import DEFAULT_DETECTOR, load_detector

__all__ = ["DEFAULT_DETECTOR", "NO_DETECTIONS", "Detections", "Detector", "load_detector"]
