"""How version 0.1 described its jobs, so that its folders are resumed or refused clearly."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rotomask.files import load_json
from rotomask.jobs.manifest import (
    FORMAT,
    MANIFEST,
    Settings,
    damaged,
    read_json,
    read_manifest,
)
from rotomask.segmenters.refinements import Refinements

BEGAN, EARLIER_VERSION = "began", "0.1"
"""Note of a manifest, and its value where version 0.1 began the job."""


def refinements_text(refinements: Refinements) -> str:
    """What version 0.1 put behind the model's name."""
    parts = [f"with {name}" for name in refinements.ensemble_with]
    if refinements.online_steps:
        parts.append(f"online {refinements.online_steps} steps")
    if refinements.online_seconds is not None:
        parts.append(f"online {refinements.online_seconds:g} s")
    parts += ["flip"] * refinements.flip
    if refinements.scales is not None:
        parts.append(f"scales {','.join(f'{scale:g}' for scale in refinements.scales)}")
    if refinements.boxes is not None:
        # Version 0.1 called the tracked box the detector `none`.
        parts.append(f"boxes of {'none' if refinements.boxes == 'tracked' else refinements.boxes}")
    parts += ["components"] * refinements.components + ["crf"] * refinements.crf
    return "".join(f" + {text}" for text in parts)


def file_text(file: Path | None) -> str | None:
    """A checkpoint's path as version 0.1 wrote it."""
    return None if file is None else str(file)


def found_annotations(root: Path) -> Mapping[str, Any] | None:
    """The annotation that version 0.1 found in a video that nobody marked, by frame number."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        stored = load_json(root / "found" / "found.json")
        return {str(int(stored["frame"])): str(stored["digest"])}
    return None


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
        stored = read_json(root / self.file)
        if stored is None or stored.get("format") == FORMAT:
            return None
        described = stored if self.under is None else stored.get(self.under)
        if not isinstance(described, dict):
            raise damaged(root / self.file)
        return described


def read_earlier(root: Path) -> dict[str, Any] | None:
    """The record of a cut of version 0.1; None where there is none.

    Raises:
        OutputError: If it is damaged.
    """
    stored = read_json(root / MANIFEST)
    return stored if stored is not None and stored.get("format") == 1 else None


def began_earlier(root: Path) -> bool:
    """True if version 0.1 began the job of a folder, also where this version resumed it since.

    Raises:
        OutputError: If the record is damaged.
    """
    manifest = read_manifest(root)
    if manifest is not None:
        return bool(manifest["notes"].get(BEGAN) == EARLIER_VERSION)
    return read_earlier(root) is not None


def began_with_whole_frames(root: Path) -> bool:
    """True if a folder holds a job of whole frames: versions without ``focus`` did no other.

    Raises:
        OutputError: If the record is damaged.
    """
    manifest = read_manifest(root)
    if manifest is not None:
        return "focus" not in manifest["settings"]
    return read_earlier(root) is not None


def rendered_earlier(root: Path, record: str, relatives: Iterable[str]) -> list[str]:
    """Those of some files that version 0.1 may have rendered.

    It wrote its record at the start of every run and rendered at the end, so that a file older than
    the record was there before and is somebody else's.

    Args:
        root: The folder.
        record: Name of the record in it.
        relatives: Paths of files that version 0.1 gave the same names.
    """
    try:
        written_ns = (root / record).stat().st_mtime_ns
    except OSError:
        return []
    rendered = []
    for relative in relatives:
        path = root / relative
        with suppress(OSError):
            is_file = path.is_file() and not path.is_symlink()
            if is_file and path.stat().st_mtime_ns >= written_ns:
                rendered.append(relative)
    return rendered
