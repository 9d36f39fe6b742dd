"""One-shot segmentation: an appearance network fine-tuned on the annotated frame.

Caelles et al. 2017 (OSVOS), sec. 3: a parent network that knows what objects look like learns from
one frame which object is meant; then every frame is segmented by itself. Several objects are
several fine-tuned networks whose probabilities are merged.

For `OneShotLite` the encoder stays as it is, and views of the annotated frame (mirrored, turned,
resized) are encoded once: an iteration is a pass through the decoder alone. For `OSVOS` the whole
network is fine-tuned, with the layers' own learning rates.
"""

import copy
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import cv2
import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rotomask.arrays import Frame, Mask, Probabilities, check_frame, check_mask
from rotomask.errors import MaskError, OptionError, RotomaskError
from rotomask.networks.layers.aggregation import Aggregation, aggregate
from rotomask.networks.oneshot_lite import OneShotLite
from rotomask.networks.osvos import OSVOS, SideLogits, preprocess
from rotomask.networks.precision import Runtime, choose_runtime
from rotomask.networks.sizing import working_size
from rotomask.segmenters.base import OnLearning, Segmenter
from rotomask.segmenters.framing import ids_in, put_known


@dataclass(frozen=True, kw_only=True)
class FineTuningConfig:
    """How a network is fine-tuned, and run."""

    size: int | None = 480
    """Short side at which frames are processed, px; smaller ones are left. None: their own size."""
    enlarge: bool = False
    """Whether smaller frames are enlarged to it."""
    scale: float = 1.0
    """Factor on the processing size, to test at several scales."""
    iterations: int = 400
    """Of fine-tuning, an object."""
    seconds: float | None = None
    """Budget of fine-tuning a video's first frame, shared by its objects; it ends with this or with
    the iterations, whichever comes first."""
    optimiser: Literal["adam", "sgd"] = "adam"
    learning_rate: float = 5e-4
    """Of the light network's decoder. SGD has momentum 0.9."""
    views: int = 20
    """Augmented views of the annotated frame that are fine-tuned on, itself among them."""
    batch: int = 2
    """Views an iteration."""
    rotation_deg: float = 30.0
    """Views are turned by up to so much (OSVOS: 30)."""
    view_scales: tuple[float, float] = (0.75, 1.25)
    """Views are resized by these factors (OSVOS: 0.75 to 1.25)."""
    side_weight: float = 0.0
    """Weight of the side outputs' losses: deep supervision."""
    aggregation: Aggregation = "soft"
    """How the objects' probabilities are merged."""
    seed: int = 0

    def __post_init__(self) -> None:
        if self.iterations < 0 or self.views < 1 or self.batch < 1:
            raise OptionError(
                "fine-tuning needs 0 iterations or more, 1 view or more and 1 view a batch or "
                f"more, got {self.iterations}, {self.views} and {self.batch}"
            )
        if self.seconds is not None and self.seconds <= 0:
            raise OptionError(f"the budget of fine-tuning must be above 0 s, got {self.seconds}")


OSVOS_FINE_TUNING = FineTuningConfig(
    size=480, iterations=500, batch=1, optimiser="sgd", learning_rate=4e-3
)
"""As the authors fine-tune: their rate of 1e-8 is for the sum over a frame's 410,000 pixels."""


@dataclass
class _Object:
    """An object's own part of the network, and what it was fine-tuned on."""

    tuned: nn.Module
    examples: list[tuple[Tensor, Tensor]] = field(default_factory=list)
    """Annotated frames 1×3×H×W and masks 1×1×H×W at processing size."""


class FineTunedSegmenter(Segmenter):
    """Follows objects by what the network learned of them from the frames annotated so far."""

    def __init__(
        self,
        network: nn.Module,
        config: FineTuningConfig | None = None,
        runtime: Runtime | None = None,
    ) -> None:
        assert isinstance(network, OneShotLite | OSVOS)
        self.config = config or FineTuningConfig()
        self.runtime = runtime or choose_runtime()
        network.to(self.runtime.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.network = network.eval().requires_grad_(False)
        self._on_learning: OnLearning | None = None
        self._objects: dict[int, _Object] = {}
        self._size = (0, 0)
        self._reference: tuple[Frame, Mask] | None = None

    def __repr__(self) -> str:
        """Network, device, precision and settings."""
        name, runtime = type(self.network).__name__, self.runtime
        return f"{name} on {runtime.device}, {runtime.precision}, {self.config}"

    @property
    def object_ids(self) -> tuple[int, ...]:
        """Ids of the objects being followed, in the order of the probabilities' rows 1.. ."""
        return tuple(self._objects)

    def start(self, frame: Frame, mask: Mask) -> None:
        """Forget everything and fine-tune on this frame and its mask, for each object.

        What was learned from the very same frame is kept: a job that goes on from it in both
        directions of time starts twice.
        """
        check_frame(frame)
        check_mask(mask, frame)
        ids = ids_in(mask)
        if not ids:
            raise MaskError("the reference mask is empty; mark at least one object in it")
        if self._is_reference(frame, mask):
            return
        self._size = (frame.shape[0], frame.shape[1])
        self._objects, self._reference = {}, None
        for number, k in enumerate(ids):
            self._learn(k, frame, mask == k, (number, len(ids)))
        self._reference = (frame.copy(), mask.copy())

    def step(self, frame: Frame) -> Probabilities:
        """Segment a frame; those before it do not matter."""
        if not self._objects:
            raise RotomaskError("start() the segmenter with an annotated frame first")
        check_frame(frame, self._size)
        with self.runtime.inference():
            image = self._image(frame)
            logits = torch.cat([o[:, 0] for o in self._logits(image)])
            probabilities = aggregate(torch.sigmoid(logits.float()), self.config.aggregation)
            return self._output(probabilities)

    def add(
        self, frame: Frame, mask: Mask, object_ids: Sequence[int] | None = None
    ) -> Probabilities:
        """Segment the next frame knowing part of its mask; fine-tune on that part too."""
        if not self._objects:
            raise RotomaskError("start() the segmenter with an annotated frame first")
        check_frame(frame, self._size)
        check_mask(mask, frame)
        known = tuple(object_ids) if object_ids is not None else ids_in(mask)
        if not known:
            raise MaskError("the added mask is empty; name the object ids that are absent, or step")
        before = self.object_ids
        others = self.step(frame) if set(before) - set(known) else None
        self._reference = None
        for number, k in enumerate(known):
            self._learn(k, frame, mask == k, (number, len(known)))
        full = np.zeros((1 + len(self._objects), *self._size), np.float32)
        if others is None:
            full[0] = 1
        else:
            full[: len(others)] = others
            forgotten = [1 + before.index(k) for k in known if k in before]
            full[0] += full[forgotten].sum(0)
            full[forgotten] = 0
        put_known(full, mask, self.object_ids, known)
        return full

    def observe(self, frame: Frame, mask: Mask) -> None:
        """Nothing: a frame is segmented by itself."""

    def report_learning(self, on_learning: OnLearning | None) -> None:
        """Have `start` and `add` report how far fine-tuning is."""
        self._on_learning = on_learning

    def _is_reference(self, frame: Frame, mask: Mask) -> bool:
        if self._reference is None:
            return False
        known_frame, known_mask = self._reference
        return np.array_equal(known_frame, frame) and np.array_equal(known_mask, mask)

    def _learn(
        self, object_id: int, frame: Frame, mask: npt.NDArray[np.bool_], turn: tuple[int, int]
    ) -> None:
        """Fine-tune an object's network on an annotated frame, beside those it knows.

        Args:
            object_id: Known, or new.
            frame: The annotated frame.
            mask: Where the object is in it.
            turn: Objects before this one, and objects in all, to share the time and tell how far.
        """
        if object_id not in self._objects:
            self._objects[object_id] = _Object(copy.deepcopy(self._tunable()))
        owner = self._objects[object_id]
        owner.examples.append((self._image(frame), self._mask(mask)))
        config, (number, count) = self.config, turn
        if config.seconds is not None:
            config = replace(config, seconds=config.seconds / count)

        def report(part: float) -> None:
            if self._on_learning is not None:
                self._on_learning((number + part) / count)

        examples = owner.examples
        fine_tune(self.network, owner.tuned, examples, config, self.runtime, on_learning=report)

    def _tunable(self) -> nn.Module:
        return self.network.decoder if isinstance(self.network, OneShotLite) else self.network

    def _logits(self, image: Tensor) -> list[Tensor]:
        """Of each object, 1×1×H×W."""
        seen: Any
        if isinstance(self.network, OneShotLite):
            seen = self.network.encode(image)
        else:
            seen = preprocess(image)
        return [o.tuned(seen).fused for o in self._objects.values()]

    def _image(self, frame: Frame) -> Tensor:
        """1×3×H×W, 0..1, at processing size, sides multiples of 32."""
        height, width = self._working_size()
        if frame.shape[:2] != (height, width):
            shrinks = height < frame.shape[0]
            method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
            frame = np.asarray(cv2.resize(frame, (width, height), interpolation=method), np.uint8)
        image = torch.tensor(frame, device=self.runtime.device).permute(2, 0, 1)[None].float() / 255
        return image.contiguous(memory_format=torch.channels_last)

    def _mask(self, mask: npt.NDArray[np.bool_]) -> Tensor:
        """1×1×H×W, 0 or 1, at processing size."""
        height, width = self._working_size()
        soft = cv2.resize(mask.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)
        hard = torch.from_numpy(np.asarray(soft)) >= 0.5
        return hard.float()[None, None].to(self.runtime.device)

    def _working_size(self) -> tuple[int, int]:
        """The nearest multiples of 32 to the processing size."""
        config = self.config
        size = working_size(self._size, config.size, config.enlarge, config.scale)
        height, width = (max(32, 32 * round(side / 32)) for side in size)
        return height, width

    def _output(self, probabilities: Tensor) -> Probabilities:
        if probabilities.shape[-2:] != self._size:
            probabilities = F.interpolate(
                probabilities[None], self._size, mode="bilinear", align_corners=False
            )[0]
        return probabilities.float().cpu().numpy()


def fine_tune(
    network: OneShotLite | OSVOS,
    tuned: nn.Module,
    examples: Sequence[tuple[Tensor, Tensor]],
    config: FineTuningConfig,
    runtime: Runtime,
    *,
    on_learning: OnLearning | None = None,
) -> int:
    """Train an object's part of a network on annotated frames and views of them.

    Args:
        network: The parent; it is not changed.
        tuned: The part that is: a copy of `OneShotLite`'s decoder, or of `OSVOS` whole.
        examples: Frames 1×3×H×W, 0..1, and their masks 1×1×H×W, 0 or 1.
        config: How, and for how long.
        runtime: Where, and in which precision.
        on_learning: Told how far it is, in iterations or time, whichever is further.

    Returns:
        Iterations done.
    """
    generator = torch.Generator().manual_seed(config.seed)
    views = [v for frame, mask in examples for v in make_views(frame, mask, config, generator)]
    seen = _see(network, views, runtime)
    tuned.train().requires_grad_(True)
    optimiser = _optimiser(tuned, config)
    began = time.perf_counter()
    done = 0
    while done < config.iterations:
        spent = done / config.iterations
        if config.seconds is not None:
            spent = max(spent, (time.perf_counter() - began) / config.seconds)
            if spent >= 1:
                break
        for group in optimiser.param_groups:
            group["lr"] = group["start"] * max(0.05, 1 - spent)
        chosen = torch.randint(len(views), (config.batch,), generator=generator).tolist()
        for i in chosen:
            with torch.autocast(
                runtime.device.type, torch.bfloat16, runtime.precision == "bfloat16"
            ):
                logits: SideLogits = tuned(seen[i])
            loss = balanced_cross_entropy(logits.fused, views[i][1])
            for side in logits.sides if config.side_weight > 0 else ():
                loss = loss + config.side_weight * balanced_cross_entropy(side, views[i][1])
            (loss / len(chosen)).backward()
        optimiser.step()
        optimiser.zero_grad()
        done += 1
        if on_learning is not None:
            on_learning(max(spent, done / config.iterations))
    if on_learning is not None:
        on_learning(1.0)
    tuned.eval().requires_grad_(False)
    return done


def balanced_cross_entropy(logits: Tensor, truth: Tensor) -> Tensor:
    """Class-balanced cross-entropy (Xie and Tu 2015, eq. 2; OSVOS, eq. 2), a mean over pixels.

    Args:
        logits: B×1×H×W.
        truth: B×1×H×W, 0 or 1.

    Returns:
        A scalar: foreground weighs the background's part of the pixels, and the reverse.
    """
    part = truth.mean((1, 2, 3), keepdim=True)
    weight = torch.where(truth > 0.5, 1 - part, part)
    each = F.binary_cross_entropy_with_logits(logits.float(), truth, reduction="none")
    return (weight * each).mean()


def make_views(
    frame: Tensor, mask: Tensor, config: FineTuningConfig, generator: torch.Generator
) -> list[tuple[Tensor, Tensor]]:
    """The frame, and others mirrored, turned and resized at random, of the same size.

    Args:
        frame: 1×3×H×W.
        mask: 1×1×H×W.
        config: How many, how far.
        generator: Every random choice.

    Returns:
        Pairs like the one given, which is the first.
    """
    height, width = frame.shape[-2:]
    views = [(frame, mask)]
    for number in range(1, config.views):
        low, high = config.view_scales
        draw = torch.rand(2, generator=generator)
        angle = (2 * draw[0] - 1) * config.rotation_deg * torch.pi / 180
        zoom = 1 / (low + (high - low) * draw[1])
        mirror = 1.0 if number % 2 else -1.0
        cos, sin = torch.cos(angle) * zoom, torch.sin(angle) * zoom
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
        ).view(1, 2, 3)
        grid = F.affine_grid(matrix, [1, 1, height, width], align_corners=False).to(frame.device)
        turned = F.grid_sample(frame, grid, padding_mode="reflection", align_corners=False)
        moved = F.grid_sample(mask, grid, padding_mode="reflection", align_corners=False)
        views.append((turned.contiguous(memory_format=torch.channels_last), (moved >= 0.5).float()))
    return views


def _see(
    network: OneShotLite | OSVOS, views: Sequence[tuple[Tensor, Tensor]], runtime: Runtime
) -> list[Any]:
    """What the tuned part is given of each view: features, or for OSVOS the image itself."""
    if isinstance(network, OSVOS):
        return [preprocess(frame) for frame, _ in views]
    enabled = runtime.precision == "bfloat16"
    with torch.no_grad(), torch.autocast(runtime.device.type, torch.bfloat16, enabled):
        return [network.encode(frame) for frame, _ in views]


def _optimiser(tuned: nn.Module, config: FineTuningConfig) -> torch.optim.Optimizer:
    groups = layer_rates(tuned, config.learning_rate)
    if config.optimiser == "adam":
        return torch.optim.Adam(groups)
    return torch.optim.SGD(groups, momentum=0.9, weight_decay=2e-4)


def layer_rates(tuned: nn.Module, rate: float) -> list[dict[str, Any]]:
    """Parameter groups with the layers' own learning rates, the same off-line and on-line.

    As OSVOS has them: biases twice the weights' rate, side outputs a tenth, the fusion a hundredth.
    (Paper 4, sec. 4: keep the same local rates in fine-tuning.) Layers of the light decoder have
    one rate.
    """
    if not isinstance(tuned, OSVOS):
        return [{"params": list(tuned.parameters()), "lr": rate, "start": rate}]
    groups = []
    for name, parameter in tuned.named_parameters():
        if name.startswith("upscale"):
            continue  # bilinear, never trained
        factor = {"fuse": 0.01, "score_dsn": 0.1}.get(name.partition(".")[0], 1.0)
        if name.endswith("bias"):
            factor *= 2
        groups.append({"params": [parameter], "lr": rate * factor, "start": rate * factor})
    return groups
