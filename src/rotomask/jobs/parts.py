"""Passes of a cut that were made in folders of their own, put together in the cut's folder.

The two passes of a cut start afresh at its first marked frame, one forward and one backward. So
they may be cut apart, by two processes, and the masks are those of one cut, to the byte.
"""

import json
import shutil
from pathlib import Path
from typing import Any

from rotomask.errors import InputError
from rotomask.files import output_errors
from rotomask.jobs.confidence import STORED
from rotomask.jobs.folder import JobFolder
from rotomask.jobs.manifest import frames_of, read_manifest
from rotomask.jobs.mask_files import mask_paths


def take_over(part: Path, folder: JobFolder, *, is_soft: bool) -> None:
    """Copy the masks and confidences of a part, as far as the folder lacks them.

    Args:
        part: Folder of a finished cut of the same video with the same settings, which begins or
            ends at the first marked frame.
        folder: The whole cut's.
        is_soft: Whether frames have mattes.

    Raises:
        InputError: If the folder is no such part.
        OutputError: If the disk is full.
    """
    frames = _checked(part, folder.request.settings)
    masks = sorted(path.stem for path in (part / "masks").glob("*.png"))
    if len(masks) != len(frames):
        raise InputError(f"{part} has {len(masks)} of {len(frames)} masks; cut the part again")
    for relative in mask_paths(masks, soft=is_soft):
        if not folder.is_finished(relative):
            with folder.write(relative) as temporary:
                shutil.copyfile(part / relative, temporary)
    _take_over_confidence(part / STORED, folder.root / STORED)


def _checked(part: Path, settings: Any) -> range:
    """The frames of a part of the job that has these settings."""
    manifest, limits = read_manifest(part), frames_of(part)
    if manifest is None or limits is None or manifest.get("state") != "finished":
        raise InputError(f"{part} is no finished cut")
    frames = range(*limits)
    plain = json.loads(json.dumps(settings))
    masks = plain.get("masks", {})
    first = min(map(int, masks), default=None)
    expected = {frame: digest for frame, digest in masks.items() if int(frame) in frames}
    changed = {"start": manifest["settings"].get("start"), "masks": expected}
    if first not in (frames.start, frames.stop - 1) or manifest["settings"] != plain | changed:
        raise InputError(f"{part} is no part of this cut: its video, masks or settings differ")
    return frames


def _take_over_confidence(source: Path, target: Path) -> None:
    """Add the lines of frames that the target lacks."""

    def lines(file: Path) -> dict[int, str]:
        text = file.read_text(encoding="utf-8") if file.exists() else ""
        return {int(json.loads(line)["frame"]): line for line in text.splitlines()}

    with output_errors(target):
        there = lines(target)
        added = [line for frame, line in lines(source).items() if frame not in there]
        with target.open("a", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in added)
