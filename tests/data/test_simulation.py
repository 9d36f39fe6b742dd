"""Training clips: planned from a seed, rendered in batches, true to what the plan says."""

import io

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as PILImage
from scipy.interpolate import RBFInterpolator
from scipy.signal import convolve2d

from rotomask.data.simulation import (
    MotionConfig,
    plan_real_clip,
    plan_simulated_clip,
    render,
    stack_clips,
)
from rotomask.data.simulation import appearance as looks
from rotomask.data.simulation.motion import affine, moving_path
from rotomask.data.simulation.plan import MIN_AREA, MIN_VISIBLE
from rotomask.data.simulation.thin_plate import control_points, displacement
from rotomask.data.training.synthetic import moving_shapes


def _pictures(count, seed=0, objects=1):
    found = [
        moving_shapes(seed + i, frames=1, size=(90, 120), objects=objects) for i in range(count)
    ]
    return [(frames[0], labels[0]) for frames, labels in found]


def _plan(seed, *, objects=1, frames=4, size=64, **settings):
    rng = np.random.default_rng(seed)
    while True:
        plan = plan_simulated_clip(
            _pictures(objects + 2, seed * 10),
            size=size,
            frames=frames,
            objects=objects,
            rng=rng,
            **settings,
        )
        if plan is not None:
            return plan


@given(seed=st.integers(0, 300), objects=st.integers(1, 3))
@settings(max_examples=12)
def test_clips_show_every_object_and_follow_their_seed(seed, objects):
    plan = _plan(seed, objects=objects)
    clips = render(stack_clips([plan]))
    assert clips.frames.shape == (1, 4, 3, 64, 64)
    assert clips.labels.shape == (1, 4, 64, 64)
    assert clips.frames.min() >= 0
    assert clips.frames.max() <= 1
    assert set(clips.labels[0, 0].unique().tolist()) - {0} == set(range(1, objects + 1))
    again = render(stack_clips([_plan(seed, objects=objects)]))
    assert torch.equal(clips.frames, again.frames)
    assert torch.equal(clips.labels, again.labels)


def test_a_clip_is_the_same_alone_and_in_a_batch_of_others():
    plans = [_plan(seed, objects=1 + seed % 2) for seed in range(4)]
    together = render(stack_clips(plans))
    for b, plan in enumerate(plans):
        alone = render(stack_clips([plan]))
        assert torch.allclose(together.frames[b], alone.frames[0], atol=1e-5)
        assert (together.labels[b] == alone.labels[0]).float().mean() > 0.999


def test_without_motion_and_change_the_scene_is_the_crop_of_the_picture():
    """Against slicing: a real clip of magnification 1 whose crop is known."""
    frame, labels = _pictures(1)[0]
    rng = np.random.default_rng(0)
    plan = plan_real_clip(
        [(frame, labels)] * 2,
        [],
        size=64,
        objects=1,
        rng=rng,
        source=3,
        scales=(1.0, 1.0),
        appearance=0.0,
    )
    assert plan is not None
    matrix = affine(
        np.array([60.0, 45.0]),
        np.array([32.0, 32.0]),
        scale=1.0,
        rotation_rad=0.0,
        shear=0.0,
        flip=False,
    )
    plan.layers[0].path.matrix[:] = matrix
    clips = render(stack_clips([plan]))
    expected = frame[13 : 13 + 64, 28 : 28 + 64].astype(np.float32) / 255
    assert np.abs(clips.frames[0, 0].permute(1, 2, 0).numpy() - expected).max() < 2e-3
    assert (clips.labels[0, 0].numpy() == labels[13 : 13 + 64, 28 : 28 + 64]).all()


def test_pasted_objects_keep_their_colours_inside_their_labels():
    """Where the label says object k, the frame shows object k's picture, not the scene."""
    pictures = _pictures(4)
    for k, colour in ((1, (255, 0, 0)), (2, (0, 255, 0))):
        pictures[k] = (np.full_like(pictures[k][0], colour), pictures[k][1])
    pictures[0] = (np.full_like(pictures[0][0], (0, 0, 255)), pictures[0][1])
    plan = None
    rng = np.random.default_rng(1)
    while plan is None:
        plan = plan_simulated_clip(
            pictures,
            size=64,
            frames=3,
            objects=2,
            rng=rng,
            paste=1.0,
            occlusion=0.0,
            appearance=0.0,
        )
    clips = render(stack_clips([plan]))
    strongest = clips.frames[0].argmax(1)
    for label, channel in ((0, 2), (1, 0), (2, 1)):
        assert (strongest[clips.labels[0] == label] == channel).float().mean() > 0.99


def test_objects_are_at_least_half_inside_and_not_hidden_at_the_start():
    """Against the full mask, warped: the estimate from points holds."""
    for seed in range(12):
        plan = _plan(seed, objects=1, paste=1.0, occlusion=1.0, motion=MotionConfig(bending=0.0))
        labels = render(stack_clips([plan])).labels[0, 0]
        layer = next(layer for layer in plan.layers if 1 in layer.ids.values())
        whole = float((layer.pictures[0][1] == 1).sum())
        whole /= abs(np.linalg.det(layer.path.matrix[0, :, :2]))
        assert float((labels == 1).sum()) > 0.8 * MIN_VISIBLE * whole
        assert float((labels == 1).float().mean()) > 0.7 * MIN_AREA


def test_what_passes_in_front_has_no_label():
    pictures = _pictures(3)
    pictures[2] = (np.full_like(pictures[2][0], 255), np.ones_like(pictures[2][1]))
    pictures[0] = (np.zeros_like(pictures[0][0]), pictures[0][1] * 0)
    pictures[1] = (np.full_like(pictures[1][0], 90), pictures[1][1])
    rng, plan = np.random.default_rng(5), None
    while plan is None:
        plan = plan_simulated_clip(
            pictures,
            size=64,
            frames=6,
            objects=1,
            rng=rng,
            occlusion=1.0,
            appearance=0.0,
            motion=MotionConfig(strength=3.0),
        )
    clips = render(stack_clips([plan]))
    white = clips.frames[0].amin(1) > 0.9
    assert white.any()
    assert (clips.labels[0][white] == 0).all()


def test_objects_leave_and_come_back():
    rng = np.random.default_rng(0)
    centre = np.array([10.0, 10.0])
    path = moving_path(
        centre,
        np.array([32.0, 32.0]),
        64,
        9,
        scale=1.0,
        config=MotionConfig(strength=0.0, leaving=1.0),
        rng=rng,
        can_leave=True,
    )
    places = np.array([path.output_points(t, centre[None])[0] for t in range(9)])
    distance = np.linalg.norm(places - 32, axis=1)
    assert distance[0] < 1
    assert distance[-1] < 1
    assert distance[4] > 0.5 * 64


def test_paths_map_points_there_and_back():
    rng = np.random.default_rng(0)
    path = moving_path(
        np.array([50.0, 40.0]),
        np.array([20.0, 30.0]),
        64,
        3,
        scale=0.7,
        config=MotionConfig(),
        rng=rng,
        can_leave=False,
    )
    points = rng.uniform(0, 60, (10, 2))
    assert np.allclose(path.source_points(1, path.output_points(1, points)), points, atol=1e-3)


def test_thin_plate_bending_is_the_spline_of_scipy():
    rng = np.random.default_rng(0)
    moves = rng.normal(0, 3, (16, 2)).astype(np.float32)
    ours = displacement(torch.from_numpy(moves)[None], 24)[0].numpy()
    spline = RBFInterpolator(control_points(), moves, kernel="thin_plate_spline", degree=1)
    line = np.arange(24) / 23
    y, x = np.meshgrid(line, line, indexing="ij")
    expected = spline(np.stack([x.ravel(), y.ravel()], -1)).reshape(24, 24, 2)
    assert np.allclose(ours, expected, atol=1e-3)


def _frames(count=3, size=32):
    frames, _ = moving_shapes(3, frames=count, size=(size, size))
    return torch.from_numpy(frames).permute(0, 3, 1, 2).float() / 255


@pytest.mark.parametrize("quality", [30, 60, 90])
def test_jpeg_noise_is_like_that_of_a_real_encoder(quality):
    frames = _frames(1, 64)
    ours = looks.jpeg_noise(frames, torch.tensor([quality]))
    image = PILImage.fromarray((frames[0].permute(1, 2, 0).numpy() * 255).astype(np.uint8))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality, subsampling=0)
    real = torch.from_numpy(np.array(PILImage.open(buffer))).permute(2, 0, 1).float() / 255
    damage = float((real - frames[0]).abs().mean())
    assert float((ours[0] - real).abs().mean()) < 0.35 * damage + 0.5 / 255
    assert torch.equal(looks.jpeg_noise(frames, torch.tensor([100])), frames)


def test_motion_blur_is_a_convolution_with_its_kernel():
    frames = _frames()
    kernels = np.stack([looks.motion_kernel(n, a) for n, a in ((1, 0.0), (5, 0.6), (9, 2.0))])
    blurred = looks.motion_blur(frames, torch.from_numpy(kernels))
    assert np.allclose(kernels.sum((1, 2)), 1, atol=1e-5)
    assert torch.equal(blurred[0], frames[0]), "a kernel of one pixel leaves the frame as it is"
    for n in (1, 2):
        padded = np.pad(frames[n, 0].numpy(), looks.BLUR_SIZE // 2, mode="reflect")
        expected = convolve2d(padded, kernels[n][::-1, ::-1], mode="valid")
        assert np.allclose(blurred[n, 0].numpy(), expected, atol=1e-4)


def test_light_and_colour_change_what_they_say():
    frames = _frames()
    light = torch.ones(3, 4, 4)
    light[1] *= 0.5
    dimmed = looks.change_light(frames, light)
    assert torch.equal(dimmed[0], frames[0])
    assert torch.allclose(dimmed[1], frames[1] * 0.5, atol=1e-5)
    ones, zeros = torch.ones(3, 3), torch.zeros(3, 3)
    same = looks.change_colour(frames, ones, zeros, torch.ones(3), torch.zeros(3))
    assert torch.allclose(same, frames.clamp_min(1e-4), atol=1e-5)
    grey = looks.change_colour(frames, ones, zeros, torch.ones(3), torch.tensor([0.0, 1.0, 0.0]))
    assert float(grey[1].std(0).max()) < 1e-5
    assert float(grey[0].std(0).max()) > 0.05
    none = looks.draw_appearance(5, 0.0, np.random.default_rng(0))
    assert (none.quality == looks.NO_JPEG).all()
    assert (none.gain == 1).all()
