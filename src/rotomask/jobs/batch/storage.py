"""Files that a batch reads and writes, on this machine or remote, through fsspec.

A location is a path, or a URL such as ``s3://bucket/clip.mp4``. Videos are not decoded over the
network: a worker downloads them, and deletes its copies when the video is done.
"""

import contextlib
import glob
import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from rotomask.errors import InputError, RemoteError
from rotomask.files import complete_or_absent, natural_key
from rotomask.jobs.manifest import MANIFEST, PRIVATE, read_json

PROTOCOLS = ("s3", "http", "https", "gs", "az", "abfs")
"""Remote storage that a batch may name. Others that fsspec has run commands or read archives."""
READ_ONLY = ("http", "https")
PACKAGES = {"s3": "s3fs", "http": "aiohttp", "https": "aiohttp", "gs": "gcsfs"}
"""Protocol -> the package that fsspec needs for it; adlfs for the others."""
RECEIPT = f"{PRIVATE}/batch.json"
"""File in a video's folder, written last: this video is finished, from these inputs."""
_STAMPS = ("ETag", "etag", "md5Hash", "LastModified", "mtime", "updated", "last_modified")
"""Fields of a remote file's description that change with its content; the first one counts."""


def is_remote(location: str) -> bool:
    """Whether a location is a URL, other than of a file on this machine."""
    return "://" in location and not location.startswith("file://")


def local_path(location: str) -> Path:
    """The path of a location that is not remote."""
    return Path(location.removeprefix("file://"))


def join(parent: str, relative: str) -> str:
    """A location relative to a folder; a URL or an absolute path stays as it is."""
    if "://" in relative or Path(relative).is_absolute():
        return relative
    if is_remote(parent):
        return f"{parent.rstrip('/')}/{PurePosixPath(relative)}"
    return str(local_path(parent) / relative)


def parent_of(location: str) -> str:
    """The folder that a location is in."""
    if is_remote(location):
        return location.rpartition("/")[0]
    return str(local_path(location).parent)


def read_bytes(location: str) -> bytes:
    """The content of a small file.

    Raises:
        InputError: If there is none.
        RemoteError: If remote storage fails.
    """
    if is_remote(location):
        with _remote(location) as (files, path):
            return bytes(files.cat_file(path))
    try:
        return local_path(location).read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {location}: {error.strerror or error}") from error


def match(pattern: str) -> list[str]:
    """Locations that match a pattern with ``*``, ``?``, ``[...]`` and ``**``, in natural order."""
    if not is_remote(pattern):
        local = glob.glob(str(local_path(pattern)), recursive=True)  # noqa: PTH207
        return sorted(local, key=natural_key)
    protocol = pattern.partition("://")[0]
    with _remote(pattern) as (files, path):
        paths = files.glob(path)
    return sorted((f"{protocol}://{_bare(remote)}" for remote in paths), key=natural_key)


def siblings(folder: str) -> set[str]:
    """Names of what is in a folder."""
    if not is_remote(folder):
        with contextlib.suppress(OSError):
            return {entry.name for entry in local_path(folder).iterdir()}
        return set()
    with _remote(folder) as (files, path):
        return {PurePosixPath(sibling.rstrip("/")).name for sibling in files.ls(path, detail=False)}


def stamp(location: str) -> list[object]:
    """What changes when a file, or the list of a folder's files, changes; cheap to get.

    Raises:
        InputError: If there is none.
        RemoteError: If remote storage fails.
    """
    if is_remote(location):
        with _remote(location) as (files, path):
            if _is_folder(files, location, path):
                return _folder_stamp((p, _described(i)) for p, i in _listed(files, path).items())
            # Size and what the store says of the content: an ETag, a checksum, or a time.
            return _described(files.info(path))
    local = local_path(location)
    try:
        if local.is_dir():
            entries = (entry for entry in os.scandir(local) if entry.is_file())
            return _folder_stamp((entry.name, _stat_stamp(entry.stat())) for entry in entries)
        return _stat_stamp(local.stat())
    except OSError as error:
        raise InputError(f"cannot read {location}: {error.strerror or error}") from error


def size_of(location: str) -> int:
    """Bytes of a file, or the number of files in a folder; 0 if that is unknown."""
    try:
        number = stamp(location)[0]
    except (InputError, RemoteError):
        return 0
    return number if isinstance(number, int) else 0


def fetch(location: str, folder: Path) -> Path:
    """A local path with the content of a location, downloaded into a folder if it is remote.

    Raises:
        InputError: If there is nothing.
        RemoteError: If remote storage fails, or gives fewer bytes than it said.
    """
    if not is_remote(location):
        return local_path(location)
    # A folder for each content of a location: a video that was replaced is downloaded again.
    mark = hashlib.sha256(json.dumps([location, stamp(location)]).encode()).hexdigest()[:16]
    target = folder / mark / PurePosixPath(location.rstrip("/")).name
    with _remote(location) as (files, path):
        if not _is_folder(files, location, path):
            _download(files, path, target)
            return target
        for inside in _listed(files, path):
            _download(files, inside, target / PurePosixPath(inside).name)
    return target


@dataclass(frozen=True)
class Store:
    """Where the folders of a batch's videos are."""

    out: str
    """A folder or a URL."""
    root: Path
    """The folder on this machine: `out` itself, or one for the work in progress on a URL."""

    @classmethod
    def at(cls, out: str, scratch: Path) -> "Store":
        """The store of a batch.

        Args:
            out: A folder or a URL.
            scratch: Folder for work in progress, if `out` is a URL, and for downloads. Its place
                depends on `out` alone, so that a worker on the same machine finds what a killed one
                left.

        Raises:
            InputError: If the URL cannot be written.
        """
        if not is_remote(out):
            return cls(out, local_path(out))
        if out.partition("://")[0] in READ_ONLY:
            raise InputError(f"{out} cannot be written; --out takes a folder or s3://BUCKET/PATH")
        return cls(out.rstrip("/"), scratch / hashlib.sha256(out.encode()).hexdigest()[:16])

    @property
    def is_remote(self) -> bool:
        """Whether finished videos are uploaded."""
        return is_remote(self.out)

    def folder(self, name: str) -> Path:
        """The folder in which a video is cut."""
        return self.root / name

    def receipt(self, name: str) -> dict[str, Any] | None:
        """The receipt of a video that is finished, or None.

        On this machine the masks that it speaks of must be there, too.

        Raises:
            RemoteError: If remote storage fails.
        """
        if self.is_remote:
            try:
                content = json.loads(read_bytes(f"{self.out}/{name}/{RECEIPT}"))
            except (InputError, ValueError):
                return None
            return content if isinstance(content, dict) else None
        folder = self.folder(name)
        try:
            content, job = read_json(folder / RECEIPT), read_json(folder / MANIFEST)
            if content is None or job is None or job.get("state") != "finished":
                return None
            # Counted, not opened: this runs for each of a million videos.
            masks = sum(path.name.endswith(".png") for path in os.scandir(folder / "masks"))
        except Exception:  # damaged or gone: then the video is not finished
            return None
        return content if masks >= int(content.get("frames", 0)) else None

    def publish(self, name: str) -> None:
        """Upload a video's folder, all but what only resuming needs.

        Raises:
            RemoteError: If remote storage fails.
        """
        if self.is_remote:
            folder = self.folder(name)
            self.upload(p for p in sorted(folder.rglob("*")) if _is_public(p, folder))

    def finish(self, name: str, receipt: dict[str, Any]) -> None:
        """Write a video's receipt, after all that it speaks of; then nothing is kept twice.

        Raises:
            OutputError: If the disk is full.
            RemoteError: If remote storage fails.
        """
        file = self.folder(name) / RECEIPT
        with complete_or_absent(file) as temporary:
            temporary.write_text(json.dumps(receipt, indent=1), encoding="utf-8")
        if self.is_remote:
            self.upload([file])
            shutil.rmtree(self.folder(name), ignore_errors=True)

    def upload(self, paths: Iterable[Path]) -> None:
        """Copy files from this machine's folder to the same place in remote storage."""
        local = [str(path) for path in paths]
        with _remote(self.out) as (files, path):
            remote = [f"{path}/{Path(p).relative_to(self.root).as_posix()}" for p in local]
            files.put(local, remote)


def _is_public(path: Path, folder: Path) -> bool:
    relative = path.relative_to(folder).as_posix()
    is_private = relative.startswith(f"{PRIVATE}/state-") or relative == f"{PRIVATE}/lock"
    return path.is_file() and not is_private and relative != RECEIPT and path.suffix != ".part"


@contextlib.contextmanager
def _remote(location: str) -> Iterator[tuple[Any, str]]:
    """The file system of a URL and the path in it; turns its errors into ours."""
    import fsspec

    protocol = location.partition("://")[0]
    if protocol not in PROTOCOLS or "::" in location:
        raise InputError(f"{location} is not supported; use a path or {', '.join(PROTOCOLS)}://...")
    try:
        # Without the cache of listings: another machine may have written meanwhile.
        yield fsspec.core.url_to_fs(location, use_listings_cache=False)
    except ImportError as error:
        package = PACKAGES.get(protocol, "adlfs")
        raise InputError(f"{protocol}:// needs {package}: pip install {package}") from error
    except FileNotFoundError as error:
        raise InputError(f"{location} does not exist") from error
    except (InputError, RemoteError):
        raise
    except PermissionError as error:
        raise InputError(f"no permission for {location}: {_line(error)}") from error
    except Exception as error:  # every back end has its own
        raise RemoteError(f"{location}: {type(error).__name__}: {_line(error)}") from error


def _line(error: Exception) -> str:
    return (str(error).splitlines() or ["no message"])[0]


def _is_folder(files: Any, location: str, path: str) -> bool:
    """Whether a URL names a folder; of a web server only files are read."""
    return not location.startswith("http") and bool(files.isdir(path))


def _listed(files: Any, path: str) -> dict[str, dict[str, Any]]:
    """The files in a remote folder with their descriptions."""
    entries: dict[str, dict[str, Any]] = files.find(path, maxdepth=1, detail=True)
    return entries


def _download(files: Any, path: str, target: Path) -> None:
    if target.exists():  # its folder is named after the content
        return
    size = files.info(path).get("size")
    with complete_or_absent(target) as temporary:
        files.get_file(path, str(temporary))
        if size is not None and temporary.stat().st_size != size:
            raise RemoteError(f"{path}: got {temporary.stat().st_size} of {size} bytes")


def _described(info: dict[str, Any]) -> list[object]:
    marks = (info[key] for key in _STAMPS if info.get(key) is not None)
    return [info.get("size"), str(next(marks, ""))]


def _stat_stamp(status: os.stat_result) -> list[object]:
    return [status.st_size, status.st_mtime_ns]


def _folder_stamp(entries: Iterable[tuple[str, list[object]]]) -> list[object]:
    """Number of files, and a digest of their names and stamps."""
    lines = sorted(f"{Path(name).name} {mark}" for name, mark in entries)
    return [len(lines), hashlib.sha256("\n".join(lines).encode()).hexdigest()[:32]]


def _bare(path: str) -> str:
    """A path as a file system gives it, without its protocol (HTTP gives whole URLs)."""
    return path.partition("://")[2] or path
