"""Export of a video and its masks as overlays, cut-outs, image sequences and JSON."""

from rotomask.export.exporting import FORMATS, FormatOutputs, export
from rotomask.export.format_writer import ExportTarget, FormatWriter, MaskedFrame

__all__ = ["FORMATS", "ExportTarget", "FormatOutputs", "FormatWriter", "MaskedFrame", "export"]
