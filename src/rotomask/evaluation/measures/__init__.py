"""Measures of masks, boxes and edges: pure functions."""
