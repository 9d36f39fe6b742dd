"""Small clips for batches, and what is compared of their results."""

import hashlib
from pathlib import Path
from typing import Any

from PIL import Image

from rotomask.data.training.synthetic import moving_shapes
from rotomask.masks import write_mask

OPTIONS: dict[str, Any] = {"size": 64, "device": "cpu", "format": "mattes"}


def write_clip(folder: Path, seed: int, *, frames: int = 4, at: int = 0) -> dict[str, Any]:
    """A folder of frames and a mask of one of them; the row of a manifest."""
    video = folder / f"clip{seed}"
    video.mkdir(parents=True)
    images, labels = moving_shapes(seed, frames=frames, size=(64, 80), objects=1)
    for index, image in enumerate(images):
        Image.fromarray(image).save(video / f"{index:05d}.png")
    mask = folder / f"clip{seed}.png"
    write_mask(mask, labels[at].astype("int32"))
    return {"video": str(video), "mask": {at: str(mask)}, "options": dict(OPTIONS)}


def results(folder: Path) -> dict[str, str]:
    """Digest of every result in a video's folder by its relative path; not of what is private."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".rotomask" not in path.parts and path.name != "job.json"
    }
