"""What effects see of a video and its cut: frames, soft masks, the empty background, on demand."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from rotomask.arrays import Mask
from rotomask.effects.alignment import Alignment
from rotomask.effects.background import cover, lowest_row
from rotomask.effects.filling import Margins
from rotomask.effects.options import is_colour, parse_colour
from rotomask.effects.plate import Plate
from rotomask.effects.reader import FrameReader, Recent, frames_in_memory
from rotomask.errors import MaskError, OptionError
from rotomask.masks import read_grey, read_labels
from rotomask.matting import EdgeControls, edge_alpha, foreground_colours
from rotomask.video import Video, VideoFrame, open_video

Pixels = npt.NDArray[np.uint8]
Array = npt.NDArray[np.float32]

LARGEST_WIDTH = 8192

_SMOOTH_PX = 0.7
"""Blur that antialiases a label without moving its edge, as in `render`."""
_GROUND_FRAMES = 6
"""Frames before and after over which the row on which the object stands is averaged."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Cutout:
    """A frame and the selected objects in it, at the size of the scene."""

    index: int
    time_s: float
    """Presentation time, seconds from the video's first frame."""
    image: Pixels
    """H×W×3 RGB."""
    labels: Mask
    """H×W: all objects of the cut."""
    alpha: Array
    """H×W, 0 to 1: opacity of the selected objects."""

    @cached_property
    def colours(self) -> Pixels:
        """H×W×3: the objects' own colours, without the background's at soft edges."""
        return foreground_colours(self.image, self.alpha)


class Scene:
    """A video beside the masks of its cut, at one size; frames are read and kept as needed.

    Not for several threads at once. Masks are read again when their files change.
    """

    def __init__(
        self,
        video: Video,
        folder: str | Path,
        *,
        objects: Sequence[int] | None = None,
        edges: EdgeControls | None = None,
        width: int | None = None,
        frames: range | None = None,
    ) -> None:
        """Open a scene; nothing is decoded yet.

        Args:
            video: The video that was cut.
            folder: Folder of ``masks/NAME.png`` and perhaps ``mattes/NAME.png``.
            objects: Ids of the objects that effects are applied to; None: all.
            edges: How their edge is softened; None: by the picture (guided filter).
            width: Width of the pictures, px; None: the video's. The height follows.
            frames: Frames that count as the video; None: all.

        Raises:
            OptionError: If the width is not positive, or too large.
        """
        if width is not None and not 1 <= width <= LARGEST_WIDTH:
            raise OptionError(f"a width goes from 1 to {LARGEST_WIDTH} px, got {width}")
        self.video, self.folder = video, Path(folder)
        self.objects = None if objects is None else tuple(objects)
        height, full = video.size
        self.scale = 1.0 if width is None else width / full
        """Size of the pictures over the video's."""
        self.size = (max(1, round(height * self.scale)), full if width is None else width)
        self.frames = range(video.frame_count) if frames is None else frames
        # Widths are given in pixels of the video.
        self._edges = (edges or EdgeControls(matting=True)).scaled(self.scale)
        self._reader = FrameReader(video, self.size)
        # A quarter of the frames that fit: each cutout also holds labels, opacity and colours.
        self._cutouts: Recent[tuple[object, Cutout]] = Recent(frames_in_memory(self.size) // 4)
        self._rows: dict[int, tuple[object, float]] = {}
        self._media: dict[str, FrameReader] = {}
        self._plate: Plate | None = None

    def has_mask(self, index: int) -> bool:
        """Whether a frame is cut."""
        return index in self.frames and self._mask_file(index).is_file()

    def frame(self, index: int) -> VideoFrame:
        """A frame at the size of the scene.

        Raises:
            OptionError: If there is no such frame.
        """
        return self._reader[index]

    def cutout(self, index: int) -> Cutout:
        """A frame and its objects; without a mask no pixel is an object's.

        Raises:
            OptionError: If there is no such frame.
            MaskError: If the mask is damaged or of another size than the video.
        """
        if not 0 <= index < self.video.frame_count:
            count = self.video.frame_count
            raise OptionError(f"{self.video.path} has no frame {index}; it has {count}, from 0")
        # The time and size of its files: a mask that was corrected meanwhile is read again.
        stamp = self._stamp(index)
        cached = self._cutouts.get(index)
        if cached is not None and cached[0] == stamp:
            return cached[1]
        frame = self.frame(index)
        labels, alpha = self._masks(index, frame)
        made = Cutout(
            index=index, time_s=frame.time_s, image=frame.image, labels=labels, alpha=alpha
        )
        self._cutouts.add(index, (stamp, made))
        return made

    def labels(self, index: int) -> Mask:
        """Labels of a frame in the video's own size, H×W int32; all 0 without a mask.

        Raises:
            MaskError: If the mask is damaged or of another size than the video.
        """
        path = self._mask_file(index)
        if not path.is_file():
            return np.zeros(self.video.size, np.int32)
        labels = read_labels(path)
        _check_size(path, labels, self.video.size)
        return labels

    def mask(self, index: int, *, selected: bool) -> npt.NDArray[np.bool_]:
        """Pixels of the selected objects, or of all, at the size of the scene: H×W.

        Raises:
            MaskError: As for `labels`.
        """
        labels = self.labels(index)
        objects = self.is_selected(labels) if selected else labels > 0
        if labels.shape == self.size:
            return objects
        height, width = self.size
        # Averaging areas: any pixel that is partly an object's counts.
        share = cv2.resize(
            objects.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA
        )
        return np.asarray(share > 0.01, np.bool_)

    def is_selected(self, labels: Mask) -> npt.NDArray[np.bool_]:
        """The pixels of the selected objects, H×W."""
        if self.objects is None:
            return labels > 0
        return np.isin(labels, self.objects)

    @cached_property
    def alignment(self) -> Alignment:
        """How the camera moves."""
        return Alignment(self)

    @property
    def plate(self) -> Plate:
        """The background without the objects, made when it is asked for."""
        return self.plate_with(Margins())

    def plate_with(self, margins: Margins) -> Plate:
        """The background with margins of its own; the last one is kept."""
        if self._plate is None or self._plate.margins != margins:
            self._plate = Plate(self, self.alignment, margins)
        return self._plate

    def ground_row(self, index: int) -> float:
        """The row on which the objects stand, px, averaged over some frames."""
        around = range(index - _GROUND_FRAMES, index + _GROUND_FRAMES + 1)
        rows = [self._lowest_row(k) for k in around if self.has_mask(k)]
        return float(np.mean(rows)) if rows else float(self.size[0] - 1)

    @cached_property
    def extent(self) -> tuple[int, int, int, int]:
        """Left, top, width, height of where the objects are in any frame, px of the scene."""
        anywhere = np.zeros(self.video.size, np.uint8)
        for index in self.frames:
            anywhere |= self.is_selected(self.labels(index)).astype(np.uint8)
        x, y, width, height = cv2.boundingRect(anywhere)
        left, top = int(x * self.scale), int(y * self.scale)
        right = min(self.size[1], int(np.ceil((x + width) * self.scale)))
        bottom = min(self.size[0], int(np.ceil((y + height) * self.scale)))
        return left, top, right - left, bottom - top

    def backdrop(self, source: str, index: int, *, loop: bool) -> Pixels:
        """A colour, or the frame of another image or video at the time of a frame: H×W×3.

        Raises:
            VideoError: If it is neither a colour nor a readable file.
        """
        if is_colour(source):
            return np.full((*self.size, 3), parse_colour(source), np.uint8)
        if source not in self._media:
            self._media[source] = FrameReader(open_video(source))
        reader = self._media[source]
        count = reader.video.frame_count
        # By time rather than by number, so that a background of another frame rate keeps its pace;
        # 1e-6 s against times that fall just before a frame.
        number = int(self.frame(index).time_s * float(reader.video.fps) + 1e-6)
        number = number % count if loop else min(number, count - 1)
        return cover(reader[number].image, self.size)

    def refresh(self) -> None:
        """Forget backgrounds and camera motion, after masks have changed."""
        self._plate = None
        # cached_property keeps its value in the instance's dictionary.
        for name in ("alignment", "extent"):
            self.__dict__.pop(name, None)

    def _lowest_row(self, index: int) -> float:
        stamp = self._stamp(index)
        cached = self._rows.get(index)
        if cached is None or cached[0] != stamp:
            selected = self.is_selected(self.labels(index))
            cached = (stamp, lowest_row(selected.astype(np.float32)) * self.scale)
            self._rows[index] = cached
        return cached[1]

    def _mask_file(self, index: int) -> Path:
        return self.folder / "masks" / f"{self.video.frame_name(index)}.png"

    def _matte_file(self, index: int) -> Path:
        return self.folder / "mattes" / f"{self.video.frame_name(index)}.png"

    def _stamp(self, index: int) -> object:
        """What changes when the mask of a frame does."""
        stamps = []
        for path in (self._mask_file(index), self._matte_file(index)):
            try:
                state = path.stat()
                stamps.append((state.st_mtime_ns, state.st_size))
            except OSError:
                stamps.append((0, 0))
        return tuple(stamps)

    def _masks(self, index: int, frame: VideoFrame) -> tuple[Mask, Array]:
        """Labels and opacity at the size of the scene."""
        labels = self.labels(index)
        selected = self.is_selected(labels)
        height, width = self.size
        small: Mask = labels
        if labels.shape != self.size:
            resized = cv2.resize(labels, (width, height), interpolation=cv2.INTER_NEAREST)
            small = np.asarray(resized, np.int32)
        if not selected.any():
            return small, np.zeros(self.size, np.float32)
        soft = self._soft(index, labels, selected)
        if soft.shape != self.size:
            way = cv2.INTER_AREA if self.scale < 1 else cv2.INTER_LINEAR
            soft = np.asarray(cv2.resize(soft, (width, height), interpolation=way), np.float32)
        alpha = edge_alpha(frame.image, soft, self._edges)
        if frame.alpha is not None:  # transparent pixels of the source stay transparent
            alpha = (alpha * (frame.alpha / np.float32(255))).astype(np.float32)
        return small, alpha

    def _soft(self, index: int, labels: Mask, selected: npt.NDArray[np.bool_]) -> Array:
        """Opacity before the edge controls: the stored matte, else the antialiased mask."""
        path = self._matte_file(index)
        if not path.is_file():
            mask = selected.astype(np.float32)
            if self.scale < 1:  # averaging areas antialiases
                return mask
            soft = cv2.GaussianBlur(mask, (0, 0), _SMOOTH_PX, borderType=cv2.BORDER_REPLICATE)
            return np.asarray(soft, np.float32)
        matte = read_grey(path)
        _check_size(path, matte, self.video.size)
        opacity = (matte.astype(np.float32) / 255).astype(np.float32)
        others = (labels > 0) & ~selected
        if others.any():  # the matte is of all objects together: each pixel to the nearest object
            near = _distance(selected) <= _distance(others)
            opacity = np.where(near, opacity, np.float32(0))
        return opacity


def _distance(mask: npt.NDArray[np.bool_]) -> Array:
    """Distance of every pixel to a mask, px."""
    return np.asarray(cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 3), np.float32)


def _check_size(path: Path, pixels: npt.NDArray[np.generic], size: tuple[int, int]) -> None:
    if pixels.shape != size:
        raise MaskError(
            f"{path} is {pixels.shape[1]}x{pixels.shape[0]} but the video is {size[1]}x{size[0]}; "
            "give the video that the masks were made for"
        )
