"""The part of a step that needs no masks, computed before its turn in a thread of its own.

On two cores one frame's features are encoded while the frame before is segmented. Two threads that
share every layer of one frame wait for each other many times a frame; these wait once.
"""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Generic, Self, TypeVar

import torch

from rotomask.arrays import Frame

Encoded = TypeVar("Encoded")
Result = TypeVar("Result")

MOST_AHEAD = 2
"""Frames whose features wait at most: those of a 480p frame take about 20 MiB."""


class AheadEncoder(Generic[Encoded]):
    """Encodes frames in a thread, the next ones before they are asked for.

    Every frame is encoded by the same thread with the same number of threads, whether it was told
    of beforehand or not, so that the features are the same to the bit.
    """

    def __init__(self, encode: Callable[[Frame], Encoded], threads: int) -> None:
        """An encoder without a thread, which begins with the first frame.

        Args:
            encode: What is done with a frame.
            threads: Threads that PyTorch computes with meanwhile.
        """
        self._encode = encode
        self._waiting: deque[tuple[Frame, Future[Encoded]]] = deque()
        self._executor = ThreadPoolExecutor(
            1, "encode ahead", initializer=torch.set_num_threads, initargs=(threads,)
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._executor.shutdown(cancel_futures=True)
        self._waiting.clear()

    def expect(self, frame: Frame) -> None:
        """Encode a frame that will be asked for; nothing, where two wait already."""
        if len(self._waiting) < MOST_AHEAD:
            self._waiting.append((frame, self._executor.submit(self._encode, frame)))

    def __call__(self, frame: Frame) -> Encoded:
        """What `encode` gives for a frame; expected ones before it are dropped."""
        while self._waiting:
            expected, future = self._waiting.popleft()
            if expected is frame:
                return future.result()
            future.cancel()
        return self.compute(lambda: self._encode(frame))

    def compute(self, task: Callable[[], Result]) -> Result:
        """The result of a task of the thread that encodes."""
        return self._executor.submit(task).result()
