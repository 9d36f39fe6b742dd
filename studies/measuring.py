"""Quality and time of a segmenter on annotated sequences, by the loop that `rotomask cut` runs."""

import itertools
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from rotomask.arrays import Frame, Mask
from rotomask.data.sequences import VideoDataset, VideoSequence
from rotomask.evaluation import score_sequence
from rotomask.segmenters.base import Segmenter
from rotomask.segmenters.follow import Annotation, FollowedFrame, follow

Clock = Callable[[], float]


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Mean quality of a segmenter over sequences, and its time."""

    region: float
    """J, 0 to 1, the mean over the sequences."""
    boundary: float
    """F, likewise."""
    start_s: float
    """CPU seconds of starting a sequence, with what is learnt from its first frame."""
    frame_s: float
    """CPU seconds of a segmented frame; those of the start are spread over the frames."""

    @property
    def both(self) -> float:
        """J&F: the mean of J and F."""
        return (self.region + self.boundary) / 2


def annotations_of(sequence: VideoSequence) -> dict[int, Annotation]:
    """The masks that a sequence gives to a semi-supervised method, by frame index."""
    return {i: Annotation(labels, ids) for i, (labels, ids) in sequence.prompts().items()}


def follow_sequence(segmenter: Segmenter, sequence: VideoSequence) -> Iterator[FollowedFrame]:
    """Every frame of a sequence with its mask, from the masks that the sequence gives."""
    return follow(segmenter, enumerate(sequence.frames()), annotations_of(sequence))


def timed(run: Iterator[FollowedFrame], clock: Clock) -> Iterator[tuple[FollowedFrame, float]]:
    """The frames of a run, each with the seconds that it took by the clock."""
    while True:
        began = clock()
        frame = next(run, None)
        if frame is None:
            return
        yield frame, clock() - began


def truths_of(sequence: VideoSequence) -> list[Mask]:
    """The annotation of every frame of a sequence."""
    return [sequence.annotation(name) for name in sequence.frame_names]


def measure(segmenter: Segmenter, dataset: VideoDataset) -> Measured:
    """Mean J, F and CPU time over sequences, each cut from its first mask."""
    figures, starts, steps = [], [], []
    for sequence in dataset:
        # Decoded beforehand, so that the time is that of the segmenter alone.
        frames = list(sequence.frames())
        run = follow(segmenter, enumerate(frames), annotations_of(sequence))
        labels, seconds = [], []
        for frame, spent in timed(run, time.process_time):
            labels.append(frame.labels)
            seconds.append(spent)
        score = score_sequence(labels, truths_of(sequence)).figures
        figures.append((score["J_mean"], score["F_mean"]))
        starts.append(seconds[0])
        steps += seconds[1:]
    region, boundary = np.mean(figures, axis=0)
    return Measured(
        region=float(region),
        boundary=float(boundary),
        start_s=float(np.mean(starts)),
        frame_s=(sum(starts) + sum(steps)) / len(steps),
    )


def step_seconds(
    segmenter: Segmenter, frames: Iterable[Frame], mask: Mask, clock: Clock = time.perf_counter
) -> list[float]:
    """Seconds of every frame after the first, of which the mask is given."""
    run = follow(segmenter, enumerate(frames), {0: Annotation(mask)})
    return [spent for _, spent in timed(run, clock)][1:]


def noise_milliseconds(segmenter: Segmenter, *, warm: int, frames: int) -> float:
    """Median milliseconds of a 480p frame of noise with one object, after some that do not count.

    Args:
        segmenter: What is timed.
        warm: Frames before, until the memory is full.
        frames: Frames that count.
    """
    frame = np.random.default_rng(0).integers(0, 256, (480, 854, 3), np.uint8)
    mask = np.zeros((480, 854), np.int32)
    mask[100:300, 200:500] = 1
    times = step_seconds(segmenter, itertools.repeat(frame, 1 + warm + frames), mask)
    return float(np.median(times[warm:])) * 1000
