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
    "cut": "rotomask.jobs.cut",
    "CutOptions": "rotomask.jobs.cut",
    "load_model": "rotomask.catalog",
    "load_discoverer": "rotomask.unsupervised.discoverers",
    "propose": "rotomask.jobs.propose",
    "Discoverer": "rotomask.unsupervised.base",
    "Segmenter": "rotomask.segmenters.base",
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
    from rotomask.catalog import load_model
    from rotomask.errors import RotomaskError
    from rotomask.jobs.cut import CutOptions, cut
    from rotomask.jobs.propose import propose
    from rotomask.masks import read_mask, write_mask
    from rotomask.segmenters.base import Segmenter
    from rotomask.unsupervised.base import Discoverer
    from rotomask.unsupervised.discoverers import load_discoverer
    from rotomask.video import open_video


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'rotomask' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)
