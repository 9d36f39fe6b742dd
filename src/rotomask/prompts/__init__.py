"""Prompts on a frame (clicks, boxes, scribbles, polygons, rough masks), and masks from them.

marker = GrabCutMarker()
marker.open(frame)
labels = marker.labels([Box(100, 80, 200, 150), Click(310, 220)])
"""

from rotomask.prompts.checks import check_prompts
from rotomask.prompts.click_marker import ClickMarker, ClickMarkerConfig
from rotomask.prompts.grabcut import GrabCutConfig, GrabCutMarker
from rotomask.prompts.json_form import (
    prompts_from_json,
    prompts_to_json,
    read_prompts,
    write_prompts,
)
from rotomask.prompts.kinds import Box, Click, Painted, Polygon, Prompt, RoughMask, Scribble
from rotomask.prompts.learning import LearningConfig
from rotomask.prompts.marker import Marker
from rotomask.prompts.state import PlacedPrompt, Prompts

__all__ = [
    "Box",
    "Click",
    "ClickMarker",
    "ClickMarkerConfig",
    "GrabCutConfig",
    "GrabCutMarker",
    "LearningConfig",
    "Marker",
    "Painted",
    "PlacedPrompt",
    "Polygon",
    "Prompt",
    "Prompts",
    "RoughMask",
    "Scribble",
    "check_prompts",
    "prompts_from_json",
    "prompts_to_json",
    "read_prompts",
    "write_prompts",
]
