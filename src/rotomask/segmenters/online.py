"""A segmenter whose network learns from the reference frame of each video first.

RGMP (Oh et al. 2018), sec. 4.3. How it learns is a function that `training.online` gives.
"""

from collections.abc import Callable
from typing import Any

from torch import nn

from rotomask.arrays import Frame, Mask, check_frame, check_mask
from rotomask.segmenters.base import OnLearning, Segmenter
from rotomask.segmenters.network_segmenter import NetworkSegmenter
from rotomask.segmenters.wrappers import Wrapper

Learn = Callable[[NetworkSegmenter[Any, Any], Frame, Mask, OnLearning | None], nn.Module]
"""From a segmenter, an annotated frame and whom to tell how far it is: a trained copy of the
segmenter's network."""


class OnlineLearned(Wrapper):
    """A segmenter that starts each video with a network trained on its reference frame.

    The network given is not changed: every video has a copy of its own. Objects and corrections
    that come later are followed, but not learned from.

    Args:
        parent: The segmenter as it is before it has seen a video.
        learn: How its network is trained.
    """

    def __init__(self, parent: NetworkSegmenter[Any, Any], learn: Learn) -> None:
        super().__init__(parent.with_network(parent.network))
        self.parent, self.learn = parent, learn
        self._on_learning: OnLearning | None = None

    def __repr__(self) -> str:
        """The segmenter and how it learns."""
        return f"{self.parent!r}, online learning {self.learn!r}"

    def start(self, frame: Frame, mask: Mask) -> None:
        """Forget everything, learn from this frame and its mask, and take them as the reference."""
        check_frame(frame)
        check_mask(mask, frame)
        network = self.learn(self.parent, frame, mask, self._on_learning)
        self.segmenter = self.parent.with_network(network)
        self.segmenter.start(frame, mask)

    def report_learning(self, on_learning: OnLearning | None) -> None:
        """Have `start` report how far learning is."""
        self._on_learning = on_learning

    def twin(self) -> Segmenter:
        """Another of the same kind, that learns from its own video."""
        return OnlineLearned(self.parent, self.learn)
