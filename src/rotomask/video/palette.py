"""Frames in 256 colours, each with a palette of its own, as GIF stores them."""

from fractions import Fraction

import av
from av.filter import Graph

from rotomask.errors import OutputError


class Palette:
    """Quantizer of frames; transparency is on where alpha is below a half."""

    def __init__(self) -> None:
        self._graph: Graph | None = None

    def apply(self, frame: av.VideoFrame) -> av.VideoFrame:
        """An RGBA frame in pal8; all frames must be of one size."""
        if self._graph is None:
            self._graph = _build(frame)
        frame.pts = 0
        self._graph.push(frame)
        made = self._graph.pull()
        if not isinstance(made, av.VideoFrame):
            raise OutputError("FFmpeg gave no frame in 256 colours")
        return made


def _build(frame: av.VideoFrame) -> Graph:
    """A graph that makes a palette of each frame and dithers the frame to it."""
    graph = Graph()
    source = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1, 100)
    )
    split = graph.add("split")
    palette = graph.add("palettegen", "stats_mode=single:reserve_transparent=1")
    use = graph.add("paletteuse", "new=1:dither=sierra2_4a:alpha_threshold=128")
    sink = graph.add("buffersink")
    source.link_to(split)
    split.link_to(palette, 0, 0)
    split.link_to(use, 1, 0)
    palette.link_to(use, 0, 1)
    use.link_to(sink)
    graph.configure()
    return graph
