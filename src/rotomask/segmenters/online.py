"""A segmenter whose network is first trained on the reference frame of each video.

RGMP (Oh et al. 2018), sec. 4.3. `training.online` has the function that trains it.
"""

from collections.abc import Callable
from typing import Any

from torch import nn

from rotomask.arrays import Frame, Mask, as_labels, check_frame, check_mask
from rotomask.segmenters.base import OnLearning, Segmenter
from rotomask.segmenters.network_segmenter import NetworkSegmenter
from rotomask.segmenters.wrappers import Wrapper

Learn = Callable[[NetworkSegmenter[Any, Any], Frame, Mask, OnLearning | None], nn.Module]
"""Trained copy of a segmenter's network, from the segmenter, an annotated frame with its mask, and
a callback for progress."""


class OnlineLearned(Wrapper):
    """Segmenter that follows each video with a network trained on its reference frame.

    The given network is not changed: every video has its own copy. Objects and corrections added
    later are followed, but not trained on.

    Args:
        parent: Segmenter with the network before training.
        learn: Trains a copy of its network.
    """

    def __init__(self, parent: NetworkSegmenter[Any, Any], learn: Learn) -> None:
        super().__init__(parent.with_network(parent.network))
        self.parent, self.learn = parent, learn
        self._on_learning: OnLearning | None = None

    def __repr__(self) -> str:
        """Segmenter and learning function."""
        return f"{self.parent!r}, online learning {self.learn!r}"

    def start(self, frame: Frame, mask: Mask) -> None:
        """Start a new video: train on this frame and its mask, and take them as the reference."""
        check_frame(frame)
        mask = as_labels(mask)
        check_mask(mask, frame)
        network = self.learn(self.parent, frame, mask, self._on_learning)
        self.segmenter = self.parent.with_network(network)
        self.segmenter.start(frame, mask)

    def report_learning(self, on_learning: OnLearning | None) -> None:
        """Set the callback with which `start` reports progress in learning."""
        self._on_learning = on_learning

    def twin(self) -> Segmenter:
        """Second segmenter of the same kind, which is trained on its own video."""
        return OnlineLearned(self.parent, self.learn)
