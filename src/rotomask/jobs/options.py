"""Options of a job: a frozen dataclass, or its fields as keywords."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, TypeVar, get_args

from rotomask.errors import OptionError
from rotomask.networks.layers.aggregation import Aggregation

Options = TypeVar("Options")
Enlarging = Literal["auto", "always", "never"]


@dataclass(frozen=True, kw_only=True)
class ModelSettings:
    """Settings of the model that follows objects, as far as jobs offer them."""

    size: int | None = 480
    """Short side at which frames are processed, px; None: every video at its own. The output
    always has the input's size."""
    enlarge: Enlarging = "auto"
    """Whether smaller frames are enlarged to `size`; ``auto``: as the model does, which for most
    is where an object of the mask is small."""

    memory: int | Literal["all"] | None = None
    """Most frames that a space-time memory network remembers; ``all``: one in five of the whole
    video, as published. None: the model's own, 6 for stm-lite and all for stm."""

    merge: Aggregation | None = None
    """How the probabilities of several objects are merged; None: the model's own, soft."""

    def __post_init__(self) -> None:
        if self.size is not None and self.size < 16:
            raise OptionError(f"the processing size must be at least 16 px, got {self.size}")
        if self.enlarge not in get_args(Enlarging):
            raise OptionError(
                f"enlarge takes {', '.join(get_args(Enlarging))}, got {self.enlarge!r}"
            )

        if self.memory not in (None, "all") and not (
            isinstance(self.memory, int) and self.memory >= 1
        ):
            raise OptionError(f"memory takes 1 frame or more, or all, got {self.memory!r}")

        if self.merge not in (None, *get_args(Aggregation)):
            raise OptionError(f"merge takes {', '.join(get_args(Aggregation))}, got {self.merge!r}")

    def for_model(self) -> dict[str, Any]:
        """The settings as `load_model` takes them; what is left to the model is left out."""
        settings: dict[str, Any] = {"size": self.size}
        if self.enlarge != "auto" and self.size is not None:
            settings["enlarge"] = self.enlarge == "always"
        if self.memory is not None:
            settings["memory_frames"] = None if self.memory == "all" else self.memory
        if self.merge is not None:
            settings["aggregation"] = self.merge
        return settings

    def recorded(self) -> dict[str, Any]:
        """The settings by which a job is recognised: the size, and what is not the default."""
        changed = {
            field.name: getattr(self, field.name)
            for field in fields(ModelSettings)
            if getattr(self, field.name) != field.default
        }
        return {"size": self.size} | changed


def merge_options(
    kind: type[Options], options: Options | None, changes: Mapping[str, Any]
) -> Options:
    """Options with some fields changed.

    Args:
        kind: A dataclass; with `options` None its defaults are changed.
        options: What is changed.
        changes: Fields by name. ``end``, the last frame, as on the command line, is ``stop`` less
            one.

    Raises:
        OptionError: If a field is unknown; the message lists the known ones.
    """
    names = [field.name for field in fields(kind)]  # type: ignore[arg-type]
    if "stop" in names and "stop" not in changes and "end" in changes:
        end = changes["end"]
        changes = {k: v for k, v in changes.items() if k != "end"}
        changes["stop"] = None if end is None else end + 1
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
