"""Cut objects out of video.

    import rotomask

    rotomask.cut("clip.mp4", mask="first.png", out="clip-out")       # a file, as the command does

    for frame, labels in rotomask.track("clip.mp4", "first.png"):    # without files
        ...

    segmenter = rotomask.load_model()                                # or frame by frame
    segmenter.start(first_frame, first_mask)
    for frame in frames:
        labels = segmenter.labels(segmenter.step(frame))

A command of the command line is a function here. Five have a longer name, most because the tools
behind them are packages: `write_flow` (package `flow`), `write_edges` (`edges`), `refine_cut`
(`refine`), `export_cut` (`export`) and `average_weights`. `rotomask models` lists
`rotomask.catalog.CATALOG`; `rotomask app` is `rotomask.app.launch.run_app`. An unknown keyword is
an `OptionError` that lists the known ones.

Importing this package loads nothing heavy: each name below is fetched when it is first used.
"""

import importlib
from typing import TYPE_CHECKING, Any

from rotomask.threads import wait_passively

__version__ = "1.0.0rc1"

_HOME = {
    "BatchOptions": "rotomask.jobs.batch.driver",
    "CutOptions": "rotomask.jobs.cut",
    "Discoverer": "rotomask.unsupervised.base",
    "EdgeOptions": "rotomask.jobs.edges",
    "EffectOptions": "rotomask.jobs.effect",
    "FlowOptions": "rotomask.jobs.flow",
    "Marker": "rotomask.prompts",
    "Prompts": "rotomask.prompts",
    "Refinements": "rotomask.segmenters.refinements",
    "RotomaskError": "rotomask.errors",
    "Segmenter": "rotomask.segmenters.base",
    "StabiliseOptions": "rotomask.jobs.stabilise",
    "average_weights": "rotomask.networks.averaging",
    "batch": "rotomask.jobs.batch.driver",
    "benchmark": "rotomask.jobs.benchmark",
    "compare": "rotomask.evaluation.comparison",
    "convert": "rotomask.jobs.convert",
    "correct": "rotomask.jobs.correct",
    "cut": "rotomask.jobs.cut",
    "demo": "rotomask.jobs.demo",
    "detect": "rotomask.jobs.detect",
    "effect": "rotomask.jobs.effect",
    "evaluate": "rotomask.jobs.evaluate",
    "export_cut": "rotomask.jobs.export:export",
    "export_model": "rotomask.jobs.export_model",
    "load_detector": "rotomask.catalog",
    "load_discoverer": "rotomask.jobs.loading",
    "load_edge_detector": "rotomask.catalog",
    "load_flow": "rotomask.catalog",
    "load_marker": "rotomask.catalog",
    "load_model": "rotomask.jobs.loading",
    "mark": "rotomask.jobs.mark",
    "open_camera": "rotomask.effects.camera",
    "open_effect": "rotomask.effects",
    "open_video": "rotomask.video",
    "parse_refinements": "rotomask.segmenters.refinements",
    "propose": "rotomask.jobs.propose",
    "read_mask": "rotomask.masks",
    "refine_cut": "rotomask.jobs.refine:refine",
    "review": "rotomask.jobs.review",
    "stabilise": "rotomask.jobs.stabilise",
    "track": "rotomask.jobs.track",
    "train": "rotomask.jobs.train",
    "undo_correction": "rotomask.jobs.correct",
    "write_edges": "rotomask.jobs.edges:edges",
    "write_flow": "rotomask.jobs.flow:flow",
    "write_mask": "rotomask.masks",
}
"""Where each name is: ``MODULE``, or ``MODULE:NAME`` where it has another name there."""

__all__ = [
    "BatchOptions",
    "CutOptions",
    "Discoverer",
    "EdgeOptions",
    "EffectOptions",
    "FlowOptions",
    "Marker",
    "Prompts",
    "Refinements",
    "RotomaskError",
    "Segmenter",
    "StabiliseOptions",
    "__version__",
    "average_weights",
    "batch",
    "benchmark",
    "compare",
    "convert",
    "correct",
    "cut",
    "demo",
    "detect",
    "effect",
    "evaluate",
    "export_cut",
    "export_model",
    "load_detector",
    "load_discoverer",
    "load_edge_detector",
    "load_flow",
    "load_marker",
    "load_model",
    "mark",
    "open_camera",
    "open_effect",
    "open_video",
    "parse_refinements",
    "propose",
    "read_mask",
    "refine_cut",
    "review",
    "stabilise",
    "track",
    "train",
    "undo_correction",
    "write_edges",
    "write_flow",
    "write_mask",
]

if TYPE_CHECKING:
    from rotomask.catalog import load_detector, load_edge_detector, load_flow, load_marker
    from rotomask.effects import open_effect
    from rotomask.effects.camera import open_camera
    from rotomask.errors import RotomaskError
    from rotomask.evaluation.comparison import compare
    from rotomask.jobs.batch.driver import BatchOptions, batch
    from rotomask.jobs.benchmark import benchmark
    from rotomask.jobs.convert import convert as convert
    from rotomask.jobs.correct import correct, undo_correction
    from rotomask.jobs.cut import CutOptions, cut
    from rotomask.jobs.demo import demo
    from rotomask.jobs.detect import detect
    from rotomask.jobs.edges import EdgeOptions
    from rotomask.jobs.edges import edges as write_edges
    from rotomask.jobs.effect import EffectOptions, effect
    from rotomask.jobs.evaluate import evaluate
    from rotomask.jobs.export import export as export_cut
    from rotomask.jobs.export_model import export_model
    from rotomask.jobs.flow import FlowOptions
    from rotomask.jobs.flow import flow as write_flow
    from rotomask.jobs.loading import load_discoverer, load_model
    from rotomask.jobs.mark import mark
    from rotomask.jobs.propose import propose
    from rotomask.jobs.refine import refine as refine_cut
    from rotomask.jobs.review import review
    from rotomask.jobs.stabilise import StabiliseOptions, stabilise
    from rotomask.jobs.track import track
    from rotomask.jobs.train import train
    from rotomask.masks import read_mask, write_mask
    from rotomask.networks.averaging import average_weights
    from rotomask.prompts import Marker, Prompts
    from rotomask.segmenters.base import Segmenter
    from rotomask.segmenters.refinements import Refinements, parse_refinements
    from rotomask.unsupervised.base import Discoverer
    from rotomask.video import open_video


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'rotomask' has no attribute {name!r}")
    wait_passively()  # most of them import torch
    module, _, renamed = _HOME[name].partition(":")
    return getattr(importlib.import_module(module), renamed or name)


def __dir__() -> list[str]:
    return sorted(__all__)
