"""The log of a cut's corrections, and how the last one is taken back from its backups."""

import itertools
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rotomask.errors import OutputError
from rotomask.files import complete_or_absent, load_json
from rotomask.jobs.confidence import STORED, TABLE
from rotomask.jobs.earlier import read_earlier
from rotomask.jobs.folder import JobFolder
from rotomask.jobs.manifest import read_manifest

FOLDER = "corrections"
"""Folder, in that of the cut, of the log and of the masks that each correction replaced."""
LOG = f"{FOLDER}/log.json"
CONFIDENCES = {Path(file).name: file for file in (STORED, TABLE)}
"""Files about confidence, by the name under which they are backed up."""
UNFINISHED = "unfinished"
"""State of a correction in the log while it is made or taken back; a finished one has none."""


@dataclass
class CorrectionLog:
    """The corrections of a cut, in a file in its folder."""

    entries: list[dict[str, Any]] = field(default_factory=list)
    undoing: int | None = None
    """Frame of the correction that is being taken back, or was by a command that goes on."""

    @classmethod
    def read(cls, root: Path) -> "CorrectionLog":
        """The corrections so far; none if there is no file.

        Raises:
            OutputError: If it is damaged.
        """
        file = root / LOG
        if not file.is_file():
            return cls()
        try:
            content = load_json(file)
            entries = content["corrections"]
            for entry in entries:
                int(entry["frame"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise OutputError(
                f"{file} is damaged; restore it, or cut again with another --out"
            ) from error
        return cls(entries, content.get("undoing"))

    def write(self, folder: JobFolder) -> None:
        """Write the file; it is complete or the old one."""
        undoing = {} if self.undoing is None else {"undoing": self.undoing}
        folder.write_json(LOG, {"version": 1, "corrections": self.entries, **undoing})

    @property
    def frames(self) -> set[int]:
        """Numbers of the corrected frames."""
        return {int(entry["frame"]) for entry in self.entries}

    @property
    def backups(self) -> str:
        """Where the last correction's old masks are, relative to the cut."""
        return f"{FOLDER}/{len(self.entries):04d}"

    @property
    def is_interrupted(self) -> bool:
        """Whether the last correction, or its undoing, was begun and not finished."""
        return bool(self.entries) and self.entries[-1].get("state") == UNFINISHED

    def has_made(self, request: str, index: int) -> bool:
        """Whether the latest corrections are of this request, one of them at this frame."""
        # Only the unbroken run at the end: after another correction the same request is a new one.
        latest = itertools.takewhile(lambda e: e.get("request") == request, reversed(self.entries))
        return any(int(entry["frame"]) == index for entry in latest)

    def take_back(self, held: JobFolder) -> dict[str, Any]:
        """Restore every mask and matte that the last correction replaced; the correction.

        If it is interrupted, it can be repeated.
        """
        # Before the first file is touched: whoever reads the log then knows that masks may be half
        # restored.
        self.entries[-1]["state"] = UNFINISHED
        self.write(held)
        backups = held.root / self.backups
        if backups.is_dir():
            for backup in sorted(file for file in backups.rglob("*") if file.is_file()):
                if backup.name.startswith("."):  # what a killed process left half written
                    continue
                folder = "mattes" if backup.parent != backups else "masks"
                path = CONFIDENCES.get(backup.name, f"{folder}/{backup.name}")
                is_private = path == STORED  # it grows by lines, so that no record has its content
                writing = complete_or_absent(held.root / path) if is_private else held.write(path)
                with writing as temporary:
                    shutil.copyfile(backup, temporary)
            shutil.rmtree(backups)
        # After the backups are gone: killed in between, the undoing is repeated and finds nothing
        # to do.
        entry = self.entries.pop()
        self.write(held)
        return entry


def reference_frames(folder: Path, log: CorrectionLog) -> set[int]:
    """Frames whose masks the user gave or corrected.

    Raises:
        OutputError: If the manifest of the cut is damaged.
    """
    manifest, earlier = read_manifest(folder), read_earlier(folder)
    if manifest is not None:
        given = manifest["settings"].get("masks") or {}
    else:
        # Folders of version 0.1 have no manifest.
        given = (earlier or {}).get("annotations") or {}
    return {int(k) for k in given} | log.frames
