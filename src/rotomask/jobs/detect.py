"""A video's objects as boxes: a COCO file, and a sheet of frames to look at."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from rotomask.detection import Detections, Detector, load_detector
from rotomask.detection.box_sheet import draw_detections
from rotomask.errors import OptionError
from rotomask.files import complete_or_absent
from rotomask.render import Pixels, contact_sheet
from rotomask.video import Video, open_video

OnProgress = Callable[[str, int, int | None], None]

SHOWN = 12
"""Frames of the sheet, spread evenly over the video."""


@dataclass(frozen=True, kw_only=True)
class DetectResult:
    """What `detect` wrote."""

    boxes: Path
    """COCO annotations, each with its score."""
    sheet: Path
    frames: int
    count: int
    """Boxes in all."""


def detect(
    video: str | Path | Video,
    out: str | Path,
    *,
    detector: Detector | None = None,
    least_score: float = 0.3,
    start: int = 0,
    stop: int | None = None,
    on_progress: OnProgress | None = None,
) -> DetectResult:
    """Detect the objects of every frame, each by itself.

    Writes ``OUT/boxes.json`` in COCO's layout (x, y, width, height in px, with ``score``) and
    ``OUT/boxes.jpg``, twelve frames with their boxes.

    Args:
        video: A video file, a folder of frames, or an open video.
        out: Folder to write to.
        detector: In place of the shipped one.
        least_score: Boxes below are left out.
        start: First frame that is looked at.
        stop: One past the last; None: to the end.
        on_progress: Called with ``detect``, frames done and frames in all.

    Raises:
        InputError: If the video or an option cannot be used.
        OutputError: If the folder cannot be written.
    """
    opened = video if isinstance(video, Video) else open_video(video)
    end = opened.frame_count if stop is None else min(stop, opened.frame_count)
    if not 0 <= start < end:
        raise OptionError(f"there is nothing to look at from frame {start} to {end - 1}")
    detector = detector or load_detector()
    shown = set(np.linspace(start, end - 1, min(SHOWN, end - start)).round().astype(int).tolist())
    found: dict[str, Detections] = {}
    pictures: dict[str, Pixels] = {}
    for done, frame in enumerate(opened.frames(start, end), start=1):
        all_found = detector.detect(frame.image)
        found[frame.name] = all_found.take(all_found.scores >= least_score)
        if frame.index in shown:
            pictures[frame.name] = draw_detections(frame.image, found[frame.name], detector)
        if on_progress is not None:
            on_progress("detect", done, end - start)
    folder = Path(out)
    boxes, sheet = folder / "boxes.json", folder / "boxes.jpg"
    with complete_or_absent(boxes) as temporary:
        temporary.write_text(json.dumps(coco_boxes(found, detector, opened.size)))
    with complete_or_absent(sheet) as temporary:
        picture = contact_sheet(list(pictures.values()), list(pictures))
        Image.fromarray(picture).save(temporary, "JPEG", quality=88)
    count = sum(len(d) for d in found.values())
    return DetectResult(boxes=boxes, sheet=sheet, frames=len(found), count=count)


def coco_boxes(
    found: dict[str, Detections], detector: Detector, size: tuple[int, int]
) -> dict[str, list[dict[str, Any]]]:
    """Detections of frames by name in the layout of COCO's annotation files.

    Args:
        found: Frame name -> what is in it.
        detector: Names the classes.
        size: Height and width of the frames, px.
    """
    annotations: list[dict[str, Any]] = []
    classes = sorted(
        {int(c) for d in found.values() for c in d.classes} | set(detector.class_names)
    )
    for image_id, detections in enumerate(found.values(), start=1):
        for i, (x0, y0, x1, y1) in enumerate(detections.boxes.astype(float).round(2).tolist()):
            width, height = round(x1 - x0, 2), round(y1 - y0, 2)
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image_id,
                    "category_id": int(detections.classes[i]),
                    "bbox": [x0, y0, width, height],
                    "area": round(width * height, 2),
                    "iscrowd": 0,
                    "score": round(float(detections.scores[i]), 4),
                }
            )
    return {
        "images": [
            {"id": k, "file_name": name, "height": size[0], "width": size[1]}
            for k, name in enumerate(found, start=1)
        ],
        "categories": [{"id": c, "name": detector.class_name(c)} for c in classes],
        "annotations": annotations,
    }
