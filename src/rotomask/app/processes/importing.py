"""Import of a video: frames for the page, filmstrip, sound and times."""

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from rotomask.app.processes.control import Control
from rotomask.arrays import Frame
from rotomask.errors import InputError, TruncatedVideoError, VideoError
from rotomask.files import complete_or_absent, content_digest
from rotomask.video import Video, open_video
from rotomask.video.header import read_header
from rotomask.video.sound import write_sound

SHORT_SIDE, QUALITY = 480, 80
"""Short side in px and JPEG quality of the frames that the page gets."""
STRIP_THUMBS, STRIP_HEIGHT = 60, 48
THUMB_HEIGHT = 180


class RefusedVideoError(InputError):
    """A video that is beyond a limit."""

    def __init__(self, message: str, advice: str) -> None:
        """Keep what the user can do about it."""
        super().__init__(message)
        self.advice = advice


@dataclass(frozen=True)
class VideoLimits:
    """What is accepted."""

    seconds: float
    pixels: int
    frames: int

    def check(self, width: int, height: int, seconds: float, frames: int = 0) -> None:
        """Raise if a video is beyond a limit.

        Raises:
            RefusedVideoError: With the limit.
        """
        if width * height > self.pixels:
            raise RefusedVideoError(
                f"The video is {width}x{height}, and at most {self.pixels / 1e6:.1f} megapixels "
                "a frame are accepted.",
                "Reduce it first, or start rotomask app with a higher --max-pixels.",
            )
        if seconds > self.seconds or frames > self.frames:
            raise RefusedVideoError(
                f"The video has {seconds:.0f} s and {frames or 'many'} frames, and at most "
                f"{self.seconds:.0f} s and {self.frames} frames are accepted.",
                "Cut a part out first, or start rotomask app with a higher --max-seconds.",
            )


def import_video(params: Mapping[str, Any], folder: Path, control: Control) -> None:
    """Make all that the page shows of a video; what an earlier try made stays.

    Args:
        params: ``limits``, and ``source``, a file to copy, unless it was uploaded.
        folder: The project's folder.
        control: Hears of the video as soon as it is known, then of every frame.

    Raises:
        InputError: If it is not a video, or beyond a limit.
        OutputError: If the disk is full.
    """
    media, limits = folder / "media", VideoLimits(**params["limits"])
    if params.get("source") and not media.exists():
        _copy(Path(params["source"]), media)
    if media.stat().st_size == 0:
        raise RefusedVideoError("The file is empty.", "Choose the video again.")
    # Before anything is decoded: a file beyond the limits costs a few milliseconds.
    header = read_header(media)
    limits.check(header.width, header.height, header.seconds)
    video = open_video(media)
    height, width = video.size
    rate, count = float(video.fps), video.frame_count
    # Again with what the file really holds; headers may lie.
    limits.check(width, height, count / max(rate, 0.1), count)
    control.say("video", width=width, height=height, rate=rate, has_audio=video.has_sound)
    times = _write_frames(video, folder / "frames", count, control)
    _write_strip(folder, len(times))
    has_audio = _write_sound(video, folder / "audio.m4a")
    with complete_or_absent(folder / "pts.json") as temporary:
        temporary.write_text(json.dumps([round(t, 6) for t in times]), encoding="utf-8")
    control.say(
        "imported",
        frames=len(times),
        seconds=times[-1] + 1 / max(rate, 0.1),
        has_audio=has_audio,
        digest=content_digest(media),
        truncated=len(times) < count,
    )


def _copy(source: Path, media: Path) -> None:
    """A file of the disk as the project's own: linked where the file system can."""
    with complete_or_absent(media) as temporary:
        # A link cannot be made over a file.
        temporary.unlink(missing_ok=True)
        try:
            os.link(source, temporary)
        except OSError:
            shutil.copyfile(source, temporary)


def _write_frames(video: Video, folder: Path, count: int, control: Control) -> list[float]:
    """Write the frames that are missing; gives the times of all, seconds."""
    times: list[float] = []
    try:
        for frame in video.frames():
            control.check()
            path = folder / f"{frame.index:05d}.jpg"
            if not path.exists():
                with complete_or_absent(path) as temporary:
                    reduced(frame.image).save(temporary, format="JPEG", quality=QUALITY)
            times.append(frame.time_s)
            control.progress(len(times), count)
    except TruncatedVideoError:
        if not times:
            raise
    if not times:
        raise VideoError("The video has no frame that can be read.")
    return times


def reduced(image: Frame, short_side: int = SHORT_SIDE) -> Image.Image:
    """A frame of at most this short side, px."""
    picture = Image.fromarray(np.ascontiguousarray(image))
    factor = short_side / min(picture.size)
    if factor >= 1:
        return picture
    size = (max(1, round(picture.width * factor)), max(1, round(picture.height * factor)))
    # First by whole numbers to twice the size, then by areas; faster than areas alone.
    return picture.resize(size, Image.Resampling.BOX, reducing_gap=2.0)


def _write_strip(folder: Path, count: int) -> None:
    """Write the filmstrip, thumbs evenly over the video, and the picture of the project."""
    number = min(STRIP_THUMBS, count)
    # The middle of each of `number` equal parts.
    indices = [min(count - 1, int((k + 0.5) * count / number)) for k in range(number)]
    thumbs = [_thumb(folder / "frames" / f"{index:05d}.jpg", STRIP_HEIGHT) for index in indices]
    strip = Image.new("RGB", (sum(t.width for t in thumbs), STRIP_HEIGHT))
    for place, thumb in enumerate(thumbs):
        strip.paste(thumb, (place * thumb.width, 0))
    with complete_or_absent(folder / "strip.jpg") as temporary:
        strip.save(temporary, format="JPEG", quality=QUALITY)
    with complete_or_absent(folder / "thumb.jpg") as temporary:
        middle = folder / "frames" / f"{count // 2:05d}.jpg"
        _thumb(middle, THUMB_HEIGHT).save(temporary, format="JPEG", quality=QUALITY)


def _thumb(path: Path, height: int) -> Image.Image:
    with Image.open(path) as image:
        width = max(1, round(image.width * height / image.height))
        return image.convert("RGB").resize((width, height), Image.Resampling.BOX)


def _write_sound(video: Video, path: Path) -> bool:
    """Whether there is sound that could be written; damaged sound does not stop an import."""
    try:
        return path.exists() or write_sound(video, path)
    except VideoError:
        return False
