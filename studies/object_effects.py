"""Pictures and figures of the page on effects: every effect on real clips, jitter before and after.

    python -m studies.object_effects jitter --davis DAVIS --cuts CUTS
    python -m studies.object_effects effects --davis DAVIS --cuts CUTS --out docs/images/effects.jpg
    python -m studies.object_effects erased --davis DAVIS --cuts CUTS --out docs/images/erased.jpg
    python -m studies.object_effects camera --davis DAVIS --cuts CUTS --out docs/images/camera.jpg

Cuts are made with `rotomask cut` from the first annotated frame and stored in CUTS.
"""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

import rotomask
from rotomask.effects import EFFECTS, open_effect
from rotomask.effects.camera import open_camera
from rotomask.render import contact_sheet
from rotomask.video import Video, open_video

Pixels = npt.NDArray[np.uint8]

CLIPS = ("dog", "dance-twirl", "scooter-black")
LAST_FRAME = 40
SHOWN = {"dog": 20, "dance-twirl": 14, "scooter-black": 26}
"""The frame of each clip on the sheet of effects."""
BACKDROP = "kite-surf"
"""The sequence behind the object."""
STRENGTHS = (0.0, 0.5, 0.8, 1.0)


def cut_of(davis: Path, cuts: Path, name: str, last: int) -> tuple[Video, Path]:
    """A sequence of DAVIS-2016 and the folder of its cut, made if need be."""
    video = open_video(davis / "JPEGImages" / "480p" / name)
    stop = min(last + 1, video.frame_count)
    names = [f"{video.frame_name(index)}.png" for index in range(stop)]
    if all((cuts / name / "masks" / file).is_file() for file in names):
        return video, cuts / name
    mask = davis / "Annotations" / "480p" / name / f"{video.frame_name(0)}.png"
    rotomask.cut(video, mask, cuts / name, stop=stop, formats=())
    return video, cuts / name


def print_jitter(clips: Sequence[tuple[Video, Path]], frames: range) -> None:
    """A table: jitter of the object's centre before, and after by strength, px of the video."""
    print("| clip | before | " + " | ".join(f"strength {s:g}" for s in STRENGTHS) + " |")
    print("|---|---|" + "---|" * len(STRENGTHS))
    for video, folder in clips:
        shown = range(frames.start, min(frames.stop, video.frame_count))
        view = open_camera(video, folder, frames=shown)
        after = [view.with_settings(strength=s).path.jitter_after for s in STRENGTHS]
        cells = " | ".join(f"{value:.2f}" for value in after)
        print(f"| {video.name} | {view.path.jitter_before:.2f} | {cells} |")


def effects_sheet(clips: Sequence[tuple[Video, Path]], frames: range, width: int) -> Pixels:
    """Every effect on one frame of each clip, two effects in a row."""
    images: list[Pixels] = []
    names: list[str] = []
    backdrop = str(clips[0][0].path.parent / BACKDROP)
    for name, effect in EFFECTS.items():
        for video, folder in clips:
            settings = {"background": backdrop, "blur": 1} if name == "new-background" else {}
            view = open_effect(name, video, folder, settings, width=width, frames=frames)
            picture = view.picture(SHOWN.get(video.name, len(frames) // 2))
            images.append(on_checks(picture, view.scene.size))
            names.append(effect.title)
    return contact_sheet(images, names, columns=2 * len(clips), cell_width_px=width)


def erased_sheet(clips: Sequence[tuple[Video, Path]], frames: range, width: int) -> Pixels:
    """Three frames of each clip, and the same frames with the object erased."""
    images: list[Pixels] = []
    names: list[str] = []
    for video, folder in clips:
        view = open_effect("erase", video, folder, width=width, frames=frames)
        shown = [frames[round(part * (len(frames) - 1))] for part in (0.15, 0.4, 0.65)]
        images += [view.scene.frame(index).image for index in shown]
        images += [view.picture(index) for index in shown]
        names += [f"{video.name} {index}" for index in shown] + ["erased"] * len(shown)
    return contact_sheet(images, names, columns=6, cell_width_px=width)


def camera_sheet(clips: Sequence[tuple[Video, Path]], frames: range, width: int) -> Pixels:
    """Frames with the camera's window, and below what it shows; 16:9, 1:1 and 9:16 in turn."""
    images: list[Pixels] = []
    names: list[str] = []
    for (video, folder), framing in zip(clips, ("16:9", "1:1", "9:16"), strict=False):
        view = open_camera(video, folder, {"framing": framing}, frames=frames)
        shown = [frames[round(part * (len(frames) - 1))] for part in (0, 0.33, 0.66, 1)]
        for index in shown:
            picture = view.scene.frame(index).image.copy()
            left, top, w, h = view.path.windows[index - frames.start]
            corners = ((round(left), round(top)), (round(left + w), round(top + h)))
            cv2.rectangle(picture, *corners, (255, 220, 40), 4, cv2.LINE_AA)
            images.append(picture)
            names.append(f"{video.name} {index}, {framing}")
        size = view.scene.size
        images += [fitted(view.picture(index), size) for index in shown]
        names += ["the camera's picture"] * len(shown)
    return contact_sheet(images, names, columns=4, cell_width_px=width)


def on_checks(picture: Pixels, size: tuple[int, int]) -> Pixels:
    """A picture of one size for the sheet; transparency shows a checkerboard."""
    if picture.shape[2] == 3:
        return fitted(picture, size)
    y, x = np.mgrid[: picture.shape[0], : picture.shape[1]]
    checks = np.where((y // 10 + x // 10) % 2, 225, 190)[..., None]
    alpha = picture[..., 3:] / 255
    return fitted((picture[..., :3] * alpha + checks * (1 - alpha)).astype(np.uint8), size)


def fitted(picture: Pixels, size: tuple[int, int]) -> Pixels:
    """A picture scaled into a size (height, width), on dark grey."""
    height, width = size
    factor = min(height / picture.shape[0], width / picture.shape[1])
    inner = (max(1, round(picture.shape[1] * factor)), max(1, round(picture.shape[0] * factor)))
    scaled = cv2.resize(picture, inner, interpolation=cv2.INTER_AREA)
    canvas = np.full((height, width, 3), 24, np.uint8)
    top, left = (height - inner[1]) // 2, (width - inner[0]) // 2
    canvas[top : top + inner[1], left : left + inner[0]] = scaled
    return canvas


SHEETS: dict[str, tuple[Callable[..., Pixels], int]] = {
    "effects": (effects_sheet, 240),
    "erased": (erased_sheet, 250),
    "camera": (camera_sheet, 250),
}
"""What is drawn -> its function and the width of a cell, px."""


def main() -> None:
    """Run the script."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("what", choices=["jitter", *SHEETS])
    parser.add_argument("--davis", type=Path, required=True, help="DAVIS-2016, official layout")
    parser.add_argument("--cuts", type=Path, required=True, help="folder of the cuts")
    parser.add_argument("--sequences", default=",".join(CLIPS))
    parser.add_argument("--last", type=int, default=LAST_FRAME, help="last frame that is cut")
    parser.add_argument("--out", type=Path, help="the sheet, JPEG")
    arguments = parser.parse_args()
    names = arguments.sequences.split(",")
    clips = [cut_of(arguments.davis, arguments.cuts, name, arguments.last) for name in names]
    stop = min(arguments.last + 1, *(video.frame_count for video, _ in clips))
    frames = range(stop)
    if arguments.what == "jitter":
        print_jitter(clips, frames)
        return
    draw, width = SHEETS[arguments.what]
    out = arguments.out or Path(f"{arguments.what}.jpg")
    Image.fromarray(draw(clips, frames, width)).save(out, quality=74, optimize=True)
    print(f"{out}: {out.stat().st_size / 1024:.0f} KB")


if __name__ == "__main__":
    main()
