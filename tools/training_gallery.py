"""A picture of training clips as the network sees them, objects outlined.

Made from videos alone, with their frames as stills too, so that it can be published with DAVIS.

    python tools/training_gallery.py --davis DAVIS-TRAIN --out docs/images/training-clips.jpg
"""

import argparse
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch

from rotomask.data.simulation import render
from rotomask.data.training.clips import find_videos
from rotomask.data.training.stills import JoinedStills
from rotomask.masks import davis_palette
from rotomask.training.clip_data import ClipData, Stage

ROWS = (
    ("strategy 1: one image, two transforms", Stage(steps=1, batch=1, real=0.0, paste=0.0)),
    ("strategy 2: pasted on another background", Stage(steps=1, batch=1, real=0.0, paste=1.0)),
    ("two objects, one may leave", Stage(steps=1, batch=1, real=0.0, objects=(0.0, 1.0))),
    ("real, frames skipped", Stage(steps=1, batch=1, real=1.0, objects=(1.0,), occlusion=0.0)),
    (
        "real, something passes in front",
        Stage(steps=1, batch=1, real=1.0, objects=(1.0,), occlusion=2.0),
    ),
    ("real, a second object pasted", Stage(steps=1, batch=1, real=1.0, objects=(0.0, 1.0))),
)
FRAMES, SIZE, GAP, TITLE = 6, 160, 5, 24


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
    parser.add_argument("--seed", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    clips = ClipData(JoinedStills([]), find_videos(arguments.davis))
    rows = [row(clips, title, stage, arguments.seed + i) for i, (title, stage) in enumerate(ROWS)]
    picture = cv2.cvtColor(np.concatenate(rows), cv2.COLOR_RGB2BGR)
    cv2.imwrite(str(arguments.out), picture, [cv2.IMWRITE_JPEG_QUALITY, 70])


if __name__ == "__main__":
    main()
