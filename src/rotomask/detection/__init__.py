"""Object detectors: boxes, classes and scores of the objects in a frame."""

from rotomask.detection.detector import NO_DETECTIONS, Detections, Detector

__all__ = ["NO_DETECTIONS", "Detections", "Detector"]
