"""Cut objects out of video.

    import rotomask

    rotomask.cut("clip.mp4", mask="first.png", out="clip-out")       # a file, as the command does

    segmenter = rotomask.load_model()                                # or frame by frame
    segmenter.start(first_frame, first_mask)
    for frame in frames:
        labels = segmenter.labels(segmenter.step(frame))

Importing this package loads nothing heavy: each name below is fetched when it is first used.
"""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOME = {
    "cut": "rotomask.cutting",
    "CutOptions": "rotomask.cutting",
    "load_model": "rotomask.models.catalog",
    "load_discoverer": "rotomask.models.discoverers",
    "propose": "rotomask.discovering",
    "Discoverer": "rotomask.models.discoverer",
    "Segmenter": "rotomask.models.base",
    "open_video": "rotomask.video",
    "read_mask": "rotomask.masks",
    "write_mask": "rotomask.masks",
    "RotomaskError": "rotomask.errors",
}

__all__ = [
    "CutOptions",
    "Discoverer",
    "RotomaskError",
    "Segmenter",
    "__version__",
    "cut",
    "load_discoverer",
    "load_model",
    "open_video",
    "propose",
    "read_mask",
    "write_mask",
]

if TYPE_CHECKING:
    from rotomask.cutting import CutOptions, cut
    from rotomask.discovering import propose
    from rotomask.errors import RotomaskError
    from rotomask.masks import read_mask, write_mask
    from rotomask.models.base import Segmenter
    from rotomask.models.catalog import load_model
    from rotomask.models.discoverer import Discoverer
    from rotomask.models.discoverers import load_discoverer
    from rotomask.video import open_video


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'rotomask' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)
