"""Prompts on a frame in, its mask out: the first step of a cut."""

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Unpack

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from rotomask.arrays import Frame
from rotomask.catalog import DEFAULT_MARKER, load_marker
from rotomask.errors import OptionError, OutputError, PromptError
from rotomask.files import complete_or_absent
from rotomask.jobs.job_options import RuntimeOptions
from rotomask.jobs.keywords import MarkKeywords, takes_options, with_keywords
from rotomask.masks import is_written_mask, object_ids, write_mask
from rotomask.prompts import (
    Box,
    Click,
    Marker,
    Painted,
    Polygon,
    Prompt,
    Prompts,
    RoughMask,
    Scribble,
    check_prompts,
)
from rotomask.prompts.drawing import View, draw_prompt
from rotomask.prompts.kinds import is_positive
from rotomask.render import overlay
from rotomask.video import Video, VideoSource, open_video

Labels = npt.NDArray[np.int32]

logger = logging.getLogger(__name__)

PREVIEW_TEXT = ("Software", "rotomask mark")
"""Key and value in a preview's PNG, which may be replaced."""

_GREEN = (40, 220, 90)
_RED = (235, 60, 60)


@dataclass(frozen=True, kw_only=True)
class MarkOptions(RuntimeOptions):
    """Options of marking a frame."""

    model: str = DEFAULT_MARKER
    """An entry of the catalogue that marks: ``click-lite``, ``click-lite-learning``,
    ``grabcut``."""
    weights: Path | None = None
    """A checkpoint to use in place of the shipped one."""
    preview: bool = False
    """True to write a picture of the frame with the mask and the prompts beside the mask."""


@dataclass(frozen=True, kw_only=True)
class MarkResult:
    """Result of marking a frame."""

    labels: Labels
    """H×W: 0 background, k = object id k."""
    frame_index: int
    mask: Path | None
    """The mask's file, where one was asked for."""
    preview: Path | None
    """The preview's file, where one was asked for."""

    @property
    def object_ids(self) -> tuple[int, ...]:
        """Ids that appear in the mask, rising."""
        return object_ids(self.labels)


@takes_options(MarkOptions)
def mark(
    video: VideoSource,
    prompts: Prompts | Iterable[Prompt],
    out: str | Path | None = None,
    options: MarkOptions | None = None,
    *,
    at: int | None = None,
    marker: Marker | None = None,
    **changes: Unpack[MarkKeywords],
) -> MarkResult:
    """Mark objects in one frame by clicks, boxes, scribbles, polygons or a rough mask.

    Args:
        video: A video file, a folder of frames, an image, or an open video.
        prompts: What marks the objects, in the order in which it was given.
        out: Mask to write, an indexed PNG; None: none.
        options: Options; or give its fields as keywords.
        at: Frame number; by default the one that all prompts are on.
        marker: A marker to use in place of the one that the options name.
        **changes: Options as keywords, as on the command line: `MarkKeywords`.

    Raises:
        PromptError: If a prompt is outside the frame, has no area or contradicts another.
        OptionError: If an option is unknown, or the prompts are on several frames.
        VideoError: If the video cannot be read.
        OutputError: If the mask cannot be written, or a file is there that is no mask of this
            function.

    Example:
        >>> from rotomask.prompts import Click
        >>> mark("clip.mp4", [Click(310, 220)], "mask.png")  # doctest: +SKIP
    """
    options = with_keywords(options or MarkOptions(), changes, "mark")
    listed = prompts if isinstance(prompts, Prompts) else Prompts.on_frame(prompts, at or 0)
    index = _frame_of(listed, at)
    if options.preview and out is None:
        raise OptionError("a preview is written beside the mask; say where with out")
    opened = open_video(video)
    path = None if out is None else Path(out)
    preview = path.with_name(f"{path.stem}-preview.png") if path and options.preview else None
    if path is not None:
        _check_target(path, opened, is_written_mask)
    if preview is not None:
        _check_target(preview, opened, _is_preview)
    check_prompts(listed.at(index), opened.size)  # before the network is loaded
    image = opened.frame(index).image
    marker = marker or _load(options)
    marker.open(image)
    labels = marker.labels(listed.at(index))
    _warn_of_missing(labels, listed.at(index), index)
    if path is not None:
        write_mask(path, labels)
    if preview is not None:
        text = PngInfo()
        text.add_text(*PREVIEW_TEXT)
        with complete_or_absent(preview) as temporary:
            picture = draw_preview(image, labels, listed.at(index))
            Image.fromarray(picture).save(temporary, format="PNG", pnginfo=text)
    return MarkResult(labels=labels, frame_index=index, mask=path, preview=preview)


def _warn_of_missing(labels: Labels, prompts: Sequence[Prompt], index: int) -> None:
    """Say which objects have prompts, but no pixel: a cut would not follow them."""
    wanted = {prompt.object_id for prompt in prompts if is_positive(prompt)}
    for object_id in sorted(wanted - set(object_ids(labels))):
        logger.warning(
            "object %d: its prompts on frame %d mark nothing; add points on it, or a box",
            object_id,
            index,
        )


def _check_target(path: Path, video: Video, is_ours: Callable[[Path], bool]) -> None:
    """Raise unless a file is free to be written, or is one that an earlier mark wrote.

    Raises:
        OutputError: If the user's own file is there, above all the image that is marked.
    """
    if not path.exists():
        return
    # The file itself, or an image of that name in a folder of frames; `samefile` sees through
    # links.
    inputs = (video.path, video.path / path.name)
    if any(one.exists() and one.samefile(path) for one in inputs) or not is_ours(path):
        raise OutputError(f"{path} was not written by `rotomask mark`; choose another --out")


def _is_preview(path: Path) -> bool:
    key, value = PREVIEW_TEXT
    try:
        with Image.open(path) as picture:
            return picture.info.get(key) == value
    except (OSError, ValueError, SyntaxError):
        return False


def mark_frames(
    video: Video, prompts: Prompts, options: MarkOptions | None = None
) -> dict[int, Labels]:
    """The masks of all frames that have prompts, by frame number; errors as for `mark`."""
    options = options or MarkOptions()
    for index in prompts.frames:
        check_prompts(prompts.at(index), video.size)
    if not prompts.frames:
        raise PromptError("no prompt is given; mark the object by a point, a box or a scribble")
    marker = _load(options)
    return {index: mark(video, prompts, at=index, marker=marker).labels for index in prompts.frames}


def draw_preview(image: Frame, labels: Labels, prompts: Iterable[Prompt]) -> Frame:
    """The frame with its mask as an overlay, and the prompts: green on an object, red beside.

    Args:
        image: H×W×3 uint8 RGB.
        labels: H×W.
        prompts: On this frame.

    Returns:
        H×W×3 uint8 RGB, a new array.
    """
    picture = overlay(image, labels)
    height, width = labels.shape
    radius = max(3, round(min(height, width) / 120))
    for prompt in prompts:
        if isinstance(prompt, RoughMask):
            continue
        # A box has no sign: it is always around the object.
        colour = _RED if not isinstance(prompt, Box) and not prompt.positive else _GREEN
        if isinstance(prompt, Click):
            centre = (int(prompt.x), int(prompt.y))
            cv2.circle(picture, centre, radius + 1, (255, 255, 255), -1, cv2.LINE_AA)
            cv2.circle(picture, centre, radius, colour, -1, cv2.LINE_AA)
        elif isinstance(prompt, Box):
            left, top, right, bottom = (round(v) for v in prompt.corners)
            cv2.rectangle(
                picture, (left, top), (right - 1, bottom - 1), colour, max(1, radius // 2)
            )
        elif isinstance(prompt, Polygon):
            corners = np.array(prompt.points).astype(np.int32)
            cv2.polylines(picture, [corners], True, colour, max(1, radius // 2), cv2.LINE_AA)
        else:
            _draw_strokes(picture, prompt, colour)
    return picture


def _draw_strokes(picture: Frame, prompt: Scribble | Painted, colour: tuple[int, ...]) -> None:
    canvas = np.zeros(picture.shape[:2], np.uint8)
    draw_prompt(canvas, prompt, View.whole((picture.shape[0], picture.shape[1])))
    picture[canvas > 0] = colour


def _frame_of(prompts: Prompts, at: int | None) -> int:
    """The number of the frame that is marked."""
    if at is not None:
        if prompts.frames and at not in prompts.frames:
            raise OptionError(f"no prompt is on frame {at}; they are on {_listed(prompts.frames)}")
        return at
    if len(prompts.frames) > 1:
        raise OptionError(
            f"the prompts are on frames {_listed(prompts.frames)}; say by `at` which one to mark"
        )
    return prompts.frames[0] if prompts.frames else 0


def _listed(frames: tuple[int, ...]) -> str:
    return ", ".join(map(str, frames))


def _load(options: MarkOptions) -> Marker:
    return load_marker(options.model, weights=options.weights, **options.where)
