"""Reading of a folder of images as a video."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np

from rotomask.errors import TruncatedVideoError, VideoError
from rotomask.files import natural_key
from rotomask.video.images import IMAGE_SUFFIXES, Pixels, read_image, stored_size
from rotomask.video.video import Video, VideoFrame, frame_indices


class ImageSequence(Video):
    """A video with one image file per frame; `frame_name` is the file's stem."""

    def __init__(
        self, path: Path, images: list[Path], fps: Fraction, *, skip_damaged: bool = False
    ) -> None:
        """Check the images' sizes by their headers.

        Args:
            path: The folder, or the image file.
            images: The files of the frames, in order; at least one.
            fps: Frames per second.
            skip_damaged: Read every image, and give black frames for those that cannot be read.

        Raises:
            VideoError: If the first image cannot be read, or the images differ in size.
        """
        self.path, self.fps = path, fps
        self.name = path.name if path.is_dir() else path.stem
        self._images = images
        if skip_damaged:
            self.damaged = _damaged(images)
        readable = next((i for i in range(len(images)) if i not in self.damaged), 0)
        first, _ = read_image(images[readable])
        self.size = (first.shape[0], first.shape[1])
        self._check_headers()

    @property
    def frame_count(self) -> int:
        """Number of images."""
        return len(self._images)

    def frame_name(self, index: int) -> str:
        """The image's stem."""
        return self._images[index].stem

    def frames(
        self, start: int = 0, stop: int | None = None, *, reverse: bool = False
    ) -> Iterator[VideoFrame]:
        """See `Video.frames`."""
        for index in frame_indices(len(self._images), start, stop, reverse=reverse):
            yield self._read(index)

    def _read(self, index: int) -> VideoFrame:
        path = self._images[index]
        try:
            image, alpha = read_image(path) if index not in self.damaged else self._black()
        except VideoError as error:
            raise TruncatedVideoError(f"{error}; frames before: {index}", index) from error
        if image.shape[:2] != self.size:
            raise self._size_error(path, image.shape[:2])
        return VideoFrame(
            index=index, name=path.stem, image=image, alpha=alpha, time_s=float(index / self.fps)
        )

    def _black(self) -> tuple[Pixels, None]:
        return np.zeros((*self.size, 3), np.uint8), None

    def _check_headers(self) -> None:
        """Raise a VideoError now, not after an hour of work, if an image has another size."""
        for index, path in enumerate(self._images):
            size = None if index in self.damaged else stored_size(path)
            if size is None or size == self.size:
                continue
            if size == self.size[::-1]:  # the EXIF orientation may swap the sides
                size = read_image(path)[0].shape[:2]
            if size != self.size:
                raise self._size_error(path, size)

    def _size_error(self, path: Path, size: tuple[int, ...]) -> VideoError:
        return VideoError(
            f"{path} is {size[1]}x{size[0]} but the first frame is {self.size[1]}x{self.size[0]}; "
            "scale all images of the folder to one size"
        )


def open_folder(folder: Path, fps: Fraction, *, skip_damaged: bool = False) -> ImageSequence:
    """Open the images of a folder, in natural order; hidden files and other types are ignored.

    Raises:
        VideoError: If there are no images, two have the same stem, or they differ in size.
    """
    try:
        files = [file for file in folder.iterdir() if not file.name.startswith(".")]
    except OSError as error:
        raise VideoError(f"cannot read the folder {folder}: {error.strerror}") from error
    images = [file for file in files if file.suffix.lower() in IMAGE_SUFFIXES]
    if not images:
        content = f"it has {sorted(file.name for file in files)[0]}" if files else "it is empty"
        raise VideoError(
            f"{folder} has no images ({content}); give a video file or a folder of frames"
        )
    images.sort(key=lambda file: natural_key(file.name))
    stems: dict[str, Path] = {}
    for image in images:
        other = stems.setdefault(image.stem, image)
        if other is not image:
            raise VideoError(
                f"{folder} has both {other.name} and {image.name}, whose masks would have the same "
                "name; remove one of them"
            )
    return ImageSequence(folder, images, fps, skip_damaged=skip_damaged)


def _damaged(images: list[Path]) -> frozenset[int]:
    """Numbers of the images that cannot be read."""
    damaged = set()
    for index, path in enumerate(images):
        try:
            read_image(path)
        except VideoError:
            damaged.add(index)
    return frozenset(damaged)
