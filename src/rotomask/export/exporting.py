"""One pass over the video beside its masks writes every format that is wanted."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from rotomask.errors import MaskError, OptionError, TruncatedVideoError
from rotomask.export import annotations, videos
from rotomask.export.output import Cut, Job, Output
from rotomask.masks import read_labels
from rotomask.render import matte
from rotomask.video import Video, VideoFrame

FORMATS: dict[str, Callable[[Job], Output]] = {
    "overlay": videos.OverlayVideo,
    "webm": videos.webm,
    "prores": videos.prores,
    "rgba": videos.rgba,
    "mattes": videos.mattes,
    "coco": annotations.COCO,
    "youtube-vis": annotations.YouTubeVIS,
    "polygons": annotations.Polygons,
    "contact-sheet": videos.ContactSheet,
}
"""Format name -> what writes it."""


def export(
    video: Video,
    folder: str | Path,
    formats: Iterable[str],
    *,
    start: int = 0,
    stop: int | None = None,
    partial: bool = False,
    on_progress: Callable[[int, int], None] | None = None,
) -> dict[str, Path]:
    """Render masks that are on disk, in every format wanted, decoding the video once.

    Reads `folder/masks/NAME.png`, and `folder/mattes/NAME.png` (8-bit grey opacity) where there is
    one; without it, opacity is the mask with antialiased edges. Memory does not grow with length.
    Interrupted, it leaves no half file.

    Args:
        video: The video that the masks were made for.
        folder: Where the masks are and the outputs go.
        formats: Names from `FORMATS`.
        start: First frame.
        stop: One past the last frame; None means to the end.
        partial: Leave out frames without a mask, instead of refusing.
        on_progress: Called after each frame with the frames done and the frames in all.

    Returns:
        The file, or folder of files, of each format.

    Raises:
        OptionError: If a format is unknown or the range is empty.
        MaskError: If a mask is missing, unreadable or of another size than its frame.
        TruncatedVideoError: If the video ends early; the outputs are complete up to there.
        OutputError: If an output cannot be written.
    """
    folder = Path(folder)
    wanted = list(dict.fromkeys(formats))
    unknown = [name for name in wanted if name not in FORMATS]
    if unknown:
        raise OptionError(f"there is no format {unknown[0]!r}; there are {', '.join(FORMATS)}")
    names = _frames_with_masks(video, folder / "masks", start, stop, partial)
    job = Job(video=video, folder=folder, frame_count=len(names))
    outputs: dict[str, Output] = {}
    truncated: TruncatedVideoError | None = None
    try:
        for name in wanted:
            outputs[name] = FORMATS[name](job)
        done = 0
        try:
            for frame in _frames(video, names, start, stop):
                cut = _read_cut(frame, folder)
                for output in outputs.values():
                    output.add(cut)
                done += 1
                if on_progress is not None:
                    on_progress(done, len(names))
        except TruncatedVideoError as error:
            if done == 0:
                raise
            truncated = error
        for output in outputs.values():
            output.close()
    except BaseException:  # a Ctrl-C too
        for output in outputs.values():
            output.discard()
        raise
    if truncated is not None:
        raise truncated
    return {name: output.path for name, output in outputs.items()}


def _frames_with_masks(
    video: Video, masks: Path, start: int, stop: int | None, partial: bool
) -> set[str]:
    there = {file.stem for file in masks.glob("*.png")} if masks.is_dir() else set()
    indices = range(video.frame_count)[start:stop]
    if not indices:
        raise OptionError(
            f"no frame lies between {start} and {stop}; {video.path} has {video.frame_count}"
        )
    names = [video.frame_name(index) for index in indices]
    missing = [name for name in names if name not in there]
    if len(missing) == len(names):
        raise MaskError(f"{masks} has no mask of {video.path}; cut the video first")
    if missing and not partial:
        raise MaskError(
            f"{len(missing)} of {len(names)} masks are missing, first {masks / missing[0]}.png; "
            "finish the cut, or export what there is with partial=True"
        )
    return set(names) - set(missing)


def _frames(video: Video, names: set[str], start: int, stop: int | None) -> Iterator[VideoFrame]:
    return (frame for frame in video.frames(start, stop) if frame.name in names)


def _read_cut(frame: VideoFrame, folder: Path) -> Cut:
    path = folder / "masks" / f"{frame.name}.png"
    labels = read_labels(path)
    _check_fits(path, labels, frame)
    path = folder / "mattes" / f"{frame.name}.png"
    if path.exists():
        alpha = _read_matte(path)
        _check_fits(path, alpha, frame)
    else:
        alpha = matte(labels)
    if frame.alpha is not None:  # what was transparent stays so
        alpha = (alpha.astype(np.uint16) * frame.alpha // 255).astype(np.uint8)
    return Cut(frame=frame, labels=labels, alpha=alpha)


def _read_matte(path: Path) -> npt.NDArray[np.uint8]:
    try:
        with Image.open(path) as image:
            return np.asarray(image.convert("L"))
    except (OSError, SyntaxError, ValueError) as error:
        raise MaskError(f"{path} is not a readable image: {error}") from error


def _check_fits(path: Path, pixels: npt.NDArray[np.generic], frame: VideoFrame) -> None:
    height, width = frame.image.shape[:2]
    if pixels.shape != (height, width):
        raise MaskError(
            f"{path} is {pixels.shape[1]}x{pixels.shape[0]} but its frame {width}x{height}; the "
            "masks were made for another video"
        )
