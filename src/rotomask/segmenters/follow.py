"""The frame loop: a segmenter follows annotated objects through the frames of a video.

Everything that runs a segmenter over frames runs this loop: cutting, benchmarks, validation during
training, propagation of objects found without annotation, and the app.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from rotomask.arrays import Frame, Mask, Probabilities
from rotomask.errors import OptionError
from rotomask.segmenters.base import Segmenter
from rotomask.segmenters.framing import ids_in

Direction = Literal["both", "forward", "backward"]
DIRECTIONS: dict[str, str] = {
    "both": "from the first annotated frame to the end and back to the start",
    "forward": "from the first annotated frame to the end",
    "backward": "from the last annotated frame to the start",
}
"""Each direction and what it does, for help texts."""

Origin = Literal["reference", "correction", "segmented", "finished", "empty"]
"""Where a frame's mask comes from.

``reference``: the annotation that a pass starts from; ``correction``: an annotation of part of the
frame, the rest segmented; ``segmented``: the segmenter alone; ``finished``: an earlier run;
``empty``: before the first annotated frame.
"""


class FrameSource(Protocol):
    """Frames of a video, decoded on demand, any number of times."""

    def __len__(self) -> int: ...

    def frames(
        self, start: int = 0, stop: int | None = None, *, reverse: bool = False
    ) -> Iterator[Frame]:
        """Frames start, start + 1, ... before stop, or the same backwards."""


@dataclass(frozen=True, eq=False)
class Annotation:
    """True mask of all or some objects of one frame."""

    labels: Mask
    """H×W integers, 0 background, k = object id k."""
    object_ids: tuple[int, ...] | None = None
    """Objects that the mask annotates; None: those that appear in it. An id listed here without a
    pixel in the mask is absent from the frame."""


@dataclass(frozen=True, eq=False)
class FollowedFrame:
    """One frame of a pass with its mask."""

    index: int
    frame: Frame
    labels: Mask
    """H×W integers."""
    probabilities: Probabilities | None
    """O+1×H×W, background first, in the order of the segmenter's `object_ids`; None where nothing
    was segmented: origin ``reference``, ``finished`` or ``empty``."""
    origin: Origin


@dataclass(frozen=True)
class Pass:
    """Range of frames that a segmenter follows without a new start."""

    start: int
    """First frame of the range."""
    stop: int
    """One past the last frame of the range."""
    reverse: bool = False
    """Follow from the last frame to the first."""

    def __len__(self) -> int:
        return self.stop - self.start

    @property
    def indices(self) -> range:
        """Frame numbers in the order in which they are followed."""
        frames = range(self.start, self.stop)
        return frames[::-1] if self.reverse else frames


def plan_passes(
    annotated: Iterable[int], start: int, stop: int, direction: Direction = "both"
) -> tuple[Pass, ...]:
    """Passes that together segment every frame of a range, in the order in which to run them.

    Only the annotated frame from which both start is in two passes.

    Args:
        annotated: Numbers of the annotated frames, at least one.
        start: First frame.
        stop: One past the last.
        direction: A name of `DIRECTIONS`.

    Raises:
        OptionError: If the direction is unknown.
    """
    if direction not in DIRECTIONS:
        raise OptionError(f"unknown direction {direction!r}; use {', '.join(DIRECTIONS)}")
    if direction == "forward":
        return (Pass(start, stop),)
    if direction == "backward":
        return (Pass(start, stop, reverse=True),)
    first = min(annotated)
    forward = Pass(first, stop)
    return (forward, Pass(start, first + 1, reverse=True)) if first > start else (forward,)


def follow(
    segmenter: Segmenter,
    frames: Iterable[tuple[int, Frame]],
    annotations: Mapping[int, Annotation],
    *,
    finished: Callable[[int], Mask | None] | None = None,
    started: bool = False,
    elsewhere: Iterable[tuple[Frame, Annotation]] = (),
) -> Iterator[FollowedFrame]:
    """Masks of frames, segmented one after the other.

    The segmenter starts at the first annotated frame; frames before it get empty masks. Later
    annotations are corrections or new objects.

    Args:
        segmenter: Follows the objects of this pass's annotations; earlier ones are forgotten.
        frames: Frame numbers and frames, in the order in which to segment them.
        annotations: Annotations by frame number.
        finished: Gives the mask of a frame that an earlier run finished, or None. Such a frame is
            passed to `Segmenter.observe`, not segmented again.
        started: The segmenter has the state after the frame before the first
            (`segmenters.state`), and continues from it instead of starting.
        elsewhere: Annotated frames of the video that are not among `frames`. The segmenter learns
            from them when it has started (`Segmenter.add_reference`). Objects that the first
            annotation says are absent are followed if one of these shows them.

    Yields:
        Every frame with its mask, as soon as it is segmented.

    Raises:
        MaskError: If the first annotation is empty.
        ShapeError: If a frame or mask has the wrong shape, or a size unlike the first's.
    """
    for index, frame in frames:
        annotation = annotations.get(index)
        probabilities: Probabilities | None = None
        origin: Origin
        if annotation is not None and not started:
            _start(segmenter, frame, annotation, elsewhere)
            started, labels, origin = True, annotation.labels, "reference"
        elif not started:
            labels, origin = np.zeros(frame.shape[:2], np.int32), "empty"
        elif annotation is not None:
            probabilities = segmenter.add(frame, annotation.labels, annotation.object_ids)
            labels, origin = segmenter.labels(probabilities), "correction"
        elif finished is not None and (earlier := finished(index)) is not None:
            segmenter.observe(frame, earlier)
            labels, origin = earlier, "finished"
        else:
            probabilities = segmenter.step(frame)
            labels, origin = segmenter.labels(probabilities), "segmented"
        # Not held while the caller uses it: the probabilities of hundreds of objects take 500 MB.
        followed = [FollowedFrame(index, frame, labels, probabilities, origin)]
        probabilities = None
        yield followed.pop()


def _start(
    segmenter: Segmenter,
    frame: Frame,
    annotation: Annotation,
    elsewhere: Iterable[tuple[Frame, Annotation]],
) -> None:
    """Start at the first annotated frame, given what other frames show."""
    absent = set(annotation.object_ids or ()) - set(ids_in(annotation.labels))
    if absent:
        elsewhere = list(elsewhere)
        showing = (pair for pair in elsewhere if absent & set(ids_in(pair[1].labels)))
        if (first := next(showing, None)) is not None:
            # A segmenter starts with objects that it sees: this frame is then the next one, and
            # what it shows in their place is background.
            segmenter.start(first[0], first[1].labels)
            _add_references(segmenter, (pair for pair in elsewhere if pair is not first))
            segmenter.add(frame, annotation.labels, annotation.object_ids)
            return
    segmenter.start(frame, annotation.labels)
    _add_references(segmenter, elsewhere)


def _add_references(segmenter: Segmenter, known: Iterable[tuple[Frame, Annotation]]) -> None:
    for frame, annotation in known:
        segmenter.add_reference(frame, annotation.labels, annotation.object_ids)
