"""The gallery of the documentation: twelve cuts of DAVIS clips, made again by two commands.

    rotomask benchmark davis2016 --root DAVIS --out cuts/val
    rotomask benchmark davis2016 --root DAVIS-TRAIN --split train \
        --sequences dog-agility,hike --out cuts/train
    python tools/gallery.py --davis DAVIS --train DAVIS-TRAIN --cuts cuts --out docs/gallery

For each clip it writes a short WebM whose upper half is the clip and whose lower half is the
overlay (the page draws the two over each other: docs/assets/compare.js), a picture to show before
it plays, and scores.json; clips that are there are kept. docs/gallery.md says what to look at.
"""

import argparse
import json
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

import rotomask
from rotomask.data.sequences import VideoSequence
from rotomask.evaluation import open_benchmark
from rotomask.masks import read_labels
from rotomask.render import ContrastingColours, overlay
from rotomask.video import Encoding, VideoWriter
from rotomask.video.images import read_image

VAL = (
    "blackswan", "bmx-trees", "car-roundabout", "cows", "dance-twirl",
    "dog", "goat", "kite-surf", "motocross-jump", "scooter-black",
)  # fmt: skip
HELD_OUT = ("dog-agility", "hike")
"""Of DAVIS-2016 train; no shipped network was trained on them."""
WIDTH_PX, MOST_FRAMES, FPS = 480, 60, 24
SMALL = Encoding(
    codec="libvpx-vp9",
    pixel_format="yuv420p",
    container="webm",
    options={"crf": "38", "b": "0", "deadline": "good", "cpu-used": "2", "row-mt": "1"},
    container_options={"fflags": "+bitexact"},
    even=True,
)


@dataclass(frozen=True, kw_only=True)
class Clip:
    """A sequence, the masks that were made of it, and how fast its frames follow each other."""

    sequence: VideoSequence
    masks: Path
    frames_per_image: int
    """1, or 2 where every second frame of the video is there."""

    def pairs(self) -> list[tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]]:
        """Frames and overlays at the gallery's width; at most `MOST_FRAMES`, from the start."""
        colours, pairs = ContrastingColours(), []
        for name, path in self.frames():
            image, _ = read_image(path)
            labels = read_labels(self.masks / f"{name}.png")
            picture = overlay(image, labels, colours=colours.of(image, labels))
            pairs.append((_small(image), _small(picture)))
        return pairs

    def frames(self) -> list[tuple[str, Path]]:
        """Names and files of the frames that are shown: every second one of a long clip."""
        frames = list(zip(self.sequence.frame_names, self.sequence.images, strict=True))
        return frames[:: self.step][:MOST_FRAMES]

    @property
    def step(self) -> int:
        """How many images from one that is shown to the next."""
        return 2 if len(self.sequence.images) > MOST_FRAMES else 1

    @property
    def fps(self) -> Fraction:
        """Frames a second at which the clip is as fast as it was."""
        return Fraction(FPS, self.step * self.frames_per_image)


def write_clip(clip: Clip, out: Path) -> None:
    """Write NAME.webm and NAME.jpg, unless they are there."""
    if (out / f"{clip.sequence.name}.jpg").exists():
        return
    pairs = clip.pairs()
    height, width = pairs[0][0].shape[:2]
    name = clip.sequence.name
    with VideoWriter(out / f"{name}.webm", (2 * height, width), clip.fps, SMALL) as writer:
        for pair in pairs:
            writer.write(np.concatenate(pair))
    _, picture = pairs[len(pairs) // 2]
    Image.fromarray(picture).save(out / f"{name}.jpg", quality=82)


def _small(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """An image at the gallery's width, of even height."""
    height = round(image.shape[0] * WIDTH_PX / image.shape[1] / 2) * 2
    small = cv2.resize(image, (WIDTH_PX, height), interpolation=cv2.INTER_AREA)
    return small.astype(np.uint8, copy=False)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--davis", type=Path, required=True, help="DAVIS with the val sequences")
    parser.add_argument("--train", type=Path, required=True, help="DAVIS with the train sequences")
    parser.add_argument("--cuts", type=Path, required=True, help="with val/ and train/")
    parser.add_argument("--out", type=Path, default=Path("docs/gallery"))
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    scores = {}
    for root, split, names in ((args.davis, "val", VAL), (args.train, "train", HELD_OUT)):
        dataset = open_benchmark("davis2016", root, split).select(names)
        masks = args.cuts / split
        result = rotomask.evaluate("davis2016", root, masks, split=split, sequences=names)
        figures = {scored.name: scored.figures for scored in result.sequences}
        for sequence in dataset:
            gap = np.diff([int(name) for name in sequence.frame_names[:2]])[0]
            clip = Clip(sequence=sequence, masks=masks / sequence.name, frames_per_image=int(gap))
            write_clip(clip, args.out)
            own = figures[sequence.name]
            scores[sequence.name] = {k: round(own[f"{k}_mean"], 3) for k in ("J", "F")}
            print(sequence.name, scores[sequence.name])
    text = json.dumps(dict(sorted(scores.items())), indent=1)
    (args.out / "scores.json").write_text(text + "\n")
    total = sum(file.stat().st_size for file in args.out.iterdir())
    print(f"{total / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
