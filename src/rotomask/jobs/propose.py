"""A video that nobody marked: find its objects, propose them, or cut them out at once."""

import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from rotomask.arrays import Frame
from rotomask.errors import InputError, OptionError
from rotomask.files import complete_or_absent, output_errors
from rotomask.jobs.folder import Job, digest
from rotomask.masks import object_ids, read_labels, write_mask
from rotomask.unsupervised.base import Discoverer, Discovery, Proposal
from rotomask.unsupervised.discoverers import DISCOVERERS, load_discoverer
from rotomask.video import Video, open_video

OnProgress = Callable[[str, int, int | None], None]

PASSES = 2
"""How often a discoverer looks at every frame, at most."""
PROPAGATED = "embedding+"
"""What stands before the name of a segmenter that follows what embeddings found."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class VideoFrames:
    """Part of a video as the source that discoverers read."""

    video: Video
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start

    def frames(
        self, start: int = 0, stop: int | None = None, *, reverse: bool = False
    ) -> Iterator[Frame]:
        """The frames start, start + 1, ... before stop, or the same backwards."""
        end = self.stop if stop is None else min(self.stop, self.start + stop)
        for frame in self.video.frames(self.start + start, end, reverse=reverse):
            yield frame.image


@dataclass(frozen=True, kw_only=True)
class ProposalFile:
    """A proposal on disk, ready to be given to `cut` as its mask."""

    object_id: int
    score: float
    frame_index: int
    """Number of the mask's frame in the video."""
    mask: Path


@dataclass(frozen=True, kw_only=True)
class Proposals:
    """What `propose` wrote."""

    sheet: Path
    """The contact sheet."""
    files: tuple[ProposalFile, ...]
    """The best first."""


def propose(
    video: str | Path | Video,
    out: str | Path,
    *,
    objects: int = 6,
    start: int = 0,
    stop: int | None = None,
    discoverer: Discoverer | None = None,
    on_progress: OnProgress | None = None,
) -> Proposals:
    """Find objects and write each one's mask, and a contact sheet to choose from.

    Writes ``OUT/proposals.png``, ``OUT/proposal-1.png`` ... and ``OUT/proposals.json``.

    Args:
        video: A video file, a folder of frames, or an open video.
        out: Folder to write to.
        objects: Most objects to propose.
        start: First frame that is looked at.
        stop: One past the last; None: to the end.
        discoverer: In place of the one with the shipped weights.
        on_progress: Called with ``find``, frames done and frames in all.

    Raises:
        InputError: If the video or an option cannot be used, or no object is found.
        OutputError: If the folder cannot be written.
    """
    opened = video if isinstance(video, Video) else open_video(video)
    discoverer = discoverer or load_discoverer("embedding")
    source = VideoFrames(opened, start, opened.frame_count if stop is None else stop)
    found = discoverer.discover(
        source, objects=objects, on_frames=_reporter(on_progress, len(source))
    )
    return write_proposals(found.proposals(), Path(out), start=start)


def write_proposals(proposals: tuple[Proposal, ...], folder: Path, *, start: int = 0) -> Proposals:
    """Write a mask for every proposal that has a pixel, and the contact sheet.

    Raises:
        InputError: If there is none.
        OutputError: If the folder cannot be written.
    """
    from rotomask.unsupervised.proposal_sheet import proposal_sheet

    seen = tuple(p for p in proposals if p.mask.any())
    if not seen:
        raise InputError("no object was found in the video; mark it in a frame with --mask")
    sheet = folder / "proposals.png"
    with output_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with complete_or_absent(sheet) as temporary:
        Image.fromarray(proposal_sheet(seen)).save(temporary, format="PNG")
    files = []
    for proposal in seen:
        path = folder / f"proposal-{proposal.object_id}.png"
        write_mask(path, proposal.mask.astype(np.int32))
        files.append(
            ProposalFile(
                object_id=proposal.object_id,
                score=proposal.score,
                frame_index=start + proposal.frame_index,
                mask=path,
            )
        )
    listed = [{**vars(file), "mask": file.mask.name} for file in files]
    with complete_or_absent(folder / "proposals.json") as temporary:
        temporary.write_text(json.dumps(listed, indent=1))
    return Proposals(sheet=sheet, files=tuple(files))


def follows(model: str) -> str | None:
    """The segmenter that follows what was found; None for a model that finds it in every frame."""
    if model.startswith(PROPAGATED):
        return model.removeprefix(PROPAGATED)
    return None if model in DISCOVERERS else model


@dataclass(frozen=True, kw_only=True)
class Search:
    """What is looked for, and with what."""

    source: VideoFrames
    objects: int
    discoverer: Callable[[], Discoverer]
    """Made only when it is needed."""


def find_reference(
    search: Search, folder: Path, on_progress: OnProgress | None = None
) -> tuple[int, npt.NDArray[np.int32]]:
    """The frame in which the objects are clearest and their mask there, for a segmenter to follow.

    They are kept in ``FOLDER/found``: a job that goes on does not search again.

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
    found = _discover(search, on_progress)
    index = found.clearest_frame()
    labels = found.labels(found.masks_at(index))
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


def cut_found(
    search: Search, job: Job, on_progress: OnProgress | None = None
) -> tuple[int, tuple[int, ...]]:
    """Write the mask of every frame as a discoverer finds it; frames that are there stay.

    Returns:
        How many frames were written, and the ids of the objects.
    """
    source = search.source
    names = [source.video.frame_name(i) for i in range(source.start, source.stop)]
    if all(job.is_finished(name) for name in names):
        return 0, tuple(sorted({k for name in names for k in object_ids(job.read(name))}))
    found = _discover(search, on_progress)
    written = 0
    for done, (name, probabilities) in enumerate(zip(names, found.frames(), strict=True), 1):
        if not job.is_finished(name):
            job.write(name, found.labels(probabilities), 1 - probabilities[0])
            written += 1
        if on_progress is not None:
            on_progress("cut", done, len(names))
    return written, found.object_ids


def check_unmarked(objects: int, direction: str) -> None:
    """Raise unless these options fit a video that nobody marked."""
    if objects < 1:
        raise OptionError(f"at least 1 object can be looked for, got {objects}")
    if direction != "both":
        raise OptionError(
            f"direction {direction!r} needs a mask to start from; without one a video is cut whole"
        )


def _discover(search: Search, on_progress: OnProgress | None) -> Discovery:
    return search.discoverer().discover(
        search.source,
        objects=search.objects,
        on_frames=_reporter(on_progress, len(search.source)),
    )


def _reporter(on_progress: OnProgress | None, frames: int) -> Callable[[int], None] | None:
    if on_progress is None:
        return None

    def report(looked_at: int) -> None:
        on_progress("find", looked_at, PASSES * frames)

    return report
