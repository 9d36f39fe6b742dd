"""Keep several objects of one clip apart: real ones, cut out of their clips and pasted into one.

The first sequence is the scene, with its own object. Those of the others walk through it and pass
in front. With DAVIS at hand (--davis, or ../shared beside the repository) they are a cow, a dog and
a goat; without, the shipped dog and its mirror image, which cross.

python examples/two_objects.py [--davis DAVIS] [--frames N] [--picture FILE]
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

import rotomask
from rotomask.evaluation import open_benchmark, region_similarity
from rotomask.jobs.demo import demo_folder
from rotomask.masks import read_labels
from rotomask.render import contact_sheet, overlay
from rotomask.segmenters.base import Segmenter

SHARED = Path(__file__).parents[2] / "shared" / "data" / "davis2016-val-dev"

Frame = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.int32]
Clip = list[tuple[Frame, Labels]]
"""Frames H×W×3 uint8 RGB and labels H×W."""


@dataclass(frozen=True)
class Way:
    """How an object passes: the middle of its mask from start to end, in parts of the frame."""

    start: tuple[float, float]
    """(x, y)."""
    end: tuple[float, float]
    scale: float


WAYS: tuple[Way, ...] = (
    Way((0.87, 0.74), (0.30, 0.74), 0.55),
    Way((0.10, 0.55), (0.62, 0.62), 0.75),
)
CROSSING = Way((0.80, 0.62), (0.25, 0.62), 0.8)


def read_davis(root: Path, name: str, count: int) -> Clip:
    """The first frames of a DAVIS-2016 sequence."""
    (sequence,) = open_benchmark("davis2016", root).select([name])
    return [
        (sequence.frame(t), sequence.annotation(sequence.frame_names[t]).astype(np.int32))
        for t in range(min(count, len(sequence)))
    ]


def read_demo(count: int) -> Clip:
    """The first frames of the shipped clip."""
    truth = demo_folder() / "truth"
    frames = rotomask.open_video(demo_folder() / "clip.mp4").frames(0, count)
    return [(f.image, (read_labels(truth / f"{f.name}.png") > 0).astype(np.int32)) for f in frames]


def paste(clip: Clip, other: Clip, way: Way) -> Clip:
    """The clip with the object of another in front, under the next free id."""
    object_id = 1 + max(int(labels.max()) for _, labels in clip)
    count = min(len(clip), len(other))
    pasted = []
    for t in range(count):
        (frame, labels), (image, mask) = clip[t], other[t]
        height, width = labels.shape
        y, x = np.nonzero(mask)
        part = t / max(1, count - 1)
        target = (1 - part) * np.array(way.start) + part * np.array(way.end)
        # An object that left its own clip has no middle: it stays away.
        middle = np.array([x.mean(), y.mean()]) if len(x) else np.array([1e6, 1e6])
        shift = target * (width, height) - way.scale * middle
        matrix = np.array([[way.scale, 0, shift[0]], [0, way.scale, shift[1]]])
        moved = cv2.warpAffine(image, matrix, (width, height), flags=cv2.INTER_AREA)
        alpha = cv2.warpAffine((mask > 0).astype(np.float32), matrix, (width, height))
        soft = cv2.GaussianBlur(alpha, (0, 0), 0.7)[..., None]
        mixed = (frame + (moved.astype(np.float32) - frame) * soft).round().astype(np.uint8)
        pasted.append((mixed, np.where(alpha > 0.5, object_id, labels).astype(np.int32)))
    return pasted


def follow(segmenter: Segmenter, clip: Clip) -> list[Labels]:
    """Labels of every frame, from those of the first."""
    answers = [clip[0][1]]
    segmenter.start(*clip[0])
    for frame, _ in clip[1:]:
        answers.append(segmenter.labels(segmenter.step(frame)))
    return answers


def score(clip: Clip, answers: list[Labels]) -> dict[int, float]:
    """Object id -> mean J over all frames but the given one."""
    ids = range(1, 1 + int(clip[0][1].max()))
    return {
        k: float(
            np.mean(
                [
                    region_similarity(answer == k, truth == k)
                    for (_, truth), answer in zip(clip[1:], answers[1:], strict=True)
                ]
            )
        )
        for k in ids
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--davis", type=Path, default=SHARED, help="DAVIS-2016 val")
    parser.add_argument("--sequences", default="cows,dog,goat", help="the scene, then others")
    parser.add_argument("--frames", type=int, default=60, help="only the first so many")
    parser.add_argument("--model", default="stm-lite")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--picture", type=Path, help="write a sheet of frames and masks")
    arguments = parser.parse_args()
    if arguments.davis.is_dir():
        names = arguments.sequences.split(",")
        clips = [read_davis(arguments.davis, name, arguments.frames) for name in names]
        ways = WAYS
    else:
        names, clips = ["dog", "mirrored dog"], [read_demo(arguments.frames)]
        mirrored = [(f[:, ::-1].copy(), m[:, ::-1].copy()) for f, m in clips[0]]
        clips, ways = [*clips, mirrored], (CROSSING,)
    segmenter = rotomask.load_model(arguments.model, weights=arguments.weights)
    clip = clips[0]
    for objects, (other, way) in enumerate(zip(clips[1:], ways, strict=False), start=2):
        clip = paste(clip, other, way)
        answers = follow(segmenter, clip)
        for object_id, value in score(clip, answers).items():
            print(f"{objects} objects, {len(clip)} frames: J of {names[object_id - 1]} {value:.3f}")
    if arguments.picture:
        shown = np.linspace(0, len(clip) - 1, 4).round().astype(int)
        pictures = [overlay(clip[t][0], answers[t]) for t in shown]
        sheet = contact_sheet(pictures, [f"frame {t}" for t in shown], columns=2, cell_width_px=480)
        Image.fromarray(sheet).save(arguments.picture, quality=85)


if __name__ == "__main__":
    main()
