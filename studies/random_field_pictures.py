"""A picture of the random field on real footage: frame, unary, graph cut, mean-field, truth.

    python -m studies.random_field_pictures --davis DAVIS-TRAIN --out random-field.jpg

For each sequence the frame in which the fields change most, cropped around the object, at the size
at which the field is solved. Reads unaries and studies from the `--cache` of `random_field_search`.
"""

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from rotomask.evaluation import region_similarity
from rotomask.refine.random_field import RandomFieldConfig, solve_field
from rotomask.render import Pixels, contact_sheet
from studies.field_policy import FieldClip
from studies.random_field_search import SOLVERS, WINDOW, best_field, search, unaries, window
from studies.scripts import add_davis, open_davis, parse, save_jpeg, script_parser

MIDDLE = WINDOW // 2
ENLARGED_PX = 400
MARGIN_PX = 8
SHAPE = 1.2
"""Width of a picture divided by its height."""


def most_changed(clips: list[FieldClip], field: RandomFieldConfig) -> FieldClip:
    """The clip in whose middle frame the field changes most pixels."""

    def changed(clip: FieldClip) -> int:
        before = clip.probabilities[MIDDLE][1]
        after = solve_field(clip.frames, clip.probabilities, clip.links, field)[MIDDLE][1]
        return int(((before > 0.5) != (after > 0.5)).sum())

    return max(clips, key=changed)


def heat(probability: npt.NDArray[np.float32]) -> Pixels:
    """A probability as a picture, dark to bright."""
    coloured = cv2.applyColorMap((255 * probability).astype(np.uint8), cv2.COLORMAP_INFERNO)
    return np.asarray(coloured[..., ::-1], np.uint8)


def outlined(frame: Pixels, mask: npt.NDArray[np.bool_]) -> Pixels:
    """The frame with the mask's outline, darker outside of it."""
    picture = frame.copy()
    picture[~mask] = picture[~mask] // 3
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(picture, contours, -1, (255, 80, 220), 1)
    return picture


def around(clip: FieldClip) -> tuple[slice, slice]:
    """A box around the object, of one aspect ratio for all clips."""
    seen = clip.truths[MIDDLE] | (clip.probabilities[MIDDLE][1] > 0.3)
    x, y, width, height = cv2.boundingRect(seen.astype(np.uint8))
    full_height, full_width = seen.shape
    tall = min(full_height, max(height + 2 * MARGIN_PX, (width + 2 * MARGIN_PX) / SHAPE))
    wide = min(full_width, round(tall * SHAPE))
    top = int(np.clip(y + height / 2 - tall / 2, 0, full_height - tall))
    left = int(np.clip(x + width / 2 - wide / 2, 0, full_width - wide))
    return slice(top, top + round(tall)), slice(left, left + wide)


def row(clip: FieldClip, fields: dict[str, RandomFieldConfig]) -> tuple[list[Pixels], list[str]]:
    """Pictures of a clip's middle frame, and their titles."""
    frame, truth = clip.frames[MIDDLE], clip.truths[MIDDLE]
    unary = clip.probabilities[MIDDLE][1]
    solved = {
        name: solve_field(clip.frames, clip.probabilities, clip.links, field)[MIDDLE][1]
        for name, field in fields.items()
    }

    def titled(name: str, mask: npt.NDArray[np.bool_]) -> str:
        return f"{name}, J {region_similarity(mask, truth):.3f}"

    pictures = {
        clip.name: frame,
        "unary": heat(unary),
        titled("unary", unary > 0.5): outlined(frame, unary > 0.5),
    }
    for name, probability in solved.items():
        pictures[titled(name, probability > 0.5)] = outlined(frame, probability > 0.5)
    pictures["mean-field"] = heat(solved["mean-field"])
    pictures["truth"] = outlined(frame, truth)
    return [picture[around(clip)] for picture in pictures.values()], list(pictures)


def main() -> None:
    parser = script_parser(__doc__)
    add_davis(parser, split="held-out")
    parser.add_argument("--model", default="stm-lite")
    parser.add_argument("--cache", type=Path, default=Path("runs/random-field"))
    parser.add_argument("--every", type=int, default=3, help="try one frame in so many")
    parser.add_argument("--out", type=Path, default=Path("docs/images/random-field.jpg"))
    arguments = parse(parser)
    fields = {s: best_field(search([], s, 0, arguments.cache), s) for s in SOLVERS}
    images: list[Pixels] = []
    titles: list[str] = []
    dataset = open_davis(arguments)
    for sequence in dataset:
        stored = unaries(sequence, arguments.model, arguments.cache)
        clips = [
            window(f"{sequence.name} {start + MIDDLE}", stored, start, WINDOW)
            for start in range(1, len(sequence) - WINDOW + 1, arguments.every)
        ]
        pictures, names = row(most_changed(clips, fields["mean-field"]), fields)
        for picture in pictures:
            factor = ENLARGED_PX / max(picture.shape[:2])
            method = cv2.INTER_NEAREST
            large = cv2.resize(picture, None, fx=factor, fy=factor, interpolation=method)
            images.append(np.asarray(large, np.uint8))
        titles += names
    sheet = contact_sheet(images, titles, columns=len(titles) // len(dataset), cell_width_px=170)
    save_jpeg(arguments.out, sheet)


if __name__ == "__main__":
    main()
