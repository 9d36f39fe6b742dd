"""Which frames most need a look, by their confidence."""

from collections.abc import Iterable, Mapping


def least_confident(
    values: Mapping[int, float], fixed: Iterable[int], count: int, apart: int
) -> list[int]:
    """The frames with the lowest confidence, the lowest first.

    Args:
        values: Confidence by frame.
        fixed: Frames that are known to be right.
        count: Frames to give, at most.
        apart: Least distance between two of them, and from a fixed one, frames: a mistake is seen
            in one of its frames.
    """
    avoided = tuple(fixed)
    worst: list[int] = []
    for index in sorted(values, key=lambda i: (values[i], i)):
        if len(worst) < count and all(abs(index - i) >= apart for i in (*worst, *avoided)):
            worst.append(index)
    return worst
