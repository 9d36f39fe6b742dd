"""Objects of a video that nobody marked: found once, kept on disk, followed or written."""

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from rotomask.errors import InputError, OptionError, TruncatedVideoError
from rotomask.files import complete_or_absent
from rotomask.jobs.folder import digest
from rotomask.jobs.following import VideoFrames
from rotomask.jobs.progress import OnProgress
from rotomask.masks import read_labels, write_mask
from rotomask.unsupervised.base import Discoverer, Discovery
from rotomask.unsupervised.propagation import clearest_annotation

PASSES = 2
"""How often a discoverer looks at every frame, at most."""

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
    search: Search, folder: Path, on_progress: OnProgress | None = None
) -> tuple[int, npt.NDArray[np.int32]]:
    """The frame in which the objects are clearest and their mask there, for a segmenter to follow.

    They are kept in ``FOLDER/found``: a resumed job does not search again.

    Returns:
        The frame's number in the video, and labels H×W.

    Raises:
        InputError: If no object is found.
    """
    kept = folder / "found"
    request = {
        "video": search.source.video.name,
        "start": search.source.start,
        "stop": search.source.stop,
        "objects": search.objects,
    }
    record = kept / "found.json"
    if record.is_file():
        stored = json.loads(record.read_text())
        if stored["request"] == request:
            labels = read_labels(kept / stored["mask"])
            if digest(labels) == stored["digest"]:
                return int(stored["frame"]), labels
    index, labels = clearest_annotation(discover(search, on_progress))
    if not labels.any():
        raise InputError("no object was found in the video; mark it in a frame with --mask")
    frame = search.source.start + index
    logger.info("found in frame %d, and followed from there", frame)
    name = f"{search.source.video.frame_name(frame)}.png"
    write_mask(kept / name, labels)
    with complete_or_absent(record) as temporary:
        content = {"request": request, "frame": frame, "mask": name, "digest": digest(labels)}
        temporary.write_text(json.dumps(content, indent=1))
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
