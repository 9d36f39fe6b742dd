"""Weights on disk: what is written comes back, and a wrong file says so in one line."""

import json
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from rotomask.catalog import load_network
from rotomask.errors import OutputError, WeightsError
from rotomask.networks.checkpoints import (
    METADATA_KEY,
    load_into,
    load_state,
    read_metadata,
    save_weights,
)
from rotomask.networks.stm import STM
from tests.golden import filled_state


class Small(nn.Module):
    """A network with a parameter, a buffer and a counter."""

    def __init__(self, channels: int = 4) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, channels, 3)
        self.norm = nn.BatchNorm2d(channels)


def assert_same(
    state: dict[str, Tensor], expected: dict[str, Tensor], relative: float = 0, absolute: float = 0
) -> None:
    assert state.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(state[name], value, rtol=relative, atol=absolute)


def test_the_authors_checkpoint_loads(tmp_path: Path) -> None:
    # As they saved it: from DataParallel, in torch's format of the time.
    with torch.device("meta"):
        names = STM().state_dict()
    published = filled_state({k: torch.ones(v.shape, dtype=v.dtype) for k, v in names.items()})
    path = tmp_path / "STM_weights.pth"
    prefixed = {f"module.{name}": value for name, value in published.items()}
    torch.save(prefixed, path, _use_new_zipfile_serialization=False)
    network = STM()
    load_into(network, path)
    path.unlink()  # 150 MB, which pytest would keep
    assert_same(network.state_dict(), published)


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("suffix", [".pth", ".pt"])
def test_torch_files_come_back(tmp_path: Path, suffix: str, legacy: bool) -> None:
    network, path = Small(), tmp_path / f"weights{suffix}"
    torch.save(network.state_dict(), path, _use_new_zipfile_serialization=not legacy)
    assert_same(load_state(path), network.state_dict())


def test_counters_of_batch_norm_may_be_absent(tmp_path: Path) -> None:
    network, path = Small(), tmp_path / "old.pth"
    state = network.state_dict()
    del state["norm.num_batches_tracked"]
    torch.save(state, path)
    loaded = Small()
    load_into(loaded, path)
    assert_same(loaded.state_dict(), network.state_dict())


def test_saved_weights_come_back_as_float32(tmp_path: Path) -> None:
    network, path = Small(), tmp_path / "made" / "small.safetensors"
    metadata = {"model": "small", "config": {"channels": 4, "widths": [1, 2]}, "J": 0.5}
    save_weights(path, network.state_dict(), metadata)
    assert read_metadata(path) == metadata
    assert {value.dtype for value in load_state(path).values()} == {torch.float32, torch.int64}
    loaded = Small()
    load_into(loaded, path)
    # float16 has 11 bits, and steps of 2**-24 below its smallest normal number.
    assert_same(loaded.state_dict(), network.state_dict(), relative=2**-11, absolute=2**-25)
    stored = safetensors.torch.load_file(path)
    assert stored["conv.weight"].dtype == torch.float16


def test_saving_takes_shared_and_strided_tensors(tmp_path: Path) -> None:
    base = torch.arange(6, dtype=torch.float16).view(2, 3)
    path = tmp_path / "w.safetensors"
    save_weights(path, {"a": base, "b": base.T, "c": base}, {})
    assert_same(load_state(path), {"a": base.float(), "b": base.T.float(), "c": base.float()})


def test_saving_leaves_only_the_file(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    for value in (1.0, 2.0):
        save_weights(path, {"a": torch.tensor(value)}, {})
    assert list(tmp_path.iterdir()) == [path]
    assert load_state(path)["a"] == 2


@pytest.mark.parametrize("value", [1e5, float("nan"), float("inf")])
def test_what_float16_cannot_hold_is_not_saved(tmp_path: Path, value: float) -> None:
    path = tmp_path / "w.safetensors"
    with pytest.raises(WeightsError, match=r"cannot save conv\.bias as float16"):
        save_weights(path, {"conv.bias": torch.tensor([0.0, value])}, {})
    assert not path.exists()


def test_saving_into_a_file_as_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot write"):
        save_weights(tmp_path / "file" / "w.safetensors", {"a": torch.ones(1)}, {})


def test_metadata_of_a_foreign_file_is_empty(tmp_path: Path) -> None:
    path = tmp_path / "foreign.safetensors"
    safetensors.torch.save_file({"a": torch.ones(1)}, path, metadata={"format": "pt"})
    assert read_metadata(path) == {}


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (Small(5).state_dict(), r"of another shape: conv\.weight \(5, 3, 3, 3\) instead of \(4, 3"),
        (nn.Linear(2, 2).state_dict(), r"missing: conv\.weight, conv\.bias, norm\.weight and 3 mo"),
        (nn.Linear(2, 2).state_dict(), r"unexpected: weight, bias$"),
        ({}, r"is not a checkpoint of Small"),
    ],
)
def test_a_checkpoint_of_another_network(
    tmp_path: Path, state: dict[str, Tensor], message: str
) -> None:
    path = tmp_path / "other.pth"
    torch.save(state, path)
    network = Small()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with pytest.raises(WeightsError, match=message) as raised:
        load_into(network, path)
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)
    assert_same(network.state_dict(), before)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_not_finite_are_refused(tmp_path: Path, suffix: str, value: float) -> None:
    state = Small().state_dict()
    state["conv.bias"][0] = value
    path = tmp_path / f"diverged{suffix}"
    if suffix == ".pth":
        torch.save(state, path)
    else:
        safetensors.torch.save_file(state, path)
    with pytest.raises(WeightsError, match=r"has values that are not finite, in conv\.bias"):
        load_state(path)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ([1, 2], "settings that are no JSON object"),
        ({"model": "stm-lite", "config": {"invented": 1}}, "this version does not know .*invented"),
        ({"model": "stm-lite", "config": "x"}, "this version does not know"),
        ({"model": "other", "config": {"width": "x"}}, "is a checkpoint of other, not of stm-lite"),
    ],
)
def test_settings_of_a_newer_or_foreign_file(
    tmp_path: Path, settings: object, message: str
) -> None:
    path = tmp_path / "w.safetensors"
    safetensors.torch.save_file(
        Small().state_dict(), path, metadata={METADATA_KEY: json.dumps(settings)}
    )
    with pytest.raises(WeightsError, match=message):
        load_network("stm-lite", path)


def test_missing_and_misnamed_files(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"no weights at .*none\.pth"):
        load_state(tmp_path / "none.pth")
    with pytest.raises(WeightsError, match="missing or not a file"):
        read_metadata(tmp_path / "none.safetensors")
    with pytest.raises(WeightsError, match=r"must be a \.safetensors, \.pth or \.pt file"):
        load_state(tmp_path / "weights.onnx")
    (tmp_path / "folder.pt").mkdir()
    with pytest.raises(WeightsError, match="missing or not a file"):
        load_state(tmp_path / "folder.pt")


@pytest.mark.parametrize("content", [b"", b".", b"<!DOCTYPE html>", b"version https://git-lfs"])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_files_that_are_no_checkpoints(tmp_path: Path, suffix: str, content: bytes) -> None:
    path = tmp_path / f"w{suffix}"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match="damaged or not") as raised:
        load_state(path)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("name", ["new.pth", "old.pth", "w.safetensors"])
def test_a_download_cut_short(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name == "w.safetensors":
        save_weights(path, Small().state_dict(), {})
    else:
        torch.save(Small().state_dict(), path, _use_new_zipfile_serialization=name == "new.pth")
    whole = path.read_bytes()
    for kept in (len(whole) // 2, len(whole) - 5):
        path.write_bytes(whole[:kept])
        with pytest.raises(WeightsError, match="damaged or not"):
            load_state(path)


def test_a_whole_network_is_refused(tmp_path: Path) -> None:
    # Its class would have to be imported and run.
    path = tmp_path / "module.pth"
    torch.save(Small(), path)
    with pytest.raises(WeightsError, match="plain tensors"):
        load_state(path)


@pytest.mark.parametrize("stored", [[torch.ones(1)], {"epoch": 3}])
def test_something_else_than_tensors(tmp_path: Path, stored: object) -> None:
    path = tmp_path / "other.pth"
    torch.save(stored, path)
    with pytest.raises(WeightsError, match="holds more than named tensors"):
        load_state(path)


def test_metadata_is_json_of_one_key(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    save_weights(path, {"a": torch.ones(1)}, {"card": "é"})
    with safetensors.safe_open(path, framework="pt") as file:
        assert json.loads(file.metadata()["rotomask"]) == {"card": "é"}


def test_weights_in_eight_bits_take_half_and_come_back_nearly(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(64, 64, 3), nn.BatchNorm2d(64))
    with torch.no_grad():
        network[0].weight[3] = 0  # a channel without weights has no scale
        network[0].weight[5] *= 1e4
    state = network.state_dict()
    save_weights(tmp_path / "half.safetensors", state, {})
    save_weights(tmp_path / "eight.safetensors", state, {"model": "some"}, eight_bit=True)
    sizes = [(tmp_path / f"{name}.safetensors").stat().st_size for name in ("half", "eight")]
    assert sizes[1] < 0.53 * sizes[0]
    found = load_state(tmp_path / "eight.safetensors")
    assert found.keys() == state.keys()
    assert read_metadata(tmp_path / "eight.safetensors") == {"model": "some"}
    largest = state["0.weight"].flatten(1).abs().amax(1)
    difference = (found["0.weight"] - state["0.weight"]).flatten(1).abs().amax(1)
    assert bool((difference <= largest / 254 * 1.001).all())
    rest = {name: value for name, value in state.items() if name != "0.weight"}
    assert_same({name: found[name] for name in rest}, rest, absolute=1e-3)
    load_into(network, tmp_path / "eight.safetensors")


def test_scales_without_their_weight_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    safetensors.torch.save_file({"conv.weight:scale": torch.ones(4)}, path)
    with pytest.raises(WeightsError, match=r"scales of conv.weight that do not fit it"):
        load_state(path)
