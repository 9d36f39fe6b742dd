"""The output formats: a video and the masks on disk beside it -> overlays, cut-outs, JSON."""

from rotomask.export.exporting import FORMATS, export
from rotomask.export.output import Cut, Job, Output

__all__ = ["FORMATS", "Cut", "Job", "Output", "export"]
