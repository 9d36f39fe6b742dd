"""Options of a job: a frozen dataclass, or its fields as keywords."""

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any, TypeVar

from rotomask.errors import OptionError

Options = TypeVar("Options")


def merge_options(
    kind: type[Options], options: Options | None, changes: Mapping[str, Any]
) -> Options:
    """Options with some fields changed.

    Args:
        kind: A dataclass; with `options` None its defaults are changed.
        options: What is changed.
        changes: Fields by name.

    Raises:
        OptionError: If a field is unknown; the message lists the known ones.
    """
    names = [field.name for field in fields(kind)]  # type: ignore[arg-type]
    unknown = [name for name in changes if name not in names]
    if unknown:
        raise OptionError(f"unknown option {unknown[0]!r}; known options: {', '.join(names)}")
    return replace(kind() if options is None else options, **changes)  # type: ignore[type-var]


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
