"""Options and checks that readers share."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rotomask.errors import DatasetError, OptionError


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
        if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < 1 << 16:
            raise DatasetError(f"{path}: frames of {width!r}x{height!r} px")
    assert isinstance(height, int)
    assert isinstance(width, int)
    return height, width
