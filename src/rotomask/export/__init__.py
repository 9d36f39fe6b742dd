"""The output formats: a video and the masks on disk beside it -> overlays, cut-outs, JSON."""

from rotomask.export.base import Cut, Job, Output
from rotomask.export.exporting import FORMATS, export

__all__ = ["FORMATS", "Cut", "Job", "Output", "export"]
