"""Fully connected random field: masks whose outlines follow the picture's.

Krähenbühl and Koltun 2011, "Efficient Inference in Fully Connected CRFs with Gaussian Edge
Potentials". Every two pixels of a frame want the same label, the more so the closer they are
(smoothness) and the closer and more alike in colour (appearance); mean-field inference settles what
the network's probabilities and all these wishes make of it. RGMP (Oh et al. 2018, sec. 4.3) refines
its masks so.
"""

from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
import numpy.typing as npt

from rotomask.arrays import Frame, Probabilities, check_frame
from rotomask.errors import OptionError, ShapeError
from rotomask.refine.lattice import PermutohedralLattice

Floats = npt.NDArray[np.float32]
Backend = Literal["rotomask", "pydensecrf2"]

EPSILON = 1e-20
"""Keeps the normalisation from dividing by zero."""


@dataclass(frozen=True, kw_only=True)
class DenseCRFConfig:
    """Weights and widths of the two kernels.

    The defaults are the choice of `studies/dense_crf_search.py` for stm-lite, on sequences of
    DAVIS-2016 train kept out of training.
    """

    iterations: int = 5
    """Mean-field updates."""
    smoothness_weight: float = 0.0
    """How much closeness alone counts, beside the network's log-probabilities. None by default: it
    rounds off what is thin, and outlines lose by it."""
    smoothness_sigma_px: float = 3.0
    """Standard deviation of closeness, at a short side of 480 px; it grows with the frame."""
    appearance_weight: float = 4.0
    """How much closeness and likeness in colour count together."""
    appearance_sigma_px: float = 60.0
    """Standard deviation of closeness in that kernel, at a short side of 480 px."""
    appearance_sigma_rgb: float = 4.0
    """Standard deviation of colour differences, in steps of 0-255."""
    least_probability: float = 1e-5
    """Probabilities below it are raised to it: a network is never that sure."""
    backend: Backend = "rotomask"
    """``rotomask``: numpy and scipy alone; ``pydensecrf2``: the package of that name, which gives
    the same within rounding (`pip install rotomask[crf]`, it compiles)."""

    def __post_init__(self) -> None:
        if self.backend not in ("rotomask", "pydensecrf2"):
            raise OptionError(
                f"unknown dense CRF backend {self.backend!r}; use rotomask or pydensecrf2"
            )
        if self.iterations < 1:
            raise OptionError(f"a dense CRF needs at least 1 iteration, got {self.iterations}")
        for name in ("smoothness_weight", "appearance_weight"):
            if getattr(self, name) < 0:
                raise OptionError(f"{name} must be 0 or more, got {getattr(self, name)}")
        for name in ("smoothness_sigma_px", "appearance_sigma_px", "appearance_sigma_rgb"):
            if getattr(self, name) <= 0:
                raise OptionError(f"{name} must be above 0, got {getattr(self, name)}")
        if not 0 < self.least_probability < 0.5:
            raise OptionError(
                f"least_probability must be above 0 and below 0.5, got {self.least_probability}"
            )


def dense_crf(
    probabilities: Probabilities, frame: Frame, config: DenseCRFConfig | None = None
) -> Probabilities:
    """Probabilities that agree with the frame's colours and edges.

    Only the box around the pixels that may change their label is worked on; others stay as they
    are.

    Krähenbühl and Koltun 2011, algorithm 1, with Potts compatibility and symmetrically normalised
    kernels. As in their code, and unlike eq. 6, a pixel's message to itself is not left out.

    Args:
        probabilities: Distribution over background and objects, C×H×W float32, 0 to 1, C >= 2.
        frame: The picture, H×W×3 uint8 RGB.
        config: Weights and widths.

    Returns:
        C×H×W float32, sums to 1 over the first axis.

    Raises:
        ShapeError: If an array has the wrong shape or dtype, or their sizes differ.
        OptionError: If the backend is not installed.
    """
    config = config or DenseCRFConfig()
    check_frame(frame)
    _check_probabilities(probabilities, frame)
    refined = probabilities.copy()
    logarithms = np.log(np.maximum(probabilities, config.least_probability))
    scale = min(frame.shape[:2]) / 480
    region = _undecided_region(logarithms, config, scale)
    if region is not None:
        infer = _with_pydensecrf if config.backend == "pydensecrf2" else _mean_field
        picture = np.ascontiguousarray(frame[region])
        refined[:, *region] = infer(logarithms[:, *region], picture, config, scale)
    return refined


def _undecided_region(
    logarithms: Floats, config: DenseCRFConfig, scale: float
) -> tuple[slice, slice] | None:
    """The box with every pixel whose label may change, and with all that sways them.

    All messages to a label together are at most the kernels' weights (about: the normalisation
    is not of rows), so a pixel whose first label leads by more keeps it. None if all do.
    """
    second, first = np.partition(logarithms, (-2, -1), axis=0)[-2:]
    undecided = first - second < config.smoothness_weight + config.appearance_weight
    if not undecided.any():
        return None
    reach_px = config.appearance_sigma_px if config.appearance_weight else 0
    reach = 2 * scale * max(reach_px, config.smoothness_sigma_px)
    margin = 1 + int(np.ceil(reach))
    bounds = []
    for axis in (1, 0):
        inside = np.flatnonzero(undecided.any(axis))
        bounds.append(slice(max(0, int(inside[0]) - margin), int(inside[-1]) + margin + 1))
    return bounds[0], bounds[1]


def _mean_field(
    logarithms: Floats, frame: Frame, config: DenseCRFConfig, scale: float
) -> Probabilities:
    kernels = _kernels(frame, config, scale)
    q = _softmax(logarithms)
    for _ in range(config.iterations):
        scores = logarithms.copy()
        for kernel in kernels:
            message = kernel(q[1:])
            # Labels' messages sum to the kernel's total, so the background need not be filtered.
            scores[0] += kernel.total - message.sum(0)
            scores[1:] += message
        q = _softmax(scores)
    return q


class _Kernel:
    """A kernel K normalised as D^-1/2 K D^-1/2, where D holds the row sums, times its weight."""

    def __init__(self, size: tuple[int, int], weight: float) -> None:
        ones = np.ones((1, *size), np.float32)
        self.scale = np.ones(size, np.float32)
        self.weight = 1.0
        self.scale = 1 / np.sqrt(self._blur(ones)[0] + EPSILON)
        self.weight = weight
        self.total: Floats = self(ones)[0]
        """What all labels' messages sum to, H×W."""

    def __call__(self, values: Floats) -> Floats:
        """The messages that C×H×W values send to every pixel, C×H×W."""
        blurred: Floats = self._blur(values * self.scale) * (self.scale * self.weight)
        return blurred

    def _blur(self, values: Floats) -> Floats:
        raise NotImplementedError


class _Smoothness(_Kernel):
    def __init__(self, size: tuple[int, int], weight: float, sigma_px: float) -> None:
        self.sigma_px = sigma_px
        super().__init__(size, weight)

    def _blur(self, values: Floats) -> Floats:
        channels = np.ascontiguousarray(values.transpose(1, 2, 0))
        blurred = cv2.GaussianBlur(
            channels, (0, 0), self.sigma_px, borderType=cv2.BORDER_CONSTANT | cv2.BORDER_ISOLATED
        )
        return np.asarray(blurred, np.float32).reshape(channels.shape).transpose(2, 0, 1)


class _Appearance(_Kernel):
    def __init__(self, frame: Frame, weight: float, sigma_px: float, sigma_rgb: float) -> None:
        height, width = frame.shape[:2]
        y, x = np.mgrid[:height, :width].astype(np.float32) / sigma_px
        colours = frame.reshape(-1, 3).T.astype(np.float32) / sigma_rgb
        self.lattice = PermutohedralLattice(np.concatenate([[x.ravel(), y.ravel()], colours]))
        super().__init__((height, width), weight)

    def _blur(self, values: Floats) -> Floats:
        rows = np.ascontiguousarray(values.reshape(len(values), -1).T)
        return self.lattice.filter(rows).T.reshape(values.shape)


def _kernels(frame: Frame, config: DenseCRFConfig, scale: float) -> list[_Kernel]:
    """Those whose weight is not 0."""
    height, width = frame.shape[:2]
    kernels: list[_Kernel] = []
    if config.smoothness_weight:
        sigma = config.smoothness_sigma_px * scale
        kernels.append(_Smoothness((height, width), config.smoothness_weight, sigma))
    if config.appearance_weight:
        sigma = config.appearance_sigma_px * scale
        kernels.append(
            _Appearance(frame, config.appearance_weight, sigma, config.appearance_sigma_rgb)
        )
    return kernels


def _softmax(scores: Floats) -> Floats:
    exponentials = np.exp(scores - scores.max(0))
    distribution: Floats = exponentials / exponentials.sum(0)
    return distribution


def _with_pydensecrf(
    logarithms: Floats, frame: Frame, config: DenseCRFConfig, scale: float
) -> Probabilities:
    densecrf = _import_pydensecrf()
    labels, height, width = logarithms.shape
    field = densecrf.DenseCRF2D(width, height, labels)
    field.setUnaryEnergy(np.ascontiguousarray(-logarithms.reshape(labels, -1)))
    if config.smoothness_weight:
        sigma = config.smoothness_sigma_px * scale
        field.addPairwiseGaussian(sxy=sigma, compat=config.smoothness_weight)
    if config.appearance_weight:
        field.addPairwiseBilateral(
            sxy=config.appearance_sigma_px * scale,
            srgb=config.appearance_sigma_rgb,
            rgbim=frame,
            compat=config.appearance_weight,
        )
    answer = np.array(field.inference(config.iterations), np.float32)
    return answer.reshape(labels, height, width)


def _import_pydensecrf() -> Any:
    try:
        from pydensecrf import densecrf
    except ImportError as error:
        raise OptionError(
            "the dense CRF backend pydensecrf2 is not installed; pip install rotomask[crf], or use "
            "the backend rotomask"
        ) from error
    return densecrf


def _check_probabilities(probabilities: Probabilities, frame: Frame) -> None:
    if probabilities.ndim != 3 or len(probabilities) < 2 or probabilities.dtype != np.float32:
        raise ShapeError(
            "probabilities must be C×H×W float32, background first, C >= 2, got "
            f"{probabilities.shape} {probabilities.dtype}"
        )
    if probabilities.shape[1:] != frame.shape[:2]:
        height, width = probabilities.shape[1:]
        raise ShapeError(
            f"the probabilities are {width}x{height} but their frame "
            f"{frame.shape[1]}x{frame.shape[0]}; give those of the frame's own size"
        )
