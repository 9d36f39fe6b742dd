"""Detectors of other makers: a module of torchvision's contract, and ONNX files run for real."""

import importlib.util
import warnings

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from rotomask import load_detector
from rotomask.data.training.synthetic import moving_shapes
from rotomask.detection.boxes import box_iou, non_maximum_suppression
from rotomask.detection.onnx_file import OnnxConfig, OnnxDetector, read_outputs
from rotomask.detection.torchvision_detector import TorchvisionDetector
from rotomask.errors import OptionError, ShapeError, WeightsError

FRAME, LABELS = (a[0] for a in moving_shapes(3, frames=1, size=(96, 128)))


class Bright(nn.Module):
    """Finds the box around what is brighter than a threshold; torchvision's contract."""

    def __init__(self, threshold: float = 0.5) -> None:
        super().__init__()
        self.threshold = nn.Parameter(torch.tensor(threshold))

    def forward(self, images: list[Tensor]) -> list[dict[str, Tensor]]:
        answers = []
        for image in images:
            assert image.shape[0] == 3
            assert image.dtype == torch.float32
            y, x = torch.nonzero(image.mean(0) > self.threshold, as_tuple=True)
            box = torch.stack([x.min(), y.min(), x.max() + 1, y.max() + 1]).float()
            corner = torch.tensor([0.0, 0.0, 4.0, 4.0])
            answers.append(
                {
                    "boxes": torch.stack([corner, box]),
                    "labels": torch.tensor([1, 3]),
                    "scores": torch.tensor([0.4, 0.9]),
                }
            )
        return answers


def _bright_frame() -> np.ndarray:
    frame = np.full((40, 60, 3), 30, np.uint8)
    frame[10:25, 20:50] = 220
    return frame


def test_a_module_of_torchvisions_kind_detects():
    detector = TorchvisionDetector(Bright(), {3: "lamp"})
    found = detector.detect(_bright_frame())
    assert found.boxes.tolist() == [[20, 10, 50, 25], [0, 0, 4, 4]]
    assert found.classes.tolist() == [3, 1]
    assert [detector.class_name(int(c)) for c in found.classes] == ["lamp", "1"]
    assert len(TorchvisionDetector(Bright(), least_score=0.5).detect(_bright_frame())) == 1


def test_a_module_of_another_kind_is_refused():
    def answers(what):
        return TorchvisionDetector(lambda images: what)

    short = {"boxes": torch.zeros(2, 4), "labels": torch.zeros(2)}
    unlike = {**short, "scores": torch.zeros(3)}
    for what, words in (
        (torch.zeros(1), "got Tensor"),
        ([short], "scores is missing"),
        ([unlike], r"\(2,\), \(3,\)"),
    ):
        with pytest.raises(ShapeError, match=words):
            answers(what).detect(_bright_frame())


@pytest.mark.skipif(importlib.util.find_spec("torchvision") is not None, reason="it is installed")
def test_without_torchvision_its_names_say_what_to_do():
    with pytest.raises(OptionError, match="needs torchvision"):
        load_detector("torchvision:fasterrcnn_resnet50_fpn")


def test_unknown_detectors_are_named(tmp_path):
    with pytest.raises(OptionError, match="unknown detector 'yolo'"):
        load_detector("yolo")
    with pytest.raises(WeightsError, match="missing"):
        load_detector(str(tmp_path / "none.onnx"))
    (tmp_path / "bad.onnx").write_bytes(b"no model")
    with pytest.raises(WeightsError, match="not an ONNX file"):
        load_detector(str(tmp_path / "bad.onnx"))


class Places(nn.Module):
    """A small detector of the shape that YOLOv8 exports: 1×(4+C)×N of the cells of a grid."""

    stride = 8

    def __init__(self, *, objectness: bool = False, transposed: bool = False) -> None:
        super().__init__()
        self.objectness, self.transposed = objectness, transposed
        self.classify = nn.Conv2d(3, 3, self.stride, self.stride)
        assert self.classify.bias is not None
        with torch.no_grad():  # class 1 where it is bright, class 2 where it is not
            self.classify.weight.fill_(0)
            self.classify.weight[1], self.classify.weight[2] = 0.05, -0.05
            self.classify.bias.copy_(torch.tensor([-9.0, -6.0, -3.0]))

    def forward(self, image: Tensor) -> Tensor:
        scores = torch.sigmoid(self.classify(image)).flatten(2)
        h, w = image.shape[2] // self.stride, image.shape[3] // self.stride
        y, x = torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij")
        centre = (torch.stack([x, y]).flatten(1).float() + 0.5) * self.stride
        side = torch.full_like(centre, self.stride)
        parts = [torch.cat([centre, side])[None], scores]
        if self.objectness:
            parts.insert(1, torch.ones(1, 1, h * w))
        answer = torch.cat(parts, 1)
        return answer.transpose(1, 2) if self.transposed else answer


def _export(network: nn.Module, path, size=(64, 96), names=("output0",)) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network.eval(),
            (torch.rand(1, 3, *size),),
            str(path),
            input_names=["images"],
            output_names=list(names),
            dynamo=False,
        )
    return str(path)


@pytest.mark.parametrize(
    ("layout", "objectness", "transposed"),
    [("auto", False, False), ("auto", False, True), ("yolo-objectness", True, True)],
)
def test_a_yolo_file_detects(tmp_path, layout, objectness, transposed):
    network = Places(objectness=objectness, transposed=transposed)
    path = _export(network, tmp_path / "yolo.onnx")
    frame = np.zeros((128, 192, 3), np.uint8)  # twice the size that the file takes
    frame[32:48, 64:96] = 255
    config = OnnxConfig(layout=layout, least_score=0.5, threads=1)
    found = OnnxDetector(path, config=config).detect(frame)
    assert sorted(found.boxes.tolist()) == [[64, 32, 80, 48], [80, 32, 96, 48]]
    assert (found.classes == 1).all()
    assert (found.scores > 0.9).all()


class Picked(nn.Module):
    """Boxes and scores of the best cells, as exporters of finished detectors give them."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        from rotomask.networks.detector_lite import boxes_at_cells

        maps = self.network(image)
        score, place = torch.sigmoid(maps.centre).flatten(1).topk(30)
        boxes = boxes_at_cells(maps.reach, 8).flatten(1, 2)
        return boxes.gather(1, place[..., None].expand(-1, -1, 4)), score


def test_our_own_network_finds_the_same_through_onnx(tmp_path):
    from rotomask.networks.detector_lite import DetectorLite

    torch.manual_seed(0)
    network = DetectorLite().eval()
    path = _export(Picked(network), tmp_path / "own.onnx", (96, 128), ("boxes", "scores"))
    detector = OnnxDetector(path, config=OnnxConfig(least_score=0.0, threads=1))
    found = detector.detect(FRAME)
    image = torch.from_numpy(FRAME).movedim(-1, 0)[None].float() / 255
    with torch.inference_mode():
        boxes, scores = (part[0].numpy() for part in Picked(network)(image))
    boxes = boxes.clip(0, [128, 96, 128, 96])
    kept = non_maximum_suppression(boxes, scores, 0.6)
    assert len(found) == len(kept)
    assert np.abs(found.boxes - boxes[kept]).max() < 0.05
    assert np.abs(found.scores - scores[kept]).max() < 1e-4
    assert (found.classes == 0).all()


def test_a_file_that_takes_no_image_is_refused(tmp_path):
    class Pair(nn.Module):
        def forward(self, image: Tensor) -> Tensor:
            return image.mean((1, 2, 3))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = tmp_path / "flat.onnx"
        torch.onnx.export(Pair(), (torch.rand(1, 5, 8, 8),), str(path), dynamo=False)
    with pytest.raises(WeightsError, match="must take one image"):
        OnnxDetector(path)
    no_boxes = OnnxDetector(_export(Pair(), tmp_path / "mean.onnx"))
    with pytest.raises(ShapeError, match="no known layout"):
        no_boxes.detect(FRAME)


def _onnx_file(path, nodes, output_type, batch=1, sides=(64, 96)):
    """A detector of a few nodes, from the image ``images`` to the output ``out``."""
    onnx = pytest.importorskip("onnx")
    image = onnx.helper.make_tensor_value_info("images", 1, [batch, 3, *sides])
    output = onnx.helper.make_tensor_value_info("out", output_type, None)
    graph = onnx.helper.make_graph(nodes(onnx.helper), "g", [image], [output])
    opset = onnx.helper.make_opsetid("", 15)
    model = onnx.helper.make_model(graph, opset_imports=[opset], ir_version=8)
    path.write_bytes(model.SerializeToString())
    return path


def _flat(helper):
    return [helper.make_node("Flatten", ["images"], ["out"])]


def _failing(helper):
    shape = helper.make_tensor("shape", 7, [1], [7])
    return [
        helper.make_node("Constant", [], ["shape"], value=shape),
        helper.make_node("Reshape", ["images", "shape"], ["out"]),
    ]


def _text(helper):
    value = helper.make_tensor("v", 8, [2], [b"cat", b"dog"])
    return [helper.make_node("Constant", [], ["out"], value=value)]


@pytest.mark.parametrize(
    ("batch", "sides", "message"),
    [
        (1, (60000, 60000), "takes images of 60000x60000; sides must be 1 to 4096 px"),
        (4, (64, 96), "takes 4 images at a time"),
    ],
)
def test_an_input_that_no_frame_fits_is_refused(tmp_path, batch, sides, message):
    path = _onnx_file(tmp_path / "a.onnx", _flat, 1, batch, sides)
    with pytest.raises(WeightsError, match=message):
        OnnxDetector(path)


def test_a_failing_network_and_text_as_output_are_one_clear_error(tmp_path):
    with pytest.raises(WeightsError, match=r"a\.onnx failed on a frame: [^\n]*$"):
        OnnxDetector(_onnx_file(tmp_path / "a.onnx", _failing, 1)).detect(FRAME)
    with pytest.raises(ShapeError, match="no known layout: out"):
        OnnxDetector(_onnx_file(tmp_path / "b.onnx", _text, 8)).detect(FRAME)


def test_text_beside_numbers_is_ignored_and_undefined_scores_count_as_none():
    scores = np.array([0.9, np.nan, np.inf], np.float32)
    outputs = {"boxes": BOXES, "scores": scores, "names": np.array(["cat", "dog", "cat"])}
    assert read_outputs(outputs, (64, 96))[1].tolist() == pytest.approx([0.9, 0, 0])


BOXES = np.array([[10, 20, 30, 60], [5, 5, 15, 15], [0, 0, 4, 4]], np.float32)
SCORES = np.array([0.9, 0.6, 0.2], np.float32)
CLASSES = np.array([2, 0, 1])


def test_outputs_of_every_kind_say_the_same():
    size = (80, 100)
    relative = BOXES / [100, 80, 100, 80]
    per_class = np.zeros((3, 3), np.float32)
    per_class[[0, 1, 2], CLASSES] = SCORES
    rows = np.concatenate([BOXES, SCORES[:, None], CLASSES[:, None]], 1).astype(np.float32)
    centres = np.concatenate([(BOXES[:, :2] + BOXES[:, 2:]) / 2, BOXES[:, 2:] - BOXES[:, :2]], 1)
    dense = np.concatenate([centres, per_class], 1).astype(np.float32)
    many = np.concatenate([dense, np.zeros((20, 7), np.float32)])
    kinds = {
        "torchvision": {"boxes": BOXES, "labels": CLASSES, "scores": SCORES},
        "without names": {"1": BOXES, "2": CLASSES, "3": SCORES},
        "batched, whole classes as floats": {
            "detection_boxes": BOXES[None],
            "detection_scores": SCORES[None],
            "detection_classes": CLASSES[None].astype(np.float32),
            "num_detections": np.array([3.0], np.float32),
        },
        "scores by class": {"boxes": BOXES[None], "scores": per_class[None]},
        "parts of the picture": {"boxes": relative, "labels": CLASSES, "scores": SCORES},
        "rows": {"output0": rows[None]},
        "dense": {"output0": many.T[None]},
        "dense, transposed": {"output0": many[None]},
    }
    for kind, outputs in kinds.items():
        boxes, scores, classes = read_outputs(outputs, size)
        assert np.allclose(boxes[:3], BOXES, atol=1e-3), kind
        assert np.allclose(scores[:3], SCORES), kind
        assert classes[:3].tolist() == CLASSES.tolist(), kind
        assert (scores[3:] == 0).all()


def test_known_classes_tell_objectness_from_a_class():
    rng = np.random.default_rng(0)
    array = rng.random((1, 40, 8)).astype(np.float32) * [50, 50, 9, 9, 1, 1, 1, 1]
    _, with_objectness, _ = read_outputs({"o": array}, (80, 80), class_count=3)
    _, without, _ = read_outputs({"o": array}, (80, 80), class_count=4)
    assert np.allclose(with_objectness, array[0, :, 5:].max(1) * array[0, :, 4])
    assert np.allclose(without, array[0, :, 4:].max(1))


def test_an_unknown_layout_is_refused():
    with pytest.raises(OptionError, match="unknown layout"):
        OnnxConfig(layout="ssd")  # type: ignore[arg-type]
    with pytest.raises(ShapeError, match="no known layout"):
        read_outputs({"o": np.zeros((1, 5, 6))}, (8, 8), "boxes")


def test_classes_do_not_suppress_each_other(tmp_path):
    class Two(nn.Module):
        """The same box for two classes, and once more for the first."""

        def forward(self, image: Tensor) -> Tensor:
            row = torch.tensor([[10.0, 10, 30, 30]]).repeat(3, 1) + 0 * image.mean()
            rest = torch.tensor([[0.9, 0], [0.8, 1], [0.7, 0]])
            return torch.cat([row, rest], 1)[None]

    path = _export(Two(), tmp_path / "rows.onnx")
    found = OnnxDetector(path).detect(np.zeros((64, 96, 3), np.uint8))
    assert found.classes.tolist() == [0, 1]
    assert np.allclose(box_iou(found.boxes, found.boxes), 1)
