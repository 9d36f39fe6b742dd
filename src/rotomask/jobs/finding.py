"""Objects of a video that nobody marked: found once, kept on disk, followed or written."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from rotomask.errors import (
    InputError,
    MaskError,
    OptionError,
    OutputError,
    TruncatedVideoError,
)
from rotomask.files import load_json
from rotomask.jobs.fingerprints import mask_digest
from rotomask.jobs.folder import JobFolder
from rotomask.jobs.following import VideoFrames
from rotomask.jobs.progress import OnProgress
from rotomask.masks import read_labels, write_mask
from rotomask.unsupervised.base import Discoverer, Discovery
from rotomask.unsupervised.propagation import clearest_annotation

RECORD = "found/found.json"
PASSES = 2
"""Maximum number of passes of a discoverer over the frames."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Search:
    """What is looked for, where and with what."""

    source: VideoFrames
    objects: int
    discoverer: Callable[[], Discoverer]
    """Makes the discoverer; called only if there is something to look for."""

    def __post_init__(self) -> None:
        if self.objects < 1:
            raise OptionError(f"at least 1 object can be looked for, got {self.objects}")


def find_reference(
    search: Search, folder: JobFolder, on_progress: OnProgress | None = None
) -> tuple[int, npt.NDArray[np.int32]]:
    """The frame in which the objects are clearest and their mask there, for a segmenter to follow.

    They are kept in ``found/`` of the job's folder: a resumed job does not search again.

    Returns:
        The frame's number in the video, and labels H×W.

    Raises:
        InputError: If no object is found.
        OutputError: If the stored mask or its record was damaged or edited.
    """
    if folder.is_finished(RECORD):
        return _stored_reference(folder)
    index, labels = clearest_annotation(discover(search, on_progress))
    if not labels.any():
        raise InputError("no object was found in the video; mark it in a frame with --mask")
    frame = search.source.start + index
    logger.info("found in frame %d, and followed from there", frame)
    name = f"{search.source.video.frame_name(frame)}.png"
    write_mask(folder.root / "found" / name, labels, folder.commit)
    folder.write_json(RECORD, {"frame": frame, "mask": name, "digest": mask_digest(labels)})
    return frame, labels


def _stored_reference(folder: JobFolder) -> tuple[int, npt.NDArray[np.int32]]:
    record = folder.root / RECORD
    try:
        stored = load_json(record)
        frame, mask, digest = int(stored["frame"]), Path(stored["mask"]).name, stored["digest"]
        labels = read_labels(record.parent / mask)
    except (OSError, ValueError, KeyError, TypeError, MaskError) as error:
        raise OutputError(
            f"{record} or its mask is damaged; --overwrite to search again, or choose another --out"
        ) from error
    if mask_digest(labels) != digest:
        raise OutputError(
            f"{record.parent / mask} was edited; give it as --mask with --at {frame} and choose "
            "another --out"
        )
    return frame, labels


def discover(search: Search, on_progress: OnProgress | None = None) -> Discovery:
    """Look at the whole range; of a damaged video at the frames before the damage.

    Raises:
        TruncatedVideoError: If no frame of the range can be read.
    """
    discoverer, source = search.discoverer(), search.source
    report = finding_report(on_progress, len(source))
    try:
        return discoverer.discover(source, objects=search.objects, on_frames=report)
    except TruncatedVideoError as error:
        if error.frames_read <= source.start:
            raise
        readable = replace(source, stop=error.frames_read)
        report = finding_report(on_progress, len(readable))
        return discoverer.discover(readable, objects=search.objects, on_frames=report)


def finding_report(on_progress: OnProgress | None, frames: int) -> Callable[[int], None] | None:
    """A callback for `Discoverer.discover` that reports the stage ``find``."""
    if on_progress is None:
        return None
    return lambda seen: on_progress("find", seen, PASSES * frames)
