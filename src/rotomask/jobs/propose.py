"""Objects of a video that nobody marked, each proposed as a mask to give to `cut`."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from rotomask.errors import InputError, OptionError
from rotomask.files import complete_or_absent, output_errors
from rotomask.jobs.finding import Search, discover
from rotomask.jobs.following import VideoFrames
from rotomask.jobs.loading import load_discoverer
from rotomask.jobs.options import frame_range, merge_options
from rotomask.jobs.progress import OnProgress
from rotomask.masks import write_mask
from rotomask.unsupervised.base import Discoverer, Proposal
from rotomask.video import Video, open_video


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


@dataclass(frozen=True, kw_only=True)
class ProposeOptions:
    """How objects are looked for."""

    model: str = "embedding"
    """A model that needs no mask (`catalog.needs_no_mask`)."""
    weights: Path | None = None
    """A checkpoint to use in place of the shipped one."""
    objects: int = 6
    """Most objects to propose."""
    start: int = 0
    """First frame that is looked at."""
    stop: int | None = None
    """One past the last frame; None: to the end."""
    device: str = "auto"
    precision: str = "auto"
    overwrite: bool = False
    """Whether to replace another job's output."""

    def __post_init__(self) -> None:
        if self.objects < 1:
            raise OptionError(f"at least 1 object can be looked for, got {self.objects}")


def propose(
    video: str | Path | Video,
    out: str | Path,
    options: ProposeOptions | None = None,
    *,
    discoverer: Discoverer | None = None,
    on_progress: OnProgress | None = None,
    **changes: object,
) -> Proposals:
    """Find objects and write each one's mask, and a contact sheet to choose from.

    Writes ``OUT/proposals.png``, ``OUT/proposal-1.png`` ... and ``OUT/proposals.json``.

    Args:
        video: A video file, a folder of frames, or an open video.
        out: Folder to write to.
        options: How; or give its fields as keywords.
        discoverer: A discoverer to use in place of the one that the options name.
        on_progress: Receives the stage ``find``.
        **changes: Fields of `ProposeOptions`.

    Raises:
        InputError: If the video or an option cannot be used, or no object is found.
        OutputError: If the folder cannot be written.
    """
    options = merge_options(ProposeOptions, options, changes)
    opened = video if isinstance(video, Video) else open_video(video)
    frames = frame_range(opened.frame_count, options.start, options.stop, opened.path)
    search = Search(
        source=VideoFrames(opened, frames.start, frames.stop),
        objects=options.objects,
        discoverer=lambda: discoverer or _load(options),
    )
    discovery = discover(search, on_progress)
    return write_proposals(discovery.proposals(), Path(out), start=frames.start)


def _load(options: ProposeOptions) -> Discoverer:
    return load_discoverer(
        options.model,
        weights=options.weights,
        device=options.device,
        precision=options.precision,
    )


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
