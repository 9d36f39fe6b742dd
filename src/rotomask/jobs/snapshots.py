"""A segmenter's state on disk beside its masks, so that a resumed cut ends as one never stopped."""

import contextlib
import logging
import time
from typing import Any

import torch

from rotomask.errors import OutputError
from rotomask.jobs.folder import JobFolder
from rotomask.jobs.manifest import PRIVATE
from rotomask.memory import is_out_of_memory
from rotomask.segmenters.base import Segmenter
from rotomask.segmenters.confidence import ConfidenceMeter
from rotomask.segmenters.follow import FollowedFrame, Pass
from rotomask.segmenters.state import StateError, from_plain, plain_of, restore, state_of

LEAST_SECONDS = 5.0
"""Time between two snapshots; what a killed job did since the last one is segmented again."""
MOST_COST = 1 / 30
"""Greatest fraction of the time that snapshots take."""

logger = logging.getLogger(__name__)


class Snapshots:
    """The snapshots of one pass over a video; only the latest is kept."""

    def __init__(self, folder: JobFolder, frames: Pass) -> None:
        self.frames, self.identity = frames, folder.request.identity
        self.folder = folder
        direction = "backward" if frames.reverse else "forward"
        self.relative = f"{PRIVATE}/state-{direction}.pt"
        self.meter: ConfidenceMeter | None = None
        """What measures confidence, as it was stored; None: with no state, or an earlier one."""
        self._due = time.perf_counter() + LEAST_SECONDS
        self._is_possible = True

    def restore(self, segmenter: Segmenter, finished: set[int]) -> Pass | None:
        """Give the segmenter the latest state.

        Args:
            segmenter: Made as the one whose state it is.
            finished: Frames with a mask; a snapshot counts only if they cover all frames before it.

        Returns:
            The frames that come after it, or None without a snapshot of this pass.
        """
        stored = self._read()
        if stored is None or stored.get("identity") != self.identity:
            return None
        indices, index = self.frames.indices, stored.get("index")
        if not isinstance(index, int) or index not in indices:
            return None
        if stored.get("first") != indices[0]:
            return None
        # A range: a frame without a mask before the state would never be made.
        done = indices[: indices.index(index) + 1]
        if not finished.issuperset(done):
            return None
        try:
            restore(segmenter, stored.get("state"))
            meter = stored.get("meter")
            self.meter = None if meter is None else from_plain(meter)
        except StateError:
            return None
        if self.frames.reverse:
            return Pass(self.frames.start, index, reverse=True)
        return Pass(index + 1, self.frames.stop)

    def is_due(self, followed: FollowedFrame) -> bool:
        """Whether to store the state after a frame: the last is some time ago, and more follow."""
        if followed.origin == "empty" or not self._is_possible:
            return False
        return time.perf_counter() >= self._due and followed.index != self.frames.indices[-1]

    def save(
        self,
        segmenter: Segmenter,
        index: int,
        meter: ConfidenceMeter | None = None,
    ) -> None:
        """Store the state after frame `index`, whose mask and all before it are on the disk.

        Where there is no space for it, no more states are stored: a resumed cut then segments all
        frames again.
        """
        now = time.perf_counter()
        try:
            state = state_of(segmenter)
            measured = None if meter is None else plain_of(meter)
        except StateError:
            self._is_possible = False
            return
        content = {
            "identity": self.identity,
            "first": self.frames.indices[0],
            "index": index,
            "state": state,
            "meter": measured,
        }
        try:
            with self.folder.write(self.relative) as temporary:
                torch.save(content, temporary)
        except (OutputError, RuntimeError) as error:  # torch's writer raises RuntimeError
            logger.warning("no state is stored for resuming: %s", str(error).splitlines()[0])
            self._is_possible = False
        spent = time.perf_counter() - now
        # A state that takes long to store, such as that of many objects, is stored less often.
        self._due = now + max(LEAST_SECONDS, spent / MOST_COST)

    def _read(self) -> dict[str, Any] | None:
        """The stored state; None if there is none, or its content is not what was recorded."""
        path = self.folder.root / self.relative
        if not self.folder.journal.owns(self.relative):
            with contextlib.suppress(OSError):
                path.unlink()
            return None
        try:
            stored = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # torch raises anything for a damaged file; it is a cache
            if is_out_of_memory(error):
                raise
            return None
        return stored if isinstance(stored, dict) else None
