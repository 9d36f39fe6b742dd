"""Detectors in ONNX files, run by onnxruntime: the outputs that exporters give, told apart.

========================  ======================================================================
layout                    outputs
========================  ======================================================================
``boxes``                 boxes N×4 (x0 y0 x1 y1, px or 0..1) and scores N, classes N beside if
                          there are any, each with or without an axis of one image before;
                          scores may be N×C. torchvision, TensorFlow, Detectron2
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
from rotomask.detection.boxes import Boxes, suppress
from rotomask.detection.detector import Detections, Detector, tidy
from rotomask.detection.letterbox import Letter, letterbox, out_of
from rotomask.errors import OptionError, ShapeError, WeightsError

Layout = Literal["auto", "boxes", "rows", "yolo", "yolo-objectness"]
Array = npt.NDArray[np.float32]

DTYPES: dict[str, npt.DTypeLike] = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(uint8)": np.uint8,
}
RELATIVE = 2.0
"""Boxes whose coordinates are all below are parts of the picture, not px."""
ROW = 6


@dataclass(frozen=True, kw_only=True)
class OnnxConfig:
    """How the file is run, and its answers read."""

    layout: Layout = "auto"
    """What the outputs are; auto: by their number, shapes and names."""
    size: int = 640
    """Side of the square picture, px, where the file takes any."""
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """A float input gets (RGB / 255 - mean) / std; an uint8 input gets RGB."""
    least_score: float = 0.25
    """Detections below are not given."""
    overlap: float = 0.6
    """Non-maximum suppression above it, within a class; 1: none."""
    most: int = 50
    """Most detections in a frame."""
    threads: int = 0
    """Of onnxruntime; 0: as it likes."""

    def __post_init__(self) -> None:
        if self.layout not in get_args(Layout):
            known = ", ".join(get_args(Layout))
            raise OptionError(f"unknown layout of outputs {self.layout!r}; there are {known}")


class Input(NamedTuple):
    """What the file takes."""

    name: str
    size: tuple[int, int]
    """Height and width, px."""
    channels_first: bool
    batched: bool
    dtype: npt.DTypeLike


class OnnxDetector(Detector):
    """Runs a detector in an ONNX file.

    Args:
        path: The file. It has one input, an image 3×H×W or H×W×3, with or without an axis of one
            image before.
        class_names: Names by number; by default those in the file, as Ultralytics writes them.
        config: How.

    Raises:
        OptionError: If onnxruntime is not installed.
        WeightsError: If the file is missing, no ONNX, or does not take one image.
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
        """The file and what it takes."""
        height, width = self.input.size
        return f"{self.path.name} at {width}x{height}, {self.config}"

    def detect(self, frame: Frame) -> Detections:
        """The objects of a frame; see `Detector.detect`.

        Raises:
            ShapeError: If this is no frame, or the outputs have none of the known layouts.
        """
        check_frame(frame)
        letter = letterbox(frame, self.input.size)
        answer = self.session.run(None, {self.input.name: self._tensor(letter)})
        named = dict(zip(self.outputs, map(np.asarray, answer), strict=True))
        boxes, scores, classes = read_outputs(
            named, self.input.size, self.config.layout, known_classes=len(self.class_names)
        )
        found = tidy(
            out_of(letter, boxes),
            scores,
            classes,
            size=(frame.shape[0], frame.shape[1]),
            least_score=self.config.least_score,
        )
        return found.take(_suppress_by_class(found, self.config.overlap)[: self.config.most])

    def _tensor(self, letter: Letter) -> npt.NDArray[np.generic]:
        picture: npt.NDArray[np.generic] = letter.image
        if self.input.dtype is not np.uint8:
            mean, std = (np.array(v, np.float32) for v in (self.config.mean, self.config.std))
            picture = ((letter.image.astype(np.float32) / 255 - mean) / std).astype(
                self.input.dtype
            )
        if self.input.channels_first:
            picture = np.moveaxis(picture, -1, 0)
        return np.ascontiguousarray(picture[None] if self.input.batched else picture)


def read_outputs(
    outputs: Mapping[str, npt.NDArray[Any]],
    size: tuple[int, int],
    layout: Layout = "auto",
    *,
    known_classes: int = 0,
) -> tuple[Boxes, Array, npt.NDArray[np.int64]]:
    """Boxes, scores and classes out of what a detector gave for one picture.

    Args:
        outputs: Arrays by name.
        size: Height and width of the picture, px.
        layout: What they are.
        known_classes: How many classes are known by name; tells YOLOv5 from YOLOv8. 0: none.

    Returns:
        N×4 px, N and N, in the order they were given, with many that overlap.

    Raises:
        ShapeError: If the arrays are not of this layout, or of none that is known.
    """
    arrays = _unbatched(outputs)
    if layout == "auto":
        layout = _guess(arrays, known_classes)
    if layout == "boxes":
        boxes, scores, classes = _read_separate(arrays)
    else:
        boxes, scores, classes = _read_single(arrays, layout, known_classes)
    if len(boxes) and np.abs(boxes).max() <= RELATIVE:
        boxes = boxes * np.array([size[1], size[0]] * 2, np.float32)
    return boxes.astype(np.float32), scores.astype(np.float32), classes.astype(np.int64)


def _guess(arrays: Mapping[str, npt.NDArray[Any]], known_classes: int) -> Layout:
    if len(arrays) > 1:
        return "boxes"
    (array,) = arrays.values()
    if array.ndim != 2:
        raise _unknown(arrays)
    if array.shape[1] == ROW and known_classes != 2:
        return "rows"
    channels = min(array.shape)
    return "yolo-objectness" if known_classes and channels == 5 + known_classes else "yolo"


def _read_single(
    arrays: Mapping[str, npt.NDArray[Any]], layout: Layout, known_classes: int
) -> tuple[Array, Array, npt.NDArray[Any]]:
    array = next(iter(arrays.values()))
    if len(arrays) > 1 or array.ndim != 2:
        raise _unknown(arrays)
    if layout == "rows":
        if array.shape[1] != ROW:
            raise _unknown(arrays)
        return array[:, :4], array[:, 4], array[:, 5].round()
    first = 5 if layout == "yolo-objectness" else 4
    # There are far more places than channels, unless the classes are known to say otherwise.
    wanted = first + known_classes if known_classes else min(array.shape)
    rows = array if array.shape[1] == wanted else array.T
    if rows.shape[1] <= first:
        raise _unknown(arrays)
    scores = rows[:, first:] * (rows[:, 4:5] if layout == "yolo-objectness" else 1)
    half = rows[:, 2:4] / 2
    boxes = np.concatenate([rows[:, :2] - half, rows[:, :2] + half], 1)
    return boxes, scores.max(1), scores.argmax(1)


def _read_separate(
    arrays: Mapping[str, npt.NDArray[Any]],
) -> tuple[Array, Array, npt.NDArray[Any]]:
    """Boxes are the array of rows of four; then names tell, or that classes are whole numbers."""
    rest = dict(arrays)
    box_names = [n for n, a in rest.items() if a.ndim == 2 and a.shape[1] == 4]
    by_name = [n for n in box_names if "box" in n.lower()]
    if not box_names:
        raise _unknown(arrays)
    boxes = rest.pop((by_name or box_names)[0])
    others = {n: a for n, a in rest.items() if a.ndim in (1, 2) and len(a) == len(boxes)}
    classes_name = _first_named(others, ("label", "class", "cls"), whole=True)
    scores_name = _first_named(
        {n: a for n, a in others.items() if n != classes_name}, ("score", "conf", "prob")
    )
    if scores_name is None:
        raise _unknown(arrays)
    scores = others[scores_name]
    if scores.ndim == 2:
        return boxes, scores.max(1), scores.argmax(1)
    classes = others[classes_name] if classes_name else np.zeros(len(boxes))
    return boxes, scores, classes.round()


def _first_named(
    arrays: Mapping[str, npt.NDArray[Any]], words: Sequence[str], *, whole: bool = False
) -> str | None:
    """The array one of these words names; else one of whole numbers, or else any of one axis."""
    for name, array in arrays.items():
        if any(word in name.lower() for word in words) and (not whole or array.ndim == 1):
            return name
    for name, array in arrays.items():
        if not whole or (array.ndim == 1 and np.issubdtype(array.dtype, np.integer)):
            return name
    return None


def _unbatched(arrays: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
    """Without the axis of one image, if the arrays have it: then one of them has three axes."""
    is_batched = any(array.ndim == 3 and len(array) == 1 for array in arrays.values())
    return {
        name: array[0] if is_batched and array.ndim > 1 and len(array) == 1 else array
        for name, array in arrays.items()
    }


def _unknown(arrays: Mapping[str, npt.NDArray[Any]]) -> ShapeError:
    shapes = ", ".join(f"{name} {tuple(array.shape)}" for name, array in arrays.items())
    return ShapeError(
        f"the detector's outputs are of no known layout: {shapes}; expected boxes N×4 with scores "
        "N, or one array of N×6, 1×(4+C)×N or 1×N×(5+C); name the layout in OnnxConfig"
    )


def _suppress_by_class(found: Detections, overlap: float) -> npt.NDArray[np.intp]:
    """Suppression within each class; best score first."""
    if overlap >= 1 or not len(found):
        return np.arange(len(found))
    # Boxes of different classes are moved so far apart that they do not meet.
    apart = found.boxes + (found.classes[:, None] * (found.boxes.max() + 1)).astype(np.float32)
    return suppress(apart, found.scores, overlap)


def _open(path: Path, threads: int) -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise OptionError(
            f"running {path.name} needs onnxruntime; pip install rotomask[onnx]"
        ) from error
    if not path.is_file():
        raise WeightsError(f"no detector at {path}: it is missing or not a file")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    try:
        return onnxruntime.InferenceSession(
            str(path), options, providers=onnxruntime.get_available_providers()
        )
    except Exception as error:  # its own exceptions share no base but this
        raise WeightsError(
            f"{path} is damaged or not an ONNX file: {str(error).splitlines()[0]}"
        ) from error


def _describe_input(inputs: Sequence[Any], path: Path, size: int) -> Input:
    shape = list(inputs[0].shape) if len(inputs) == 1 else []
    batched = len(shape) == 4
    image = shape[1:] if batched else shape
    channels_first = len(image) == 3 and image[0] == 3
    if len(image) != 3 or 3 not in (image[0], image[2]) or inputs[0].type not in DTYPES:
        found = ", ".join(f"{i.name} {i.shape} {i.type}" for i in inputs)
        raise WeightsError(
            f"{path} must take one image 1×3×H×W or 1×H×W×3, float or uint8; it takes {found}"
        )
    sides = image[1:] if channels_first else image[:2]
    height, width = (side if isinstance(side, int) else size for side in sides)
    return Input(inputs[0].name, (height, width), channels_first, batched, DTYPES[inputs[0].type])


def _names(text: str) -> dict[int, str]:
    """Names by number, as Ultralytics writes them into its files: a Python dict."""
    try:
        stored = ast.literal_eval(text) if text else {}
    except (ValueError, SyntaxError):
        return {}
    if isinstance(stored, list):
        stored = dict(enumerate(stored))
    return {int(k): str(v) for k, v in stored.items()} if isinstance(stored, dict) else {}
