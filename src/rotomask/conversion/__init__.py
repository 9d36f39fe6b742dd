"""Annotations of other tools: read and written through one form, `LabelledVideo`.

A format is a module with a `read` and a `write` function, listed in `formats.FORMATS`.
"""

from rotomask.conversion.formats import FORMATS, Format, detect_format, main_file
from rotomask.conversion.labelled_video import LabelledVideo

__all__ = ["FORMATS", "Format", "LabelledVideo", "detect_format", "main_file"]
