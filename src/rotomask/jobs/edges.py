"""Edge maps of a video, on disk: one grey PNG a frame, gone on with after a stop."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from rotomask.arrays import Frame
from rotomask.catalog import DEFAULT_FLOW, load_edge_detector, load_flow
from rotomask.edges.edge_detector import EdgeDetector
from rotomask.edges.motion_edges import EdgeMap, merge_edges, motion_edges
from rotomask.edges.thinning import thin_edges
from rotomask.errors import OptionError, OutputError
from rotomask.files import complete_or_absent
from rotomask.flow.optical_flow import Flow, OpticalFlow
from rotomask.jobs.options import frame_range, merge_options
from rotomask.jobs.progress import OnProgress
from rotomask.video import Video, open_video
from rotomask.video.video import VideoFrame


@dataclass(frozen=True, kw_only=True)
class EdgeOptions:
    """What is made."""

    model: str = "edges-lite"
    """``edges-lite`` or ``edges-flow-lite``."""
    weights: Path | None = None
    motion: bool = False
    """Also the edges of motion, and both merged."""
    thin: bool = False
    """Only the ridges of the edges."""
    bits: int = 8
    """Bit depth of the maps: 8 or 16."""
    estimator: str = DEFAULT_FLOW
    """Optical flow, where it is needed: as `load_flow` takes it."""
    size: int | None = 480
    """Short side at which frames are processed, px; smaller ones are left. None: their own size."""
    start: int = 0
    """First frame."""
    stop: int | None = None
    """One past the last frame; None: to the end."""
    device: str = "auto"
    precision: str = "auto"
    overwrite: bool = False
    """Whether to replace another job's output."""

    def __post_init__(self) -> None:
        if self.size is not None and self.size < 16:
            raise OptionError(f"the processing size must be at least 16 px, got {self.size}")
        if self.bits not in (8, 16):
            raise OptionError(f"edge maps have 8 or 16 bits, got {self.bits}")


@dataclass(frozen=True, kw_only=True)
class EdgeResult:
    """What `edges` did."""

    folders: tuple[Path, ...]
    """``OUT/edges``; with motion also ``OUT/motion`` and ``OUT/merged``."""
    written: int
    """Frames made by this call."""
    frames: int
    """Frames that are there."""


def edges(
    video: str | Path | Video,
    out: str | Path,
    options: EdgeOptions | None = None,
    *,
    on_progress: OnProgress | None = None,
    **changes: object,
) -> EdgeResult:
    """Write the edge maps of every frame.

    ``OUT/edges/NAME.png`` are the network's edges; with motion, ``OUT/motion/NAME.png`` are those
    of the flow within the foreground and ``OUT/merged/NAME.png`` both: white is 1. Flow goes to the
    next frame, from the last one to the one before. Frames whose files are there are left.

    Args:
        video: A video file, a folder of frames, or an open video.
        out: Folder to write to.
        options: What and how; or give its fields as keywords.
        on_progress: Receives the stage ``edges``.
        **changes: Fields of `EdgeOptions`.

    Raises:
        InputError: If the video or an option cannot be used.
        OutputError: If the folder cannot be written, or holds the edges of another job.
        WeightsError: If the weights cannot be read.
    """
    options = merge_options(EdgeOptions, options, changes)
    opened = video if isinstance(video, Video) else open_video(video)
    frames = frame_range(opened.frame_count, options.start, options.stop, opened.path)
    folder = Path(out)
    detector = load_edge_detector(
        options.model,
        weights=options.weights,
        device=options.device,
        precision=options.precision,
        size=options.size,
    )
    estimator = load_flow(options.estimator, device=options.device)
    _claim(folder, opened, options)
    work = _Work(folder, options, detector, estimator)
    done = written = 0
    for frame, neighbour in with_neighbours(opened.frames(options.start, options.stop)):
        if not work.is_finished(frame.name):
            work.write(frame, neighbour)
            written += 1
        done += 1
        if on_progress is not None:
            on_progress("edges", done, len(frames))
    return EdgeResult(folders=work.folders, written=written, frames=done)


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
        self, folder: Path, options: EdgeOptions, detector: EdgeDetector, estimator: OpticalFlow
    ) -> None:
        self.options, self.detector, self.estimator = options, detector, estimator
        # The edges come last: where they are, a frame is finished.
        names = ("motion", "merged", "edges") if options.motion else ("edges",)
        self.folders = tuple(folder / name for name in names)

    def is_finished(self, name: str) -> bool:
        return all((folder / f"{name}.png").is_file() for folder in self.folders)

    def write(self, frame: VideoFrame, neighbour: VideoFrame | None) -> None:
        flow = self._flow(frame.image, None if neighbour is None else neighbour.image)
        found = self.detector.detect(frame.image, flow if self.detector.sees_flow else None)
        maps = {"edges": found.edges}
        if self.options.motion:
            moving = np.zeros_like(found.edges)
            if flow is not None:
                moving = motion_edges(flow, found.foreground)
            maps |= {"motion": moving, "merged": merge_edges(found.edges, moving)}
        for folder in self.folders:
            edges = thin_edges(maps[folder.name]) if self.options.thin else maps[folder.name]
            _save(folder / f"{frame.name}.png", edges, self.options.bits)

    def _flow(self, frame: Frame, neighbour: Frame | None) -> Flow | None:
        if neighbour is None or not (self.options.motion or self.detector.sees_flow):
            return None
        return self.estimator.estimate(frame, neighbour)


def _save(path: Path, edges: EdgeMap, bits: int) -> None:
    white = 2**bits - 1
    pixels = (np.clip(edges, 0, 1) * white).round()
    picture = Image.fromarray(pixels.astype(np.uint8 if bits == 8 else np.uint16))
    with complete_or_absent(path) as temporary:
        picture.save(temporary, format="PNG", compress_level=3)


def _claim(folder: Path, video: Video, options: EdgeOptions) -> None:
    """Begin the job, or check that the folder holds the same one."""
    file = folder / "edges.json"
    asked = {"video": video.name, "frame_size": list(video.size), **asdict(options)}
    asked |= {"weights": None if options.weights is None else str(options.weights)}
    asked.pop("device")
    if file.is_file():
        there = json.loads(file.read_text())
        changed = [k for k in asked if there.get(k) != json.loads(json.dumps(asked[k]))]
        if changed:
            raise OutputError(
                f"{folder} holds the edges of another job ({', '.join(changed)} differ); choose "
                "another --out"
            )
    with complete_or_absent(file) as temporary:
        temporary.write_text(json.dumps(asked, indent=1))
