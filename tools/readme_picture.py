"""Draw the README's animated picture: the demo clip, its overlay and the cut-out, side by side.

    python tools/readme_picture.py [--out docs/images/cut.webp]

The masks are those of `rotomask cut` with the shipped model; nothing is retouched.
"""

import argparse
import tempfile
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

import rotomask
from rotomask.jobs.demo import demo_folder
from rotomask.render import ContrastingColours, cutout, matte, overlay

GROUND = (32, 36, 52)
"""Colour behind the cut-out, RGB."""


def draw(
    image: npt.NDArray[np.uint8],
    labels: npt.NDArray[np.int32],
    colours: ContrastingColours,
    width_px: int,
) -> npt.NDArray[np.uint8]:
    """Source, overlay and cut-out of a frame in a row, each `width_px` wide: H×W×3 uint8 RGB."""
    rgba = cutout(image, matte(labels))
    alpha = rgba[..., 3:].astype(np.float32) / 255
    on_ground = rgba[..., :3] * alpha + np.array(GROUND, np.float32) * (1 - alpha)
    pictures = (
        image,
        overlay(image, labels, colours=colours.of(image, labels)),
        on_ground.round().astype(np.uint8),
    )
    size = (width_px, round(width_px * image.shape[0] / image.shape[1]))
    row = [cv2.resize(picture, size, interpolation=cv2.INTER_AREA) for picture in pictures]
    return np.concatenate(row, axis=1).astype(np.uint8, copy=False)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("docs/images/cut.webp"))
    parser.add_argument("--width", type=int, default=280, help="of each of the three pictures, px")
    parser.add_argument("--end", type=int, help="last frame")
    parser.add_argument("--quality", type=int, default=55)
    arguments = parser.parse_args()
    clip, mask = demo_folder() / "clip.mp4", demo_folder() / "first_mask.png"
    colours = ContrastingColours()
    with tempfile.TemporaryDirectory() as folder:
        result = rotomask.cut(clip, mask, Path(folder) / "cut", formats=(), end=arguments.end)
        pictures = [draw(image, labels, colours, arguments.width) for image, labels in result]
        fps = float(result.video.fps)
    first, *others = [Image.fromarray(picture) for picture in pictures[::2]]
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    first.save(
        arguments.out,
        save_all=True,
        append_images=others,
        duration=round(2000 / fps),
        loop=0,
        quality=arguments.quality,
        method=6,
    )
    print(f"{arguments.out}: {len(others) + 1} frames, {arguments.out.stat().st_size // 1024} KiB")


if __name__ == "__main__":
    main()
