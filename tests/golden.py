"""Golden numbers of the authors' networks, kept beside the checkout in ../shared/golden.

Its README has their origin: the authors' own code, run with a state dict that a rule makes from
each parameter's name and shape. `filled_state` is that rule, so that the same networks can be built
here without the authors' checkpoints.
"""

import json
import math
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

GOLDEN = Path(__file__).parents[2] / "shared" / "golden"


def golden_path(name: str) -> Path:
    """A golden file, or skip the test where the folder is not at hand."""
    path = GOLDEN / name
    if not path.exists():
        pytest.skip(f"needs shared/golden/{name} beside the checkout")
    return path


def golden_tensors(name: str) -> dict[str, Tensor]:
    """The arrays of a golden .npz."""
    with np.load(golden_path(name)) as arrays:
        return {key: torch.from_numpy(arrays[key]) for key in arrays.files}


def golden_shapes(name: str) -> dict[str, tuple[int, ...]]:
    """Parameter names and shapes of a published network."""
    shapes = json.loads(golden_path(name).read_text())
    return {key: tuple(shape) for key, shape in shapes.items()}


def filled_state(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same names and shapes with the values of the rule; constants and counters stay."""
    constants = ("num_batches_tracked", "mean", "std")
    return {
        key: value if key.split(".")[-1] in constants else _filled(key, tuple(value.shape))
        for key, value in state.items()
    }


def fill(network: nn.Module) -> None:
    """Give every parameter of the network its value by the rule, and set it to evaluation."""
    network.load_state_dict(filled_state(network.state_dict()))
    network.eval()


def _filled(key: str, shape: tuple[int, ...]) -> Tensor:
    generator = np.random.Generator(np.random.PCG64(zlib.crc32(key.encode())))
    n = generator.standard_normal(shape)
    u = generator.uniform(0, 1, shape)
    if len(shape) >= 2:
        values = n * math.sqrt(2 / math.prod(shape[1:]))
        if any(word in key for word in ("pred", "score_dsn", "fuse")):
            values *= 0.05
    elif "running_mean" in key:
        values = 0.1 * n
    elif "running_var" in key:
        values = 0.5 + u
    elif key.endswith("weight"):
        values = 0.25 + 0.5 * u
    else:
        values = 0.05 * n
    return torch.from_numpy(values.astype(np.float32))
