"""A picture of training clips as the network sees them, objects outlined.

Made from videos alone, their frames serving as stills too, so that it can be published with DAVIS;
with --stills from stills as well, to be looked at only.

    python tools/training_gallery.py --davis DAVIS-TRAIN --out docs/images/training-clips.jpg
"""

import argparse
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch

from rotomask.data.simulation import Composition, render
from rotomask.data.training.clips import find_videos
from rotomask.data.training.stills import JoinedStills, find_stills
from rotomask.masks import davis_palette
from rotomask.training.clip_data import ClipData, Stage

SOFT = Composition().soft_edges
STILL = Stage(steps=1, batch=1, real=0.0, paste=0.0, objects=(1.0,), occlusion=0.0)
PASTED = replace(STILL, paste=1.0)
REAL = replace(STILL, real=1.0)


def composed(stage: Stage, objects: int = 1, **parts: float) -> Stage:
    """A stage all of whose clips have what is named, and nothing else."""
    counts = tuple(float(k == objects) for k in range(1, objects + 1))
    return replace(stage, objects=counts, composition=Composition.only(soft_edges=SOFT, **parts))


ROWS = (
    ("strategy 1: one image, two transforms", STILL),
    ("strategy 2: pasted on another background", PASTED),
    ("real, frames skipped", REAL),
    ("real, something passes in front", replace(REAL, occlusion=2.0)),
    ("a twin, of which one is followed", composed(PASTED, twin=1.0)),
    ("a copy of the real object, from another frame", composed(REAL, twin=1.0)),
    ("three of a kind, each followed", composed(PASTED, 3, same_kind=1.0)),
    ("a look-alike comes in or passes", composed(PASTED, look_alike=1.0)),
    ("a crowd", composed(PASTED, crowd=1.0)),
    ("cut out of videos, on a still", composed(PASTED, 2, from_video=1.0)),
    ("cut out of a video, on a real clip", composed(REAL, 2, from_video=1.0)),
    ("five objects", composed(PASTED, 5)),
    ("jumps in size", composed(PASTED, zoom_jumps=1.0)),
    ("grows or shrinks", composed(PASTED, growth=1.0)),
    ("leaves, and may come back", composed(PASTED, 2, leaving=1.0)),
    ("covered for some frames", composed(PASTED, covered=1.0)),
    ("blurred along its motion", composed(PASTED, 2, blur=1.0)),
    ("thin parts", composed(PASTED, thin_parts=1.0)),
    ("low resolution", composed(PASTED, low_resolution=1.0)),
)
FRAMES, SIZE, GAP, TITLE = 7, 128, 4, 24


def row(clips: ClipData, title: str, stage: Stage, seed: int) -> npt.NDArray[np.uint8]:
    """One clip, side by side, under its title."""
    stage = replace(stage, frames=FRAMES, size=SIZE)
    drawn = render(clips.batch(stage, 0.5, (seed,)))
    palette = davis_palette()
    cells = []
    for frame, labels in zip(drawn.frames[0], drawn.labels[0], strict=True):
        image = (frame.permute(1, 2, 0).numpy() * 255).astype(np.uint8).copy()
        for k in range(1, int(labels.max()) + 1):
            mask = (labels.numpy() == k).astype(np.uint8)
            contours = cv2.findContours(mask, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)[0]
            colour = tuple(int(c) + 100 if c else 0 for c in palette[k])
            cv2.drawContours(image, contours, -1, colour, 1, cv2.LINE_AA)
        cells += [image, np.full((SIZE, GAP, 3), 255, np.uint8)]
    strip = np.concatenate(cells[:-1], 1)
    head = np.full((TITLE, strip.shape[1], 3), 255, np.uint8)
    cv2.putText(head, title, (2, 17), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (40, 40, 40), 1, cv2.LINE_AA)
    return np.concatenate([head, strip])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--davis", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("docs/images/training-clips.jpg"))
    parser.add_argument("--stills", type=Path, help="such as DUTS-TR, which may not be published")
    parser.add_argument("--seed", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    stills = find_stills(arguments.stills) if arguments.stills else JoinedStills([])
    clips = ClipData(stills, find_videos(arguments.davis))
    rows = [row(clips, title, stage, arguments.seed + i) for i, (title, stage) in enumerate(ROWS)]
    picture = cv2.cvtColor(np.concatenate(rows), cv2.COLOR_RGB2BGR)
    cv2.imwrite(str(arguments.out), picture, [cv2.IMWRITE_JPEG_QUALITY, 60])


if __name__ == "__main__":
    main()
