"""Options and checks that readers share."""

import json
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from rotomask.errors import DatasetError, OptionError
from rotomask.masks import LARGEST_ID
from rotomask.masks.segmentations import MOST_PIXELS

Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True, kw_only=True)
class ReadOptions:
    """What a file of annotations does not say by itself."""

    video: str | None = None
    """Name of the video, where a file holds several."""
    size: tuple[int, int] | None = None
    """Height and width of the frames, px, for formats that do not say it."""

    def choose(self, names: Sequence[str], path: Path) -> str:
        """The video to read among those of a file.

        Raises:
            DatasetError: If there is none, or not the one that is asked for.
            OptionError: If there are several and none is asked for.
        """
        if not names:
            raise DatasetError(f"{path} has no annotated video")
        if self.video is None:
            if len(names) > 1:
                listed = ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
                raise OptionError(f"{path} holds {len(names)} videos; name one: {listed}")
            return names[0]
        if self.video not in names:
            raise DatasetError(f"{path} has no video {self.video}; it has {', '.join(names[:8])}")
        return self.video


def read_json(path: Path) -> Any:
    """The content of a JSON file.

    Raises:
        DatasetError: If it cannot be read, or is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DatasetError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"{path} is not JSON: {error}") from error


def require(item: object, key: str, path: Path) -> Any:
    """A field of a JSON object.

    Raises:
        DatasetError: If it is no object, or lacks the field.
    """
    if not isinstance(item, Mapping) or key not in item:
        raise DatasetError(f"{path}: an entry lacks {key!r}")
    return item[key]


def frame_size(height: object, width: object, path: Path) -> tuple[int, int]:
    """Height and width as they stand in a file.

    Raises:
        DatasetError: If they are not whole numbers from 1 to 65,535.
    """
    for value in (height, width):
        # `true` is an int in Python.
        if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < 1 << 16:
            raise DatasetError(f"{path}: frames of {width!r}x{height!r} px")
    assert isinstance(height, int)
    assert isinstance(width, int)
    if height * width > MOST_PIXELS:
        raise DatasetError(
            f"{path}: frames of {width}x{height} px have more than {MOST_PIXELS // 10**6} "
            "megapixels"
        )
    return height, width


def common_size(sizes: Collection[tuple[int, int]], path: Path) -> tuple[int, int]:
    """The one size, height and width, of all frames.

    Args:
        sizes: The sizes that occur, at least one.
        path: What is read, for the message.

    Raises:
        DatasetError: If they differ.
    """
    if len({*sizes}) > 1:
        raise DatasetError(f"the images of {path} differ in size; a video has one")
    return next(iter(sizes))


def number_objects(keys: Iterable[Key], own: Callable[[Key], object]) -> dict[Key, int]:
    """An object id for each key: its own number, if all have one; else 1, 2 and so on in order.

    Args:
        keys: What tells objects apart; may repeat.
        own: The number of a key as it stands in the file, whatever its type; None without one.
    """
    ordered = list(dict.fromkeys(keys))
    numbers = [_whole(own(key)) for key in ordered]
    # Only if all have one and none twice: a mixture could give two objects the same id.
    if all(0 < number <= LARGEST_ID for number in numbers) and len({*numbers}) == len(ordered):
        return dict(zip(ordered, numbers, strict=True))
    return {key: number for number, key in enumerate(ordered, start=1)}


def _whole(value: object) -> int:
    """A whole number of at most nine digits, by itself or as text; 0 for anything else."""
    text = str(value)
    # Nine digits fit into an int32; Python refuses to parse numbers of thousands of digits.
    return int(text) if text.isdecimal() and len(text) < 10 else 0
