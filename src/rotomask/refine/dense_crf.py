"""Fully connected conditional random field (dense CRF): aligns outlines with the frame's edges.

Krähenbühl and Koltun 2011, "Efficient Inference in Fully Connected CRFs with Gaussian Edge
Potentials". Every pair of pixels in a frame pays a cost for different labels. The cost is a
Gaussian of their distance (smoothness) plus a Gaussian of their distance and colour difference
(appearance). Mean-field inference combines these costs with the network's probabilities. RGMP (Oh
et al. 2018, sec. 4.3) refines its masks this way.
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
    """Weights and standard deviations of the two kernels.

    The defaults were selected for stm-lite by `studies/dense_crf_search.py`, on sequences of
    DAVIS-2016 train that were held out of training.
    """

    iterations: int = 5
    """Number of mean-field updates."""
    smoothness_weight: float = 0.0
    """Weight of the smoothness kernel, relative to the network's log-probabilities. 0 by default,
    because it removes thin structures and lowers the boundary accuracy."""
    smoothness_sigma_px: float = 3.0
    """Standard deviation of the smoothness kernel, px at a short side of 480; scales with the
    frame."""
    appearance_weight: float = 4.0
    """Weight of the appearance kernel."""
    appearance_sigma_px: float = 60.0
    """Spatial standard deviation of the appearance kernel, px at a short side of 480; scales with
    the frame."""
    appearance_sigma_rgb: float = 4.0
    """Colour standard deviation of the appearance kernel, in steps of 0-255."""
    least_probability: float = 1e-5
    """Lower limit of the network's probabilities, so that an overconfident network can be
    corrected."""
    backend: Backend = "rotomask"
    """``rotomask``: needs only numpy and scipy; ``pydensecrf2``: the compiled package of that name
    (`pip install rotomask[crf]`), with the same result up to rounding."""

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
    """Probabilities refined by the dense CRF.

    Only the bounding box of the pixels that can change their label is processed; other pixels keep
    their values.

    Krähenbühl and Koltun 2011, algorithm 1, with Potts compatibility and symmetrically normalised
    kernels. As in their code, but unlike eq. 6, a pixel's message to itself is included.

    Args:
        probabilities: Distribution over background and objects, C×H×W float32, 0 to 1, C >= 2.
        frame: The frame, H×W×3 uint8 RGB.
        config: Weights and standard deviations.

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
        crop = np.ascontiguousarray(frame[region])
        refined[:, *region] = infer(logarithms[:, *region], crop, config, scale)
    return refined


def _undecided_region(
    logarithms: Floats, config: DenseCRFConfig, scale: float
) -> tuple[slice, slice] | None:
    """Bounding box (rows, columns) of the pixels whose label can change, and of their neighbours.

    The messages to a label sum to at most the kernels' weights (approximately, because the kernels
    are not normalised by rows). A pixel whose best label leads by more than that keeps its label.
    None if no label can change.
    """
    # The two largest log-probabilities at every pixel, each H×W, without sorting all labels.
    second, first = np.partition(logarithms, (-2, -1), axis=0)[-2:]
    undecided = first - second < config.smoothness_weight + config.appearance_weight
    if not undecided.any():
        return None
    # A margin of two standard deviations holds most of the pixels that send them messages.
    sigma_px = config.appearance_sigma_px if config.appearance_weight else 0
    margin = 1 + int(np.ceil(2 * scale * max(sigma_px, config.smoothness_sigma_px)))
    bounds = []
    for axis in (1, 0):  # rows, then columns
        positions = np.flatnonzero(undecided.any(axis))
        bounds.append(slice(max(0, int(positions[0]) - margin), int(positions[-1]) + margin + 1))
    return bounds[0], bounds[1]


def _mean_field(
    logarithms: Floats, frame: Frame, config: DenseCRFConfig, scale: float
) -> Probabilities:
    """The distribution C×H×W after mean-field inference from log-probabilities C×H×W."""
    from scipy.special import softmax  # late: SciPy takes 0.3 s to import

    kernels = _kernels(frame, config, scale)
    q: Floats = softmax(logarithms, axis=0)
    for _ in range(config.iterations):
        scores = logarithms.copy()
        for kernel in kernels:
            message = kernel(q[1:])
            # q sums to 1 over the labels and filtering is linear, so the messages of all labels sum
            # to the kernel's total: the background's message follows without filtering it.
            scores[0] += kernel.total - message.sum(0)
            scores[1:] += message
        q = softmax(scores, axis=0)
    return q


class _Kernel:
    """A Gaussian kernel K, normalised to D^-1/2 K D^-1/2 with D its row sums, times a weight.

    A subclass implements `_blur`, the product of K with values C×H×W.
    """

    def __init__(self, size: tuple[int, int], weight: float) -> None:
        ones = np.ones((1, *size), np.float32)
        self.scale: Floats = 1 / np.sqrt(self._blur(ones)[0] + EPSILON)  # D^-1/2, H×W
        self.weight = weight
        self.total: Floats = self(ones)[0]
        """Sum of the messages of all labels at every pixel, H×W."""

    def __call__(self, values: Floats) -> Floats:
        """Messages C×H×W from the distributions `values`, C×H×W, of all pixels."""
        messages: Floats = self._blur(values * self.scale) * (self.scale * self.weight)
        return messages

    def _blur(self, values: Floats) -> Floats:
        raise NotImplementedError


class _Smoothness(_Kernel):
    def __init__(self, size: tuple[int, int], weight: float, sigma_px: float) -> None:
        self.sigma_px = sigma_px
        super().__init__(size, weight)

    def _blur(self, values: Floats) -> Floats:
        channels = np.ascontiguousarray(values.transpose(1, 2, 0))  # H×W×C for OpenCV
        # Zeros beyond the border: there are no pixels there to send messages.
        blurred = cv2.GaussianBlur(
            channels, (0, 0), self.sigma_px, borderType=cv2.BORDER_CONSTANT | cv2.BORDER_ISOLATED
        )
        # OpenCV drops the last axis when C = 1.
        return np.asarray(blurred, np.float32).reshape(channels.shape).transpose(2, 0, 1)


class _Appearance(_Kernel):
    def __init__(self, frame: Frame, weight: float, sigma_px: float, sigma_rgb: float) -> None:
        height, width = frame.shape[:2]
        # A point in 5 dimensions per pixel, x, y, r, g, b in standard deviations: 5×HW.
        y, x = np.mgrid[:height, :width].astype(np.float32) / sigma_px
        colours = frame.reshape(-1, 3).T.astype(np.float32) / sigma_rgb
        self.lattice = PermutohedralLattice(np.concatenate([[x.ravel(), y.ravel()], colours]))
        super().__init__((height, width), weight)

    def _blur(self, values: Floats) -> Floats:
        rows = np.ascontiguousarray(values.reshape(len(values), -1).T)  # HW×C
        return self.lattice.filter(rows).T.reshape(values.shape)


def _kernels(frame: Frame, config: DenseCRFConfig, scale: float) -> list[_Kernel]:
    """The kernels whose weight is not 0."""
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


def _with_pydensecrf(
    logarithms: Floats, frame: Frame, config: DenseCRFConfig, scale: float
) -> Probabilities:
    """The same inference as `_mean_field`, by the package pydensecrf2."""
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
    refined = np.array(field.inference(config.iterations), np.float32)
    return refined.reshape(labels, height, width)


def _import_pydensecrf() -> Any:
    try:
        from pydensecrf import densecrf
    except ImportError as error:
        raise OptionError(
            "the dense CRF backend pydensecrf2 is not installed; run pip install rotomask[crf], or "
            "use the backend rotomask"
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
            f"{frame.shape[1]}x{frame.shape[0]}; resize them to the frame"
        )
