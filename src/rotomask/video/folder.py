"""A folder of images as a video."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

from rotomask.errors import TruncatedVideoError, VideoError
from rotomask.files import natural_key
from rotomask.video.images import SUFFIXES, read_image, stored_size
from rotomask.video.video import Video, VideoFrame, check_range


class ImageSequence(Video):
    """Images in order, one a frame; `frame_name` is the image's stem."""

    def __init__(self, path: Path, images: list[Path], fps: Fraction) -> None:
        """Take these images as the frames of `path`.

        Raises:
            VideoError: If the first image cannot be read, or the images differ in size.
        """
        self.path, self.fps = path, fps
        self.name = path.name if path.is_dir() else path.stem
        self._images = images
        first, _ = read_image(images[0])
        self.size = (first.shape[0], first.shape[1])
        self._check_headers()

    @property
    def frame_count(self) -> int:
        """How many images there are."""
        return len(self._images)

    def frame_name(self, index: int) -> str:
        """The image's stem."""
        return self._images[index].stem

    def frames(
        self, start: int = 0, stop: int | None = None, *, reverse: bool = False
    ) -> Iterator[VideoFrame]:
        """See `Video.frames`."""
        check_range(start, stop)
        indices = range(len(self._images))[start:stop]
        for index in reversed(indices) if reverse else indices:
            yield self._read(index)

    def _read(self, index: int) -> VideoFrame:
        path = self._images[index]
        try:
            image, alpha = read_image(path)
        except VideoError as error:
            raise TruncatedVideoError(f"{error}; frames before: {index}", index) from error
        if image.shape[:2] != self.size:
            raise self._odd_size(path, image.shape[:2])
        return VideoFrame(
            index=index, name=path.stem, image=image, alpha=alpha, time_s=float(index / self.fps)
        )

    def _check_headers(self) -> None:
        """Find an image of another size now, not after an hour's work."""
        for path in self._images[1:]:
            stored = stored_size(path)
            if stored is None or stored == self.size:
                continue
            if stored == self.size[::-1]:  # perhaps upright only after its EXIF rotation
                stored = read_image(path)[0].shape[:2]
            if stored != self.size:
                raise self._odd_size(path, stored)

    def _odd_size(self, path: Path, size: tuple[int, ...]) -> VideoError:
        return VideoError(
            f"{path} is {size[1]}x{size[0]} but the first frame is {self.size[1]}x{self.size[0]}; "
            "all images of a folder must have one size"
        )


def open_folder(folder: Path, fps: Fraction) -> ImageSequence:
    """The images of a folder in natural order; hidden files and other types are ignored.

    Raises:
        VideoError: If there are none, two share a stem, or they differ in size.
    """
    try:
        files = [file for file in folder.iterdir() if not file.name.startswith(".")]
    except OSError as error:
        raise VideoError(f"cannot read the folder {folder}: {error.strerror}") from error
    images = [file for file in files if file.suffix.lower() in SUFFIXES]
    if not images:
        found = f"it has {sorted(file.name for file in files)[0]}" if files else "it is empty"
        raise VideoError(
            f"{folder} has no images ({found}); give a video file or a folder of frames"
        )
    images.sort(key=lambda file: natural_key(file.name))
    stems: dict[str, Path] = {}
    for image in images:
        other = stems.setdefault(image.stem, image)
        if other is not image:
            raise VideoError(
                f"{folder} has both {other.name} and {image.name}, whose masks would have one "
                "name; remove one of them"
            )
    return ImageSequence(folder, images, fps)
