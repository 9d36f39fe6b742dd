"""Which videos a run is validated on, and does not train on."""

import shutil

import pytest

from rotomask.data.benchmarks.youtube_vos import held_out, youtube_vos
from rotomask.data.sequences import MemorySequence
from rotomask.errors import OptionError
from rotomask.jobs.train import train
from rotomask.training.clip_data import open_clip_data
from rotomask.training.video_split import HELD_OUT, split_videos
from tests.evaluation.davis_golden import shared_path
from tests.evaluation.small_datasets import moving_labels, write_youtube_vos
from tests.training.tiny import CPU, TINY, write_data


def video(name: str) -> MemorySequence:
    return MemorySequence.of(name, ())


def names(videos) -> list[str]:
    return [v.name for v in videos]


def test_the_papers_share_of_youtube_vos_is_held_out_by_default():
    every = [f"{k:010x}" for k in range(3471)]
    kept, validated = split_videos({"youtube-vos": [video(name) for name in every]}, HELD_OUT)
    assert names(validated) == held_out(every)  # as the benchmark's split has them
    assert len(validated) == 150
    assert not set(names(kept)) & set(names(validated))
    few = {"youtube-vos": [video(name) for name in every[:40]], "davis": [video("hike")]}
    kept, validated = split_videos(few, HELD_OUT)
    assert len(kept) == 38
    assert "hike" in names(validated)


def test_a_list_replaces_the_default():
    given = {"youtube-vos": [video(f"v{k}") for k in range(5)], "davis": [video("hike")]}
    kept, validated = split_videos(given, ("v3",))
    assert names(validated) == ["v3"]
    assert "hike" in names(kept)


def test_a_run_on_youtube_vos_alone_is_validated(tmp_path):
    videos = {f"video{k}": moving_labels(k, 6, 2, (64, 80)) for k in range(3)}
    write_youtube_vos(tmp_path, videos, {name: ["dog", "cat"] for name in videos})
    data = {"stills": write_data(tmp_path / "tiny")["stills"], "youtube-vos": tmp_path}
    opened = open_clip_data(data, held_out=HELD_OUT)
    assert len(opened.held_out) == 1
    assert names(opened.held_out) == held_out(list(videos), count=1)
    train(TINY, data, tmp_path / "run", hardware=CPU, held_out=("video2",))
    rows = (tmp_path / "run" / "validation.csv").read_text().splitlines()
    assert "J video2" in rows[0]
    assert len(rows) > 2
    with pytest.raises(OptionError, match="no video nowhere"):
        train(TINY, data, tmp_path / "other", hardware=CPU, held_out=("nowhere",))
    assert not (tmp_path / "other").exists()


def test_the_sample_of_youtube_vos_is_trained_on_and_validated(tmp_path, caplog):
    root = tmp_path / "youtube-vos"
    shutil.copytree(shared_path("data/youtube-vos-sample"), root)
    (sequence,) = youtube_vos(root, "train")
    data = {"stills": write_data(tmp_path / "tiny")["stills"], "youtube-vos": root}
    recipe = type(TINY)(**{**vars(TINY), "held_out": HELD_OUT})
    train(recipe, data, tmp_path / "run", hardware=CPU)
    assert "no video is left to train on" in caplog.text
    rows = (tmp_path / "run" / "validation.csv").read_text().splitlines()
    assert f"J {sequence.name}" in rows[0]
