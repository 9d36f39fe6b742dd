"""Optical flow: estimators, files and pictures."""
