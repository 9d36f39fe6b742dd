"""A video's objects as boxes: a COCO file, and a sheet of frames to look at."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Unpack

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from rotomask.catalog import DEFAULT_DETECTOR, load_detector
from rotomask.detection import Detections, Detector
from rotomask.detection.drawing import draw_detections
from rotomask.detection.linking import TrackLinker
from rotomask.errors import OptionError
from rotomask.jobs.fingerprints import used_precision, video_fingerprint, weights_fingerprints
from rotomask.jobs.folder import JobRequest, claim
from rotomask.jobs.job_options import FrameOptions
from rotomask.jobs.keywords import DetectKeywords, takes_options, with_keywords
from rotomask.jobs.progress import OnProgress
from rotomask.render import Pixels, contact_sheet
from rotomask.segmenters.refinements import Refinements
from rotomask.video import Video, VideoSource, open_video

BOXES, SHEET = "boxes.json", "boxes.jpg"

SHOWN = 12
"""Frames of the sheet, spread evenly over the video."""

CELL_PX = 480
"""Width of a frame on the sheet; captions are drawn at this size, so that they can be read."""


@dataclass(frozen=True, kw_only=True)
class LinkedDetections:
    """Detections of frames by name, with the object that each box is of."""

    detections: dict[str, Detections]
    tracks: dict[str, npt.NDArray[np.int64]]
    """Track id of every detection, from 1."""


@dataclass(frozen=True, kw_only=True)
class DetectResult:
    """Result of `detect`."""

    boxes: Path
    """COCO annotations, each with its score."""
    sheet: Path
    frames: int
    count: int
    """Boxes in all."""
    tracks: int
    """Objects that the boxes were linked to over time."""


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


@takes_options(DetectOptions)
def detect(
    video: VideoSource,
    out: str | Path,
    options: DetectOptions | None = None,
    *,
    detector: Detector | str | None = None,
    on_progress: OnProgress | None = None,
    **changes: Unpack[DetectKeywords],
) -> DetectResult:
    """Detect the objects of every frame, each frame by itself.

    Writes ``OUT/boxes.json`` in COCO's layout (x, y, width, height in px, with ``score`` and
    ``track_id``, which says which boxes are of one object) and ``OUT/boxes.jpg``, twelve frames
    with their boxes.

    Args:
        video: A video file, a folder of frames, an open video, or frames in memory.
        out: Folder to write to.
        options: How; or give its fields as keywords.
        detector: A detector, or its name in place of the one that the options name.
        on_progress: Receives the stage ``detect``.
        **changes: Options as keywords, as on the command line: `DetectKeywords`.

    Raises:
        InputError: If the video or an option cannot be used.
        OutputError: If the folder cannot be written.
    """
    options = with_keywords(options or DetectOptions(), changes, "detect")
    opened = open_video(video)
    frames = options.range_in(opened)
    if isinstance(detector, str):
        options, detector = replace(options, model=detector), None
    if detector is None:
        detector = load_detector(options.model, **options.where)
    with claim(out, _request(opened, frames, options), overwrite=options.overwrite) as folder:
        folder.note(video=str(opened.path), frames=[frames.start, frames.stop])
        least = options.least_score
        linked, pictures = _detect_all(opened, frames, detector, least, on_progress)
        # One line: a video of an hour has many boxes.
        with folder.write(BOXES) as temporary:
            boxes = coco_boxes(linked.detections, detector, opened.size, linked.tracks)
            temporary.write_text(json.dumps(boxes), encoding="utf-8")
        with folder.write(SHEET) as temporary:
            picture = contact_sheet(
                list(pictures.values()), list(pictures), columns=3, cell_width_px=CELL_PX
            )
            Image.fromarray(picture).save(temporary, "JPEG", quality=88)
    return DetectResult(
        boxes=folder.root / BOXES,
        sheet=folder.root / SHEET,
        frames=len(linked.detections),
        count=sum(len(d) for d in linked.detections.values()),
        tracks=len({int(k) for numbers in linked.tracks.values() for k in numbers}),
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
) -> tuple[LinkedDetections, dict[str, Pixels]]:
    """Detections of every frame, and pictures of some, by frame name."""
    shown = set(np.linspace(frames[0], frames[-1], min(SHOWN, len(frames))).round().tolist())
    linked, linker = LinkedDetections(detections={}, tracks={}), TrackLinker()
    pictures: dict[str, Pixels] = {}
    for done, frame in enumerate(video.frames(frames.start, frames.stop), start=1):
        boxes = detector.detect(frame.image)
        boxes = boxes.take(boxes.scores >= least_score)
        # After weak boxes are left out: they would lead tracks astray.
        tracks = linker.link(boxes)
        linked.detections[frame.name], linked.tracks[frame.name] = boxes, tracks
        if frame.index in shown:
            scale = CELL_PX / frame.image.shape[1]
            size = (CELL_PX, max(1, round(frame.image.shape[0] * scale)))
            method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
            image = cv2.resize(frame.image, size, interpolation=method).astype(np.uint8, copy=False)
            # The picture is made small before boxes are drawn, so that lines and captions keep
            # their size.
            scaled = replace(boxes, boxes=boxes.boxes * np.float32(scale))
            pictures[frame.name] = draw_detections(image, scaled, detector, tracks)
        if on_progress is not None:
            on_progress("detect", done, len(frames))
    return linked, pictures


def coco_boxes(
    boxes: dict[str, Detections],
    detector: Detector,
    size: tuple[int, int],
    tracks: Mapping[str, npt.NDArray[np.int64]] | None = None,
) -> dict[str, list[dict[str, Any]]]:
    """Detections of frames by name in the layout of COCO's annotation files.

    Args:
        boxes: Frame name -> what is in it.
        detector: Names the classes.
        size: Height and width of the frames, px.
        tracks: Track ids of each frame's detections, stored as ``track_id``; None: none.
    """
    annotations: list[dict[str, Any]] = []
    # All classes that the detector names, and those without a name that it found all the same.
    classes = sorted(
        {int(c) for d in boxes.values() for c in d.classes} | set(detector.class_names)
    )
    for image_id, (name, detections) in enumerate(boxes.items(), start=1):
        # Hundredths of a pixel are more than a detector knows, and keep the file small.
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
            if tracks is not None:
                annotations[-1]["track_id"] = int(tracks[name][i])
    return {
        "images": [
            {"id": k, "file_name": name, "height": size[0], "width": size[1]}
            for k, name in enumerate(boxes, start=1)
        ],
        "categories": [{"id": c, "name": detector.class_name(c)} for c in classes],
        "annotations": annotations,
    }
