"""Objects of a video that nobody marked, each proposed as a mask to give to `cut`."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Unpack

import numpy as np
import numpy.typing as npt
from PIL import Image

from rotomask.arrays import Mask
from rotomask.catalog import DEFAULT_MARKER, find_then_follow
from rotomask.errors import InputError, MaskError, OptionError
from rotomask.files import load_json
from rotomask.jobs.finding import Search, discover
from rotomask.jobs.fingerprints import used_precision, video_fingerprint, weights_fingerprints
from rotomask.jobs.folder import JobFolder, JobRequest, claim
from rotomask.jobs.following import VideoFrames
from rotomask.jobs.job_options import FrameOptions
from rotomask.jobs.keywords import ProposeKeywords, takes_options, with_keywords
from rotomask.jobs.loading import load_discoverer, load_finder
from rotomask.jobs.progress import OnProgress
from rotomask.masks import read_labels, write_mask
from rotomask.unsupervised.base import Discoverer, Discovery
from rotomask.video import Video, VideoSource, open_video

SHEET, LIST = "proposals.png", "proposals.json"
MASKS = ("proposal", "together")
"""Masks of each object: its own, and of all objects in the same frame."""

LEAST_VISIBLE = 0.25
"""Part of its clearest mask that an object must have in a frame from which several are followed."""


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


@takes_options(ProposeOptions)
def propose(
    video: VideoSource,
    out: str | Path,
    options: ProposeOptions | None = None,
    *,
    discoverer: Discoverer | None = None,
    on_progress: OnProgress | None = None,
    **changes: Unpack[ProposeKeywords],
) -> Proposals:
    """Find objects and write each one's mask, and a contact sheet to choose from.

    Writes ``OUT/proposals.png``, ``OUT/proposal-1.png`` ... and ``OUT/proposals.json``; of several
    also ``OUT/together-1.png`` ...: all objects in the frame in which object 1 is clearest.

    Args:
        video: A video file, a folder of frames, an open video, or frames in memory.
        out: Folder to write to.
        options: Options; or give its fields as keywords.
        discoverer: A discoverer to use in place of the one that the options name.
        on_progress: Receives the stage ``find``.
        **changes: Options as keywords, as on the command line: `ProposeKeywords`.

    Raises:
        InputError: If the video or an option cannot be used, or no object is found.
        OutputError: If the folder cannot be written.
    """
    options = with_keywords(options or ProposeOptions(), changes, "propose")
    opened = open_video(video)
    frames = options.range_in(opened)
    search = Search(
        source=VideoFrames(opened, frames.start, frames.stop),
        objects=options.objects,
        # Loaded only if the search is not stored in the folder already.
        discoverer=lambda: discoverer or _load(options),
    )
    with claim(out, _request(opened, frames, options), overwrite=options.overwrite) as folder:
        folder.note(video=str(opened.path), frames=[frames.start, frames.stop])
        discovery = discover(search, on_progress)
        return write_proposals(discovery, folder, start=frames.start)


def _request(video: Video, frames: range, options: ProposeOptions) -> JobRequest:
    finder, follower = find_then_follow(options.model)
    models = (DEFAULT_MARKER, finder) if follower is None else (DEFAULT_MARKER, finder, follower)
    settings = {
        "video": video_fingerprint(video),
        "model": options.model,
        "weights": weights_fingerprints(models, options.weights),
        "objects": options.objects,
        "start": frames.start,
        "stop": frames.stop,
        "precision": used_precision(options.device, options.precision),
    }
    masks = [f"{kind}-{k}.png" for k in range(1, options.objects + 1) for kind in MASKS]
    return JobRequest(
        command="propose",
        settings=settings,
        replaced=[SHEET, LIST, *masks],
        inputs=[video.path, *([] if options.weights is None else [options.weights])],
    )


def _load(options: ProposeOptions) -> Discoverer:
    load = load_finder if find_then_follow(options.model)[1] is None else load_discoverer
    return load(options.model, weights=options.weights, **options.where)


def write_proposals(discovery: Discovery, folder: JobFolder, *, start: int = 0) -> Proposals:
    """Write the masks of every proposal that has a pixel, and the contact sheet.

    Raises:
        InputError: If there is none.
        OutputError: If the folder cannot be written.
    """
    from rotomask.unsupervised.proposal_sheet import proposal_sheet

    proposals = tuple(p for p in discovery.proposals() if p.mask.any())
    if not proposals:
        raise InputError("no object was found in the video; mark it in a frame with --mask")
    files = []
    for proposal in proposals:
        path = folder.root / f"proposal-{proposal.object_id}.png"
        write_mask(path, np.where(proposal.mask, proposal.object_id, 0), folder.commit)
        # Also all objects in this one's clearest frame: from one frame all can be followed both
        # ways.
        if len(proposals) > 1:
            labels = discovery.labels(discovery.masks_at(proposal.frame_index))
            write_mask(path.with_name(f"together-{proposal.object_id}.png"), labels, folder.commit)
        files.append(
            ProposalFile(
                object_id=proposal.object_id,
                score=proposal.score,
                frame_index=start + proposal.frame_index,
                mask=path,
            )
        )
    with folder.write(SHEET) as temporary:
        Image.fromarray(proposal_sheet(proposals)).save(temporary, format="PNG")
    folder.write_json(LIST, [{**vars(file), "mask": file.mask.name} for file in files])
    return Proposals(sheet=folder.root / SHEET, files=tuple(files))


def read_proposals(folder: str | Path, pick: Sequence[int] = (1,)) -> dict[int, Mask]:
    """Masks of some of the proposals that `propose` wrote, to give to `cut`.

    Args:
        folder: Where they are.
        pick: Their numbers, which become the ids of the objects.

    Returns:
        Labels H×W by frame number: of one frame that shows all, if there is one; else each in the
        frame in which it is clearest, where proposals of the same frame share a mask, the one
        picked first on top.

    Raises:
        InputError: If the folder holds no proposals, or one is damaged.
        OptionError: If a number is not among them, or is picked twice.
    """
    folder = Path(folder)
    try:
        listed = load_json(folder / LIST)
        files = {int(p["object_id"]): (int(p["frame_index"]), Path(p["mask"]).name) for p in listed}
    except (OSError, ValueError, KeyError, TypeError, OverflowError) as error:
        raise InputError(
            f"{folder} holds no {LIST} of `rotomask propose`; give the folder that it wrote"
        ) from error
    if not pick or len(set(pick)) < len(pick):
        raise OptionError(f"pick each proposal once, such as 1,2, got {_numbers(pick) or 'none'}")
    own: dict[int, npt.NDArray[np.bool_]] = {}
    for number in pick:
        if number not in files:
            raise OptionError(f"{folder} has no proposal {number}; it has {_numbers(files)}")
        name = files[number][1]
        try:
            own[number] = read_labels(folder / name) > 0
        except (OSError, ValueError, MaskError) as error:
            raise InputError(f"{folder / name} is missing or damaged; propose again") from error
    shared = _frame_of_all(folder, {k: int(mask.sum()) for k, mask in own.items()})
    if shared is not None:
        number, labels = shared
        return {files[number][0]: np.where(np.isin(labels, list(pick)), labels, 0)}
    masks: dict[int, Mask] = {}
    for number, inside in own.items():
        labels = masks.setdefault(files[number][0], np.zeros(inside.shape, np.int32))
        # In the order in which they were picked: the first keeps its pixels.
        labels[inside & (labels == 0)] = number
    return masks


def _frame_of_all(folder: Path, areas: Mapping[int, int]) -> tuple[int, Mask] | None:
    """The proposal whose clearest frame shows all picked ones best, and the labels there.

    From one frame all objects are followed both ways; from frames of their own each is followed
    from its frame on only.

    Args:
        folder: Output of `propose`.
        areas: Pixels of each picked proposal in its own clearest frame.

    Returns:
        None where one object was picked, or no frame shows all.
    """
    best: tuple[float, int, Mask] | None = None
    for number in areas if len(areas) > 1 else ():
        path = folder / f"together-{number}.png"
        if not path.is_file():
            continue
        labels = read_labels(path)
        # Of each object the part that this frame shows of what its own clearest frame does; the
        # worst counts.
        visible = min(np.count_nonzero(labels == k) / max(1, areas[k]) for k in areas)
        if visible >= LEAST_VISIBLE and (best is None or visible > best[0]):
            best = (visible, number, labels)
    return None if best is None else (best[1], best[2])


def _numbers(numbers: Iterable[int]) -> str:
    return ", ".join(map(str, numbers))
