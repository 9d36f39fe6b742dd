"""A training run's folder: begun, resumed, refused, replaced."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from rotomask.errors import DatasetError, OutputError
from rotomask.jobs.train import train
from rotomask.training.loop import Progress
from tests.training.tiny import CPU, TINY, write_data


class StoppedError(Exception):
    """What a test raises to stop a run."""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return write_data(tmp_path_factory.mktemp("data"))


def _stop(progress: Progress) -> None:
    if progress.step == 4:
        raise StoppedError


def _losses(run: Path) -> list[str]:
    """Step and loss of every line, without the seconds."""
    return [",".join(line.split(",")[:2]) for line in (run / "losses.csv").read_text().splitlines()]


@pytest.mark.slow
def test_a_run_is_resumed_refused_or_replaced(data, tmp_path):
    run, whole = tmp_path / "run", tmp_path / "whole"
    with pytest.raises(OutputError, match="holds no run to resume"):
        train(TINY, data, run, hardware=CPU, resume=True)
    assert not run.exists()
    with pytest.raises(StoppedError):
        train(TINY, data, run, hardware=CPU, on_step=_stop)
    assert json.loads((run / "job.json").read_text())["state"] == "unfinished"
    with pytest.raises(OutputError, match=r"holds a run; --resume it, --overwrite it"):
        train(TINY, data, run, hardware=CPU)
    with pytest.raises(OutputError, match=r"another job.*recipe.dice"):
        train(replace(TINY, dice=0.25), data, run, hardware=CPU, resume=True)
    weights = train(TINY, data, run, hardware=CPU, resume=True)
    assert json.loads((run / "job.json").read_text())["state"] == "finished"
    train(TINY, data, whole, hardware=CPU)
    assert _losses(run) == _losses(whole)

    (run / "notes.txt").write_text("mine")
    with pytest.raises(StoppedError):
        train(replace(TINY, dice=0.25), data, run, hardware=CPU, overwrite=True, on_step=_stop)
    assert not weights.exists()
    assert (run / "notes.txt").read_text() == "mine"
    assert _losses(run) != _losses(whole)[:5]


@pytest.mark.slow
def test_a_run_of_version_01_is_resumed_or_replaced(data, tmp_path):
    run = tmp_path / "run"
    with pytest.raises(StoppedError):
        train(TINY, data, run, hardware=CPU, on_step=_stop)
    (run / "job.json").unlink()  # version 0.1 had neither a manifest nor a journal
    shutil.rmtree(run / ".rotomask")
    with pytest.raises(OutputError, match=r"recipe|another job"):
        train(replace(TINY, dice=0.25), data, run, hardware=CPU, resume=True)
    assert not (run / ".rotomask").exists()
    assert train(TINY, data, run, hardware=CPU, resume=True).is_file()
    assert train(TINY, data, run, hardware=CPU, overwrite=True).is_file()


def test_what_cannot_run_leaves_no_folder_and_nothing_of_the_users_changed(data, tmp_path):
    with pytest.raises(DatasetError):
        train(TINY, {**data, "stills": tmp_path / "none"}, tmp_path / "run", hardware=CPU)
    assert not (tmp_path / "run").exists()
    mine = tmp_path / "mine" / "weights"
    mine.mkdir(parents=True)
    (mine / "a.safetensors").write_bytes(b"mine")
    for overwrite in (False, True):
        with pytest.raises(OutputError, match="weights was not written by rotomask"):
            train(TINY, data, tmp_path / "mine", hardware=CPU, overwrite=overwrite)
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["weights"]
    assert (mine / "a.safetensors").read_bytes() == b"mine"
