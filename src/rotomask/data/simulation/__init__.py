"""Training clips: planned from a seed on the CPU, rendered in batches on the training device.

A clip is a stack of layers. The scene at the bottom fills the frame; cut-out objects move over it.
`plan` draws every random choice with numpy and gives plain arrays; `render` turns uint8 pictures
and those arrays into frames and labels with torch, on whatever device they are. So a clip is a
function of its seed alone, the same on every device up to rounding.
"""

from rotomask.data.simulation.batch import ClipBatch, stack_clips
from rotomask.data.simulation.composition import Actor, Composition, plan_composed_clip
from rotomask.data.simulation.motion import MotionConfig
from rotomask.data.simulation.plan import ClipPlan, Layer, plan_real_clip, plan_simulated_clip
from rotomask.data.simulation.render import render

__all__ = [
    "Actor",
    "ClipBatch",
    "ClipPlan",
    "Composition",
    "Layer",
    "MotionConfig",
    "plan_composed_clip",
    "plan_real_clip",
    "plan_simulated_clip",
    "render",
    "stack_clips",
]
