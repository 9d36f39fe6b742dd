"""What tells one video, weights file or mask from another: their content, not their names."""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np

from rotomask import catalog
from rotomask.arrays import Mask
from rotomask.errors import VideoError, WeightsError
from rotomask.files import content_digest
from rotomask.networks.precision import choose_runtime
from rotomask.segmenters.refinements import Refinements
from rotomask.video import Video
from rotomask.video.images import IMAGE_SUFFIXES

TAIL_BYTES = 4096
"""Bytes at the end of every image of a folder that count. The check sum of a PNG is there."""


def video_fingerprint(video: Video) -> dict[str, Any]:
    """Bytes, frames, height, width and a digest of a video, as plain data.

    A file's digest is that of its content, sampled above 64 MiB; a folder's that of the names,
    sizes and last bytes of its images.

    Raises:
        VideoError: If a file cannot be read any more.
    """
    try:
        if (content := video.content()) is not None:
            size, digest = content
        elif video.path.is_dir():
            size, digest = _folder_digest(video.path)
        else:
            size, digest = video.path.stat().st_size, content_digest(video.path)
    except OSError as error:
        raise VideoError(f"cannot read {video.path}: {error.strerror or error}") from error
    height, width = video.size
    return {
        "bytes": size,
        "frames": video.frame_count,
        "height": height,
        "width": width,
        "digest": digest,
    }


def mask_digest(labels: Mask) -> str:
    """A short fingerprint of a mask's labels: 16 hexadecimal digits."""
    return hashlib.sha256(np.ascontiguousarray(labels, dtype=np.int32).tobytes()).hexdigest()[:16]


def weights_fingerprints(
    models: Sequence[str], weights: Path | None, refinements: Refinements | None = None
) -> dict[str, str]:
    """Digest of every weights file of a job by the model's name.

    Args:
        models: Names of the catalogue, the one that `weights` is for last.
        weights: A checkpoint in place of the shipped one.
        refinements: Its ensemble and detector have weights too.

    Raises:
        WeightsError: If a file cannot be read.
    """
    files: dict[str, Path | None] = {name: _shipped(name) for name in models}
    if weights is not None:
        files[models[-1]] = weights
    for text in () if refinements is None else refinements.ensemble_with:
        name, _, file = text.partition(":")
        files[text] = Path(file) if file else _shipped(name)
    boxes = None if refinements is None else refinements.boxes
    if boxes is not None:
        files[boxes] = Path(boxes) if Path(boxes).is_file() else _shipped(boxes)
    return {name: _digest(file) for name, file in files.items() if file is not None}


def used_precision(device: str, precision: str) -> str:
    """The precision that ``auto`` stands for on this machine, or the one that was asked for.

    Raises:
        OptionError: If device or precision is unknown or not there.
    """
    return choose_runtime(device, precision).precision


def changed_refinements(refinements: Refinements) -> dict[str, Any]:
    """The fields of refinements that differ from their defaults, as plain data."""
    plain = asdict(refinements)
    return {f.name: plain[f.name] for f in fields(refinements) if plain[f.name] != f.default}


def _shipped(name: str) -> Path | None:
    return catalog.shipped_weights(name) if name in catalog.CATALOG else None


def _digest(file: Path) -> str:
    try:
        return hashlib.blake2b(file.read_bytes(), digest_size=16).hexdigest()
    except OSError as error:
        raise WeightsError(f"cannot read the weights {file}: {error.strerror or error}") from error


def _folder_digest(folder: Path) -> tuple[int, str]:
    """Bytes and digest of the images of a folder, as `video.open_video` lists them."""
    total, digest = 0, hashlib.blake2b(digest_size=16)
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.suffix.lower() not in IMAGE_SUFFIXES:
            continue
        size = path.stat().st_size
        total += size
        with path.open("rb") as file:
            file.seek(max(0, size - TAIL_BYTES))
            digest.update(f"{path.name!r} {size} ".encode() + file.read())
    return total, digest.hexdigest()
