"""Give the context branch of an stm-lite a fresh start, where it has died in training.

    python tools/revive_context.py old.safetensors --out new.safetensors

A branch is dead if the ReLU before its last layer lets nothing through: it then adds a constant and
gets no gradient. All its layers but the last get new random weights. The last one keeps its bias,
which is all that the branch added, and gets weights of zero, so that the network computes what it
did before, and training can go on from there.
"""

import argparse
from pathlib import Path

import torch
from torch import Tensor, nn

from rotomask.catalog import load_network
from rotomask.networks.checkpoints import read_metadata, save_weights
from rotomask.networks.stm_lite import Context, STMLite


@torch.inference_mode()
def alive_part(network: STMLite, images: Tensor) -> float:
    """Fraction of the inputs of the branch's last layer that are above zero.

    Args:
        network: With a context branch.
        images: RGB, B×3×H×W, float 0..1, sides multiples of 16.
    """
    branch, inputs = _branch_of(network), []
    hook = branch.project.register_forward_hook(lambda _, args, __: inputs.append(args[0]))
    features = network.encode_frame(images)
    masks = torch.zeros(len(images), 1, *images.shape[-2:])
    masks[..., images.shape[-2] // 4 :, images.shape[-1] // 3 :] = 1
    _, values = network.encode_value(images, features, masks)  # B×1×Cv×h×w
    network.decode(values, features, masks)
    hook.remove()
    return float((inputs[0] > 0).float().mean())


@torch.no_grad()
def revive(network: STMLite, seed: int = 0) -> None:
    """Give all layers of the branch but the last new random weights, and that one zeros."""
    branch = _branch_of(network)
    torch.manual_seed(seed)
    for part in (branch.fuse, branch.refine, branch.whole):
        for layer in part.modules():
            if isinstance(layer, nn.Conv2d):
                layer.reset_parameters()
    branch.project.weight.zero_()


def _branch_of(network: STMLite) -> Context:
    branch = network.decoder.context
    if branch is None:
        raise SystemExit("this network has no context branch")
    return branch


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("weights", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    network = load_network("stm-lite", weights=arguments.weights)
    assert isinstance(network, STMLite)
    network.eval()
    images = torch.rand(2, 3, 240, 432, generator=torch.Generator().manual_seed(0))
    before = alive_part(network, images)
    if before > 0:
        raise SystemExit(f"the branch is alive: {before:.0%} of its inputs are above zero")
    revive(network)
    save_weights(arguments.out, network.state_dict(), read_metadata(arguments.weights))
    print(f"{arguments.out}: {alive_part(network, images):.0%} of the inputs are above zero now")


if __name__ == "__main__":
    main()
