"""Edge maps of a video on disk: one grey PNG per frame."""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Unpack

import numpy as np
from PIL import Image

from rotomask.arrays import Frame
from rotomask.catalog import DEFAULT_FLOW, load_edge_detector, load_flow
from rotomask.edges.edge_detector import EdgeDetector
from rotomask.edges.motion_edges import EdgeMap, merge_edges, motion_edges
from rotomask.edges.thinning import thin_edges
from rotomask.errors import OptionError
from rotomask.flow.optical_flow import Flow, OpticalFlow
from rotomask.jobs.earlier import EarlierRecord, file_text
from rotomask.jobs.fingerprints import used_precision, video_fingerprint, weights_fingerprints
from rotomask.jobs.folder import JobFolder, JobRequest, claim
from rotomask.jobs.job_options import FrameOptions
from rotomask.jobs.keywords import EdgeKeywords, takes_options, with_keywords
from rotomask.jobs.progress import OnProgress
from rotomask.networks.sizing import check_size
from rotomask.pipeline import Stage, read_ahead
from rotomask.video import Video, VideoSource, open_video
from rotomask.video.video import VideoFrame


@dataclass(frozen=True, kw_only=True)
class EdgeOptions(FrameOptions):
    """Options of drawing edges."""

    model: str = "edges-lite"
    """``edges-lite`` or ``edges-flow-lite``."""
    weights: Path | None = None
    motion: bool = False
    """True to write the edges of motion too, and both merged."""
    thin: bool = False
    """True to keep only the ridges of the edges."""
    bits: int = 8
    """Bit depth of the maps: 8 or 16."""
    estimator: str = DEFAULT_FLOW
    """Optical flow, where it is needed: an estimator of the catalogue."""
    size: int | None = 480
    """Short side at which frames are processed, px; smaller ones are left. None: their own size."""

    def __post_init__(self) -> None:
        check_size(self.size)
        if self.bits not in (8, 16):
            raise OptionError(f"edge maps have 8 or 16 bits, got {self.bits}")


@dataclass(frozen=True, kw_only=True)
class EdgeResult:
    """Result of `edges`."""

    folders: tuple[Path, ...]
    """``OUT/edges``; with motion also ``OUT/motion`` and ``OUT/merged``."""
    written: int
    """Number of frames written by this call."""
    frames: int
    """Number of frames in the folder."""


@takes_options(EdgeOptions)
def edges(
    video: VideoSource,
    out: str | Path,
    options: EdgeOptions | None = None,
    *,
    on_progress: OnProgress | None = None,
    **changes: Unpack[EdgeKeywords],
) -> EdgeResult:
    """Write the edge maps of every frame.

    ``OUT/edges/NAME.png`` are the network's edges; with motion, ``OUT/motion/NAME.png`` are those
    of the flow within the foreground and ``OUT/merged/NAME.png`` both: white is 1. Flow goes to the
    next frame, from the last one to the one before. Frames whose files are there are left.

    Args:
        video: A video file, a folder of frames, an open video, or frames in memory.
        out: Folder to write to.
        options: What and how; or give its fields as keywords.
        on_progress: Receives the stage ``edges``.
        **changes: Options as keywords, as on the command line: `EdgeKeywords`.

    Raises:
        InputError: If the video or an option cannot be used.
        OutputError: If the folder cannot be written, or holds the edges of another job.
        WeightsError: If the weights cannot be read.
    """
    options = with_keywords(options or EdgeOptions(), changes, "edges")
    opened = open_video(video)
    frames = options.range_in(opened)
    detector = load_edge_detector(
        options.model, weights=options.weights, size=options.size, **options.where
    )
    estimator = load_flow(options.estimator, device=options.device)
    with claim(out, _request(opened, frames, options), overwrite=options.overwrite) as folder:
        folder.note(video=str(opened.path), frames=[frames.start, frames.stop])
        work = _Work(folder, options, detector, estimator)
        done = written = 0
        # One frame more: the last of the range has its flow to the next, wherever the range ends.
        images = opened.frames(frames.start, min(frames.stop + 1, opened.frame_count))
        with (
            contextlib.closing(read_ahead(images, lambda frame: frame.image.nbytes)) as ahead,
            Stage("edges") as writer,
        ):
            for frame, neighbour in with_neighbours(ahead):
                if frame.index not in frames:
                    break
                if not work.is_finished(frame.name):
                    # In this thread, while the maps of the frame before are written in the other.
                    maps = work.maps(frame, neighbour)
                    writer.submit(work.write, frame.name, maps, size=3 * maps["edges"].nbytes)
                    written += 1
                done += 1
                if on_progress is not None:
                    on_progress("edges", done, len(frames))
    return EdgeResult(
        folders=tuple(folder.root / kind for kind in work.kinds), written=written, frames=done
    )


def with_neighbours(
    frames: Iterator[VideoFrame],
) -> Iterator[tuple[VideoFrame, VideoFrame | None]]:
    """Every frame with the next one; the last with the one before, a single one with none."""
    before: VideoFrame | None = None
    current: VideoFrame | None = None
    for frame in frames:
        if current is not None:
            yield current, frame
        before, current = current, frame
    if current is not None:
        yield current, before


class _Work:
    """Makes a frame's files."""

    def __init__(
        self,
        folder: JobFolder,
        options: EdgeOptions,
        detector: EdgeDetector,
        estimator: OpticalFlow,
    ) -> None:
        self.folder, self.options = folder, options
        self.detector, self.estimator = detector, estimator
        self.kinds = _kinds(options)

    def is_finished(self, name: str) -> bool:
        return all(self.folder.is_finished(f"{kind}/{name}.png") for kind in self.kinds)

    def maps(self, frame: VideoFrame, neighbour: VideoFrame | None) -> dict[str, EdgeMap]:
        """The edges of a frame by kind, H×W float32, 0..1."""
        flow = self._flow(frame.image, None if neighbour is None else neighbour.image)
        detected = self.detector.detect(frame.image, flow if self.detector.sees_flow else None)
        maps = {"edges": detected.edges}
        if self.options.motion:
            moving = np.zeros_like(detected.edges)
            if flow is not None:
                moving = motion_edges(flow, detected.foreground)
            maps |= {"motion": moving, "merged": merge_edges(detected.edges, moving)}
        return maps

    def write(self, name: str, maps: Mapping[str, EdgeMap]) -> None:
        """Write the files of a frame that are missing."""
        for kind in self.kinds:
            path = f"{kind}/{name}.png"
            if not self.folder.is_finished(path):
                edges = thin_edges(maps[kind]) if self.options.thin else maps[kind]
                _save(self.folder, path, edges, self.options.bits)

    def _flow(self, frame: Frame, neighbour: Frame | None) -> Flow | None:
        if neighbour is None or not (self.options.motion or self.detector.sees_flow):
            return None
        return self.estimator.estimate(frame, neighbour)


def _kinds(options: EdgeOptions) -> tuple[str, ...]:
    """Folders of a job; the edges come last: where they are, a frame is finished."""
    return ("motion", "merged", "edges") if options.motion else ("edges",)


def _save(folder: JobFolder, path: str, edges: EdgeMap, bits: int) -> None:
    white = 2**bits - 1
    # In 8 or 16 bits: thinned edges in 8 bits lose the order of weak ones.
    pixels = (np.clip(edges, 0, 1) * white).round()
    picture = Image.fromarray(pixels.astype(np.uint8 if bits == 8 else np.uint16))
    with folder.write(path) as temporary:
        picture.save(temporary, format="PNG", compress_level=3)


def _request(video: Video, frames: range, options: EdgeOptions) -> JobRequest:
    """What this job is and writes. Its range is no setting: it may grow."""
    plain = {
        "model": options.model,
        "motion": options.motion,
        "thin": options.thin,
        "bits": options.bits,
        "estimator": options.estimator,
        "size": options.size,
    }
    precision = used_precision(options.device, options.precision)
    digests = weights_fingerprints((options.model,), options.weights)
    digests |= weights_fingerprints((options.estimator,), None)
    names = [video.frame_name(index) for index in frames]
    kinds = _kinds(options)
    return JobRequest(
        command="edges",
        settings={
            "video": video_fingerprint(video),
            "weights": digests,
            "precision": precision,
            **plain,
        },
        added=[f"{kind}/{name}.png" for name in names for kind in kinds],
        inputs=[video.path, *([] if options.weights is None else [options.weights])],
        earlier=EarlierRecord(
            file="edges.json",
            settings={
                "video": video.name,
                "frame_size": list(video.size),
                "weights": file_text(options.weights),
                "precision": options.precision,
                **plain,
            },
            files=("edges/*.png", "motion/*.png", "merged/*.png"),
        ),
    )
