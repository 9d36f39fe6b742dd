"""Prompts as JSON, documented in docs/guide/mark.md."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from rotomask.errors import PromptError
from rotomask.files import complete_or_absent, load_json
from rotomask.masks.segmentations import decode_segmentation, segmentation_fault
from rotomask.prompts.kinds import (
    SCRIBBLE_WIDTH_PX,
    BoolMask,
    Box,
    Click,
    Painted,
    Point,
    Polygon,
    Prompt,
    RoughMask,
    Scribble,
)
from rotomask.prompts.state import PlacedPrompt, Prompts

VERSION = 1
KINDS = ("click", "box", "scribble", "brush", "polygon", "strokes", "mask")


def prompts_to_json(prompts: Prompts) -> dict[str, Any]:
    """Prompts as plain data for `json.dumps`; `prompts_from_json` reads them."""
    return {
        "version": VERSION,
        "prompts": [
            {"frame": e.frame, "object": e.prompt.object_id, **_to_fields(e.prompt)}
            for e in prompts
        ],
    }


def prompts_from_json(content: object) -> Prompts:
    """Prompts from the result of `json.loads`.

    Raises:
        PromptError: If it has another form; the message names the prompt and what is wrong in it.

    Example:
        >>> click = {"frame": 4, "type": "click", "x": 310, "y": 220}
        >>> prompts_from_json({"version": 1, "prompts": [click]}).at(4)
        (Click(x=310, y=220, positive=True, object_id=1),)
    """
    if not isinstance(content, Mapping) or not isinstance(content.get("prompts"), list):
        raise PromptError('prompts are an object {"version": 1, "prompts": [...]}')
    # A file that was written by hand need not name one.
    if content.get("version", VERSION) != VERSION:
        raise PromptError(f"prompts of version {content['version']!r}, expected {VERSION}")
    entries = []
    for number, entry in enumerate(content["prompts"], start=1):
        try:
            entries.append(_placed(entry))
        except PromptError as error:
            raise PromptError(f"prompt {number}: {error}") from error
    return Prompts(tuple(entries))


def read_prompts(path: Path) -> Prompts:
    """Prompts from a JSON file.

    Raises:
        PromptError: If the file is missing, is not JSON, or does not hold prompts.
    """
    try:
        content = load_json(path)
    except OSError as error:
        raise PromptError(f"cannot read the prompts {path}: {error.strerror}") from error
    except ValueError as error:
        raise PromptError(f"{path} is not JSON: {error}") from error
    try:
        return prompts_from_json(content)
    except PromptError as error:
        raise PromptError(f"{path}: {error}") from error


def write_prompts(path: Path, prompts: Prompts) -> None:
    """Write prompts to a JSON file; on failure an existing file stays.

    Raises:
        OutputError: If it cannot be written.
    """
    with complete_or_absent(path) as temporary:
        temporary.write_text(json.dumps(prompts_to_json(prompts), indent=1) + "\n", "utf-8")


def _to_fields(prompt: Prompt) -> dict[str, Any]:
    if isinstance(prompt, Click):
        return {"type": "click", "x": prompt.x, "y": prompt.y, "positive": prompt.positive}
    if isinstance(prompt, Box):
        return {"type": "box", "box": [prompt.x, prompt.y, prompt.width, prompt.height]}
    if isinstance(prompt, Scribble):
        points, width = [list(p) for p in prompt.points], prompt.width_px
        fields = {"points": points, "width": width, "positive": prompt.positive}
        return {"type": "brush" if prompt.exact else "scribble", **fields}
    if isinstance(prompt, Polygon):
        points = [list(p) for p in prompt.points]
        return {"type": "polygon", "points": points, "positive": prompt.positive}
    if isinstance(prompt, Painted):
        return {"type": "strokes", "mask": _encode(prompt.mask), "positive": prompt.positive}
    return {"type": "mask", "mask": _encode(prompt.mask)}


def _placed(entry: object) -> PlacedPrompt:
    if not isinstance(entry, Mapping):
        raise PromptError(f"expected an object with a type, got {entry!r}")
    frame, object_id = entry.get("frame", 0), entry.get("object", 1)
    if not _is_whole(frame) or frame < 0:
        raise PromptError(f"frame must be a whole number from 0, got {frame!r}")
    if not _is_whole(object_id) or object_id < 1:
        raise PromptError(f"object must be a whole number from 1, got {object_id!r}")
    return PlacedPrompt(_from_fields(entry, object_id), frame)


def _from_fields(entry: Mapping[str, Any], object_id: int) -> Prompt:
    kind, positive = entry.get("type"), entry.get("positive", True)
    if not isinstance(positive, bool):
        raise PromptError(f"positive must be true or false, got {positive!r}")
    if kind == "click":
        return Click(_number(entry, "x"), _number(entry, "y"), positive, object_id)
    if kind == "box":
        numbers = entry.get("box")
        if not isinstance(numbers, list) or len(numbers) != 4 or not all(map(_is_real, numbers)):
            raise PromptError(f"box must be [x, y, width, height], got {numbers!r}")
        x, y, width, height = numbers
        return Box(x, y, width, height, object_id)
    if kind in ("scribble", "brush"):
        width = entry.get("width", SCRIBBLE_WIDTH_PX)
        if not _is_real(width):
            raise PromptError(f"width must be a number, got {width!r}")
        return Scribble(_points(entry), positive, object_id, float(width), kind == "brush")
    if kind == "polygon":
        return Polygon(_points(entry), positive, object_id)
    if kind == "strokes":
        return Painted(_decode(entry.get("mask")), positive, object_id)
    if kind == "mask":
        return RoughMask(_decode(entry.get("mask")), object_id)
    raise PromptError(f"unknown type {kind!r}; use {', '.join(KINDS)}")


def _number(entry: Mapping[str, Any], name: str) -> float:
    value = entry.get(name)
    if not _is_real(value):
        raise PromptError(f"{name} must be a number, got {value!r}")
    return value  # type: ignore[return-value]


def _points(entry: Mapping[str, Any]) -> tuple[Point, ...]:
    points = entry.get("points")
    pairs = isinstance(points, list) and all(
        isinstance(p, list) and len(p) == 2 and all(map(_is_real, p)) for p in points
    )
    if not points or not pairs:
        raise PromptError("points must be a list of pairs [[x, y], ...]")
    return tuple((x, y) for x, y in points)


def _is_real(value: object) -> bool:
    # `true` is an int in Python; as a coordinate it is a mistake.
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _encode(mask: BoolMask) -> dict[str, Any]:
    """Mask H×W as COCO's uncompressed run lengths: down the columns, 0 and 1 in turn, 0 first."""
    flat = mask.flatten(order="F")  # column after column
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    lengths = np.diff(np.concatenate([[0], changes, [flat.size]]))
    # The first run is of zeros, so that a mask whose first pixel is set begins with a run of none.
    counts = lengths.tolist() if not flat[0] else [0, *lengths.tolist()]
    return {"size": list(mask.shape), "counts": counts}


def _decode(coded: object) -> BoolMask:
    """Mask H×W from COCO's uncompressed or compressed run lengths."""
    if (
        not isinstance(coded, Mapping)
        or not isinstance(coded.get("counts"), str | list)
        or not isinstance(coded.get("size"), list)
        or len(coded["size"]) != 2
        or not all(_is_whole(n) and n > 0 for n in coded["size"])
    ):
        raise PromptError(
            'mask must be run lengths as COCO has them, {"size": [H, W], "counts": …}'
        )
    height, width = coded["size"]
    # Before decoding: pycocotools checks nothing, and wrong runs read beyond its memory.
    fault = segmentation_fault(coded, height, width)
    if fault is not None:
        raise PromptError(f"mask: {fault}")
    return decode_segmentation(coded, height, width)
