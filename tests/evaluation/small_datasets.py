"""Small data sets in the layouts of the real ones, and results for them."""

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from rotomask.masks import davis_palette

Labels = npt.NDArray[np.uint8]

SIZE = (26, 34)


def moving_labels(seed: int, frames: int, objects: int, size: tuple[int, int] = SIZE) -> Labels:
    """Objects that drift, cover each other, leave the frame and vanish for a while: T×H×W."""
    rng = np.random.default_rng(seed)
    height, width = size
    labels = np.zeros((frames, height, width), np.uint8)
    y, x = np.mgrid[:height, :width]
    for k in range(1, objects + 1):
        centre = rng.uniform((4, 4), (height - 4, width - 4))
        speed = rng.normal(0, 1.2, 2)
        radius = rng.uniform(3, 7, 2)
        for t in range(frames):
            if t and rng.random() < 0.15:
                continue  # hidden
            position = centre + t * speed
            inside = ((y - position[0]) / radius[0]) ** 2 + ((x - position[1]) / radius[1]) ** 2 < 1
            labels[t][inside] = k
    for k in range(1, objects + 1):  # every object is in the first frame
        labels[0, :2, 4 * k : 4 * k + 3] = k
    return labels


def spoiled(labels: Labels, seed: int) -> Labels:
    """What a method might make of it: shifted, noisy, sometimes with a wrong or no object."""
    rng = np.random.default_rng(seed)
    result = np.zeros_like(labels)
    for t, mask in enumerate(labels):
        shift = rng.integers(-2, 3, 2)
        result[t] = np.roll(mask, shift, (0, 1))
        result[t][rng.random(mask.shape) < 0.02] = 0
        if rng.random() < 0.2 and mask.max() > 1:
            result[t][result[t] == 1] = 2
    result[result == 255] = 0
    return result


def write_indexed(path: Path, labels: Labels) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(labels)
    image.putpalette(davis_palette().tobytes())
    image.save(path)


def write_grey(path: Path, values: npt.NDArray[np.generic]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values.astype(np.uint8)).save(path)


def write_picture(path: Path, seed: int, size: tuple[int, int] = SIZE) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def write_results(root: Path, name: str, labels: Labels, frames: list[str] | None = None) -> None:
    for t, mask in enumerate(labels):
        write_indexed(root / name / f"{frames[t] if frames else f'{t:05d}'}.png", mask)


def write_davis2017(root: Path, sequences: dict[str, Labels], unsupervised: bool = False) -> None:
    part = "Annotations_unsupervised" if unsupervised else "Annotations"
    for name, labels in sequences.items():
        for t, mask in enumerate(labels):
            write_picture(root / "JPEGImages/480p" / name / f"{t:05d}.jpg", t, mask.shape)
            write_indexed(root / part / "480p" / name / f"{t:05d}.png", mask)
    (root / "ImageSets/2017").mkdir(parents=True)
    (root / "ImageSets/2017/val.txt").write_text("".join(f"{name}\n" for name in sequences))


def write_youtube_vos(
    root: Path, videos: dict[str, Labels], categories: dict[str, list[str]], split: str = "train"
) -> None:
    """Frames 00000, 00005, ...; an object belongs to the frames in which it is seen."""
    meta: dict[str, object] = {}
    for name, labels in videos.items():
        frames = [f"{5 * t:05d}" for t in range(len(labels))]
        for frame, mask in zip(frames, labels, strict=True):
            write_picture(root / split / "JPEGImages" / name / f"{frame}.jpg", 1, mask.shape)
            write_indexed(root / split / "Annotations" / name / f"{frame}.png", mask)
        meta[name] = {
            "objects": {
                str(k): {
                    "category": category,
                    "frames": [f for f, m in zip(frames, labels, strict=True) if (m == k).any()],
                }
                for k, category in enumerate(categories[name], start=1)
            }
        }
    (root / split / "meta.json").write_text(json.dumps({"videos": meta}))


def write_fbms(
    folder: Path,
    name: str,
    labels: dict[int, Labels],
    frame_count: int,
    *,
    colours: list[tuple[int, int, int]] | None = None,
) -> None:
    """A sequence with ppm files (in colours) or pgm files (greys), and its definition file."""
    truth = folder / name / "GroundTruth"
    truth.mkdir(parents=True)
    for t in range(frame_count):
        write_picture(folder / name / f"{name}_{t + 1:04d}.jpg", t)
    count = 1 + max(int(mask.max()) for mask in labels.values())
    if colours:
        values = [r * 65536 + g * 256 + b for r, g, b in colours]
    else:
        values = [60 * k for k in range(count)]
    lines = ["Ground truth definition file; do not change!", "", "Total number of regions:"]
    lines += [str(count)]
    for value in values:
        lines += ["", str(value)]
    lines += ["", "Confusion penality matrix", *["0 " * count] * count, ""]
    lines += ["Total number of frames in this shot:", str(frame_count)]
    lines += ["Total number of labeled frames for this shot:", str(len(labels))]
    for t, mask in labels.items():
        if colours:
            file = f"{name}_{t + 1:04d}_gt.ppm"
            Image.fromarray(np.array(colours, np.uint8)[mask]).save(truth / file)
        else:
            file = f"{name}_{t + 1:04d}.pgm"
            Image.fromarray((60 * mask).astype(np.uint8)).save(truth / file)
        picture = f"{name}_{t + 1:04d}.ppm"
        lines += ["Frame number:", str(t), "File name:", file, "Input file name:", picture]
    (truth / f"{name}Def.dat").write_text("\n".join(lines))
