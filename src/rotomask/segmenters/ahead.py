"""The part of a step that needs no masks, computed before its turn in a thread of its own.

On two cores one frame's features are encoded while the frame before is segmented. Two threads that
share every layer of one frame wait for each other many times a frame; these wait once.
"""

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Generic, Self, TypeVar

import torch

from rotomask.arrays import Frame

Plan = TypeVar("Plan")
Encoded = TypeVar("Encoded")
Result = TypeVar("Result")

MOST_AHEAD = 1
"""Frames that are encoded before they are asked for: features of a 480p frame take 8 to 14 MiB."""
_MOST_EXPECTED = 8
"""Frames that are remembered; more than are read ahead (`pipeline.WAITING_ITEMS`)."""


class AheadEncoder(Generic[Plan, Encoded]):
    """Encodes frames in a thread, the next one while the frame before is segmented.

    Every frame is encoded by the same thread with the same number of threads, whether it was told
    of beforehand or not, so that the features are the same to the bit. Nothing is encoded before
    the first frame is asked for: until then its size is not known.
    """

    def __init__(self, encode: Callable[[Frame, Plan], Encoded], threads: int) -> None:
        """An encoder without a thread, which begins with the first frame.

        Args:
            encode: What is done with a frame by a plan.
            threads: Threads that PyTorch computes with meanwhile.
        """
        self._encode = encode
        self._lock = threading.Lock()
        self._expected: deque[Frame] = deque(maxlen=_MOST_EXPECTED)
        self._waiting: deque[tuple[Frame, Future[Encoded]]] = deque()
        self._is_asked = False
        self._plan: Plan | None = None
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
        with self._lock:
            self._is_asked = False
            self._expected.clear()
            self._waiting.clear()
        self._executor.shutdown(cancel_futures=True)

    def expect(self, frame: Frame) -> None:
        """Encode a frame in its turn, which will be asked for."""
        with self._lock:
            self._expected.append(frame)
            self._encode_next()

    def __call__(self, frame: Frame, plan: Plan, next_plan: Plan) -> Encoded:
        """What `encode` gives for a frame; expected ones before it are dropped.

        Args:
            frame: The frame.
            plan: Its plan, if it was not begun yet; else it has the `next_plan` of when it was.
            next_plan: Plan of the frame after it.
        """
        with self._lock:
            self._is_asked = True
            future = self._taken(frame, plan)
            self._plan = next_plan
            self._encode_next()
        return future.result()

    def compute(self, task: Callable[[], Result]) -> Result:
        """The result of a task of the thread that encodes."""
        return self._executor.submit(task).result()

    def _taken(self, frame: Frame, plan: Plan) -> Future[Encoded]:
        """The frame's future, begun now if it was not; frames expected before it are forgotten."""
        for position, (waiting, _) in enumerate(self._waiting):
            if waiting is frame:
                for _ in range(position):
                    self._waiting.popleft()[1].cancel()
                return self._waiting.popleft()[1]
        if any(expected is frame for expected in self._expected):
            while self._waiting:
                self._waiting.popleft()[1].cancel()
            while self._expected.popleft() is not frame:
                pass
        return self._executor.submit(self._encode, frame, plan)

    def _encode_next(self) -> None:
        while self._is_asked and self._expected and len(self._waiting) < MOST_AHEAD:
            frame = self._expected.popleft()
            assert self._plan is not None
            future = self._executor.submit(self._encode, frame, self._plan)
            self._waiting.append((frame, future))
