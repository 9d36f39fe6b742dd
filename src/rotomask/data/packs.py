"""Training data in one file: stills and videos with their masks, reduced for transfer."""

import json
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from rotomask.data.sequences import MemorySequence, VideoSequence
from rotomask.data.training.images import Image, Labels
from rotomask.data.training.stills import Stills, kind_of
from rotomask.errors import DatasetError
from rotomask.files import complete_or_absent

DESCRIPTION = "pack.json"
Picture = tuple[Image, Labels]


class MemoryStills(Stills):
    """Stills in memory."""

    def __init__(self, names: Sequence[str], pictures: Sequence[Picture]) -> None:
        self.names, self.pictures = tuple(names), tuple(pictures)

    def __len__(self) -> int:
        """Number of images."""
        return len(self.pictures)

    def __getitem__(self, index: int) -> Picture:
        """One image and its labels; see `Stills`."""
        return self.pictures[index]

    @property
    def kinds(self) -> list[str]:
        """ImageNet synsets in the names."""
        return [kind_of(name) for name in self.names]


def write_pack(
    out: Path,
    *,
    stills: Iterable[tuple[str, Picture]] = (),
    videos: Iterable[VideoSequence] = (),
    side: int = 256,
    quality: int = 40,
) -> int:
    """Write stills and videos into a file that `read_pack` reads.

    Args:
        out: File to write, a ZIP with WebP images and PNG masks.
        stills: Names and pictures.
        videos: Videos.
        side: Short side of the images, px; smaller ones are not enlarged.
        quality: Quality of the WebP images, 1 to 100.

    Returns:
        Size of the file, bytes.
    """
    counts = {"stills": 0, "videos": 0}
    with (
        complete_or_absent(out) as temporary,
        # Stored: WebP and PNG do not get smaller.
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as file,
    ):
        for name, picture in stills:
            _write_picture(file, f"stills/{name}", picture, side, quality)
            counts["stills"] += 1
        for video in videos:
            for number in range(len(video)):
                name = f"videos/{video.name}/{number:05d}"
                _write_picture(file, name, video.read(number), side, quality)
            counts["videos"] += 1
        file.writestr(DESCRIPTION, json.dumps({**counts, "side": side, "quality": quality}))
    return out.stat().st_size


def read_pack(path: Path, threads: int = 8) -> tuple[MemoryStills, tuple[MemorySequence, ...]]:
    """Stills and videos of a pack, or of all packs (``*.zip``) of a folder, in memory.

    Raises:
        DatasetError: If there is no pack, or the file is not a pack.
    """
    files = sorted(path.glob("*.zip")) if path.is_dir() else [path]
    if not files:
        raise DatasetError(f"{path} holds no pack of training data (*.zip)")
    read: list[tuple[str, Picture]] = []
    for file in files:
        read += _read_file(file, threads)
    stills = [(name.removeprefix("stills/"), p) for name, p in read if name.startswith("stills/")]
    videos: dict[str, list[Picture]] = {}
    for name, picture in sorted((n, p) for n, p in read if n.startswith("videos/")):
        videos.setdefault(name.split("/")[1], []).append(picture)
    return (
        MemoryStills([name for name, _ in stills], [picture for _, picture in stills]),
        tuple(MemorySequence.of(name, pictures) for name, pictures in videos.items()),
    )


def _read_file(path: Path, threads: int) -> list[tuple[str, Picture]]:
    try:
        with zipfile.ZipFile(path) as file:
            if DESCRIPTION not in file.namelist():
                raise DatasetError(f"{path} is no pack of training data: it has no {DESCRIPTION}")
            names = [n.removesuffix(".webp") for n in file.namelist() if n.endswith(".webp")]
            # Read here one after the other, for a ZipFile is not for several threads; decoded in
            # the pool, as OpenCV lets go of Python's lock.
            coded = ((name, file.read(f"{name}.webp"), file.read(f"{name}.png")) for name in names)
            with ThreadPoolExecutor(threads) as pool:
                return list(_in_order(pool, coded, 8 * threads))
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise DatasetError(f"cannot read the pack {path}: {error}") from error


def _in_order(
    pool: ThreadPoolExecutor, coded: Iterator[tuple[str, bytes, bytes]], ahead: int
) -> Iterator[tuple[str, Picture]]:
    """Decoded pictures, some of them decoded ahead."""
    waiting = []
    for item in coded:
        waiting.append(pool.submit(_decode, *item))
        if len(waiting) >= ahead:
            yield waiting.pop(0).result()
    for future in waiting:
        yield future.result()


def _decode(name: str, image: bytes, mask: bytes) -> tuple[str, Picture]:
    pixels = cv2.imdecode(np.frombuffer(image, np.uint8), cv2.IMREAD_COLOR)
    labels = cv2.imdecode(np.frombuffer(mask, np.uint8), cv2.IMREAD_GRAYSCALE)
    if pixels is None or labels is None or pixels.shape[:2] != labels.shape:
        raise DatasetError(f"the pack's picture {name} is damaged")
    rgb = cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)
    return name, (np.asarray(rgb, np.uint8), np.asarray(labels, np.uint8))


def _write_picture(
    file: zipfile.ZipFile, name: str, picture: Picture, side: int, quality: int
) -> None:
    """An image as WebP and its labels as grey PNG, reduced to a short side."""
    image, labels = picture
    factor = side / min(labels.shape)
    if factor < 1:
        size = (round(labels.shape[1] * factor), round(labels.shape[0] * factor))
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
        labels = _reduce(labels, size)
    settings = [cv2.IMWRITE_WEBP_QUALITY, quality]
    coded = cv2.imencode(".webp", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), settings)[1]
    file.writestr(f"{name}.webp", coded.tobytes())
    packed = cv2.imencode(".png", labels, [cv2.IMWRITE_PNG_COMPRESSION, 9])[1]
    file.writestr(f"{name}.png", packed.tobytes())


def _reduce(labels: Labels, size: tuple[int, int]) -> Labels:
    """Labels at a smaller (width, height): each pixel has the one that covers most of it."""
    # Half of a pixel at least, or it stays background; of several labels the largest part wins.
    best = np.full(size[::-1], 0.5, np.float32)
    out: npt.NDArray[np.uint8] = np.zeros(size[::-1], np.uint8)
    for label in np.unique(labels[labels > 0]):
        mask = (labels == label).astype(np.float32)
        part = cv2.resize(mask, size, interpolation=cv2.INTER_AREA)
        out[part >= best] = label
        best = np.maximum(best, part)
    return out
