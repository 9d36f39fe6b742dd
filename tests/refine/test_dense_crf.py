"""The dense CRF against plain sums over all pairs, against pydensecrf2, and on a real frame."""

import builtins
from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rotomask.errors import OptionError, ShapeError
from rotomask.refine import DenseCRFConfig, dense_crf
from rotomask.refine.lattice import PermutohedralLattice
from tests.refine.demo_frames import demo_frame

BOTH = DenseCRFConfig(
    smoothness_weight=3, appearance_weight=5, appearance_sigma_px=50, appearance_sigma_rgb=5
)
"""Both kernels at work."""


def _iou(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / (a | b).sum())


def _blurred(truth: np.ndarray, shift: int = 0) -> np.ndarray:
    soft = cv2.GaussianBlur(np.roll(truth, shift, 1).astype(np.float32), (0, 0), 4)
    return np.stack([1 - soft, soft])


def _plain_mean_field(
    probabilities: np.ndarray, frame: np.ndarray, config: DenseCRFConfig
) -> np.ndarray:
    """Krähenbühl and Koltun's algorithm 1 with every pair of pixels written out."""
    labels, height, width = probabilities.shape
    y, x = np.mgrid[:height, :width].reshape(2, -1).astype(float)
    scale = min(height, width) / 480
    far = (x[:, None] - x) ** 2 + (y[:, None] - y) ** 2
    rgb = frame.reshape(-1, 3).astype(float)
    unlike = ((rgb[:, None] - rgb) ** 2).sum(-1)
    near = np.exp(-far / (2 * (config.smoothness_sigma_px * scale) ** 2))
    alike = np.exp(
        -far / (2 * (config.appearance_sigma_px * scale) ** 2)
        - unlike / (2 * config.appearance_sigma_rgb**2)
    )
    kernel = np.zeros_like(far)
    for weight, k in ((config.smoothness_weight, near), (config.appearance_weight, alike)):
        d = 1 / np.sqrt(k.sum(1))
        kernel += weight * d[:, None] * k * d
    unary = np.log(np.maximum(probabilities, config.least_probability)).reshape(labels, -1)
    q = np.exp(unary) / np.exp(unary).sum(0)
    for _ in range(config.iterations):
        q = np.exp(unary + q @ kernel)
        q /= q.sum(0)
    return np.asarray(q.reshape(labels, height, width))


def test_the_lattice_is_a_gaussian_filter():
    rng = np.random.default_rng(0)
    positions = rng.normal(size=(5, 1200)).astype(np.float32) * 1.3
    values = rng.random((1200, 2), np.float32)
    squares = ((positions[:, :, None] - positions[:, None]) ** 2).sum(0)
    kernel = np.exp(-squares / 2)
    expected = kernel @ values / kernel.sum(1, keepdims=True)
    lattice = PermutohedralLattice(positions)
    found = lattice.filter(values) / lattice.filter(np.ones((1200, 1), np.float32))
    assert np.corrcoef(found[:, 0], expected[:, 0])[0, 1] > 0.9
    assert np.abs(found - expected).mean() < 0.4 * expected.std()


def test_on_a_line_the_lattice_filters_as_the_formula():
    positions = np.linspace(0, 40, 4000, dtype=np.float32)[None]
    values = np.sin(positions / 4).T
    lattice = PermutohedralLattice(positions)
    found = lattice.filter(values) / lattice.filter(np.ones_like(values))
    kernel = np.exp(-((positions.T - positions) ** 2) / 2)
    expected = kernel @ values / kernel.sum(1, keepdims=True)
    assert np.abs(found - expected).max() < 0.02


def test_points_too_far_apart_are_refused():
    with pytest.raises(ShapeError, match="larger"):
        PermutohedralLattice(np.eye(5, dtype=np.float32) * 1e8)
    with pytest.raises(ShapeError, match="D×N"):
        PermutohedralLattice(np.zeros((0, 3), np.float32))


@pytest.mark.parametrize("labels", [2, 3])
def test_agrees_with_sums_over_all_pairs(labels):
    rng = np.random.default_rng(1)
    frame = np.zeros((30, 34, 3), np.uint8)
    frame[:, 15:] = (120, 90, 60)
    frame += rng.integers(0, 9, frame.shape, np.uint8)
    scores = cv2.GaussianBlur(rng.normal(size=(30, 34, labels)), (0, 0), 1.5) * 6
    probabilities = np.exp(scores).transpose(2, 0, 1).astype(np.float32)
    probabilities /= probabilities.sum(0)
    # At 30 px a standard deviation of 48 px is 3 px.
    smooth = replace(BOTH, appearance_weight=0, smoothness_sigma_px=24)
    exact = _plain_mean_field(probabilities, frame, smooth)
    assert np.abs(dense_crf(probabilities, frame, smooth) - exact).max() < 0.02
    both = replace(
        BOTH, appearance_sigma_px=96, appearance_sigma_rgb=30, smoothness_sigma_px=24, iterations=3
    )
    exact = _plain_mean_field(probabilities, frame, both)
    found = dense_crf(probabilities, frame, both)
    assert (found.argmax(0) == exact.argmax(0)).mean() > 0.99
    assert np.abs(found - exact).mean() < 0.02
    assert np.abs(probabilities - exact).mean() > 0.05  # there was something to do


@pytest.mark.parametrize("objects", [1, 2])
def test_agrees_with_pydensecrf_on_a_real_frame(objects):
    densecrf = pytest.importorskip("pydensecrf.densecrf", reason="pydensecrf2 is not installed")
    frame, truth = demo_frame(20)
    soft = _blurred(truth > 0, shift=5)
    if objects == 2:
        left = (np.arange(truth.shape[1]) < np.nonzero(truth)[1].mean()).astype(np.float32)
        soft = np.stack([soft[0], soft[1] * left, soft[1] * (1 - left)])
    config = BOTH
    ours = dense_crf(soft, frame, config)
    packaged = dense_crf(soft, frame, replace(config, backend="pydensecrf2"))
    # The whole frame, where ours works on the part that may change.
    height, width = truth.shape
    field = densecrf.DenseCRF2D(width, height, objects + 1)
    field.setUnaryEnergy(-np.log(np.maximum(soft, 1e-5)).reshape(objects + 1, -1))
    scale = min(height, width) / 480
    field.addPairwiseGaussian(sxy=config.smoothness_sigma_px * scale, compat=3)
    field.addPairwiseBilateral(
        sxy=config.appearance_sigma_px * scale,
        srgb=config.appearance_sigma_rgb,
        rgbim=frame.copy(),
        compat=config.appearance_weight,
    )
    theirs = np.array(field.inference(5)).reshape(soft.shape)
    changed = (theirs.argmax(0) != soft.argmax(0)).sum()
    assert changed > 100
    for other in (packaged, theirs):
        assert (ours.argmax(0) != other.argmax(0)).sum() < 0.05 * changed
        assert np.abs(ours - other).mean() < 1e-3


def test_a_mask_beside_the_object_is_drawn_to_its_outline():
    frame, truth = demo_frame(0)
    object_mask = truth > 0
    moved = _blurred(object_mask, shift=6)
    refined = dense_crf(moved, frame)
    before, after = _iou(moved[1] > 0.5, object_mask), _iou(refined[1] > 0.5, object_mask)
    assert after > before + 0.01


def test_far_from_doubt_nothing_changes():
    frame, truth = demo_frame(0)
    certain = np.stack([truth == 0, truth > 0]).astype(np.float32)
    assert (dense_crf(certain, frame) == certain).all()
    certain[:, 40, 60] = 0.5
    refined = dense_crf(certain, frame)
    assert abs(refined[1, 40, 60] - 0.5) > 0.1
    assert (refined.argmax(0) == certain.argmax(0)).mean() > 0.9999


@settings(max_examples=15)
@given(
    st.integers(1, 24),
    st.integers(1, 24),
    st.integers(2, 4),
    st.integers(0, 1000),
)
def test_a_distribution_in_any_order_of_labels(height, width, labels, seed):
    rng = np.random.default_rng(seed)
    frame = rng.integers(0, 256, (height, width, 3), np.uint8)
    drawn = rng.dirichlet(np.ones(labels), (height, width)).transpose(2, 0, 1)
    probabilities = drawn.astype(np.float32)
    refined = dense_crf(probabilities, frame)
    assert refined.dtype == np.float32
    assert np.abs(refined.sum(0) - 1).max() < 1e-5
    order = rng.permutation(labels)
    assert np.abs(dense_crf(probabilities[order], frame) - refined[order]).max() < 1e-3


def test_wrong_arguments_are_named(monkeypatch):
    frame, probabilities = np.zeros((8, 9, 3), np.uint8), np.full((2, 8, 9), 0.5, np.float32)
    with pytest.raises(ShapeError, match="background first"):
        dense_crf(probabilities[:1], frame)
    with pytest.raises(ShapeError, match="float64"):
        dense_crf(probabilities.astype(float), frame)
    with pytest.raises(ShapeError, match="9x8 but their frame 9x7"):
        dense_crf(probabilities, frame[1:])
    with pytest.raises(ShapeError, match="uint8"):
        dense_crf(probabilities, frame.astype(float))
    with pytest.raises(OptionError, match="unknown dense CRF backend"):
        DenseCRFConfig(backend="torch")  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="at least 1 iteration"):
        DenseCRFConfig(iterations=0)
    with pytest.raises(OptionError, match="smoothness_weight must be 0 or more"):
        DenseCRFConfig(smoothness_weight=-1)
    with pytest.raises(OptionError, match="appearance_sigma_rgb must be above 0"):
        DenseCRFConfig(appearance_sigma_rgb=0)
    with pytest.raises(OptionError, match="least_probability"):
        DenseCRFConfig(least_probability=0)

    plain_import = builtins.__import__

    def without_package(name, *rest, **more):
        if name.startswith("pydensecrf"):
            raise ImportError(name)
        return plain_import(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without_package)
    with pytest.raises(OptionError, match=r"pip install rotomask\[crf\]"):
        dense_crf(probabilities, frame, DenseCRFConfig(backend="pydensecrf2"))
