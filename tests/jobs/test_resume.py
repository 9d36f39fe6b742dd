"""A cut that was killed and resumed is, to the byte, the one that was never stopped."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import rotomask
from rotomask import Refinements
from rotomask.catalog import CATALOG, names
from rotomask.data.training.synthetic import moving_shapes
from rotomask.jobs import snapshots
from rotomask.segmenters.refinements import parse_refinements

CASES = {
    "stm-lite": Refinements(),
    "rgmp-lite": Refinements(),
    "embedding": Refinements(),
    "stm-lite, refined": Refinements(flip=True, scales=(0.75, 1.0), boxes="detector-lite"),
}
COUNT = 9


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray]:
    folder = tmp_path_factory.mktemp("clip") / "shapes"
    folder.mkdir()
    frames, labels = moving_shapes(3, frames=COUNT, size=(96, 128), objects=2)
    for t, frame in enumerate(frames):
        Image.fromarray(frame).save(folder / f"{t:05d}.png")
    return folder, labels[4].astype(np.int32)


def _stop_after(count: int):
    def on_progress(stage: str, done: int, total: int | None) -> None:
        if stage == "cut" and done == count:
            raise KeyboardInterrupt

    return on_progress


def _assert_resumed_as_whole(
    video: tuple[Path, np.ndarray | None], folder: Path, counts: tuple[int, ...], **options: Any
) -> None:
    """Cut without a stop, and stopped after so many frames each time; compare all masks."""
    frames, mask = video
    options = {"size": 96, "device": "cpu", "formats": ("mattes",), **options}
    if mask is not None:
        options["at"] = 4
    rotomask.cut(frames, mask, folder / "whole", **options)
    for count in counts:
        stop = _stop_after(count)
        with pytest.raises(KeyboardInterrupt):
            rotomask.cut(frames, mask, folder / "torn", on_progress=stop, **options)
    assert rotomask.cut(frames, mask, folder / "torn", **options).frames == COUNT
    for kind in ("masks", "mattes"):
        whole = sorted((folder / "whole" / kind).iterdir())
        assert whole
        for path in whole:
            assert (folder / "torn" / kind / path.name).read_bytes() == path.read_bytes()


@pytest.mark.parametrize(
    ("case", "seconds"),
    [
        ("stm-lite", 0.0),
        ("stm-lite", 3600.0),
        ("rgmp-lite", 0.0),
        ("embedding", 0.0),
        pytest.param("stm-lite, refined", 0.0, marks=pytest.mark.slow),
    ],
)
def test_stopped_anywhere_and_resumed(video, tmp_path, monkeypatch, case, seconds):
    """With a state after every frame, or only after the first frame of each pass."""
    monkeypatch.setattr(snapshots, "LEAST_SECONDS", seconds)
    monkeypatch.setattr(snapshots, "MOST_COST", 1e9)
    model, refinements = case.partition(",")[0], CASES[case]
    counts = (2, 4, 5, 7)  # forward and backward passes
    _assert_resumed_as_whole(video, tmp_path, counts, model=model, refinements=refinements)


@pytest.fixture
def states(monkeypatch: pytest.MonkeyPatch) -> None:
    """States are stored after every frame."""
    monkeypatch.setattr(snapshots, "LEAST_SECONDS", 0.0)
    monkeypatch.setattr(snapshots, "MOST_COST", 1e9)


OTHER_MODELS = [name for name in names("segmenter") if name not in CASES]


@pytest.mark.slow
@pytest.mark.usefixtures("states")
@pytest.mark.parametrize("model", OTHER_MODELS)
def test_every_other_model(video, tmp_path, model):
    """The published networks have random weights: what they see does not matter here."""
    entry, weights = CATALOG[model], None
    if entry.weights is None:
        assert entry.network is not None
        torch.manual_seed(0)
        weights = tmp_path / "weights.pth"
        torch.save(entry.network({}).state_dict(), weights)
    learns = entry.segmenter is not None and entry.segmenter.learns_reference
    refinements = Refinements(online_steps=2) if learns else Refinements()
    counts = (3, 6)
    options = {"model": model, "weights": weights, "refinements": refinements}
    _assert_resumed_as_whole(video, tmp_path, counts, **options)


SETTINGS: dict[str, dict[str, Any]] = {
    "flip": {"refinements": parse_refinements(["flip"])},
    "scales": {"refinements": parse_refinements(["scales=0.75,1"])},
    "ensemble": {"refinements": parse_refinements(["ensemble=rgmp-lite"])},
    "online": {"refinements": parse_refinements(["online=2"])},
    "online, flip": {"refinements": parse_refinements(["online=2", "flip"])},
    "components": {"refinements": parse_refinements(["components"])},
    "crf": {"refinements": parse_refinements(["crf"])},
    "boxes tracked": {"refinements": parse_refinements([], "tracked")},
    "focus": {"focus": "always", "size": 64},
    "memory all": {"memory": "all"},
    "naive merging": {"merge": "naive"},
    "float32": {"precision": "float32"},
    "bfloat16": {"precision": "bfloat16"},
}


@pytest.mark.slow
@pytest.mark.usefixtures("states")
@pytest.mark.parametrize("setting", SETTINGS)
def test_every_refinement_and_setting(video, tmp_path, setting):
    _assert_resumed_as_whole(video, tmp_path, (3, 6), **SETTINGS[setting])


@pytest.mark.slow
@pytest.mark.usefixtures("states")
@pytest.mark.parametrize("model", ["stm-lite", "embedding", "flow-saliency"])
def test_without_a_mask(video, tmp_path, model):
    _assert_resumed_as_whole((video[0], None), tmp_path, (3, 6), model=model)


@pytest.mark.slow
@pytest.mark.usefixtures("states")
def test_more_objects_than_a_group(video, tmp_path):
    """Objects are processed in groups, and those that are lost are looked for together."""
    frames, labels = video
    rows, columns = np.indices(labels.shape)
    grid = (1 + rows // 16 * 8 + columns // 16).astype(np.int32)
    _assert_resumed_as_whole((frames, grid), tmp_path, (3, 6))


def test_a_longer_cut_continues_a_shorter_exactly(video, tmp_path):
    frames, labels = video
    options: dict[str, Any] = {"size": 96, "device": "cpu", "formats": (), "at": 4}
    rotomask.cut(frames, labels, tmp_path / "whole", **options)
    rotomask.cut(frames, labels, tmp_path / "parts", stop=6, **options)
    assert rotomask.cut(frames, labels, tmp_path / "parts", **options).frames_segmented == 3
    for path in sorted((tmp_path / "whole" / "masks").iterdir()):
        assert (tmp_path / "parts" / "masks" / path.name).read_bytes() == path.read_bytes()


@pytest.mark.parametrize("content", [b"", b"no state", b"PK\x03\x04"])
def test_a_damaged_state_is_left_aside(video, tmp_path, content):
    frames, labels = video
    options: dict[str, Any] = {"size": 96, "device": "cpu", "formats": (), "at": 4}
    with pytest.raises(KeyboardInterrupt):
        rotomask.cut(frames, labels, tmp_path, on_progress=_stop_after(3), **options)
    (tmp_path / ".rotomask" / "state-forward.pt").write_bytes(content)
    assert rotomask.cut(frames, labels, tmp_path, **options).frames == COUNT
