"""The mean of checkpoints."""

from pathlib import Path

import numpy as np
import pytest
import torch

import rotomask
from rotomask.catalog import shipped_weights
from rotomask.data.training.synthetic import moving_shapes
from rotomask.errors import OptionError, WeightsError
from rotomask.networks.averaging import average_weights
from rotomask.networks.checkpoints import load_state, read_metadata, save_weights
from tests.cli.running import run


@pytest.fixture
def shaken(tmp_path: Path) -> list[Path]:
    """The shipped weights, thrown off by noise that sums to nothing."""
    shipped = shipped_weights("stm-lite")
    assert shipped is not None
    state, metadata = load_state(shipped), read_metadata(shipped)
    generator = torch.Generator().manual_seed(0)
    noise = [
        {
            k: 0.3 * v.abs().mean() * torch.randn(v.shape, generator=generator)
            for k, v in state.items()
        }
        for _ in range(2)
    ]
    files = []
    for number, change in enumerate([*noise, {k: -noise[0][k] - noise[1][k] for k in state}]):
        path = tmp_path / f"{number}.safetensors"
        scored = {**metadata, "validation": {"J": 0.5}}
        save_weights(path, {k: v + change[k] for k, v in state.items()}, scored)
        files.append(path)
    return files


def _overlap(weights: Path | None) -> float:
    frames, labels = moving_shapes(31, frames=4, size=(96, 128))
    segmenter = rotomask.load_model("stm-lite", weights=weights, device="cpu")
    segmenter.start(frames[0], labels[0].astype(int))
    found = [segmenter.labels(segmenter.step(frame)) > 0 for frame in frames[1:]][-1]
    truth = labels[-1] > 0
    return float((found & truth).sum() / (found | truth).sum())


def test_the_average_of_a_runs_checkpoints_is_their_centre(shaken, tmp_path):
    answer = run("average", *shaken, "--out", tmp_path / "mean.safetensors")
    assert answer.returncode == 0, answer.stderr
    assert str(tmp_path / "mean.safetensors") in answer.stdout
    shipped = shipped_weights("stm-lite")
    assert shipped is not None
    centre, mean = load_state(shipped), load_state(tmp_path / "mean.safetensors")
    for name, value in centre.items():
        assert torch.allclose(mean[name], value, atol=2e-3 * float(value.abs().max()) + 1e-6)
    metadata = read_metadata(tmp_path / "mean.safetensors")
    assert metadata["averaged"] == [path.name for path in shaken]
    assert metadata["config"] == read_metadata(shipped)["config"]
    assert "validation" not in metadata
    # It does what the parts of it, each thrown off, cannot.
    mean_overlap = _overlap(tmp_path / "mean.safetensors")
    assert mean_overlap > np.mean([_overlap(path) for path in shaken]) + 0.05
    assert mean_overlap == pytest.approx(_overlap(None), abs=0.05)


def test_other_networks_and_too_few_files_are_named(shaken, tmp_path):
    out = tmp_path / "mean.safetensors"
    with pytest.raises(OptionError, match="two checkpoints or more, got 1"):
        average_weights(shaken[:1], out)
    with pytest.raises(OptionError, match=r"\.safetensors file, got"):
        average_weights(shaken, tmp_path / "mean.pth")
    torch.save({"weight": torch.zeros(2)}, tmp_path / "other.pth")
    with pytest.raises(
        WeightsError, match=r"other\.pth and .* are checkpoints of different networks"
    ):
        average_weights([shaken[0], tmp_path / "other.pth"], out)
    assert not out.exists()
    answer = run("average", shaken[0], tmp_path / "none.pth", "--out", out)
    assert answer.returncode == 2
    assert "no weights at" in answer.stderr
