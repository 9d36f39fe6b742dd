"""Objects of a video that nobody marked, each proposed as a mask to give to `cut`."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from rotomask.arrays import Mask
from rotomask.catalog import find_then_follow, with_settings
from rotomask.errors import InputError, MaskError, OptionError
from rotomask.jobs.finding import Search, discover
from rotomask.jobs.fingerprints import used_precision, video_fingerprint, weights_fingerprints
from rotomask.jobs.folder import JobFolder, JobRequest, claim
from rotomask.jobs.following import VideoFrames
from rotomask.jobs.job_options import FrameOptions
from rotomask.jobs.loading import load_discoverer
from rotomask.jobs.progress import OnProgress
from rotomask.masks import read_labels, write_mask
from rotomask.unsupervised.base import Discoverer, Proposal
from rotomask.video import Video, open_video

SHEET, LIST = "proposals.png", "proposals.json"


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
    """Result of `propose`."""

    sheet: Path
    """The contact sheet."""
    files: tuple[ProposalFile, ...]
    """The best first."""


@dataclass(frozen=True, kw_only=True)
class ProposeOptions(FrameOptions):
    """Options of finding objects."""

    model: str = "embedding"
    """A model that needs no mask (`catalog.needs_no_mask`)."""
    weights: Path | None = None
    """A checkpoint to use in place of the shipped one."""
    objects: int = 6
    """Maximum number of proposals."""

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
        options: Options; or give its fields as keywords.
        discoverer: A discoverer to use in place of the one that the options name.
        on_progress: Receives the stage ``find``.
        **changes: Fields of `ProposeOptions`.

    Raises:
        InputError: If the video or an option cannot be used, or no object is found.
        OutputError: If the folder cannot be written.
    """
    options = with_settings(options or ProposeOptions(), changes, "propose")
    opened = open_video(video)
    frames = options.range_in(opened)
    search = Search(
        source=VideoFrames(opened, frames.start, frames.stop),
        objects=options.objects,
        discoverer=lambda: discoverer or _load(options),
    )
    with claim(out, _request(opened, frames, options), overwrite=options.overwrite) as folder:
        folder.note(video=str(opened.path), frames=[frames.start, frames.stop])
        discovery = discover(search, on_progress)
        return write_proposals(discovery.proposals(), folder, start=frames.start)


def _request(video: Video, frames: range, options: ProposeOptions) -> JobRequest:
    finder, follower = find_then_follow(options.model)
    models = (finder,) if follower is None else (finder, follower)
    settings = {
        "video": video_fingerprint(video),
        "model": options.model,
        "weights": weights_fingerprints(models, options.weights),
        "objects": options.objects,
        "start": frames.start,
        "stop": frames.stop,
        "precision": used_precision(options.device, options.precision),
    }
    masks = [f"proposal-{k}.png" for k in range(1, options.objects + 1)]
    return JobRequest(
        command="propose",
        settings=settings,
        replaced=[SHEET, LIST, *masks],
        inputs=[video.path, *([] if options.weights is None else [options.weights])],
    )


def _load(options: ProposeOptions) -> Discoverer:
    return load_discoverer(
        options.model,
        weights=options.weights,
        device=options.device,
        precision=options.precision,
    )


def write_proposals(
    proposals: tuple[Proposal, ...], folder: JobFolder, *, start: int = 0
) -> Proposals:
    """Write a mask for every proposal that has a pixel, and the contact sheet.

    Raises:
        InputError: If there is none.
        OutputError: If the folder cannot be written.
    """
    from rotomask.unsupervised.proposal_sheet import proposal_sheet

    seen = tuple(p for p in proposals if p.mask.any())
    if not seen:
        raise InputError("no object was found in the video; mark it in a frame with --mask")
    files = []
    for proposal in seen:
        path = folder.root / f"proposal-{proposal.object_id}.png"
        write_mask(path, np.where(proposal.mask, proposal.object_id, 0), folder.commit)
        files.append(
            ProposalFile(
                object_id=proposal.object_id,
                score=proposal.score,
                frame_index=start + proposal.frame_index,
                mask=path,
            )
        )
    with folder.write(SHEET) as temporary:
        Image.fromarray(proposal_sheet(seen)).save(temporary, format="PNG")
    folder.write_json(LIST, [{**vars(file), "mask": file.mask.name} for file in files])
    return Proposals(sheet=folder.root / SHEET, files=tuple(files))


def read_proposals(folder: str | Path, pick: Sequence[int] = (1,)) -> dict[int, Mask]:
    """Masks of some of the proposals that `propose` wrote, to give to `cut`.

    Args:
        folder: Where they are.
        pick: Their numbers, which become the ids of the objects.

    Returns:
        Labels H×W by frame number. Proposals of the same frame share a mask; where they overlap,
        the one picked first is on top.

    Raises:
        InputError: If the folder holds no proposals, or one is damaged.
        OptionError: If a number is not among them, or is picked twice.
    """
    folder = Path(folder)
    try:
        listed = json.loads((folder / LIST).read_text(encoding="utf-8"))
        files = {int(p["object_id"]): (int(p["frame_index"]), Path(p["mask"]).name) for p in listed}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{folder} holds no {LIST} of `rotomask propose`; give the folder that it wrote"
        ) from error
    if not pick or len(set(pick)) < len(pick):
        raise OptionError(f"pick each proposal once, such as 1,2, got {_numbers(pick) or 'none'}")
    masks: dict[int, Mask] = {}
    for number in pick:
        if number not in files:
            raise OptionError(f"{folder} has no proposal {number}; it has {_numbers(files)}")
        frame, name = files[number]
        try:
            inside = read_labels(folder / name) > 0
        except (OSError, MaskError) as error:
            raise InputError(f"{folder / name} is missing or damaged; propose again") from error
        labels = masks.setdefault(frame, np.zeros(inside.shape, np.int32))
        labels[inside & (labels == 0)] = number
    return masks


def _numbers(numbers: Iterable[int]) -> str:
    return ", ".join(map(str, numbers))
