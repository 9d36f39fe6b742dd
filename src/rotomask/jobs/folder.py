"""Output folders: one way to claim, resume, overwrite and finish them.

    OUT/job.json             the job: its command, settings and identity, its range, its state
    OUT/.rotomask/files      every file that rotomask wrote here (`jobs.journal`)
    OUT/.rotomask/lock       locked while a job runs
    OUT/.rotomask/*          what a job stores for itself: states to resume from, confidences

A job writes only files that it names beforehand, replaces and deletes only files that rotomask
wrote, and refuses inputs that lie among its outputs before it touches anything.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rotomask import __version__
from rotomask.errors import BusyError, OutputError
from rotomask.files import complete_or_absent, exclusive_lock, output_errors
from rotomask.jobs.earlier import (
    BEGAN,
    EARLIER_VERSION,
    EarlierRecord,
    read_earlier,
    rendered_earlier,
)
from rotomask.jobs.journal import Journal, refuse_foreign
from rotomask.jobs.manifest import (
    FORMAT,
    MANIFEST,
    PRIVATE,
    Settings,
    flatten,
    read_manifest,
)
from rotomask.video.images import IMAGE_SUFFIXES

MOST_NAMED = 5
"""Settings that a message names at most; the input of a conversion may be thousands of files."""


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
        # Plain values in a fixed order: a label that is reworded, or a dictionary in another order,
        # is the same job.
        text = json.dumps([self.command, self.settings], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:32]


@dataclass
class JobFolder:
    """A folder that a job holds."""

    root: Path
    journal: Journal
    request: JobRequest
    resumed: bool
    """True if an earlier run of the same job was there."""
    notes: dict[str, Any] = field(default_factory=dict)
    """What the manifest says beside the settings, such as the range of frames."""

    def commit(self, temporary: Path, path: Path) -> None:
        """Record a complete temporary file and give it its final name.

        Raises:
            OutputError: If a file of that name is there that rotomask did not write.
            OSError: If the disk is full.
        """
        relative = path.relative_to(self.root).as_posix()
        # Its own manifest is replaced even where the journal that recorded it was lost.
        if relative != MANIFEST or not _is_manifest(self.root):
            refuse_foreign(self.journal, [relative])
        # Recorded before it is renamed: a kill in between leaves a record without a file, which
        # does no harm; the other way round the file would be taken for somebody's.
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
        """True if a file is there; an empty one is not."""
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
        overwrite: Delete what rotomask wrote into the folder, whatever job it was, and start over.

    Raises:
        OutputError: If the folder cannot be written, another process holds it, it holds another
            job, an input lies among the outputs, or files in it that rotomask did not write have
            the names of outputs. Nothing was changed then.
    """
    root = Path(root)
    # Before the lock too: a folder that is refused must not even get a lock in it.
    _inspect(root, request, overwrite=overwrite)
    with _locked(root) as made:
        journal = _journal(root)
        try:
            _inspect(root, request, overwrite=overwrite)  # what changed before we held the lock
            folder = _open(root, journal, request, overwrite=overwrite)
            yield folder
            folder.save(is_finished=True)
        except BaseException:
            # Nothing but the manifest was written: as if the job had not been.
            if journal.has_only(MANIFEST):
                journal.clear()
                _remove(root, made)
            raise


@contextlib.contextmanager
def add_to(
    root: str | Path,
    replaced: Sequence[str],
    inputs: Sequence[Path] = (),
    *,
    overwrite: bool = False,
) -> Iterator[JobFolder]:
    """Hold a folder of finished masks to write more files into it; its job stays what it is.

    Args:
        root: The folder.
        replaced: Paths of the files that are written.
        inputs: Files and folders that are read.
        overwrite: Replace also the files that a job of version 0.1 rendered.

    Raises:
        OutputError: As for `claim`.
    """
    root = Path(root)
    check_inputs(root, replaced, inputs)
    earlier = None if read_earlier(root) is None else MANIFEST
    _check_replaced(_journal(root), replaced, earlier, overwrite=overwrite)
    with _locked(root) as made:
        journal = _journal(root)
        try:
            _check_replaced(journal, replaced, earlier, overwrite=overwrite)
            if earlier is not None and overwrite:
                with output_errors(root):
                    _adopt(journal, rendered_earlier(root, earlier, replaced))
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
    # Real paths, so that a link does not hide that an input and an output are one file.
    reads = {Path(os.path.realpath(given)): given for given in inputs}
    resolved: dict[Path, Path] = {}
    for relative in outputs:
        path = root / relative
        parent = resolved.setdefault(path.parent, Path(os.path.realpath(path.parent)))
        adds_image = parent in reads and path.suffix.lower() in IMAGE_SUFFIXES
        # An image that is added to a folder of frames would be a frame of it the next time.
        real = parent if adds_image else parent / path.name
        if real in reads:
            raise OutputError(
                f"the input {reads[real]} lies among the outputs: {path} would be written; choose "
                "another --out"
            )


def _is_manifest(root: Path) -> bool:
    """True if a valid manifest is there; it is rotomask's, even where the journal was lost."""
    try:
        return read_manifest(root) is not None
    except OutputError:
        return False


def _open(root: Path, journal: Journal, request: JobRequest, *, overwrite: bool) -> JobFolder:
    """Adopt, clear or resume what is there, under the lock."""
    manifest = None if overwrite else read_manifest(root)
    is_earlier = False
    with output_errors(root):
        if request.earlier is not None and _read_earlier(root, request, overwrite=overwrite):
            is_earlier = True
            _adopt(journal, _earlier_files(root, request, overwrite=overwrite))
        if overwrite:
            journal.clear()
        if manifest is None and not is_earlier:
            _clear_private(root)
        for torn in (root / PRIVATE).glob(".*.part"):  # of a killed process: the lock is ours
            torn.unlink(missing_ok=True)
        # A name that is free now: what comes under it will be the job's.
        for tree in request.trees:
            if is_earlier or not os.path.lexists(root / tree):
                journal.record_tree(tree)
    notes = {} if manifest is None else dict(manifest["notes"])
    if is_earlier and not overwrite:
        notes[BEGAN] = EARLIER_VERSION
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
        adopted = _earlier_files(root, request, overwrite=overwrite)
    if overwrite:
        _check_deleted(root, [*journal.owned(), *adopted], request.inputs)
    record = None if earlier is None or request.earlier is None else request.earlier.file
    replaced = [relative for relative in request.replaced if relative not in adopted]
    _check_replaced(journal, replaced, record, overwrite=overwrite)
    checked = [] if resumes else [*request.added, *request.trees]
    if not resumes and not overwrite:
        _check_no_other_job(root, journal, checked)
    if manifest is None:
        checked.append(MANIFEST)
    refuse_foreign(journal, (relative for relative in checked if relative not in adopted))


def _check_no_other_job(root: Path, journal: Journal, added: Iterable[str]) -> None:
    """Raise if a job whose manifest is gone wrote a file that a new job would take for its own."""
    for relative in added:
        if journal.owns(relative) and (root / relative).stat().st_size:
            raise OutputError(
                f"{root / relative} is from a job whose {MANIFEST} is missing; choose another "
                "--out, or --overwrite to replace it"
            )


def _check_replaced(
    journal: Journal, replaced: Sequence[str], earlier: str | None, *, overwrite: bool
) -> None:
    """Raise if a file that a job replaces is not rotomask's.

    Version 0.1 did not record the files that it rendered. In its folders `overwrite` replaces those
    that are at least as new as its record.

    Args:
        journal: The record of the folder.
        replaced: Paths of the files.
        earlier: Name of the record of version 0.1, if the folder has one.
        overwrite: Whether files of version 0.1 may be replaced.
    """
    rendered = set() if earlier is None else set(rendered_earlier(journal.root, earlier, replaced))
    for relative in () if overwrite else replaced:
        if relative in rendered and journal.is_foreign(relative):
            raise OutputError(
                f"{journal.root / relative} is there, and version 0.1 did not record which files "
                "it wrote; move it away, or --overwrite if it may be replaced"
            )
    refuse_foreign(journal, (relative for relative in replaced if relative not in rendered))


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
    # Through JSON and back, as the stored ones went: tuples are lists on both sides.
    old, new = flatten(there), flatten(json.loads(json.dumps(here)))
    changed = [key for key in {**new, **old} if old.get(key) != new.get(key)]
    if changed:
        named = [f"{k} {_shown(old, k)} there, {_shown(new, k)} here" for k in changed[:MOST_NAMED]]
        more = [f"and {len(changed) - MOST_NAMED} more"] if len(changed) > MOST_NAMED else []
        shown = "; ".join([*named, *more])
        raise OutputError(
            f"{root} holds another job ({shown}); choose another --out, or --overwrite to replace "
            "it"
        )


def _shown(settings: Settings, key: str) -> str:
    return repr(settings[key]) if key in settings else "unset"


def _read_earlier(root: Path, request: JobRequest, *, overwrite: bool) -> Settings | None:
    if request.earlier is None:
        return None
    try:
        return request.earlier.read(root)
    except OutputError:
        if not overwrite:
            raise
        return None


def _earlier_files(root: Path, request: JobRequest, *, overwrite: bool) -> set[str]:
    """Paths of the files of version 0.1 in a folder; what it rendered only to overwrite it."""
    record = request.earlier
    assert record is not None
    paths = {record.file, *request.added}
    for pattern in record.files:
        paths |= {p.relative_to(root).as_posix() for p in root.glob(pattern)}
    if overwrite:
        paths |= set(rendered_earlier(root, record.file, request.replaced))
    return {p for p in paths if (root / p).is_file() and not (root / p).is_symlink()}


def _adopt(journal: Journal, relatives: Iterable[str]) -> None:
    """Record files of version 0.1 as rotomask's."""
    for relative in sorted(relatives):
        if not journal.owns(relative):
            journal.record(relative, journal.root / relative)


def _journal(root: Path) -> Journal:
    return Journal(root, root / PRIVATE / "files")


@contextlib.contextmanager
def _locked(root: Path) -> Iterator[list[Path]]:
    """Hold the folder; gives the folders that had to be made for it, the innermost first."""
    private = root / PRIVATE
    # The innermost first, the order in which they are removed again.
    made = [p for p in (private, *private.parents) if not p.exists()]
    with output_errors(root):
        private.mkdir(parents=True, exist_ok=True)
        lock = exclusive_lock(private / "lock")
        is_ours = lock.__enter__()
    try:
        if not is_ours:
            raise BusyError(
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


def _clear_private(root: Path) -> None:
    """Delete what a job stored for itself; the record of files and the lock stay."""
    for file in (root / PRIVATE).iterdir():
        if file.name not in ("files", "lock") and file.is_file():
            file.unlink(missing_ok=True)
