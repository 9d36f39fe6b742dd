"""Boxes drawn on frames."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from rotomask.detection.boxes import Boxes
from rotomask.detection.detector import Detections, Detector
from rotomask.render import Pixels, display_colour

Colour = tuple[int, int, int]


def draw_boxes(
    image: Pixels, boxes: Boxes, colours: Sequence[Colour], captions: Sequence[str] | None = None
) -> Pixels:
    """A frame with outlined boxes, each with its caption at its upper left corner.

    Args:
        image: H×W×3 uint8 RGB.
        boxes: N×4, px.
        colours: RGB, 0-255, one for each box.
        captions: One for each box; None: none.

    Returns:
        H×W×3 uint8 RGB, a new array.
    """
    picture = Image.fromarray(image)
    draw = ImageDraw.Draw(picture)
    line = max(2, round(min(image.shape[:2]) / 160))
    font = ImageFont.load_default(size=max(10.0, 7.0 * line))
    for number, (box, colour) in enumerate(zip(boxes.tolist(), colours, strict=True)):
        x0, y0, x1, y1 = (round(v) for v in box)
        draw.rectangle((x0, y0, max(x0, x1 - 1), max(y0, y1 - 1)), outline=colour, width=line)
        if captions is not None:
            place = (x0 + 2 * line, y0 + line)
            draw.rectangle(draw.textbbox(place, captions[number], font=font), fill=(0, 0, 0))
            draw.text(place, captions[number], fill=colour, font=font)
    return np.asarray(picture)


def draw_detections(image: Pixels, found: Detections, detector: Detector) -> Pixels:
    """A frame with all that a detector found, a colour for each class, with name and score."""
    colours = [display_colour(1 + int(number) % 20) for number in found.classes]
    captions = [
        f"{detector.class_name(int(number))} {score:.2f}"
        for number, score in zip(found.classes, found.scores, strict=True)
    ]
    # The best last, so that it lies over the others.
    return draw_boxes(image, found.boxes[::-1], colours[::-1], captions[::-1])
