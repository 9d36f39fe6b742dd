"""One-shot segmentation: an appearance network fine-tuned on the annotated frame.

Caelles et al. 2017 (OSVOS), sec. 3: a parent network trained to segment objects in general is
fine-tuned on one frame to segment the annotated one; then every frame is segmented independently.
Each object has a fine-tuned network of its own; their probabilities are merged.

For `OneShotLite` the encoder is frozen, and augmented views of the annotated frame (flipped,
rotated, scaled) are encoded once: an iteration is a pass through the decoder alone. For `OSVOS` the
whole network is fine-tuned, with a learning rate per layer.
"""

import copy
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol

import cv2
import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rotomask.arrays import Frame, Mask, Probabilities
from rotomask.errors import OptionError
from rotomask.networks.averaging import keep_weights
from rotomask.networks.layers.aggregation import aggregate_in_bands
from rotomask.networks.losses import foreground_loss
from rotomask.networks.osvos import SideLogits
from rotomask.networks.precision import Runtime
from rotomask.networks.sizing import nearest_multiples
from rotomask.segmenters.base import OnLearning
from rotomask.segmenters.framing import overwrite
from rotomask.segmenters.network_segmenter import NetworkSegmenter, ProcessingConfig

STRIDE = 32
"""Sides of the network's input are multiples of this, px."""


@dataclass(frozen=True, kw_only=True)
class FineTuningConfig(ProcessingConfig):
    """Settings of fine-tuning and of running the network."""

    scale: float = 1.0
    """Factor on the processing size, to test at several scales."""
    iterations: int = 400
    """Fine-tuning iterations per object."""
    seconds: float | None = None
    """Time limit of fine-tuning on a frame, shared by its objects, in addition to the limit on
    iterations."""
    optimiser: Literal["adam", "sgd"] = "adam"
    learning_rate: float = 5e-4
    """Learning rate; a network may scale it by layer. SGD has momentum 0.9."""
    views: int = 20
    """Number of views of the annotated frame to train on, the frame itself among them."""
    batch: int = 2
    """Views per iteration."""
    rotation_deg: float = 30.0
    """Maximum rotation of a view (OSVOS: 30)."""
    view_scales: tuple[float, float] = (0.5, 1.6)
    """Minimum and maximum scale of a view (OSVOS: 0.75 to 1.25): objects come near and go away."""
    balanced: bool = False
    """Weight object and background alike in the cross-entropy (OSVOS, eq. 2), whatever their areas;
    the masks then come out too large."""
    dice: float = 1.0
    """Weight of the Dice loss."""
    kept: float = 0.0
    """Share of the parent's weights in those that are used, 0 to below 1: fine-tuned ones know the
    frame better, a mean of both also what changes its looks (Wortsman et al. 2022)."""
    side_weight: float = 0.0
    """Weight of the side outputs' losses (deep supervision)."""
    seed: int = 0
    """Seed of the views and of their order."""

    def __post_init__(self) -> None:
        if self.iterations < 0 or self.views < 1 or self.batch < 1:
            raise OptionError(
                "fine-tuning needs 0 iterations or more, 1 view or more and 1 view a batch or "
                f"more, got {self.iterations}, {self.views} and {self.batch}"
            )
        if not 0 <= self.kept < 1:
            raise OptionError(f"fine-tuning keeps a share from 0 to below 1, got {self.kept}")
        if self.seconds is not None and not 0 < self.seconds < math.inf:
            raise OptionError(
                f"the budget of fine-tuning must be above 0 s, got {self.seconds}; use None for no "
                "limit"
            )


OSVOS_FINE_TUNING = FineTuningConfig(
    size=480,
    iterations=500,
    batch=1,
    optimiser="sgd",
    learning_rate=4e-3,
    view_scales=(0.75, 1.25),
    balanced=True,
    dice=0.0,
)
"""The authors' settings. Their rate of 1e-8 is for a sum over a frame's 410,000 pixels; ours is for
a mean."""

OSVOS_SLIM_FINE_TUNING = replace(
    OSVOS_FINE_TUNING,
    size=320,
    iterations=100,
    optimiser="adam",
    learning_rate=2e-4,
    views=30,
    view_scales=(0.5, 1.6),
    dice=1.0,
    kept=0.2,
)
"""Settings of `osvos-slim`, chosen on the held-out sequences (docs/papers/one-shot.md)."""


class TrainablePart(Protocol):
    """Part of a one-shot network that is fine-tuned; every object has a copy."""

    def __call__(self, prepared: Any) -> SideLogits:
        """Foreground logits of prepared images."""

    def parameter_groups(self, rate: float) -> list[dict[str, Any]]:
        """Parameter groups with their learning rates, for an optimiser."""

    def parameters(self) -> Iterator[nn.Parameter]:
        """See `torch.nn.Module`."""

    def train(self, mode: bool = True) -> Any:
        """See `torch.nn.Module`."""

    def eval(self) -> Any:
        """See `torch.nn.Module`."""

    def requires_grad_(self, requires_grad: bool = True) -> Any:
        """See `torch.nn.Module`."""


class OneShotNetwork(Protocol):
    """Interface of the networks that the segmenter runs: `OneShotLite` and `OSVOS`."""

    def trainable_part(self) -> TrainablePart:
        """Part that is fine-tuned."""

    def prepare(self, image: Tensor) -> Any:
        """Input of the trainable part for RGB images B×3×H×W, 0..1."""


@dataclass
class _Object:
    """An object's fine-tuned part of the network, and its training examples."""

    tuned: TrainablePart
    """Copy of the network's trainable part."""
    examples: list[tuple[Tensor, Tensor]] = field(default_factory=list)
    """Annotated frames 1×3×H×W and masks 1×1×H×W at processing size."""


class FineTunedSegmenter(NetworkSegmenter[OneShotNetwork, FineTuningConfig]):
    """Segments each object with a network fine-tuned on the frames annotated so far.

    Starting again from the same frame and mask does not fine-tune again, because a job that runs
    forwards and backwards from a frame starts there twice.
    """

    default_config = FineTuningConfig()
    is_memoryless = True

    def __init__(
        self,
        network: nn.Module,
        config: FineTuningConfig | None = None,
        runtime: Runtime | None = None,
    ) -> None:
        super().__init__(network, config, runtime)
        self._on_learning: OnLearning | None = None
        self._objects: dict[int, _Object] = {}
        self._reference: tuple[Frame, Mask] | None = None

    def working_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """Height and width at which frames of a size are processed: multiples of 32 px."""
        return nearest_multiples(self._reduced_or_enlarged(size, self.config.scale), STRIDE)

    def report_learning(self, on_learning: OnLearning | None) -> None:
        """Set the callback with which `start` and `add` report progress in fine-tuning."""
        self._on_learning = on_learning

    def _start(self, frame: Frame, mask: Mask) -> None:
        if self._is_reference(frame, mask):
            return
        self._objects, self._reference = {}, None
        for number, k in enumerate(self._ids):
            self._learn(k, frame, mask == k, (number, len(self._ids)))
        # Copies: a caller may reuse its arrays for the next frame.
        self._reference = (frame.copy(), mask.copy())

    def _step(self, frame: Frame) -> Probabilities:
        """As `step`; the output does not depend on earlier frames."""
        with self.runtime.inference():
            # The part that all objects share runs once; each adds a row 1×H×W.
            prepared = self.network.prepare(self._image(frame))
            joint: Tensor | None = None  # O+1×H×W; merged in place, so that many objects fit
            for row, own in enumerate(self._objects.values(), start=1):
                logits = own.tuned(prepared).fused[:, 0]  # 1×H×W
                if joint is None:
                    shape = (1 + len(self._objects), *logits.shape[1:])
                    joint = torch.empty(shape, device=logits.device)
                joint[row] = torch.sigmoid(logits[0].float())
            assert joint is not None  # there is an object
            return self._output(aggregate_in_bands(joint, self.config.aggregation))

    def _add(self, frame: Frame, mask: Mask, given: tuple[int, ...]) -> Probabilities:
        """As `add`; the given objects are fine-tuned on this frame too."""
        before = self._ids
        # By the networks as they were; nothing to segment if all objects are given.
        segmented = self._step(frame) if set(before) - set(given) else None
        self._reference = None
        for number, k in enumerate(given):
            self._learn(k, frame, mask == k, (number, len(given)))
        self._admit(given)
        full = np.zeros((1 + len(self._ids), *self._size), np.float32)
        if segmented is None:
            full[0] = 1
        else:
            full[: len(segmented)] = segmented
            # The given objects' own segmentation becomes background, so that each pixel still sums
            # to 1; `overwrite` then draws their mask.
            replaced = [1 + before.index(k) for k in given if k in before]
            full[0] += full[replaced].sum(0)
            full[replaced] = 0
        overwrite(full, mask, self._ids, given)
        return full

    def _observe(self, frame: Frame, mask: Mask) -> None:
        """Do nothing: frames are segmented independently."""

    def _is_reference(self, frame: Frame, mask: Mask) -> bool:
        """True if the objects were fine-tuned on this frame and mask, and on nothing else since."""
        if self._reference is None:
            return False
        reference_frame, reference_mask = self._reference
        return np.array_equal(reference_frame, frame) and np.array_equal(reference_mask, mask)

    def _learn(
        self, object_id: int, frame: Frame, mask: npt.NDArray[np.bool_], turn: tuple[int, int]
    ) -> None:
        """Fine-tune an object's network on an annotated frame and on its earlier examples.

        Args:
            object_id: Id of the object, followed already or new.
            frame: The annotated frame.
            mask: H×W, True in the object.
            turn: Position of the object among those to fine-tune, and their number, to divide the
                time limit and report progress.
        """
        if object_id not in self._objects:
            # A copy of the parent's weights for each object, as in OSVOS: objects are learned
            # apart.
            self._objects[object_id] = _Object(copy.deepcopy(self.network.trainable_part()))
        owner = self._objects[object_id]
        owner.examples.append((self._shared_image(frame), self._mask(mask)))
        config, (number, count) = self.config, turn
        if config.seconds is not None:
            config = replace(config, seconds=config.seconds / count)

        def report(fraction: float) -> None:
            if self._on_learning is not None:
                self._on_learning((number + fraction) / count)

        examples = owner.examples
        fine_tune(self.network, owner.tuned, examples, config, self.runtime, on_learning=report)

    def _shared_image(self, frame: Frame) -> Tensor:
        """As `_image`; the objects of an annotated frame share one tensor."""
        image = self._image(frame)
        # Two objects that are annotated in one frame hold its image once.
        for other in (example for own in self._objects.values() for example in own.examples):
            if other[0].shape == image.shape and torch.equal(other[0], image):
                return other[0]
        return image

    def _image(self, frame: Frame) -> Tensor:
        """Frame as the network's input, 1×3×H×W, 0..1, at processing size."""
        height, width = self.working_size(self._size)
        if frame.shape[:2] != (height, width):
            shrinks = height < frame.shape[0]
            method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
            frame = np.asarray(cv2.resize(frame, (width, height), interpolation=method), np.uint8)
        image = (
            torch.tensor(np.ascontiguousarray(frame), device=self.runtime.device)
            .permute(2, 0, 1)[None]
            .float()
            / 255
        )
        return image.contiguous(memory_format=torch.channels_last)

    def _mask(self, mask: npt.NDArray[np.bool_]) -> Tensor:
        """Mask of an object at processing size, 1×1×H×W float, 0 or 1."""
        height, width = self.working_size(self._size)
        # Averaged over areas, then thresholded: nearest-neighbour sampling would drop thin parts.
        soft = cv2.resize(mask.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)
        hard = torch.from_numpy(np.asarray(soft)) >= 0.5
        return hard.float()[None, None].to(self.runtime.device)

    def _output(self, probabilities: Tensor) -> Probabilities:
        """Probabilities O+1×H×W at the video's size, from those at processing size."""
        if probabilities.shape[-2:] != self._size:
            probabilities = F.interpolate(
                probabilities[None], self._size, mode="bilinear", align_corners=False
            )[0]
        return probabilities.float().cpu().numpy()


def fine_tune(
    network: OneShotNetwork,
    tuned: TrainablePart,
    examples: Sequence[tuple[Tensor, Tensor]],
    config: FineTuningConfig,
    runtime: Runtime,
    *,
    on_learning: OnLearning | None = None,
) -> int:
    """Train an object's part of a network on annotated frames and augmented views of them.

    Args:
        network: Parent network; not changed.
        tuned: Copy of the network's trainable part; trained in place.
        examples: Frames 1×3×H×W, 0..1, and their masks 1×1×H×W, 0 or 1.
        config: Settings of fine-tuning.
        runtime: Device and precision.
        on_learning: Called with the fraction done, of iterations or of time, whichever is larger.

    Returns:
        Number of iterations done.
    """
    # Its own generator: the same frame and mask give the same network, whatever ran before.
    generator = torch.Generator().manual_seed(config.seed)
    views = [v for frame, mask in examples for v in make_views(frame, mask, config, generator)]
    with torch.no_grad(), runtime.autocast():
        prepared = [network.prepare(view) for view, _ in views]  # once: this part is not trained
    tuned.train().requires_grad_(True)
    optimiser = _optimiser(tuned, config)
    start_time = time.perf_counter()
    done = 0
    while done < config.iterations:
        progress = done / config.iterations
        if config.seconds is not None:
            progress = max(progress, (time.perf_counter() - start_time) / config.seconds)
            if progress >= 1:
                break
        # The rate decays with the progress, so that it ends low under a time limit too.
        # A floor of 5 %, or the last iterations would learn nothing.
        for group in optimiser.param_groups:
            group["lr"] = group["initial_lr"] * max(0.05, 1 - progress)
        batch = torch.randint(len(views), (config.batch,), generator=generator).tolist()
        # Gradients are accumulated view by view, so that RAM does not grow with the batch.
        for i in batch:
            with runtime.autocast():
                logits = tuned(prepared[i])
            truth = views[i][1]
            loss = foreground_loss(logits.fused, truth, config.dice, balanced=config.balanced)
            for side in logits.sides if config.side_weight > 0 else ():
                side_loss = foreground_loss(side, truth, balanced=config.balanced)
                loss = loss + config.side_weight * side_loss
            # A mean over the batch, one view at a time.
            (loss / len(batch)).backward()
        optimiser.step()
        optimiser.zero_grad()
        done += 1
        if on_learning is not None:
            on_learning(max(progress, done / config.iterations))
    if config.kept > 0:
        keep_weights(tuned.parameters(), network.trainable_part().parameters(), config.kept)
    if on_learning is not None:
        on_learning(1.0)
    tuned.eval().requires_grad_(False)
    return done


def make_views(
    frame: Tensor, mask: Tensor, config: FineTuningConfig, generator: torch.Generator
) -> list[tuple[Tensor, Tensor]]:
    """Views of a frame, flipped, rotated and scaled at random, with their masks.

    Args:
        frame: 1×3×H×W.
        mask: 1×1×H×W, 0 or 1.
        config: Number of views, and the limits of rotation and scale.
        generator: Source of every random draw.

    Returns:
        Pairs of the same shapes; the first is the frame itself with its mask.
    """
    height, width = frame.shape[-2:]
    views = [(frame, mask)]
    for number in range(1, config.views):
        low, high = config.view_scales
        draw = torch.rand(2, generator=generator)
        angle = (2 * draw[0] - 1) * config.rotation_deg * torch.pi / 180
        # The matrix maps output to input positions, so a view enlarged by s samples at 1/s.
        zoom = 1 / (low + (high - low) * draw[1])
        mirror = 1.0 if number % 2 else -1.0  # every second view is flipped
        cos, sin = torch.cos(angle) * zoom, torch.sin(angle) * zoom
        # Grid coordinates run from -1 to 1 along both sides, whatever their length. Without the
        # aspect ratio in the off-diagonal terms, a rotation would shear a frame that is not square.
        aspect = height / width
        matrix = torch.stack(
            [
                mirror * cos,
                -sin * aspect,
                torch.zeros(()),
                mirror * sin / aspect,
                cos,
                torch.zeros(()),
            ]
        ).view(1, 2, 3)  # six numbers, row by row, as the 2×3 matrix of one image
        grid = F.affine_grid(matrix, [1, 1, height, width], align_corners=False).to(frame.device)
        # Reflection for both: zeros beyond the border would teach that objects end there.
        view = F.grid_sample(frame, grid, padding_mode="reflection", align_corners=False)
        view_mask = F.grid_sample(mask, grid, padding_mode="reflection", align_corners=False)
        view = view.contiguous(memory_format=torch.channels_last)
        views.append((view, (view_mask >= 0.5).float()))
    return views


def _optimiser(tuned: TrainablePart, config: FineTuningConfig) -> torch.optim.Optimizer:
    """Optimiser of the config; each group keeps its first rate as ``initial_lr``."""
    groups = tuned.parameter_groups(config.learning_rate)
    for group in groups:
        group["initial_lr"] = group["lr"]
    if config.optimiser == "adam":
        return torch.optim.Adam(groups)
    return torch.optim.SGD(groups, momentum=0.9, weight_decay=2e-4)
