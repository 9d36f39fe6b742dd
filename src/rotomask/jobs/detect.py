"""A video's objects as boxes: a COCO file, and a sheet of frames to look at."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from rotomask.catalog import DEFAULT_DETECTOR, load_detector, with_settings
from rotomask.detection import Detections, Detector
from rotomask.detection.drawing import draw_detections
from rotomask.errors import OptionError
from rotomask.jobs.fingerprints import used_precision, video_fingerprint, weights_fingerprints
from rotomask.jobs.folder import JobRequest, claim
from rotomask.jobs.job_options import FrameOptions
from rotomask.jobs.progress import OnProgress
from rotomask.render import Pixels, contact_sheet
from rotomask.segmenters.refinements import Refinements
from rotomask.video import Video, open_video

BOXES, SHEET = "boxes.json", "boxes.jpg"

SHOWN = 12
"""Frames of the sheet, spread evenly over the video."""


@dataclass(frozen=True, kw_only=True)
class DetectResult:
    """Result of `detect`."""

    boxes: Path
    """COCO annotations, each with its score."""
    sheet: Path
    frames: int
    count: int
    """Number of boxes in all frames."""


@dataclass(frozen=True, kw_only=True)
class DetectOptions(FrameOptions):
    """Options of detecting objects."""

    model: str = DEFAULT_DETECTOR
    """``detector-lite``, ``FILE.onnx`` or ``torchvision:NAME``."""
    least_score: float = 0.3
    """Boxes with a lower score are left out."""

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
        options: Options; or give its fields as keywords.
        detector: A detector to use in place of the one that the options name.
        on_progress: Receives the stage ``detect``.
        **changes: Fields of `DetectOptions`.

    Raises:
        InputError: If the video or an option cannot be used.
        OutputError: If the folder cannot be written.
    """
    options = with_settings(options or DetectOptions(), changes, "detect")
    opened = open_video(video)
    frames = options.range_in(opened)
    if detector is None:
        detector = load_detector(options.model, device=options.device, precision=options.precision)
    with claim(out, _request(opened, frames, options), overwrite=options.overwrite) as folder:
        folder.note(video=str(opened.path), frames=[frames.start, frames.stop])
        least = options.least_score
        detections, pictures = _detect_all(opened, frames, detector, least, on_progress)
        # One line: a video of an hour has many boxes.
        with folder.write(BOXES) as temporary:
            boxes = coco_boxes(detections, detector, opened.size)
            temporary.write_text(json.dumps(boxes), encoding="utf-8")
        with folder.write(SHEET) as temporary:
            picture = contact_sheet(list(pictures.values()), list(pictures))
            Image.fromarray(picture).save(temporary, "JPEG", quality=88)
    count = sum(len(d) for d in detections.values())
    return DetectResult(
        boxes=folder.root / BOXES,
        sheet=folder.root / SHEET,
        frames=len(detections),
        count=count,
    )


def _request(video: Video, frames: range, options: DetectOptions) -> JobRequest:
    settings = {
        "video": video_fingerprint(video),
        "model": options.model,
        "weights": weights_fingerprints((), None, Refinements(boxes=options.model)),
        "least_score": options.least_score,
        "start": frames.start,
        "stop": frames.stop,
        "precision": used_precision(options.device, options.precision),
    }
    file = Path(options.model)
    return JobRequest(
        command="detect",
        settings=settings,
        replaced=[BOXES, SHEET],
        inputs=[video.path, *([file] if file.is_file() else [])],
    )


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
