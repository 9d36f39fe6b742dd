"""The part of a step that needs no masks, computed before its turn in a thread of its own.

On two cores one frame's features are encoded while the frame before is segmented. Two threads that
share every layer of one frame wait for each other many times a frame; these wait once.
"""

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Generic, Self, TypeVar

import torch

from rotomask.arrays import Frame

Plan = TypeVar("Plan")
Encoded = TypeVar("Encoded")
Result = TypeVar("Result")

_MOST_EXPECTED = 8
"""Frames that are remembered; more than are read ahead (`pipeline.WAITING_ITEMS`)."""


@dataclass
class _Begun(Generic[Plan, Encoded]):
    """A frame that is encoded before it is asked for."""

    frame: Frame
    plan: Plan
    tasks: list[Future[Encoded]]
    """Its encoding, and its completion by another plan; each begins when the one before ended."""

    def cancel(self) -> None:
        """Leave undone what has not begun."""
        for task in self.tasks:
            task.cancel()


class AheadEncoder(Generic[Plan, Encoded]):
    """Encodes frames in a thread, the next one while the frame before is segmented.

    A frame may begin by a plan that is not complete yet: where frames take unlike times, the thread
    then waits less.

    Every frame is encoded with the same number of threads, whether it was told of beforehand or
    not, so that the features are the same to the bit. Nothing is encoded before the first frame is
    taken: until then its size is not known.
    """

    def __init__(
        self,
        encode: Callable[[Frame, Plan], Encoded],
        complete: Callable[[Encoded, Plan], Encoded],
        threads: int,
    ) -> None:
        """An encoder without a thread, which begins with the first frame.

        Args:
            encode: What is done with a frame by a plan.
            complete: What a later plan adds to a frame that was encoded by an earlier one.
            threads: Threads that PyTorch computes with meanwhile.
        """
        self._encode, self._complete, self._threads = encode, complete, threads
        self._lock = threading.Lock()
        self._expected: deque[Frame] = deque(maxlen=_MOST_EXPECTED)
        self._waiting: deque[_Begun[Plan, Encoded]] = deque()
        self._plans: tuple[Plan, ...] = ()
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
            self._plans = ()
            self._expected.clear()
            self._waiting.clear()
        self._executor.shutdown(cancel_futures=True)

    def expect(self, frame: Frame) -> None:
        """Encode a frame in its turn, which will be asked for."""
        with self._lock:
            self._expected.append(frame)
            self._encode_next()

    def take(self, frame: Frame, plan: Plan) -> Future[Encoded]:
        """What `encode` gives for a frame; expected ones before it are dropped.

        Args:
            frame: The frame.
            plan: Its plan, if it was not begun yet; else it has the plan that `begin` was told.
        """
        with self._lock:
            self._plans = ()  # of the frames after the one before
            return self._taken(frame, plan)

    def begin(self, next_plan: Plan, early_plan: Plan | None = None) -> None:
        """Encode the frames after the one that was taken last.

        Args:
            next_plan: Plan of the next frame. If that was begun by another, this one completes it.
            early_plan: Plan by which the frame after that begins; None: it waits. The features of
                a 480p frame take 8 to 14 MiB.
        """
        with self._lock:
            self._plans = (next_plan,) if early_plan is None else (next_plan, early_plan)
            self._encode_next()

    def compute(self, task: Callable[[], Result]) -> Result:
        """The result of a task, computed now with as many threads as frames are encoded with.

        In the calling thread: that which encodes has other frames to do first.
        """
        threads = torch.get_num_threads()
        torch.set_num_threads(self._threads)
        try:
            return task()
        finally:
            torch.set_num_threads(threads)

    def _taken(self, frame: Frame, plan: Plan) -> Future[Encoded]:
        """The frame's future, begun now if it was not; frames expected before it are forgotten."""
        for position, begun in enumerate(self._waiting):
            if begun.frame is frame:
                for _ in range(position):
                    self._waiting.popleft().cancel()
                return self._waiting.popleft().tasks[-1]
        if any(expected is frame for expected in self._expected):
            while self._waiting:
                self._waiting.popleft().cancel()
            while self._expected.popleft() is not frame:
                pass
        return self._executor.submit(self._encode, frame, plan)

    def _encode_next(self) -> None:
        for position, plan in enumerate(self._plans):
            if position < len(self._waiting):
                begun = self._waiting[position]
                if begun.plan != plan:
                    task = self._executor.submit(self._completed, begun.tasks[-1], plan)
                    begun.plan = plan
                    begun.tasks.append(task)
            elif self._expected:
                frame = self._expected.popleft()
                task = self._executor.submit(self._encode, frame, plan)
                self._waiting.append(_Begun(frame, plan, [task]))

    def _completed(self, encoded: Future[Encoded], plan: Plan) -> Encoded:
        return self._complete(encoded.result(), plan)  # has ended: the thread is the same
