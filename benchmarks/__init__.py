"""Measurements of speed and memory. Not part of the wheel."""
