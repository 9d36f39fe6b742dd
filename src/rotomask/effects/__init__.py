"""Effects: pictures from frames and masks, for a preview of one frame and for whole videos.

Each effect is a pure function of numpy arrays with a small dataclass of settings (`background`,
`appearance`, `erasing`, `repetition`). `registry.EFFECTS` lists them with what they read;
`open_effect` renders any frame of a video and its cut at any width. The virtual camera that follows
an object is in `camera_path` (its mathematics) and `camera` (its pictures).
"""

from rotomask.effects.options import Option, Settings
from rotomask.effects.registry import EFFECTS, Effect, EffectView, find_effect, open_effect
from rotomask.effects.scene import Cutout, Scene

__all__ = [
    "EFFECTS",
    "Cutout",
    "Effect",
    "EffectView",
    "Option",
    "Scene",
    "Settings",
    "find_effect",
    "open_effect",
]
