"""Edges of objects and of motion in single frames."""
