"""Refine-50: levels that see each other, and the networks that use it."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from rotomask.catalog import load_model
from rotomask.data.training.synthetic import moving_shapes
from rotomask.networks.checkpoints import save_weights
from rotomask.networks.layers.scale_refinement import Branch, ScaleRefinement
from rotomask.networks.stm import STM
from rotomask.networks.stm_lite import STMLite, STMLiteConfig
from rotomask.networks.stm_refine50 import STMRefine50, STMRefine50Config
from tests.golden import filled_state

CHANNELS = (4, 6, 8)
SMALL = STMRefine50Config(key_channels=8, value_channels=16, decoder_channels=16, refine_channels=8)


def _levels(seed: int = 0) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    sizes = ((16, 24), (8, 12), (4, 6))
    return [
        torch.randn(2, c, *size, generator=generator)
        for c, size in zip(CHANNELS, sizes, strict=True)
    ]


def _filled() -> ScaleRefinement:
    module = ScaleRefinement(CHANNELS, 8, range(3))
    module.load_state_dict(filled_state(module.state_dict()))
    return module


def _parts(module: torch.nn.Module, kind):
    return [m for m in module.modules() if isinstance(m, kind)]


def test_changes_nothing_before_it_is_trained():
    levels = _levels()
    for before, after in zip(levels, ScaleRefinement(CHANNELS, 8, range(3))(levels), strict=True):
        assert torch.equal(before, after)


@pytest.mark.parametrize("source", range(3))
def test_every_level_sees_every_other(source):
    module, levels = _filled(), _levels()
    with torch.inference_mode():
        before = module(levels)
        changed = [x + (i == source) for i, x in enumerate(levels)]
        after = module(changed)
    for i, (a, b) in enumerate(zip(before, after, strict=True)):
        direct = float(i == source)
        assert ((b - direct) - a).abs().max() > 1e-3


def test_a_level_takes_the_scale_that_it_chooses():
    """With the choice fixed on one level, the others are not read."""
    module, levels = _filled(), _levels()
    with torch.inference_mode():
        for branch in _parts(module, Branch):
            branch.choose.weight.zero_()
            assert branch.choose.bias is not None
            branch.choose.bias.copy_(torch.tensor([-1e4, -1e4, 1e4]))
        before = module(levels)
        changed = [levels[0], levels[1] + 1, levels[2]]
        after = module(changed)
        assert torch.equal(before[0], after[0])
        torch.testing.assert_close(after[1] - 1, before[1], rtol=1e-4, atol=1e-4)
        after = module([levels[0], levels[1], levels[2] + 1])
        assert (before[0] - after[0]).abs().max() > 1e-3


def test_refine50_starts_as_stm():
    torch.manual_seed(0)
    refined, plain = STMRefine50(SMALL).eval(), STM(SMALL).eval()
    plain.load_state_dict(
        {k: v for k, v in refined.state_dict().items() if k in plain.state_dict()}
    )
    image = torch.rand(1, 3, 64, 64)
    masks = torch.rand(2, 64, 64)
    with torch.inference_mode():
        ours, theirs = refined.encode_frame(image), plain.encode_frame(image)
        for a, b in zip(ours, theirs, strict=True):
            assert torch.equal(a, b)
        for a, b in zip(
            refined.encode_value(image, ours, masks),
            plain.encode_value(image, theirs, masks),
            strict=True,
        ):
            assert torch.equal(a, b)


def test_refine50_is_trained_through_and_through():
    """A step on the loss of a clip changes the refinement of both encoders."""
    torch.manual_seed(0)
    network = STMRefine50(SMALL).eval()
    image, masks = torch.rand(1, 3, 64, 64), torch.rand(1, 64, 64)
    with torch.no_grad():
        for branch in _parts(network, Branch):
            branch.project.weight.normal_(0, 0.01)
    features = network.encode_frame(image)
    _, value = network.encode_value(image, features, masks)
    network.decode(value, features).square().mean().backward()
    refinements = _parts(network, ScaleRefinement)
    assert len(refinements) == 2
    for refinement in refinements:
        for name, parameter in refinement.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.abs().max() > 0, name


def test_refine50_runs_as_a_model_of_the_catalogue(tmp_path):
    network = STMRefine50(SMALL)
    network.load_state_dict(filled_state(network.state_dict()))
    path = tmp_path / "refine50.safetensors"
    save_weights(path, network.state_dict(), {"config": vars(SMALL)})
    segmenter = load_model("stm-refine50", weights=path, device="cpu")
    frames, labels = moving_shapes(0, frames=2, size=(70, 90), objects=2)
    segmenter.start(frames[0], labels[0].astype(int))
    answer = segmenter.step(frames[1])
    assert answer.shape == (3, 70, 90)
    assert np.abs(answer.sum(0) - 1).max() < 1e-5


def test_the_light_backbone_is_refined_too_and_starts_as_it_was():
    torch.manual_seed(0)
    shape = STMLiteConfig(context_channels=24, decoder_channels=(24, 16, 16))
    refined = STMLite(replace(shape, refine_channels=8)).eval()
    plain = STMLite(shape).eval()
    plain.load_state_dict({k: v for k, v in refined.state_dict().items() if "refinement" not in k})
    image = torch.rand(1, 3, 64, 96)
    with torch.inference_mode():
        ours, theirs = refined.encode_frame(image), plain.encode_frame(image)
        assert torch.equal(ours.key, theirs.key)
        assert ours.context is not None
        assert theirs.context is not None
        assert torch.equal(ours.context, theirs.context)
        for branch in _parts(refined, Branch):
            branch.project.weight.fill_(0.1)
        changed = refined.encode_frame(image)
    assert not torch.equal(changed.key, theirs.key)
    assert not torch.equal(changed.pyramid.stride4, theirs.pyramid.stride4)
