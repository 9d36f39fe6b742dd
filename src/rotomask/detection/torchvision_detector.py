"""Detectors of torchvision (Faster R-CNN and others), and any module with the same interface."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from rotomask.arrays import Frame, check_frame
from rotomask.detection.detector import Detections, Detector, clean_detections
from rotomask.errors import OptionError, ShapeError, WeightsError
from rotomask.networks.checkpoints import load_state
from rotomask.networks.precision import Runtime, choose_runtime

Model = Callable[[list[Tensor]], Sequence[Mapping[str, Tensor]]]
"""RGB images 3×H×W float32, 0..1, of any sizes -> for each image a dict of ``boxes`` N×4 px,
``labels`` N and ``scores`` N."""

OUTPUT_KEYS = ("boxes", "labels", "scores")


class TorchvisionDetector(Detector):
    """A detector that runs a model with torchvision's detection interface.

    Args:
        model: The model. A module is set to evaluation mode and moved to the device.
        class_names: Names by label; in torchvision label 0 is the background.
        least_score: Least score of a detection.
        most: Largest number of detections in a frame.
        runtime: Device; the precision is ignored, the model runs in float32.

    Example:
        >>> import torch
        >>> def one_box(images):
        ...     box = torch.tensor([[2.0, 3.0, 9.0, 8.0]])
        ...     return [{"boxes": box, "labels": torch.tensor([17]), "scores": torch.tensor([0.9])}]
        >>> detector = TorchvisionDetector(one_box, {17: "cat"})
        >>> detector.detect(np.zeros((16, 16, 3), np.uint8)).boxes.tolist()
        [[2.0, 3.0, 9.0, 8.0]]
    """

    def __init__(
        self,
        model: Model | nn.Module,
        class_names: Mapping[int, str] | None = None,
        *,
        least_score: float = 0.3,
        most: int = 50,
        runtime: Runtime | None = None,
    ) -> None:
        self.runtime = runtime or choose_runtime()
        if isinstance(model, nn.Module):
            model = model.to(self.runtime.device).eval().requires_grad_(False)
        self.model: Model = model
        self.class_names = dict(class_names or {})
        self.least_score, self.most = least_score, most

    def __repr__(self) -> str:
        """The model's kind."""
        return f"{type(self.model).__name__} on {self.runtime.device}"

    def detect(self, frame: Frame) -> Detections:
        """The objects in a frame; see `Detector.detect`.

        Raises:
            ShapeError: If `frame` is not a frame, or the model's output is not torchvision's.
        """
        check_frame(frame)
        image = (
            torch.tensor(np.ascontiguousarray(frame), device=self.runtime.device)
            .permute(2, 0, 1)
            .float()
            / 255
        )
        with torch.inference_mode():
            output = self._check_output(self.model([image]))
        boxes, labels, scores = (output[k].detach().float().cpu().numpy() for k in OUTPUT_KEYS)
        return clean_detections(
            boxes,
            scores,
            labels.astype(np.int64),
            size=(frame.shape[0], frame.shape[1]),
            least_score=self.least_score,
            most=self.most,
        )

    def _check_output(self, output: Any) -> Mapping[str, Tensor]:
        """The output for the only image of the batch, or `ShapeError` if it has another form."""
        expected = (
            "for one image a detector must return a list of one dict with "
            f"{', '.join(OUTPUT_KEYS)} (N×4, N, N)"
        )
        is_one = isinstance(output, Sequence) and len(output) == 1
        if not is_one or not isinstance(output[0], Mapping):
            raise ShapeError(f"{expected}, got {type(output).__name__}")
        missing = [key for key in OUTPUT_KEYS if not isinstance(output[0].get(key), Tensor)]
        if missing:
            raise ShapeError(f"{expected}; {missing[0]} is missing")
        shapes = [tuple(output[0][key].shape) for key in OUTPUT_KEYS]
        count = len(output[0]["scores"])
        if shapes != [(count, 4), (count,), (count,)]:
            raise ShapeError(f"{expected}, got {', '.join(map(str, shapes))}")
        return output[0]


def load_torchvision(
    name: str, weights: Path | None = None, runtime: Runtime | None = None
) -> TorchvisionDetector:
    """A detection model of the installed torchvision.

    Args:
        name: Name for `torchvision.models.get_model`, such as fasterrcnn_resnet50_fpn.
        weights: A checkpoint of the model; None: its default weights, which torchvision downloads.
        runtime: Device.

    Raises:
        OptionError: If torchvision cannot be imported or has no such model.
        WeightsError: If the checkpoint belongs to another model.
    """
    try:
        from torchvision import models
    except Exception as error:  # a build for another torch raises anything while it is imported
        raise OptionError(
            f"torchvision:{name} needs torchvision, which cannot be imported "
            f"({type(error).__name__}: {error}); install the build that matches your torch"
        ) from error
    try:
        kind = models.get_model_weights(name).DEFAULT
        if weights is None:
            model = models.get_model(name, weights=kind)
        else:
            model = models.get_model(name, weights=None, weights_backbone=None)
    except (ValueError, TypeError) as error:
        raise OptionError(f"torchvision has no detector {name!r}: {error}") from error
    if weights is not None:
        try:
            model.load_state_dict(load_state(weights))
        except RuntimeError as error:
            first = str(error).splitlines()[0]
            raise WeightsError(f"{weights} is not a checkpoint of {name}: {first}") from error
    names = kind.meta.get("categories", [])
    return TorchvisionDetector(model, dict(enumerate(names)), runtime=runtime)
