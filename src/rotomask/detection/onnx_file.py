"""Detectors in ONNX files, run by onnxruntime; recognises the output layouts of common exporters.

========================  ======================================================================
layout                    outputs
========================  ======================================================================
``boxes``                 boxes N×4 (x0 y0 x1 y1, px or 0..1), scores N or N×C and optionally
                          classes N, each with or without a leading batch axis of 1.
                          torchvision, TensorFlow, Detectron2
``rows``                  one array N×6 or 1×N×6: x0 y0 x1 y1 score class. YOLOv10, end to end
``yolo``                  one array 1×(4+C)×N or 1×N×(4+C): cx cy w h, then C scores. YOLOv8, 11
``yolo-objectness``       one array 1×N×(5+C): cx cy w h objectness, then C scores. YOLOv5, 7
========================  ======================================================================
"""

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import numpy.typing as npt

from rotomask.arrays import Frame, check_frame
from rotomask.detection.boxes import Boxes, non_maximum_suppression
from rotomask.detection.detector import Detections, Detector, clean_detections
from rotomask.detection.letterbox import boxes_in_frame, letterbox
from rotomask.errors import OptionError, ShapeError, WeightsError
from rotomask.memory import is_out_of_memory

Layout = Literal["auto", "boxes", "rows", "yolo", "yolo-objectness"]
Array = npt.NDArray[np.float32]

DTYPES: dict[str, npt.DTypeLike] = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(uint8)": np.uint8,
}
LARGEST_RELATIVE = 2.0
"""If no coordinate exceeds this, boxes are in fractions of the image, not px. Above 1, because a
box can reach beyond the image."""
LARGEST_SIDE_PX = 4096
"""Largest side of an input image: a file that declares 60000x60000 would take 10 GB for a frame."""
ROW_LENGTH = 6
"""Length of a row in the layout ``rows``."""


@dataclass(frozen=True, kw_only=True)
class OnnxConfig:
    """Settings of running the network and of reading its outputs."""

    layout: Layout = "auto"
    """Layout of the outputs; auto: detected from their number, shapes and names."""
    size: int = 640
    """Side of the square input image, px, if the file does not fix it."""
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Mean that is subtracted from RGB / 255; not for uint8 inputs."""
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """Standard deviation by which RGB / 255 - mean is divided; not for uint8 inputs."""
    least_score: float = 0.25
    """Least score of a detection."""
    overlap: float = 0.6
    """IoU above which non-maximum suppression removes a box of the same class; 1: off."""
    most: int = 50
    """Largest number of detections in a frame."""
    threads: int = 0
    """Number of threads of onnxruntime; 0: its default."""

    def __post_init__(self) -> None:
        if self.layout not in get_args(Layout):
            layouts = ", ".join(get_args(Layout))
            raise OptionError(f"unknown layout of outputs {self.layout!r}; use one of {layouts}")


class Input(NamedTuple):
    """The image input of an ONNX file."""

    name: str
    size: tuple[int, int]
    """Height and width, px."""
    channels_first: bool
    """3×H×W if true, else H×W×3."""
    batched: bool
    """True if there is a leading batch axis."""
    dtype: npt.DTypeLike


class OnnxDetector(Detector):
    """A detector in an ONNX file.

    Args:
        path: The file. It must have one input, an image 3×H×W or H×W×3, with or without a leading
            batch axis.
        class_names: Names by class number; None: those in the file's metadata, as Ultralytics
            writes them.
        config: How the network is run and its outputs are read.

    Raises:
        OptionError: If onnxruntime is not installed.
        WeightsError: If the file is missing, damaged, not an ONNX file or has other inputs.
    """

    def __init__(
        self,
        path: Path | str,
        class_names: Mapping[int, str] | None = None,
        config: OnnxConfig | None = None,
    ) -> None:
        self.path, self.config = Path(path), config or OnnxConfig()
        self.session = _open(self.path, self.config.threads)
        self.input = _describe_input(self.session.get_inputs(), self.path, self.config.size)
        self.outputs = [output.name for output in self.session.get_outputs()]
        stored = self.session.get_modelmeta().custom_metadata_map.get("names", "")
        self.class_names = dict(class_names) if class_names is not None else _names(stored)

    def __repr__(self) -> str:
        """File name, input size and settings."""
        height, width = self.input.size
        return f"{self.path.name} at {width}x{height}, {self.config}"

    def detect(self, frame: Frame) -> Detections:
        """The objects in a frame; see `Detector.detect`.

        Raises:
            ShapeError: If `frame` is not a frame, or the layout of the outputs is not recognised.
            WeightsError: If the network fails.
        """
        check_frame(frame)
        letterboxed = letterbox(frame, self.input.size)
        try:
            outputs = self.session.run(None, {self.input.name: self._tensor(letterboxed.image)})
        except Exception as error:  # onnxruntime's exceptions have no common base class
            if is_out_of_memory(error):
                raise
            raise WeightsError(
                f"{self.path} failed on a frame: {_first_line(error)}; export it again"
            ) from error
        by_name = dict(zip(self.outputs, map(np.asarray, outputs), strict=True))
        # In px of the letterboxed image; `boxes_in_frame` takes its border and scale out again.
        boxes, scores, classes = read_outputs(
            by_name, self.input.size, self.config.layout, class_count=len(self.class_names)
        )
        detections = clean_detections(
            boxes_in_frame(boxes, letterboxed),
            scores,
            classes,
            size=(frame.shape[0], frame.shape[1]),
            least_score=self.config.least_score,
        )
        # By class: a person on a bicycle is two objects in nearly one box.
        remaining = _suppress_by_class(detections, self.config.overlap)
        return detections.take(remaining[: self.config.most])

    def _tensor(self, image: Frame) -> npt.NDArray[np.generic]:
        """The image H×W×3 uint8 in the dtype and axis order of the file's input."""
        tensor: npt.NDArray[np.generic] = image
        # Files that take uint8 normalise by themselves.
        if self.input.dtype is not np.uint8:
            mean, std = (np.array(v, np.float32) for v in (self.config.mean, self.config.std))
            tensor = ((image.astype(np.float32) / 255 - mean) / std).astype(self.input.dtype)
        if self.input.channels_first:
            tensor = np.moveaxis(tensor, -1, 0)
        return np.ascontiguousarray(tensor[None] if self.input.batched else tensor)


def read_outputs(
    outputs: Mapping[str, npt.NDArray[Any]],
    size: tuple[int, int],
    layout: Layout = "auto",
    *,
    class_count: int = 0,
) -> tuple[Boxes, Array, npt.NDArray[np.int64]]:
    """Boxes, scores and classes from the outputs of a detector for one image.

    Args:
        outputs: Output arrays by name.
        size: Height and width of the network's input image, px.
        layout: Layout of the outputs; auto: detected.
        class_count: Number of classes, which distinguishes YOLOv5 from YOLOv8; 0: unknown.

    Returns:
        Boxes N×4 px, scores N and classes N, in the order of the outputs, before non-maximum
        suppression.

    Raises:
        ShapeError: If the arrays do not have this layout, or no layout is recognised.
    """
    numeric = {k: a for k, a in outputs.items() if a.dtype.kind in "fiub"}
    if not numeric:
        raise _unknown_layout(outputs)
    # Some networks give undefined scores to padding; 0 is below every threshold.
    arrays = {k: np.nan_to_num(a, posinf=0, neginf=0) for k, a in _unbatch(numeric).items()}
    if layout == "auto":
        layout = _detect_layout(arrays, class_count)
    if layout == "boxes":
        boxes, scores, classes = _read_separate(arrays)
    else:
        boxes, scores, classes = _read_single(arrays, layout, class_count)
    # Some exports give fractions of the input's sides; boxes of a few px are none that a network
    # finds.
    if len(boxes) and np.abs(boxes).max() <= LARGEST_RELATIVE:
        boxes = boxes * np.array([size[1], size[0]] * 2, np.float32)
    return boxes.astype(np.float32), scores.astype(np.float32), classes.astype(np.int64)


def _detect_layout(arrays: Mapping[str, npt.NDArray[Any]], class_count: int) -> Layout:
    if len(arrays) > 1:
        return "boxes"
    (array,) = arrays.values()
    if array.ndim != 2:
        raise _unknown_layout(arrays)
    # With two classes a row of six can also be YOLOv8's cx cy w h and two scores.
    if array.shape[1] == ROW_LENGTH and class_count != 2:
        return "rows"
    # YOLO gives thousands of candidates, so that the shorter axis is that of the channels.
    channels = min(array.shape)
    return "yolo-objectness" if class_count and channels == 5 + class_count else "yolo"


def _read_single(
    arrays: Mapping[str, npt.NDArray[Any]], layout: Layout, class_count: int
) -> tuple[Array, Array, npt.NDArray[Any]]:
    """Boxes, scores and classes from one array, in the layouts rows, yolo and yolo-objectness."""
    array = next(iter(arrays.values()))
    if len(arrays) > 1 or array.ndim != 2:
        raise _unknown_layout(arrays)
    if layout == "rows":
        if array.shape[1] != ROW_LENGTH:
            raise _unknown_layout(arrays)
        return array[:, :4], array[:, 4], array[:, 5].round()
    first = 5 if layout == "yolo-objectness" else 4  # index of the first class score
    # YOLOv8 has channels first, YOLOv5 last. Without the number of classes, assume that there are
    # fewer channels than candidate boxes.
    channels = first + class_count if class_count else min(array.shape)
    rows = array if array.shape[1] == channels else array.T  # N×channels
    if rows.shape[1] <= first:
        raise _unknown_layout(arrays)
    scores = rows[:, first:] * (rows[:, 4:5] if layout == "yolo-objectness" else 1)
    # Half of width and height, N×2.
    half = rows[:, 2:4] / 2
    boxes = np.concatenate([rows[:, :2] - half, rows[:, :2] + half], 1)  # cx cy w h -> x0 y0 x1 y1
    return boxes, scores.max(1), scores.argmax(1)


def _read_separate(
    arrays: Mapping[str, npt.NDArray[Any]],
) -> tuple[Array, Array, npt.NDArray[Any]]:
    """Boxes, scores and classes from separate arrays, in the layout boxes.

    Boxes are the N×4 array. Scores and classes are recognised by their names, and otherwise classes
    by their integer dtype.
    """
    remaining = dict(arrays)
    box_names = [n for n, a in remaining.items() if a.ndim == 2 and a.shape[1] == 4]
    by_name = [n for n in box_names if "box" in n.lower()]
    if not box_names:
        raise _unknown_layout(arrays)
    boxes = remaining.pop((by_name or box_names)[0])
    others = {n: a for n, a in remaining.items() if a.ndim in (1, 2) and len(a) == len(boxes)}
    # Classes first: both may be N integers or floats, and a name says more of classes.
    classes_name = _first_named(others, ("label", "class", "cls"), integer=True)
    scores_name = _first_named(
        {n: a for n, a in others.items() if n != classes_name}, ("score", "conf", "prob")
    )
    if scores_name is None:
        raise _unknown_layout(arrays)
    scores = others[scores_name]
    if scores.ndim == 2:
        return boxes, scores.max(1), scores.argmax(1)
    classes = others[classes_name] if classes_name else np.zeros(len(boxes))
    return boxes, scores, classes.round()


def _first_named(
    arrays: Mapping[str, npt.NDArray[Any]], words: Sequence[str], *, integer: bool = False
) -> str | None:
    """Name of the first array whose name contains one of the words, or else of the first that fits.

    Args:
        arrays: Arrays by name.
        words: Words to look for, lower case.
        integer: Accept only arrays with one axis and, where no name matches, of integer dtype.
    """
    for name, array in arrays.items():
        if any(word in name.lower() for word in words) and (not integer or array.ndim == 1):
            return name
    for name, array in arrays.items():
        if not integer or (array.ndim == 1 and np.issubdtype(array.dtype, np.integer)):
            return name
    return None


def _unbatch(arrays: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
    """The arrays without their batch axis of 1, if they have one."""
    # Boxes 1×N×4 or 1×C×N show it; scores 1×N alone could as well be one row.
    is_batched = any(array.ndim == 3 and len(array) == 1 for array in arrays.values())
    return {
        name: array[0] if is_batched and array.ndim > 1 and len(array) == 1 else array
        for name, array in arrays.items()
    }


def _unknown_layout(arrays: Mapping[str, npt.NDArray[Any]]) -> ShapeError:
    shapes = ", ".join(f"{k} {tuple(a.shape)} {a.dtype}" for k, a in arrays.items())
    return ShapeError(
        f"the detector's outputs have no known layout: {shapes}; expected boxes N×4 with scores N, "
        "or one array N×6, 1×(4+C)×N or 1×N×(5+C); set the layout in OnnxConfig"
    )


def _suppress_by_class(detections: Detections, overlap: float) -> npt.NDArray[np.intp]:
    """Indices of the boxes that remain after suppression within each class, best score first."""
    if overlap >= 1 or not len(detections):
        return np.arange(len(detections))
    # One pass for all classes: an offset per class moves their boxes so far apart that boxes of
    # different classes do not overlap.
    offset = detections.classes[:, None] * (detections.boxes.max() + 1)
    separate = detections.boxes + offset.astype(np.float32)
    return non_maximum_suppression(separate, detections.scores, overlap)


def _open(path: Path, threads: int) -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise OptionError(
            f"running {path.name} needs onnxruntime; run pip install rotomask[onnx]"
        ) from error
    if not path.is_file():
        raise WeightsError(f"no detector at {path}: the path is missing or not a file")
    options = onnxruntime.SessionOptions()
    # Its own default takes every core, which PyTorch's threads use as well.
    options.intra_op_num_threads = threads
    try:
        return onnxruntime.InferenceSession(
            str(path), options, providers=onnxruntime.get_available_providers()
        )
    except Exception as error:  # onnxruntime's exceptions have no common base class
        if is_out_of_memory(error):
            raise
        raise WeightsError(
            f"{path} is damaged or not an ONNX file: {_first_line(error)}"
        ) from error


def _describe_input(inputs: Sequence[Any], path: Path, size: int) -> Input:
    """The only input of a file; `size` stands in for sides that the file leaves open."""
    shape = list(inputs[0].shape) if len(inputs) == 1 else []
    batched = len(shape) == 4
    image = shape[1:] if batched else shape
    channels_first = len(image) == 3 and image[0] == 3
    if len(image) != 3 or 3 not in (image[0], image[2]) or inputs[0].type not in DTYPES:
        actual = ", ".join(f"{i.name} {i.shape} {i.type}" for i in inputs)
        raise WeightsError(
            f"{path} must take one image 1×3×H×W or 1×H×W×3, float or uint8; it takes {actual}"
        )
    # A side that the export left open is a name or None here.
    sides = image[1:] if channels_first else image[:2]
    height, width = (side if isinstance(side, int) else size for side in sides)
    if not (0 < height <= LARGEST_SIDE_PX and 0 < width <= LARGEST_SIDE_PX):
        raise WeightsError(
            f"{path} takes images of {width}x{height}; sides must be 1 to {LARGEST_SIDE_PX} px"
        )
    if batched and isinstance(shape[0], int) and shape[0] != 1:
        raise WeightsError(
            f"{path} takes {shape[0]} images at a time, but frames come one by one; export it with "
            "a batch of 1 or a dynamic batch"
        )
    return Input(inputs[0].name, (height, width), channels_first, batched, DTYPES[inputs[0].type])


def _names(text: str) -> dict[int, str]:
    """Names by class number from Ultralytics' metadata, a Python dict or list as text."""
    try:
        stored = ast.literal_eval(text) if text else {}
        if isinstance(stored, list):
            stored = dict(enumerate(stored))
        return {int(k): str(v) for k, v in stored.items()} if isinstance(stored, dict) else {}
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return {}


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
