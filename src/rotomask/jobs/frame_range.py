"""The range of frames that a job is asked for."""

from rotomask.errors import OptionError


def frame_range(count: int, start: int, stop: int | None, video: object) -> range:
    """Frames start to stop - 1 of a video, checked.

    Args:
        count: Frames of the video.
        start: First frame.
        stop: One past the last; None: to the end.
        video: What the message calls the video.

    Raises:
        OptionError: If the range is empty or leaves the video.
    """
    end = count if stop is None else stop
    if start < 0:
        raise OptionError(f"frames start at 0, got {start}")
    if start >= count or end > count:
        last = start if start >= count else end - 1
        raise OptionError(
            f"{video} has {count} frames, 0 to {count - 1}; frame {last} is out of range"
        )
    if start >= end:
        raise OptionError(f"there is no frame from {start} to {end - 1}; end comes before start")
    return range(start, end)
