"""Draw boxes and detections on frames."""

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
    """A frame with the outlines of boxes, each with its caption at the upper left corner.

    Args:
        image: H×W×3 uint8 RGB.
        boxes: N×4, px.
        colours: RGB colour of each box, 0-255.
        captions: Caption of each box; None: no captions.

    Returns:
        H×W×3 uint8 RGB, a new array.
    """
    picture = Image.fromarray(image)
    draw = ImageDraw.Draw(picture)
    line = max(2, round(min(image.shape[:2]) / 160))
    font = ImageFont.load_default(size=max(10.0, 7.0 * line))
    for number, (box, colour) in enumerate(zip(boxes.tolist(), colours, strict=True)):
        x0, y0, x1, y1 = (round(v) for v in box)
        # Pillow includes the last row and column; a box's right and bottom edge are exclusive.
        draw.rectangle((x0, y0, max(x0, x1 - 1), max(y0, y1 - 1)), outline=colour, width=line)
        if captions is not None:
            corner = (x0 + 2 * line, y0 + line)
            draw.rectangle(draw.textbbox(corner, captions[number], font=font), fill=(0, 0, 0))
            draw.text(corner, captions[number], fill=colour, font=font)
    return np.asarray(picture)


def draw_detections(image: Pixels, detections: Detections, detector: Detector) -> Pixels:
    """A frame with all detections, coloured by class, with class name and score; a new array."""
    colours = [display_colour(1 + int(number) % 20) for number in detections.classes]
    captions = [
        f"{detector.class_name(int(number))} {score:.2f}"
        for number, score in zip(detections.classes, detections.scores, strict=True)
    ]
    # Detections are sorted by score: reversed, the best one is drawn on top.
    return draw_boxes(image, detections.boxes[::-1], colours[::-1], captions[::-1])
