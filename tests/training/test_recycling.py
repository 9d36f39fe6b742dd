"""Dead channels started anew in training."""

import torch
from lightning_fabric import Fabric
from torch import nn

from rotomask.networks.layers.resnet import ResidualBlock
from rotomask.networks.stm_lite import STMLite, STMLiteConfig
from rotomask.training.recycling import Recycler

EVERY = 30


def _trained(steps, dead=(1, 4)):
    """A block with two dead channels after some steps, and what the recycler did at each."""
    torch.manual_seed(0)
    block = ResidualBlock(8)
    assert block.conv1.bias is not None
    with torch.no_grad():
        block.conv1.bias[list(dead)] = -100.0
    optimiser = torch.optim.AdamW(block.parameters(), lr=1e-3)
    average = {k: v.detach().clone() for k, v in block.state_dict().items()}
    recycler = Recycler(block, [block.hidden_layer()], EVERY)
    fabric = Fabric(accelerator="cpu", devices=1)
    counts = []
    for step in range(steps):
        recycler.before_step(step)
        inputs = torch.randn(2, 8, 6, 6, generator=torch.Generator().manual_seed(step))
        block(inputs).square().mean().backward()
        optimiser.step()
        optimiser.zero_grad()
        before = block(inputs).detach()
        counts.append(recycler.after_step(step + 1, fabric, optimiser, average))
        torch.testing.assert_close(block(inputs), before)  # the output stays
    return block, optimiser, average, counts


def test_dead_channels_get_new_weights_and_live():
    block, optimiser, average, counts = _trained(EVERY)
    assert counts == [0] * (EVERY - 1) + [2]
    for parameter in (block.conv1.weight, block.conv1.bias):
        assert optimiser.state[parameter]["exp_avg"][[1, 4]].abs().max() == 0
        assert optimiser.state[parameter]["exp_avg"][[0, 2]].abs().max() > 0
    assert block.conv2.weight[:, [1, 4]].abs().max() == 0
    assert torch.equal(average["conv1.weight"][[1, 4]], block.conv1.weight[[1, 4]])
    hidden = block.conv1(torch.randn(4, 8, 6, 6).relu())
    assert (hidden.amax((0, 2, 3)) > 0).all()


def test_new_channels_learn_and_are_not_started_again():
    block, _, _, counts = _trained(2 * EVERY)
    assert counts[-1] == 0
    assert block.conv2.weight[:, [1, 4]].abs().min() > 0


def test_the_layers_of_stm_lite_read_what_they_write():
    network = STMLite(STMLiteConfig(context_channels=16, decoder_channels=(16, 16, 8))).train()
    layers = network.hidden_layers()
    assert len(layers) == 2 + 1 + 3 + 2  # value encoder, its block, the decoder's, the context's
    convolutions = {id(m) for m in network.modules() if isinstance(m, nn.Conv2d)}
    for writes, reads, offset in layers:
        assert {id(writes), id(reads)} <= convolutions
        assert offset + writes.out_channels == reads.in_channels


def test_a_context_with_a_slope_cannot_die():
    network = STMLite(STMLiteConfig(context_channels=16, context_slope=0.1))
    branch = network.decoder.context
    assert branch is not None
    with torch.no_grad():
        branch.get_parameter("refine.1.conv2.bias").fill_(-1e3)
    image, mask = torch.rand(1, 3, 64, 64), torch.zeros(1, 64, 64)
    features = network.encode_frame(image)
    _, value = network.encode_value(image, features, mask)
    network.decode(value, features, mask).mean().backward()
    assert branch.project.weight.grad is not None
    assert branch.project.weight.grad.abs().max() > 0
