"""Draw boxes and detections on frames."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from rotomask.detection.boxes import Boxes
from rotomask.detection.detector import Detections, Detector
from rotomask.render import Pixels, display_colour

Colour = tuple[int, int, int]


def draw_boxes(
    image: Pixels, boxes: Boxes, colours: Sequence[Colour], captions: Sequence[str] | None = None
) -> Pixels:
    """A frame with the outlines of boxes, each with its caption at its upper left corner.

    Args:
        image: H×W×3 uint8 RGB.
        boxes: N×4, px.
        colours: RGB colour of each box, 0-255.
        captions: Caption of each box, above it where there is room; None: no captions.

    Returns:
        H×W×3 uint8 RGB, a new array.
    """
    picture = Image.fromarray(image)
    draw = ImageDraw.Draw(picture)
    line = max(2, round(min(image.shape[:2]) / 160))
    font = ImageFont.load_default(size=max(13.0, min(image.shape[:2]) / 24))
    for number, (box, colour) in enumerate(zip(boxes.tolist(), colours, strict=True)):
        x0, y0, x1, y1 = (round(v) for v in box)
        # Pillow includes the last row and column; a box's right and bottom edge are exclusive.
        draw.rectangle((x0, y0, max(x0, x1 - 1), max(y0, y1 - 1)), outline=colour, width=line)
        if captions is not None:
            _draw_caption(draw, (x0, y0), captions[number], colour, font)
    return np.asarray(picture)


def _draw_caption(
    draw: ImageDraw.ImageDraw,
    corner: tuple[int, int],
    text: str,
    colour: Colour,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
) -> None:
    """A caption on the box's colour: above the box, or inside where there is no room."""
    left, top, right, bottom = draw.textbbox((0, 0), text, font=font)
    width, height = int(right - left) + 8, int(bottom - top) + 6
    x = max(0, min(corner[0], draw.im.size[0] - width))
    y = corner[1] - height if corner[1] >= height else corner[1]
    draw.rectangle((x, y, x + width - 1, y + height - 1), fill=colour)
    brightness = 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2]
    ink = (0, 0, 0) if brightness > 128 else (255, 255, 255)
    draw.text((x + 4 - left, y + 3 - top), text, fill=ink, font=font)


def draw_detections(
    image: Pixels,
    detections: Detections,
    detector: Detector,
    tracks: npt.NDArray[np.int64] | None = None,
) -> Pixels:
    """A frame with all detections, each with its class name and score.

    Args:
        image: H×W×3 uint8 RGB.
        detections: In px of the frame.
        detector: Names the classes.
        tracks: Track ids N, which then come first in the captions and choose the colours; None:
            colours are by class.

    Returns:
        H×W×3 uint8 RGB, a new array.
    """
    numbers = detections.classes if tracks is None else tracks - 1
    colours = [display_colour(1 + int(number) % 20) for number in numbers]
    captions = [
        f"{detector.class_name(int(number))} {score:.2f}"
        for number, score in zip(detections.classes, detections.scores, strict=True)
    ]
    if tracks is not None:
        captions = [f"#{track} {text}" for track, text in zip(tracks, captions, strict=True)]
    # Detections are sorted by score: reversed, the best one is drawn on top.
    return draw_boxes(image, detections.boxes[::-1], colours[::-1], captions[::-1])
