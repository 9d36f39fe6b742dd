"""What rotomask wrote into a folder: a line a file, recorded before the file takes its name.

A file belongs to rotomask only while its content is what was recorded. One that somebody else made
or edited since is never replaced and never deleted.
"""

import contextlib
import json
import os
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from rotomask.errors import OutputError
from rotomask.files import content_digest, output_errors, temporary_name


@dataclass(frozen=True)
class Stamp:
    """What a file was when it was written."""

    size: int
    modified_ns: int
    digest: str

    @classmethod
    def of(cls, path: Path) -> "Stamp":
        """The stamp of a file as it is.

        Raises:
            OSError: If it cannot be read.
        """
        status = path.stat()
        return cls(status.st_size, status.st_mtime_ns, content_digest(path))

    def fits(self, path: Path, status: os.stat_result) -> bool:
        """True if a file still has the recorded content; copies with other times do."""
        if status.st_size != self.size:
            return False
        # The digest is read only where the time differs, as after a copy: hours of masks are not
        # read again at every start.
        return status.st_mtime_ns == self.modified_ns or content_digest(path) == self.digest


class Journal:
    """The record of one folder."""

    def __init__(self, root: Path, file: Path) -> None:
        """Read the record, if there is one; lines that are damaged do not count."""
        self.root, self.file = root, file
        self._stamps: dict[str, list[Stamp]] = {}
        self._trees: set[str] = set()
        self._lock = threading.Lock()  # a job writes from several threads
        with contextlib.suppress(OSError, UnicodeDecodeError):
            # One entry a line: a torn line costs one entry, not the record.
            for line in file.read_text(encoding="utf-8").splitlines():
                self._read(line)

    def __len__(self) -> int:
        """How many paths are recorded."""
        return len(self._stamps) + len(self._trees)

    def has_only(self, relative: str) -> bool:
        """True if no file of rotomask is there but perhaps this one."""
        if any(os.path.lexists(self.root / tree) for tree in self._trees):
            return False
        return all(owned == relative for owned in self.owned())

    def owns(self, relative: str) -> bool:
        """True if the file of this relative path is one that was recorded, unchanged since."""
        path = self.root / relative
        try:
            status = path.lstat()
        except OSError:
            return False
        if any(relative == tree or relative.startswith(f"{tree}/") for tree in self._trees):
            return True
        stamps = self._stamps.get(relative, ())
        with contextlib.suppress(OSError):
            # The latest first: a file that was replaced has several records.
            return path.is_file() and any(stamp.fits(path, status) for stamp in reversed(stamps))
        return False

    def is_foreign(self, relative: str) -> bool:
        """True if something is there that rotomask did not write; an empty file is nothing."""
        path = self.root / relative
        try:
            status = path.lstat()
        except OSError:
            return False
        is_empty = status.st_size == 0 and path.is_file() and not path.is_symlink()
        return not is_empty and not self.owns(relative)

    def record(self, relative: str, written: Path) -> None:
        """Record a file that is about to take its name.

        Args:
            relative: Its final path.
            written: The file as it is now.

        Raises:
            OSError: If the record cannot be written.
        """
        stamp = Stamp.of(written)
        self._append([relative, stamp.size, stamp.modified_ns, stamp.digest])
        self._stamps.setdefault(relative, []).append(stamp)

    def record_tree(self, relative: str) -> None:
        """Record a file or folder that is not there yet: all that comes under its name is a job's.

        For outputs whose writer has no way to record every file.

        Raises:
            OSError: If the record cannot be written.
        """
        if relative not in self._trees:
            self._append([relative])
            self._trees.add(relative)

    def owned(self) -> Iterator[str]:
        """Relative paths of the files that are there and belong to rotomask."""
        for relative in list(self._stamps):
            if self.owns(relative):
                yield relative
        for tree in sorted(self._trees):
            top = self.root / tree
            inside = top.rglob("*") if top.is_dir() and not top.is_symlink() else ()
            for path in (top, *inside):
                if path.is_symlink() or path.is_file():
                    yield path.relative_to(self.root).as_posix()

    def clear(self) -> None:
        """Delete the recorded files that are unchanged, the folders that this empties, the record.

        The file that was recorded first, a job's manifest, is deleted last: a folder that is
        cleared in part still says what job it holds.

        Raises:
            OutputError: If something cannot be deleted.
        """
        emptied: set[Path] = set()
        with output_errors(self.root):
            for relative in reversed(list(self.owned())):
                path = self.root / relative
                path.unlink(missing_ok=True)
                emptied.update(path.parents)
            for relative in self._stamps:  # what a killed process left half written
                with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                    temporary_name(self.root / relative).unlink()
            for folder in sorted(emptied, key=lambda p: len(p.parts), reverse=True):
                if self.root in folder.parents:
                    with contextlib.suppress(OSError):  # somebody's files are in it
                        folder.rmdir()
            self.file.unlink(missing_ok=True)
        self._stamps, self._trees = {}, set()

    def _append(self, entry: list[object]) -> None:
        line = json.dumps(entry) + "\n"
        # One write of whole lines: a killed process leaves at most the last line incomplete, and
        # the next one begins on a new line.
        with self._lock, self.file.open("ab") as file:
            if file.tell() and not self._ends_with_newline():
                line = "\n" + line
            file.write(line.encode())

    def _ends_with_newline(self) -> bool:
        with self.file.open("rb") as file:
            file.seek(-1, os.SEEK_END)
            return file.read(1) == b"\n"

    def _read(self, line: str) -> None:
        with contextlib.suppress(ValueError, TypeError, RecursionError):
            entry = json.loads(line)
            if not isinstance(entry, list) or not entry or not _is_inside(entry[0]):
                return
            if len(entry) == 1:
                self._trees.add(entry[0])
            elif len(entry) == 4 and isinstance(entry[3], str):
                stamp = Stamp(int(entry[1]), int(entry[2]), entry[3])
                self._stamps.setdefault(entry[0], []).append(stamp)


def _is_inside(relative: object) -> bool:
    """True if a recorded path stays in its folder: a record may come from anywhere."""
    if not isinstance(relative, str) or not relative:
        return False
    path = Path(relative)
    return not path.is_absolute() and ".." not in path.parts and path.parts != ()


def refuse_foreign(journal: Journal, relatives: Iterable[str]) -> None:
    """Raise if rotomask did not write one of these files.

    Raises:
        OutputError: With the first such file.
    """
    for relative in relatives:
        if journal.is_foreign(relative):
            raise OutputError(
                f"{journal.root / relative} was not written by rotomask, or was changed since; "
                "move it away or choose another --out"
            )
