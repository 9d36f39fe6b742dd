"""A video's objects as boxes: a COCO file, and a sheet of frames to look at."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from rotomask.catalog import DEFAULT_DETECTOR, load_detector
from rotomask.detection import Detections, Detector
from rotomask.detection.drawing import draw_detections
from rotomask.errors import OptionError
from rotomask.files import complete_or_absent
from rotomask.jobs.options import frame_range, merge_options
from rotomask.jobs.progress import OnProgress
from rotomask.render import Pixels, contact_sheet
from rotomask.video import Video, open_video

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


@dataclass(frozen=True, kw_only=True)
class DetectOptions:
    """What is detected, in which frames."""

    model: str = DEFAULT_DETECTOR
    """``detector-lite``, ``FILE.onnx`` or ``torchvision:NAME``."""
    least_score: float = 0.3
    """Boxes with a lower score are left out."""
    start: int = 0
    """First frame."""
    stop: int | None = None
    """One past the last frame; None: to the end."""
    device: str = "auto"
    precision: str = "auto"
    overwrite: bool = False
    """Whether to replace another job's output."""

    def __post_init__(self) -> None:
        if not 0 <= self.least_score <= 1:
            raise OptionError(f"scores lie between 0 and 1, got {self.least_score}")


def detect(
    video: str | Path | Video,
    out: str | Path,
    options: DetectOptions | None = None,
    *,
    detector: Detector | None = None,
    on_progress: OnProgress | None = None,
    **changes: object,
) -> DetectResult:
    """Detect the objects of every frame, each frame by itself.

    Writes ``OUT/boxes.json`` in COCO's layout (x, y, width, height in px, with ``score``) and
    ``OUT/boxes.jpg``, twelve frames with their boxes.

    Args:
        video: A video file, a folder of frames, or an open video.
        out: Folder to write to.
        options: How; or give its fields as keywords.
        detector: A detector to use in place of the one that the options name.
        on_progress: Receives the stage ``detect``.
        **changes: Fields of `DetectOptions`.

    Raises:
        InputError: If the video or an option cannot be used.
        OutputError: If the folder cannot be written.
    """
    options = merge_options(DetectOptions, options, changes)
    opened = video if isinstance(video, Video) else open_video(video)
    frames = frame_range(opened.frame_count, options.start, options.stop, opened.path)
    detector = detector or load_detector(
        options.model, device=options.device, precision=options.precision
    )
    detections, pictures = _detect_all(opened, frames, detector, options.least_score, on_progress)
    folder = Path(out)
    boxes, sheet = folder / "boxes.json", folder / "boxes.jpg"
    with complete_or_absent(boxes) as temporary:
        temporary.write_text(json.dumps(coco_boxes(detections, detector, opened.size)))
    with complete_or_absent(sheet) as temporary:
        picture = contact_sheet(list(pictures.values()), list(pictures))
        Image.fromarray(picture).save(temporary, "JPEG", quality=88)
    count = sum(len(d) for d in detections.values())
    return DetectResult(boxes=boxes, sheet=sheet, frames=len(detections), count=count)


def _detect_all(
    video: Video,
    frames: range,
    detector: Detector,
    least_score: float,
    on_progress: OnProgress | None,
) -> tuple[dict[str, Detections], dict[str, Pixels]]:
    """Detections of every frame, and pictures of some, by frame name."""
    shown = set(np.linspace(frames[0], frames[-1], min(SHOWN, len(frames))).round().tolist())
    detections: dict[str, Detections] = {}
    pictures: dict[str, Pixels] = {}
    for done, frame in enumerate(video.frames(frames.start, frames.stop), start=1):
        boxes = detector.detect(frame.image)
        detections[frame.name] = boxes.take(boxes.scores >= least_score)
        if frame.index in shown:
            pictures[frame.name] = draw_detections(frame.image, detections[frame.name], detector)
        if on_progress is not None:
            on_progress("detect", done, len(frames))
    return detections, pictures


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
