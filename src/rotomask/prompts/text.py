"""Prompts from the text of a command line and from files of strokes."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from rotomask.errors import PromptError
from rotomask.masks.pages import IMAGE_ERRORS
from rotomask.memory import check_memory
from rotomask.prompts.json_form import read_prompts
from rotomask.prompts.kinds import Box, Click, Painted, Point, Polygon, Prompt, Scribble

NOT_THE_OBJECT = 255
"""Value of background strokes in an indexed or grey image."""
_SIGNS = {"+": True, "-": False}
_VIVID = 96
"""Difference of a stroke's colour channels from which it counts as green or red."""


def parse_point(text: str, object_id: int = 1) -> Click:
    """Click from ``X,Y`` (on the object) or ``X,Y,-`` (off it).

    Raises:
        PromptError: If the text has another form.

    Example:
        >>> parse_point("40,40,-")
        Click(x=40.0, y=40.0, positive=False, object_id=1)
    """
    parts = text.split(",")
    sign = _SIGNS.get(parts[2].strip()) if len(parts) == 3 else True
    numbers = _numbers(parts[:2])
    if len(parts) not in (2, 3) or sign is None or numbers is None:
        raise PromptError(f"a point is X,Y on the object or X,Y,- beside it, got {text!r}")
    return Click(numbers[0], numbers[1], sign, object_id)


def parse_box(text: str, object_id: int = 1) -> Box:
    """Box from ``X,Y,WIDTH,HEIGHT``.

    Raises:
        PromptError: If the text has another form.
    """
    numbers = _numbers(text.split(","))
    if numbers is None or len(numbers) != 4:
        raise PromptError(f"a box is X,Y,WIDTH,HEIGHT in pixels, got {text!r}")
    x, y, width, height = numbers
    return Box(x, y, width, height, object_id)


def parse_polygon(text: str, object_id: int = 1) -> Polygon:
    """Polygon from ``X,Y X,Y X,Y ...``.

    Raises:
        PromptError: If the text has another form.
    """
    return Polygon(_pairs(text, "a polygon is X,Y X,Y X,Y ..."), object_id=object_id)


def read_scribbles(path: Path, size: tuple[int, int], object_id: int = 1) -> list[Prompt]:
    """Prompts from an image of strokes, a text file of strokes, or a JSON file of prompts.

    - An RGB image of the frame's size: green strokes are on the object, red ones off it; all other
      colours (the frame itself, black, white, transparent pixels) are ignored.
    - An indexed or grey image: 0 is ignored, k is a stroke on object k, 255 is off all objects. If
      1 is the only object in it, that is `object_id`.
    - ``.txt``, ``.csv``: one stroke per line, ``X,Y X,Y ...``; a line that begins with ``-`` is off
      the object.
    - ``.json``: prompts as in docs/guide/mark.md; their frame numbers are ignored.

    Args:
        path: The file.
        size: Height and width of the frame.
        object_id: Object of strokes whose file does not name one.

    Raises:
        PromptError: If the file is missing, of another type or size, or without strokes.
    """
    suffix = path.suffix.lower()
    if suffix == ".json":
        prompts = [entry.prompt for entry in read_prompts(path)]
    elif suffix in (".txt", ".csv"):
        prompts = _read_lines(path, object_id)
    else:
        prompts = _read_image(path, size, object_id)
    if not prompts:
        raise PromptError(
            f"{path} has no strokes; draw the object in green (0,255,0) and what is not it in red"
        )
    return prompts


def _read_lines(path: Path, object_id: int) -> list[Prompt]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise PromptError(f"cannot read the strokes {path}: {error}") from error
    prompts: list[Prompt] = []
    for number, line in enumerate(lines, start=1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        positive = not text.startswith("-")
        what = f"{path}, line {number}: a stroke is X,Y X,Y ..., with - before it off the object"
        points = _pairs(text.removeprefix("-").removeprefix("+"), what)
        prompts.append(Scribble(points, positive, object_id))
    return prompts


def _read_image(path: Path, size: tuple[int, int], object_id: int) -> list[Prompt]:
    try:
        with Image.open(path) as image:
            if (image.height, image.width) != size:
                raise PromptError(
                    f"{path} is {image.width}x{image.height} but the frame {size[1]}x{size[0]}; "
                    "draw the strokes on a picture of the frame's size"
                )
            if image.mode in ("P", "L", "1", "I", "I;16"):
                values = np.asarray(image).astype(np.int64)
                return _strokes_of_values(values, object_id)
            return _strokes_of_colours(np.asarray(image.convert("RGBA")), object_id)
    except FileNotFoundError as error:
        raise PromptError(f"{path} does not exist") from error
    except UnidentifiedImageError as error:
        # Pillow takes a file that does not fit into memory for no image; the message must not.
        check_memory(path)
        raise PromptError(f"{path} is no image, .txt, .csv or .json file of strokes") from error
    except IMAGE_ERRORS as error:
        check_memory(path)
        raise PromptError(f"{path} cannot be read as an image of strokes: {error}") from error


def _strokes_of_values(values: npt.NDArray[np.int64], object_id: int) -> list[Prompt]:
    """Strokes of an indexed or grey image H×W, whose values are object ids."""
    ids = [int(k) for k in np.unique(values) if k not in (0, NOT_THE_OBJECT)]
    # A picture with strokes on one object has 1, whatever the object's number in the video is.
    renamed = {1: object_id} if ids == [1] else {}
    prompts: list[Prompt] = [Painted(np.asarray(values == k), True, renamed.get(k, k)) for k in ids]
    background = np.asarray(values == NOT_THE_OBJECT)
    if background.any():
        # 255 is off all objects of the picture: a negative stroke for each of them.
        objects = [renamed.get(k, k) for k in ids] or [object_id]
        prompts += [Painted(background, False, k) for k in objects]
    return prompts


def _strokes_of_colours(pixels: npt.NDArray[np.uint8], object_id: int) -> list[Prompt]:
    """Green and red strokes of an RGBA image H×W×4."""
    # int16: the difference of two uint8 would wrap around below 0.
    red, green, blue = (pixels[..., k].astype(np.int16) for k in range(3))
    opaque = pixels[..., 3] > 127
    # Clearly greener than anything else, so that a photo under the strokes gives none by itself.
    on_object = opaque & (green - np.maximum(red, blue) >= _VIVID)
    beside = opaque & (red - np.maximum(green, blue) >= _VIVID)
    prompts: list[Prompt] = []
    if on_object.any():
        prompts.append(Painted(np.asarray(on_object), True, object_id))
    if beside.any():
        prompts.append(Painted(np.asarray(beside), False, object_id))
    return prompts


def _pairs(text: str, expected: str) -> tuple[Point, ...]:
    points = []
    for pair in text.replace(";", " ").split():
        numbers = _numbers(pair.split(","))
        if numbers is None or len(numbers) != 2:
            raise PromptError(f"{expected}, got {pair!r}")
        points.append((numbers[0], numbers[1]))
    if not points:
        raise PromptError(f"{expected}, got {text!r}")
    return tuple(points)


def _numbers(parts: list[str]) -> list[float] | None:
    try:
        return [float(part) for part in parts]
    except ValueError:
        return None
