"""Small clips with known content, for the tests of reading, writing and rendering."""

from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from rotomask.masks import write_mask

SIZE = (48, 64)
BITS = 8
DAVIS = Path(__file__).parents[2] / "shared/data/davis2016-val-dev"


def picture(index: int, size: tuple[int, int] = SIZE) -> npt.NDArray[np.uint8]:
    """A frame that says its index, in bars of black and white at its foot: H×W×3 uint8.

    It has a yellow block where top left is.
    """
    height, width = size
    y, x = np.mgrid[:height, :width]
    image = np.stack([y * 150 // height, x * 150 // width, 0 * x + index * 3 % 150], axis=2)
    image[: height // 4, : width // 4] = (220, 220, 40)
    bits = index >> (x[0] * BITS // width) & 1
    image[-height // 3 :] = (bits * 255)[:, None]
    return image.astype(np.uint8)


def picture_index(image: npt.NDArray[np.uint8]) -> int:
    """The index that a `picture` says, also after a lossy codec."""
    height, width = image.shape[:2]
    centres = [(2 * bit + 1) * width // (2 * BITS) for bit in range(BITS)]
    return sum(int(image[-height // 6, x].mean() > 127) << bit for bit, x in enumerate(centres))


def write_clip(
    path: Path,
    *,
    frames: int = 20,
    codec: str = "libx264",
    size: tuple[int, int] = SIZE,
    options: dict[str, str] | None = None,
    times_s: Sequence[float] | None = None,
    rotation: float = 0,
    muxer: dict[str, str] | None = None,
    sound: str | None = None,
) -> Path:
    """Encode `picture`s at 25 frames a second, or at the times given, perhaps beside a tone."""
    with av.open(str(path), "w", options=muxer or {}) as container:
        stream = container.add_stream(codec, 25, options=options or {})
        stream.height, stream.width = size  # type: ignore[union-attr]
        stream.pix_fmt = "yuv444p" if size[0] % 2 or size[1] % 2 else "yuv420p"  # type: ignore[union-attr]
        if times_s is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        if rotation:
            stream.set_display_rotation(rotation)  # type: ignore[union-attr]
        audio = container.add_stream(sound, rate=48000) if sound else None
        if audio is not None:
            audio.codec_context.layout = "stereo"  # type: ignore[union-attr]
        for index in range(frames):
            frame = av.VideoFrame.from_ndarray(picture(index, size), "rgb24")
            frame.pts = index if times_s is None else round(times_s[index] * 1000)
            frame.time_base = Fraction(1, 25) if times_s is None else Fraction(1, 1000)
            container.mux(stream.encode(frame))  # type: ignore[union-attr,arg-type]
        container.mux(stream.encode(None))  # type: ignore[union-attr]
        if audio is not None:
            for samples in tone(frames / 25, audio.codec_context.format.name):  # type: ignore[union-attr]
                container.mux(audio.encode(samples))  # type: ignore[union-attr,arg-type]
            container.mux(audio.encode(None))  # type: ignore[union-attr]
    return path


def write_folder(folder: Path, names: Iterable[str], size: tuple[int, int] = SIZE) -> Path:
    """Write `picture`s 0, 1, ... as images under these names."""
    folder.mkdir(parents=True, exist_ok=True)
    for index, name in enumerate(names):
        Image.fromarray(picture(index, size)).save(folder / name)
    return folder


def write_corner_mask(path: Path, size: tuple[int, int], corner: tuple[int, int]) -> Path:
    """Write the mask of an object, 1, in the upper left corner; sizes are (height, width)."""
    labels = np.zeros(size, np.int32)
    labels[: corner[0], : corner[1]] = 1
    write_mask(path, labels)
    return path


def davis_sequence(name: str) -> tuple[Path, Path]:
    """Folders of the frames and masks of a real sequence; skips the test where there is none."""
    frames, masks = (DAVIS / kind / "480p" / name for kind in ("JPEGImages", "Annotations"))
    if not frames.is_dir():
        pytest.skip(f"the DAVIS frames are not at {DAVIS}")
    return frames, masks


def tone(seconds: float, sample_format: str) -> Iterable[av.AudioFrame]:
    """A stereo tone of 440 Hz at 48 kHz."""
    rate, step = 48000, 1024
    for begin in range(0, round(seconds * rate), step):
        wave = 0.3 * np.sin(np.arange(begin, begin + step) / rate * 440 * 2 * np.pi)
        samples = np.stack([wave, wave])
        data: npt.NDArray[np.generic] = samples.astype(np.float32)
        if sample_format.startswith("s"):
            bits = int(sample_format[1:3])
            data = (samples * (2 ** (bits - 1) - 1)).astype(f"int{bits}")
        if not sample_format.endswith("p"):
            data = np.ascontiguousarray(data.T).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(data, sample_format, "stereo")  # type: ignore[arg-type]
        frame.rate, frame.pts, frame.time_base = rate, begin, Fraction(1, rate)
        yield frame
