"""Validation by the real benchmark: whole videos, cut as at test time from their first mask."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from rotomask.arrays import Frame, Mask
from rotomask.data.sequences import VideoSequence
from rotomask.evaluation import score_sequence
from rotomask.segmenters.base import Segmenter
from rotomask.segmenters.follow import Annotation, follow


def validate(make: Callable[[], Segmenter], videos: Sequence[VideoSequence]) -> dict[str, float]:
    """Mean J and F over whole videos.

    Args:
        make: Gives a segmenter; one is enough for all videos.
        videos: What to cut, from the first frame with an object; objects are those of that frame.

    Returns:
        ``score`` (the mean of J and F), ``J``, ``F`` and ``J NAME`` of each video; empty without
        videos.
    """
    scores: dict[str, dict[str, float]] = {}
    segmenter = make() if videos else None
    for video in videos:
        first = next((k for k in range(len(video)) if video.read(k)[1].any()), None)
        if first is None:
            continue
        assert segmenter is not None
        scores[video.name] = score_sequence(*_cut(segmenter, video, first)).figures
    if not scores:
        return {}
    region = float(np.mean([s["J_mean"] for s in scores.values()]))
    boundary = float(np.mean([s["F_mean"] for s in scores.values()]))
    summary = {"score": (region + boundary) / 2, "J": region, "F": boundary}
    return summary | {f"J {name}": s["J_mean"] for name, s in scores.items()}


def _cut(segmenter: Segmenter, video: VideoSequence, first: int) -> tuple[list[Mask], list[Mask]]:
    """Masks and truth of every frame from the first annotated one."""
    truths: list[Mask] = []

    def frames() -> Iterator[tuple[int, Frame]]:
        for index in range(first, len(video)):
            frame, labels = video.read(index)
            truths.append(labels.astype(np.int32))
            yield index, frame

    reference = {first: Annotation(video.read(first)[1].astype(np.int32))}
    predictions = [followed.labels for followed in follow(segmenter, frames(), reference)]
    return predictions, truths
