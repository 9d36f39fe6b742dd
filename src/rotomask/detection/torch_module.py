"""Detectors of torchvision (Faster R-CNN and its kin), and any module that answers as they do."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from rotomask.arrays import Frame, check_frame
from rotomask.detection.detector import Detections, Detector, tidy
from rotomask.errors import OptionError, ShapeError, WeightsError
from rotomask.networks.checkpoints import load_state
from rotomask.networks.precision import Runtime, choose_runtime

Model = Callable[[list[Tensor]], Sequence[Mapping[str, Tensor]]]
"""Images 3×H×W float32, 0..1 RGB, of any sizes -> for each ``boxes`` N×4 px, ``labels`` N and
``scores`` N."""

PARTS = ("boxes", "labels", "scores")


class TorchvisionDetector(Detector):
    """Asks a model of torchvision's detection contract.

    Args:
        model: The model. A module is put into evaluation mode and on the device.
        class_names: Names of its labels; label 0 is the background for torchvision.
        least_score: Detections below are not given.
        most: Most detections in a frame.
        runtime: Where; it computes in float32 whatever the precision.

    Example:
        >>> import torch
        >>> def finds_one(images):
        ...     box = torch.tensor([[2.0, 3.0, 9.0, 8.0]])
        ...     return [{"boxes": box, "labels": torch.tensor([17]), "scores": torch.tensor([0.9])}]
        >>> detector = TorchvisionDetector(finds_one, {17: "cat"})
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
        """The objects of a frame; see `Detector.detect`.

        Raises:
            ShapeError: If this is no frame, or the model does not answer as torchvision's do.
        """
        check_frame(frame)
        image = torch.tensor(frame, device=self.runtime.device).permute(2, 0, 1).float() / 255
        with torch.inference_mode():
            answer = self._checked(self.model([image]))
        boxes, labels, scores = (answer[part].detach().float().cpu().numpy() for part in PARTS)
        return tidy(
            boxes,
            scores,
            labels.astype(np.int64),
            size=(frame.shape[0], frame.shape[1]),
            least_score=self.least_score,
            most=self.most,
        )

    def _checked(self, answer: Any) -> Mapping[str, Tensor]:
        """The answer for the one image, if it is what the contract says."""
        expected = (
            f"a detector of torchvision's kind answers a list of one image with a list of one dict "
            f"of {', '.join(PARTS)} (N×4, N, N)"
        )
        is_one = isinstance(answer, Sequence) and len(answer) == 1
        if not is_one or not isinstance(answer[0], Mapping):
            raise ShapeError(f"{expected}, got {type(answer).__name__}")
        missing = [part for part in PARTS if not isinstance(answer[0].get(part), Tensor)]
        if missing:
            raise ShapeError(f"{expected}; {missing[0]} is missing")
        shapes = [tuple(answer[0][part].shape) for part in PARTS]
        count = len(answer[0]["scores"])
        if shapes != [(count, 4), (count,), (count,)]:
            raise ShapeError(f"{expected}, got {', '.join(map(str, shapes))}")
        return answer[0]


def load_torchvision(
    name: str, weights: Path | None = None, runtime: Runtime | None = None
) -> TorchvisionDetector:
    """A detection model of an installed torchvision.

    Args:
        name: A name that `torchvision.models.get_model` knows, such as fasterrcnn_resnet50_fpn.
        weights: A checkpoint of it; None: its default weights, which torchvision downloads.
        runtime: Where.

    Raises:
        OptionError: If torchvision is not installed or does not know the model.
        WeightsError: If the checkpoint is not the model's.
    """
    try:
        from torchvision import models
    except Exception as error:  # a build for another torch raises anything while it is imported
        raise OptionError(
            f"torchvision:{name} needs torchvision, which cannot be imported "
            f"({type(error).__name__}: {error}); install the build for your torch"
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
