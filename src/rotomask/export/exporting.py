"""Export of several formats in one pass over a video and its masks."""

import contextlib
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt

from rotomask.errors import MaskError, OptionError, TruncatedVideoError
from rotomask.export import annotations, image_folders, videos
from rotomask.export.contact_sheet import ContactSheet
from rotomask.export.exr_folder import EXRFolder
from rotomask.export.format_writer import ExportTarget, FormatWriter, MaskedFrame
from rotomask.files import Commit, replace_file
from rotomask.masks import read_grey, read_labels
from rotomask.matting import EdgeControls
from rotomask.memory import LARGE_FRAME_PIXELS
from rotomask.pipeline import read_ahead
from rotomask.threads import blocks_apart
from rotomask.video import Video, VideoFrame

OPACITY_FORMATS = frozenset({"webm", "prores", "rgba", "mattes"})
"""Formats that show the objects' opacity and not which object is where."""

Masked = tuple[VideoFrame, npt.NDArray[np.int32], npt.NDArray[np.uint8] | None]
"""A frame, its labels, and its matte if there is one."""

FORMATS: dict[str, Callable[[ExportTarget], FormatWriter]] = {
    "overlay": videos.OverlayVideo,
    "outline": videos.OutlineVideo,
    "side-by-side": videos.SideBySideVideo,
    "webm": videos.webm,
    "prores": videos.prores,
    "rgba": image_folders.rgba,
    "mattes": image_folders.mattes,
    "exr": EXRFolder,
    "coco": annotations.COCO,
    "youtube-vis": annotations.YouTubeVIS,
    "polygons": annotations.Polygons,
    "contact-sheet": ContactSheet,
}
"""Name of a format -> its writer."""

OUTPUT_NAMES: dict[str, str] = {
    "overlay": "overlay.mp4",
    "outline": "outline.mp4",
    "side-by-side": "side_by_side.mp4",
    "webm": "cutout.webm",
    "prores": "cutout.mov",
    "rgba": "rgba/{frame}.png",
    "mattes": "mattes/{frame}.png",
    "exr": "exr/{frame}.exr",
    "coco": "annotations.json",
    "youtube-vis": "instances.json",
    "polygons": "polygons.json",
    "contact-sheet": "contact_sheet.png",
}
"""Name of a format -> the file that it writes, or the file of each frame."""


def check_formats(formats: Iterable[str]) -> None:
    """Raise unless every format exists, and what it needs is installed.

    Raises:
        OptionError: With the first that does not, and those that do.
    """
    formats = list(formats)
    unknown = [name for name in formats if name not in FORMATS]
    if unknown:
        raise OptionError(f"there is no format {unknown[0]!r}; choose from {', '.join(FORMATS)}")
    if "exr" in formats and find_spec("OpenEXR") is None:
        raise OptionError("exr needs OpenEXR; install it with: pip install 'rotomask[exr]'")


def output_files(formats: Iterable[str], frame_names: Iterable[str]) -> list[str]:
    """Relative paths of all files that `export` writes for some formats and frames."""
    patterns = [OUTPUT_NAMES[name] for name in formats]
    single = [pattern for pattern in patterns if "{frame}" not in pattern]
    per_frame = [pattern for pattern in patterns if "{frame}" in pattern]
    # Not str.format: a name may hold braces.
    return single + [p.replace("{frame}", name) for name in frame_names for p in per_frame]


def export(
    video: Video,
    folder: str | Path,
    formats: Iterable[str],
    *,
    start: int = 0,
    stop: int | None = None,
    partial: bool = False,
    edges: EdgeControls | None = None,
    commit: Commit = replace_file,
    on_progress: Callable[[int, int], None] | None = None,
) -> dict[str, Path]:
    """Write masks on disk in several formats, decoding the video once.

    Masks are read from `folder/masks/NAME.png`, and opacity from `folder/mattes/NAME.png` (8-bit
    grey) if it exists; otherwise opacity is the mask with antialiased edges. Memory does not grow
    with the length of the video. An interrupted export leaves no incomplete files.

    Args:
        video: The video of the masks.
        folder: Folder of the masks, to which the outputs are written.
        formats: Names from `FORMATS`.
        start: Index of the first frame.
        stop: Index after the last frame; None: up to the end.
        partial: Skip frames without a mask; by default they are an error.
        edges: How the edge of cut-outs (webm, prores, rgba, exr) is changed; mattes stay as they
            are.
        commit: Gives every complete file its name.
        on_progress: Called after each frame with the number of frames done and of all frames.

    Returns:
        Format -> the file, or the folder of files, that was written.

    Raises:
        OptionError: If a format is unknown or the range has no frames.
        MaskError: If a mask is missing, unreadable or differs in size from its frame.
        TruncatedVideoError: If the video ends early, after the outputs of the frames before.
        OutputError: If an output cannot be written.
    """
    folder = Path(folder)
    format_names = list(dict.fromkeys(formats))
    check_formats(format_names)
    names = _frames_with_masks(video, folder / "masks", start, stop, partial)
    target = ExportTarget(video=video, folder=folder, frame_count=len(names), commit=commit)
    # Formats that need the opacity alone save the reading of a second file a frame.
    needs_labels = not set(format_names) <= OPACITY_FORMATS
    masked = (
        (frame, *_read_masks(frame, folder, needs_labels=needs_labels))
        for frame in video.frames(start, stop)
        if frame.name in names
    )
    # At 4K every block that is freed goes back to the system at once (`blocks_apart`).
    is_large = video.size[0] * video.size[1] > LARGE_FRAME_PIXELS
    with blocks_apart() if is_large else contextlib.nullcontext():
        outputs = FormatOutputs(target, format_names, edges or EdgeControls())
        return _write_all(outputs, masked, on_progress, len(names))


def _write_all(
    outputs: "FormatOutputs",
    masked: Iterable[Masked],
    on_progress: Callable[[int, int], None] | None,
    total: int,
) -> dict[str, Path]:
    """Write all frames, and complete the outputs; see `export`."""
    truncated: TruncatedVideoError | None = None
    try:
        done = 0
        try:
            # Decoding and reading masks in one thread, rendering and encoding in this one.
            with contextlib.closing(read_ahead(masked, _bytes_of)) as ahead:
                for frame, labels, opacity in ahead:
                    outputs.add(frame, labels, opacity)
                    done += 1
                    if on_progress is not None:
                        on_progress(done, total)
                    del frame, labels, opacity  # not held while the next ones are read
        except TruncatedVideoError as error:
            if done == 0:
                raise
            truncated = error
        # After damage too: the outputs hold the frames before it.
        paths = outputs.close()
    except BaseException:  # a Ctrl-C too
        outputs.discard()
        raise
    if truncated is not None:
        raise truncated
    return paths


class FormatOutputs:
    """The outputs of several formats, which get the same frames one after the other."""

    def __init__(
        self, target: ExportTarget, formats: Iterable[str], edges: EdgeControls | None = None
    ) -> None:
        """Begin the outputs.

        Args:
            target: The video, and where the outputs go.
            formats: Names from `FORMATS`.
            edges: How the edge of cut-outs is changed; by default it is not.

        Raises:
            OutputError: If an output cannot be written.
        """
        self._edges = edges or EdgeControls()
        self._writers: dict[str, FormatWriter] = {}
        try:
            for name in formats:
                # Into the dictionary one by one: if the third cannot begin, the first two are
                # discarded.
                self._writers[name] = FORMATS[name](target)
        except BaseException:
            self.discard()
            raise

    def add(
        self,
        frame: VideoFrame,
        labels: npt.NDArray[np.int32],
        opacity: npt.NDArray[np.uint8] | None,
    ) -> None:
        """Write the next frame.

        Args:
            frame: The frame.
            labels: H×W: 0 background, k = object id k.
            opacity: H×W, 255 opaque; None: that of the labels, with antialiased edges.

        Raises:
            OutputError: If an output cannot be written.
        """
        masked = MaskedFrame(frame=frame, labels=labels, matte=opacity, edges=self._edges)
        for writer in self._writers.values():
            writer.add(masked)

    def close(self) -> dict[str, Path]:
        """Complete the outputs.

        Returns:
            Format -> the file, or the folder of files.

        Raises:
            OutputError: If an output cannot be written.
        """
        for writer in self._writers.values():
            writer.close()
        return {name: writer.path for name, writer in self._writers.items()}

    def discard(self) -> None:
        """Remove incomplete files."""
        for writer in self._writers.values():
            writer.discard()


def _frames_with_masks(
    video: Video, masks: Path, start: int, stop: int | None, partial: bool
) -> set[str]:
    """Names of the frames from start to stop that have a mask."""
    # One listing in place of a question to the disk for each of thousands of frames.
    existing = {file.stem for file in masks.glob("*.png")} if masks.is_dir() else set()
    indices = range(video.frame_count)[start:stop]
    if not indices:
        raise OptionError(
            f"no frame lies between {start} and {stop}; {video.path} has {video.frame_count}"
        )
    names = [video.frame_name(index) for index in indices]
    missing = [name for name in names if name not in existing]
    if len(missing) == len(names):
        raise MaskError(f"{masks} has no mask of {video.path}; cut the video first")
    if missing and not partial:
        raise MaskError(
            f"{len(missing)} of {len(names)} masks are missing, first {masks / missing[0]}.png; "
            "finish the cut, or skip these frames with --partial (partial=True)"
        )
    return set(names) - set(missing)


def _read_masks(
    frame: VideoFrame, folder: Path, *, needs_labels: bool
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.uint8] | None]:
    """Labels of a frame, and its matte if there is one; without need zeros that take no memory."""
    path = folder / "mattes" / f"{frame.name}.png"
    opacity = None
    if path.exists():
        opacity = read_grey(path)
        _check_fits(path, opacity, frame)
        if not needs_labels:
            # One zero with strides of 0, seen as H×W.
            return np.broadcast_to(np.int32(0), opacity.shape), opacity
    path = folder / "masks" / f"{frame.name}.png"
    labels = read_labels(path)
    _check_fits(path, labels, frame)
    return labels, opacity


def _bytes_of(masked: Masked) -> int:
    frame, labels, _ = masked
    return frame.image.nbytes + labels.nbytes


def _check_fits(path: Path, pixels: npt.NDArray[np.generic], frame: VideoFrame) -> None:
    height, width = frame.image.shape[:2]
    if pixels.shape != (height, width):
        raise MaskError(
            f"{path} is {pixels.shape[1]}x{pixels.shape[0]} but its frame is {width}x{height}; "
            "give the video that the masks were made for"
        )
