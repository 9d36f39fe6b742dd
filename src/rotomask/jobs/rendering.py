"""Rendered pictures of a cut as one file, or as a folder of PNG files that resumes."""

import contextlib
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from rotomask.errors import MaskError, OptionError, OutputError
from rotomask.files import Commit, complete_or_absent, content_digest, replace_file
from rotomask.jobs.folder import JobRequest, add_to, check_inputs, claim
from rotomask.jobs.job_options import frame_range
from rotomask.jobs.manifest import PRIVATE, frames_of
from rotomask.jobs.progress import OnProgress
from rotomask.video import (
    GIF,
    PRORES_4444,
    VP9,
    VP9_ALPHA,
    WEBP,
    Encoding,
    Video,
    VideoWriter,
    h264,
)

Pixels = npt.NDArray[np.uint8]

MOVIES: dict[str, tuple[Encoding | None, Encoding | None]] = {
    ".mp4": (h264(), None),
    ".webm": (VP9, VP9_ALPHA),
    ".mov": (PRORES_4444, PRORES_4444),
    ".gif": (GIF, GIF),
    ".webp": (WEBP, WEBP),
}
"""Suffix -> encodings of opaque and of transparent pictures; None: there is none."""
SILENT = frozenset({".gif", ".webp"})
STILLS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}
"""Suffix of a still -> its format by Pillow's name."""


@dataclass(frozen=True, kw_only=True)
class RenderingOptions:
    """Which part of a finished cut is rendered."""

    objects: tuple[int, ...] | None = None
    """Ids of the objects that it is about; None: all."""
    start: int | None = None
    """First frame; None: the first that was cut."""
    stop: int | None = None
    """One past the last frame; None: up to the last that was cut."""
    at: int | None = None
    """Write this frame alone, as a still."""
    overwrite: bool = False
    """Whether to replace another file or another job's output."""


def separated(
    options: RenderingOptions, own: Sequence[str], keywords: Mapping[str, object], owner: str
) -> tuple[dict[str, Any], dict[str, object]]:
    """The fields of options with changes, and apart from them the values of other settings.

    Args:
        options: They have other settings beside their own fields, such as those of an effect.
        own: Names of these settings.
        keywords: New values of both. ``end``, the last frame, stands for ``stop``.
        owner: What the message says that the keywords are of.

    Raises:
        OptionError: If a keyword is neither.
    """
    values = {field.name: getattr(options, field.name) for field in fields(options)}
    settings = {}
    for key, value in keywords.items():
        if key == "end" and isinstance(value, int):
            values["stop"] = value + 1
        elif key in values:
            values[key] = value
        elif key in own:
            settings[key] = value
        else:
            raise OptionError(
                f"{owner} has no setting {key!r}; it has {', '.join(own)}; options of what is "
                f"rendered are {', '.join(values)}"
            )
    return values, settings


@dataclass(frozen=True, kw_only=True)
class Rendering:
    """What is rendered, and where to."""

    command: str
    """The command's name, for the record of a folder."""
    settings: Mapping[str, Any]
    """Plain values that decide the pictures, for the record of a folder."""
    video: Video
    cut: Path
    """The folder of the masks."""
    frames: range
    picture: Callable[[int], Pixels]
    """Renders a frame: H×W×3 RGB, or H×W×4 RGBA."""
    time_s: Callable[[int], float]
    """Presentation time of a frame, seconds from the video's first."""
    out: Path
    """A file, whose suffix says the format, or without a suffix a folder of PNG files."""
    resize: int | None = None
    """Width of the pictures, px; None: as they are rendered."""
    overwrite: bool = False
    on_progress: OnProgress | None = None
    inputs: Sequence[Path] = ()
    """Files that are read beside the video and the masks."""

    def rendered(self, index: int) -> Pixels:
        """A frame at its final size."""
        return resized(self.picture(index), self.resize)

    @property
    def reads(self) -> list[Path]:
        """All that is read."""
        return [self.video.path, self.cut / "masks", self.cut / "mattes", *self.inputs]


def cut_frames(video: Video, folder: Path, start: int | None, stop: int | None) -> range:
    """Frames to render: as asked for, else those that were cut.

    Raises:
        MaskError: If one of them has no mask.
        OptionError: If the range is empty or leaves the video.
    """
    masks = folder / "masks"
    there = {path.stem for path in masks.glob("*.png")} if masks.is_dir() else set()
    have = [index for index in range(video.frame_count) if video.frame_name(index) in there]
    if not have:
        raise MaskError(f"{masks} has no mask of {video.path}; cut the video first")
    # What the manifest says was cut, or, in a folder of masks alone, from the first mask to the
    # last.
    first, end = frames_of(folder) or (have[0], have[-1] + 1)
    frames = frame_range(
        video.frame_count,
        first if start is None else start,
        end if stop is None else stop,
        video.path,
    )
    missing = [index for index in frames if video.frame_name(index) not in there]
    if missing:
        raise MaskError(
            f"{len(missing)} of {len(frames)} masks are missing, first "
            f"{masks / video.frame_name(missing[0])}.png; finish the cut, or choose a range by "
            "start and end"
        )
    return frames


def render_still(work: Rendering, index: int) -> Path:
    """Write one frame as an image.

    Raises:
        OptionError: If the suffix is of no image, or the frame is not among those rendered.
        OutputError: If the file cannot be written.
    """
    suffix = work.out.suffix.lower()
    if suffix not in STILLS:
        raise OptionError(f"a still is written as {', '.join(STILLS)}, got {work.out.name!r}")
    if index not in work.frames:
        raise OptionError(
            f"frame {index} is not among those cut, {work.frames.start} to {work.frames.stop - 1}"
        )
    with hold_file(work.out, work.reads, overwrite=work.overwrite) as commit:
        image = Image.fromarray(work.rendered(index))
        if suffix in (".jpg", ".jpeg"):
            image = image.convert("RGB")
        with complete_or_absent(work.out, commit) as temporary:
            image.save(temporary, format=STILLS[suffix])
    return work.out


def render(work: Rendering) -> Path:
    """Write all frames: a movie, or a folder of PNG files.

    A folder resumes: frames that are there stay. A movie is complete or absent.

    Raises:
        OptionError: If the suffix is of no movie, or cannot hold transparency.
        OutputError: If the output cannot be written, or is there and was not made by this job.
    """
    suffix = work.out.suffix.lower()
    if not suffix:
        return _render_folder(work)
    if suffix not in MOVIES:
        raise OptionError(
            f"{work.out.name!r} ends in none of {', '.join(MOVIES)}; without an ending a folder of "
            "PNG files is written"
        )
    with hold_file(work.out, work.reads, overwrite=work.overwrite) as commit:
        # Rendered before the file is opened: its size and channels say how it is encoded.
        first = work.rendered(work.frames.start)
        transparent = first.shape[2] == 4
        encoding = MOVIES[suffix][transparent]
        if encoding is None:
            others = ", ".join(s for s, pair in MOVIES.items() if pair[1] is not None)
            raise OptionError(
                f"{suffix} holds no transparency; write {others} or a folder of PNG files"
            )
        writer = VideoWriter(
            work.out,
            (first.shape[0], first.shape[1]),
            work.video.fps,
            encoding,
            sound_from=None if suffix in SILENT else work.video,
            pixel_aspect=work.video.pixel_aspect,
            commit=commit,
        )
        with writer:
            for done, index in enumerate(work.frames, start=1):
                # Not rendered twice.
                picture = first if index == work.frames.start else work.rendered(index)
                writer.write(_with_channels(picture, encoding), work.time_s(index))
                _report(work, done)
    return work.out


@contextlib.contextmanager
def hold_file(path: Path, inputs: Sequence[Path], *, overwrite: bool) -> Iterator[Commit]:
    """Give what names a complete file, after checking that the name may be used.

    In the folder of a job the file is recorded and locked as the job's own files are; elsewhere a
    file that exists is replaced only if told so.

    Raises:
        OutputError: If it may not be used.
    """
    if path.is_dir():
        raise OutputError(f"{path} is a folder; give the name of a file in it")
    check_inputs(path.parent, [path.name], inputs)
    # The folder of a job: the file becomes one of its files.
    if (path.parent / PRIVATE / "files").is_file():
        with add_to(path.parent, [path.name], inputs) as folder:
            yield folder.commit
        return
    if path.exists() and not overwrite:
        raise OutputError(f"{path} exists; choose another --out, or --overwrite to replace it")
    yield replace_file


def masks_digest(video: Video, folder: Path, frames: range) -> str:
    """A fingerprint of all masks and mattes of some frames: 32 hexadecimal digits."""
    digest = hashlib.blake2b(digest_size=16)
    for index in frames:
        for kind in ("masks", "mattes"):
            path = folder / kind / f"{video.frame_name(index)}.png"
            if path.is_file():
                digest.update(f"{kind}/{path.name} {content_digest(path)} ".encode())
    return digest.hexdigest()


def resized(picture: Pixels, width: int | None) -> Pixels:
    """A picture scaled to a width, px; None: as it is. Colours of transparent pixels do not count.

    Args:
        picture: H×W×3 or H×W×4 uint8.
        width: Width of the result, px.
    """
    if width is None or width == picture.shape[1]:
        return picture
    size = (width, max(1, round(picture.shape[0] * width / picture.shape[1])))
    way = cv2.INTER_AREA if width < picture.shape[1] else cv2.INTER_CUBIC
    if picture.shape[2] == 3:
        return np.asarray(cv2.resize(picture, size, interpolation=way), np.uint8)
    alpha = picture[..., 3:].astype(np.float32)
    # H×W×4; averaging straight colours would mix those of transparent pixels in.
    layers = np.dstack([picture[..., :3] * (alpha / 255), alpha])  # premultiplied
    scaled = np.asarray(cv2.resize(layers, size, interpolation=way), np.float32)
    straight = scaled[..., :3] * (255 / np.maximum(scaled[..., 3:], 1))
    joined = np.dstack([straight, scaled[..., 3]])
    return joined.clip(0, 255).round().astype(np.uint8)


def _render_folder(work: Rendering) -> Path:
    from rotomask.jobs.fingerprints import video_fingerprint  # it loads torch: 3 s

    names = {index: f"{work.video.frame_name(index)}.png" for index in work.frames}
    request = JobRequest(
        command=work.command,
        settings={
            "video": video_fingerprint(work.video),
            "masks": masks_digest(work.video, work.cut, work.frames),
            "frames": [work.frames.start, work.frames.stop],
            "resize": work.resize,
            **work.settings,
        },
        added=list(names.values()),
        inputs=work.reads,
    )
    with claim(work.out, request, overwrite=work.overwrite) as folder:
        folder.note(video=str(work.video.path), source=str(work.cut))
        for done, (index, name) in enumerate(names.items(), start=1):
            if not folder.is_finished(name):
                image = Image.fromarray(work.rendered(index))
                with folder.write(name) as temporary:
                    image.save(temporary, format="PNG", compress_level=4)
            _report(work, done)
    return work.out


def _with_channels(picture: Pixels, encoding: Encoding) -> Pixels:
    """A picture with as many channels as its encoding takes."""
    if encoding.alpha and picture.shape[2] == 3:
        return np.dstack([picture, np.full(picture.shape[:2], 255, np.uint8)])
    return picture


def _report(work: Rendering, done: int) -> None:
    if work.on_progress is not None:
        work.on_progress(work.command, done, len(work.frames))
