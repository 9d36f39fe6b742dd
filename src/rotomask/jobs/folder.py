"""Output folders: one way to claim, resume, overwrite and finish them.

    OUT/job.json             the job: its command, settings and identity, its range, its state
    OUT/.rotomask/files      every file that rotomask wrote here (`jobs.journal`)
    OUT/.rotomask/lock       locked while a job runs

A job writes only files that it names beforehand, replaces and deletes only files that rotomask
wrote, and refuses inputs that lie among its outputs before it touches anything.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rotomask import __version__
from rotomask.errors import OutputError
from rotomask.files import (
    complete_or_absent,
    exclusive_lock,
    output_errors,
)
from rotomask.jobs.journal import Journal, refuse_foreign
from rotomask.video.images import IMAGE_SUFFIXES

MANIFEST = "job.json"
PRIVATE = ".rotomask"
FORMAT = 2

Settings = Mapping[str, Any]
"""Plain JSON: what decides a job's output."""


@dataclass(frozen=True, kw_only=True)
class EarlierRecord:
    """The record that version 0.1 would have written for a job, to recognise its folders."""

    file: str
    """Name of the record: ``job.json``, ``flow.json``, ``edges.json``, ``run.json``."""
    settings: Settings
    """Its fields that describe the job."""
    under: str | None = None
    """The field that holds them; None: they are the record."""
    files: tuple[str, ...] = ()
    """Patterns of the files that version 0.1 wrote."""

    def read(self, root: Path) -> Settings | None:
        """The record in a folder, or None if there is none.

        Raises:
            OutputError: If it is damaged.
        """
        stored = _read_json(root / self.file)
        if stored is None or stored.get("format") == FORMAT:
            return None
        described = stored if self.under is None else stored.get(self.under)
        if not isinstance(described, dict):
            raise _damaged(root / self.file)
        return described


@dataclass(frozen=True, kw_only=True)
class JobRequest:
    """A job that asks for an output folder."""

    command: str
    """Its name on the command line."""
    settings: Settings
    """Two jobs with equal settings share a folder; the later one resumes the earlier."""
    added: Sequence[str] = ()
    """Paths of files that it writes where they are absent."""
    replaced: Sequence[str] = ()
    """Paths of files that it writes anew at every run."""
    trees: Sequence[str] = ()
    """Names of files and folders that are the job's with all that is in them."""
    inputs: Sequence[Path] = ()
    """Files and folders that it reads."""
    earlier: EarlierRecord | None = None

    @property
    def identity(self) -> str:
        """Hash of the command and its settings, 32 hexadecimal digits."""
        text = json.dumps([self.command, self.settings], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:32]


@dataclass
class JobFolder:
    """A folder that a job holds."""

    root: Path
    journal: Journal
    request: JobRequest
    resumed: bool
    """Whether an earlier run of the same job was there."""
    notes: dict[str, Any] = field(default_factory=dict)
    """What the manifest says beside the settings, such as the range of frames."""

    def commit(self, temporary: Path, path: Path) -> None:
        """Record a complete temporary file and give it its final name.

        Raises:
            OutputError: If a file of that name is there that rotomask did not write.
            OSError: If the disk is full.
        """
        relative = path.relative_to(self.root).as_posix()
        if relative != MANIFEST or not _is_manifest(self.root):
            refuse_foreign(self.journal, [relative])
        self.journal.record(relative, temporary)
        temporary.replace(path)

    def write(self, relative: str) -> contextlib.AbstractContextManager[Path]:
        """A temporary name; the file is complete, recorded and renamed, or absent."""
        return complete_or_absent(self.root / relative, self.commit)

    def write_json(self, relative: str, content: object) -> None:
        """Write a JSON file."""
        with self.write(relative) as temporary:
            temporary.write_text(json.dumps(content, indent=1), encoding="utf-8")

    def is_finished(self, relative: str) -> bool:
        """Whether a file is there; an empty one is not."""
        try:
            return (self.root / relative).stat().st_size > 0
        except OSError:
            return False

    def note(self, **notes: Any) -> None:
        """Add to the notes of the manifest."""
        self.notes |= notes
        self.save(is_finished=False)

    def save(self, *, is_finished: bool) -> None:
        """Write the manifest."""
        content = {
            "format": FORMAT,
            "rotomask": __version__,
            "command": self.request.command,
            "state": "finished" if is_finished else "unfinished",
            "notes": self.notes,
            "identity": self.request.identity,
            "settings": self.request.settings,
        }
        self.write_json(MANIFEST, content)


@contextlib.contextmanager
def claim(root: str | Path, request: JobRequest, *, overwrite: bool = False) -> Iterator[JobFolder]:
    """Hold an output folder for a job, which begins in it or resumes.

    When the block ends without an error the job is finished. A job that fails before it wrote a
    file leaves nothing behind.

    Args:
        root: The folder; it is made if need be.
        request: The job.
        overwrite: Delete what rotomask wrote into the folder, whatever job it was, and begin anew.

    Raises:
        OutputError: If the folder cannot be written, another process holds it, it holds another
            job, an input lies among the outputs, or files in it that rotomask did not write have
            the names of outputs. Nothing was changed then.
    """
    root = Path(root)
    _inspect(root, request, overwrite=overwrite)
    with _locked(root) as made:
        journal = _journal(root)
        try:
            _inspect(root, request, overwrite=overwrite)  # what changed before we held the lock
            folder = _open(root, journal, request, overwrite=overwrite)
            yield folder
            folder.save(is_finished=True)
        except BaseException:
            if journal.has_only(MANIFEST):
                journal.clear()
                _remove(root, made)
            raise


@contextlib.contextmanager
def add_to(
    root: str | Path, replaced: Sequence[str], inputs: Sequence[Path] = ()
) -> Iterator[JobFolder]:
    """Hold a folder of finished masks to write more files into it; its job stays what it is.

    Args:
        root: The folder.
        replaced: Paths of the files that are written.
        inputs: Files and folders that are read.

    Raises:
        OutputError: As for `claim`.
    """
    root = Path(root)
    check_inputs(root, replaced, inputs)
    refuse_foreign(_journal(root), replaced)
    with _locked(root) as made:
        journal = _journal(root)
        try:
            refuse_foreign(journal, replaced)
            request = JobRequest(command="export", settings={}, replaced=replaced)
            yield JobFolder(root, journal, request, resumed=True)
        finally:
            if not journal:
                _remove(root, made)


def check_inputs(root: Path, outputs: Iterable[str], inputs: Iterable[Path]) -> None:
    """Raise if a job would write over what it reads, or add images to a folder that it reads.

    Raises:
        OutputError: If so; it names the input and the output.
    """
    reads = {Path(os.path.realpath(given)): given for given in inputs}
    resolved: dict[Path, Path] = {}
    for relative in outputs:
        path = root / relative
        parent = resolved.setdefault(path.parent, Path(os.path.realpath(path.parent)))
        adds_image = parent in reads and path.suffix.lower() in IMAGE_SUFFIXES
        real = parent if adds_image else parent / path.name
        if real in reads:
            raise OutputError(
                f"the input {reads[real]} lies among the outputs: {path} would be written; choose "
                "another --out"
            )


def read_manifest(root: Path) -> dict[str, Any] | None:
    """The manifest of a job's folder; None where there is none, or one of version 0.1.

    Raises:
        OutputError: If it is damaged.
    """
    stored = _read_json(root / MANIFEST)
    if stored is None or stored.get("format") != FORMAT:
        return None
    if not all(isinstance(stored.get(key), dict) for key in ("settings", "notes")):
        raise _damaged(root / MANIFEST)
    return stored


def read_earlier(root: Path) -> dict[str, Any] | None:
    """The record of a cut of version 0.1; None where there is none.

    Raises:
        OutputError: If it is damaged.
    """
    stored = _read_json(root / MANIFEST)
    return stored if stored is not None and stored.get("format") == 1 else None


def _is_manifest(root: Path) -> bool:
    """Whether a valid manifest is there; it is rotomask's, even where the journal was lost."""
    try:
        return read_manifest(root) is not None
    except OutputError:
        return False


def frames_of(root: Path) -> tuple[int, int] | None:
    """First frame, and one past the last, that the job of a folder was asked for.

    Raises:
        OutputError: If the manifest is damaged.
    """
    manifest = read_manifest(root)
    frames = None if manifest is None else manifest["notes"].get("frames")
    if not isinstance(frames, list) or not all(isinstance(number, int) for number in frames):
        return None
    start, stop = frames
    return start, stop


def _open(root: Path, journal: Journal, request: JobRequest, *, overwrite: bool) -> JobFolder:
    """Adopt, clear or resume what is there, under the lock."""
    manifest = None if overwrite else read_manifest(root)
    is_earlier = False
    with output_errors(root):
        if request.earlier is not None and _read_earlier(root, request, overwrite=overwrite):
            is_earlier = True
            for relative in sorted(_earlier_files(root, request)):
                if not journal.owns(relative):
                    journal.record(relative, root / relative)
        if overwrite:
            journal.clear()
            _clear_state(root)
        for tree in request.trees:
            if is_earlier or not os.path.lexists(root / tree):
                journal.record_tree(tree)
    notes = {} if manifest is None else dict(manifest["notes"])
    resumed = manifest is not None or (is_earlier and not overwrite)
    folder = JobFolder(root, journal, request, resumed=resumed, notes=notes)
    folder.save(is_finished=False)
    return folder


def _inspect(root: Path, request: JobRequest, *, overwrite: bool) -> None:
    """Raise if the folder may not be used; nothing is changed.

    Raises:
        OutputError: See `claim`.
    """
    outputs = [*request.added, *request.replaced, *request.trees, MANIFEST]
    check_inputs(root, outputs, request.inputs)
    journal = _journal(root)
    try:
        manifest = read_manifest(root)
    except OutputError:
        if not overwrite:
            raise
        manifest = None
    earlier = _read_earlier(root, request, overwrite=overwrite)
    if manifest is not None and not overwrite:
        _check_same(root, manifest["command"], manifest["settings"], request)
    elif earlier is not None and not overwrite:
        assert request.earlier is not None
        _check_settings(root, earlier, request.earlier.settings)
    resumes = not overwrite and (manifest is not None or earlier is not None)
    adopted: set[str] = set()
    if earlier is not None:
        adopted = _earlier_files(root, request)
    if overwrite:
        _check_deleted(root, [*journal.owned(), *adopted], request.inputs)
    checked = [*request.replaced, *(() if resumes else (*request.added, *request.trees))]
    if manifest is None:
        checked.append(MANIFEST)
    refuse_foreign(journal, (relative for relative in checked if relative not in adopted))


def _check_deleted(root: Path, deleted: Iterable[str], inputs: Iterable[Path]) -> None:
    """Raise if a file that is read, or lies in a folder that is read, would be deleted."""
    reads = {Path(os.path.realpath(given)): given for given in inputs}
    for relative in deleted:
        parent = Path(os.path.realpath((root / relative).parent))
        given = reads.get(parent) or reads.get(parent / Path(relative).name)
        if given is not None:
            raise OutputError(
                f"--overwrite would delete {root / relative}, which the input {given} needs; "
                "choose another --out"
            )


def _check_same(root: Path, command: object, settings: Settings, request: JobRequest) -> None:
    if command != request.command:
        raise OutputError(
            f"{root} holds the output of `rotomask {command}`; choose another --out, or "
            "--overwrite to replace it"
        )
    _check_settings(root, settings, request.settings)


def _check_settings(root: Path, there: Settings, here: Settings) -> None:
    old, new = flatten(there), flatten(json.loads(json.dumps(here)))
    changed = [key for key in {**new, **old} if old.get(key) != new.get(key)]
    if changed:
        shown = "; ".join(f"{k} {old.get(k)!r} there, {new.get(k)!r} here" for k in changed)
        raise OutputError(
            f"{root} holds another job ({shown}); choose another --out, or --overwrite to replace "
            "it"
        )


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


def _read_earlier(root: Path, request: JobRequest, *, overwrite: bool) -> Settings | None:
    if request.earlier is None:
        return None
    try:
        return request.earlier.read(root)
    except OutputError:
        if not overwrite:
            raise
        return None


def _earlier_files(root: Path, request: JobRequest) -> set[str]:
    """Paths of the files of version 0.1 in a folder."""
    assert request.earlier is not None
    found = {request.earlier.file, *request.added}
    for pattern in request.earlier.files:
        paths = root.glob(pattern)
        found |= {p.relative_to(root).as_posix() for p in paths}
    return {p for p in found if (root / p).is_file() and not (root / p).is_symlink()}


def _journal(root: Path) -> Journal:
    return Journal(root, root / PRIVATE / "files")


@contextlib.contextmanager
def _locked(root: Path) -> Iterator[list[Path]]:
    """Hold the folder; gives the folders that had to be made for it, the innermost first."""
    private = root / PRIVATE
    made = [p for p in (private, *private.parents) if not p.exists()]
    with output_errors(root):
        private.mkdir(parents=True, exist_ok=True)
        lock = exclusive_lock(private / "lock")
        is_ours = lock.__enter__()
    try:
        if not is_ours:
            raise OutputError(
                f"another rotomask process is writing to {root}; wait until it has finished, or "
                "choose another --out"
            )
        yield made
    finally:
        lock.__exit__(None, None, None)


def _remove(root: Path, made: Sequence[Path]) -> None:
    """Remove the folders that were made, as far as they are empty, and the lock in them."""
    if not made:
        return
    with contextlib.suppress(OSError):
        (root / PRIVATE / "lock").unlink(missing_ok=True)
        for folder in made:
            folder.rmdir()


def _clear_state(root: Path) -> None:
    for file in (root / PRIVATE).glob("state*"):
        file.unlink(missing_ok=True)


def _read_json(path: Path) -> dict[str, Any] | None:
    """A JSON object from a file, None if there is none.

    Raises:
        OutputError: If it is something else.
    """
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise _damaged(path) from error
    if not isinstance(stored, dict):
        raise _damaged(path)
    return stored


def _damaged(path: Path) -> OutputError:
    return OutputError(
        f"{path} is damaged or not a record of rotomask; move it away or choose another --out"
    )
