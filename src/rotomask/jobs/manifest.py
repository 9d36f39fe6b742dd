"""The manifest of an output folder, ``job.json``: whose output it is, and how far it is."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rotomask.errors import OutputError

MANIFEST = "job.json"
PRIVATE = ".rotomask"
"""Folder of the files that are for rotomask alone."""
FORMAT = 2
"""Version of the manifest; version 0.1 of rotomask wrote 1, or none."""

Settings = Mapping[str, Any]
"""Plain JSON: what decides a job's output."""


def read_manifest(root: Path) -> dict[str, Any] | None:
    """The manifest of a job's folder; None where there is none, or one of version 0.1.

    Raises:
        OutputError: If it is damaged.
    """
    stored = read_json(root / MANIFEST)
    if stored is None or stored.get("format") != FORMAT:
        return None
    kinds = {"command": str, "settings": dict, "notes": dict}
    if not all(isinstance(stored.get(key), kind) for key, kind in kinds.items()):
        raise damaged(root / MANIFEST)
    return stored


def frames_of(root: Path) -> tuple[int, int] | None:
    """First frame, and one past the last, that the job of a folder was asked for.

    Raises:
        OutputError: If the manifest is damaged.
    """
    manifest = read_manifest(root)
    frames = None if manifest is None else manifest["notes"].get("frames")
    # Not isinstance of the numbers: `true` is an int in Python.
    if not isinstance(frames, list) or [type(number) for number in frames] != [int, int]:
        return None
    start, stop = frames
    return start, stop


def flatten(settings: Settings, prefix: str = "") -> dict[str, object]:
    """Nested settings with dotted names.

    Example:
        >>> flatten({"size": 480, "video": {"frames": 3}})
        {'size': 480, 'video.frames': 3}
    """
    flat: dict[str, object] = {}
    for key, value in settings.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def read_json(path: Path) -> dict[str, Any] | None:
    """A JSON object from a file, None if there is none.

    Raises:
        OutputError: If it is something else.
    """
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise damaged(path) from error
    if not isinstance(stored, dict):
        raise damaged(path)
    return stored


def damaged(path: Path) -> OutputError:
    """The error for a record that cannot be read."""
    return OutputError(
        f"{path} is damaged or not a record of rotomask; move it away or choose another --out"
    )
