"""Reference masks of a cut: files or arrays, by frame number."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from rotomask.arrays import Mask, as_labels, check_mask
from rotomask.errors import InputError, OptionError, VideoError
from rotomask.masks import LARGEST_ID, object_ids, read_mask
from rotomask.video import Video

MaskSource = str | Path | Sequence[str | Path] | npt.NDArray[np.integer] | npt.NDArray[np.bool_]

logger = logging.getLogger(__name__)


def mask_files(sources: Iterable[object]) -> list[Path]:
    """The files and folders among mask sources and checkpoints."""
    files: list[Path] = []
    for source in sources:
        if isinstance(source, str | Path):
            files.append(Path(source))
        elif isinstance(source, Sequence):
            files += [Path(part) for part in source if isinstance(part, str | Path)]
    return files


def read_annotations(
    video: Video, sources: Mapping[int, MaskSource], frames: range
) -> dict[int, Mask]:
    """The reference masks by frame, rising; colours mean the same object in all of them.

    Raises:
        InputError: If there is none, or one cannot be read or is not of the video's size.
        OptionError: If a frame is not among those that are cut, or an object id is too large.
    """
    if not sources:
        raise InputError("no reference mask was given; mark the objects in at least one frame")
    annotations: dict[int, Mask] = {}
    colours: dict[tuple[int, int, int], int] = {}
    begun: set[int] = set()
    # In the order of time: which mask begins an object and which corrects it depends on it.
    for index in sorted(sources):
        if index not in frames:
            raise OptionError(
                f"the mask's frame {index} is out of range; frames {frames.start} to "
                f"{frames.stop - 1} are cut"
            )
        if index in video.damaged:
            raise VideoError(
                f"the mask's frame {index} of {video.path} cannot be read; mark another"
            )
        source = sources[index]
        if isinstance(source, np.ndarray):
            labels = as_labels(source)
            check_mask(labels, np.empty((*video.size, 3), np.uint8))
            logger.info("mask of frame %d: %s", index, _news(labels, begun))
        else:
            read = read_mask(source, video.size, colours=colours)
            # A colour is the same object in all masks of a video, also where one mask lacks some of
            # them.
            colours |= read.colours
            labels = read.labels
            news = _news(labels, begun)
            logger.info("mask of frame %d: %s; %s", index, read.description, news)
        begun |= set(object_ids(labels))
        if int(labels.max()) > LARGEST_ID:
            raise OptionError(f"object ids go up to {LARGEST_ID}, got {int(labels.max())}")
        annotations[index] = labels
    return annotations


def _news(labels: Mask, begun: set[int]) -> str:
    """Which objects of a mask are new and which it corrects, in words."""
    ids = object_ids(labels)
    if not begun:
        return _listed(ids)
    new = tuple(k for k in ids if k not in begun)
    corrected = tuple(k for k in ids if k in begun)
    texts = [f"begins {_listed(new)}"] if new else []
    texts += [f"corrects {_listed(corrected)}"] if corrected else []
    return ", ".join(texts)


def _listed(ids: tuple[int, ...]) -> str:
    shown = ", ".join(str(k) for k in ids[:12])
    more = f" and {len(ids) - 12} more" if len(ids) > 12 else ""
    return f"object{'s' * (len(ids) > 1)} {shown}{more}"
