"""A model over a benchmark in its layout on disk, through the command line."""

import io
import json
import shutil
import zipfile
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from rotomask.errors import DatasetError, OutputError
from rotomask.evaluation import open_benchmark
from rotomask.evaluation.submission import write_submission
from rotomask.jobs.benchmark import benchmark
from rotomask.masks import read_labels, write_mask
from tests.cli.running import run
from tests.data.test_benchmark_readers import write_davis2016
from tests.jobs.still import Shifting


@pytest.fixture(scope="module")
def davis(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two short sequences of a textured disk on textured ground, as DAVIS-2016 has them."""
    root = tmp_path_factory.mktemp("davis")
    rng = np.random.default_rng(0)
    ground = cv2.GaussianBlur(rng.integers(60, 200, (96, 128, 3), np.uint8), (5, 5), 0)
    for name, step in (("left", -3), ("right", 3)):
        images = root / "JPEGImages" / "480p" / name
        images.mkdir(parents=True)
        for t in range(6):
            disk = np.zeros((96, 128), np.uint8)
            cv2.circle(disk, (64 + step * t, 48), 20, 1, -1)
            image = np.where(disk[..., None] == 1, np.array([40, 40, 210], np.uint8), ground)
            cv2.imwrite(str(images / f"{t:05d}.jpg"), image)
            write_mask(root / "Annotations" / "480p" / name / f"{t:05d}.png", disk.astype(int))
    return root


def test_benchmark_scores_every_sequence_and_says_what_it_cost(davis, tmp_path):
    out, file = tmp_path / "run", tmp_path / "run.json"
    answer = run("benchmark", "davis2016", "--root", davis, "--out", out, "--json", file)
    assert answer.returncode == 0, answer.stderr
    result = json.loads(file.read_text())
    assert {s["name"] for s in result["sequences"]} == {"left", "right"}
    assert result["figures"]["J_mean"] > 0.7
    assert result["run"]["frames"] == 10
    assert result["run"]["seconds_per_frame"] > 0
    assert result["run"]["peak_memory_mib"] > 100
    assert "torch" in result["run"]["versions"]
    assert read_labels(out / "left" / "00003.png").any()
    assert "s per frame" in answer.stdout

    # Finished sequences are not segmented again, and other settings are not mixed in.
    before = (out / "left" / "00003.png").stat().st_mtime_ns
    again = run("benchmark", "davis2016", "--root", davis, "--out", out, "--json", file, "-q")
    assert again.returncode == 0
    assert (out / "left" / "00003.png").stat().st_mtime_ns == before
    assert json.loads(file.read_text())["figures"] == result["figures"]
    other = run("benchmark", "davis2016", "--root", davis, "--out", out, "--size", "64")
    assert other.returncode == 2
    assert "size 480 there, 64 here" in other.stderr

    # The masks are what `evaluate` reads, and it finds the same figures.
    score = tmp_path / "score.json"
    evaluated = run("evaluate", "davis2016", "--root", davis, "--results", out, "--json", score)
    assert evaluated.returncode == 0, evaluated.stderr
    assert json.loads(score.read_text())["figures"] == result["figures"]


def test_only_named_sequences(davis, tmp_path):
    file = tmp_path / "run.json"
    options = ["--root", davis, "--out", tmp_path / "run", "--json", file, "-q"]
    assert run("benchmark", "davis2016", *options, "--sequences", "left").returncode == 0
    assert [s["name"] for s in json.loads(file.read_text())["sequences"]] == ["left"]
    unknown = run("benchmark", "davis2016", *options, "--sequences", "up")
    assert unknown.returncode == 2
    assert "no sequence up" in unknown.stderr


def test_frames_that_are_missing_are_named_before_the_run(tmp_path):
    write_davis2016(tmp_path / "davis", ["bear", "dog"])
    (tmp_path / "davis/JPEGImages/480p/dog/00002.jpg").unlink()
    with pytest.raises(DatasetError, match="the frames of dog are missing or incomplete"):
        benchmark("davis2016", tmp_path / "davis", tmp_path / "out", segmenter=Shifting())
    assert not (tmp_path / "out").exists()


def test_a_mask_that_was_deleted_is_made_again(tmp_path):
    """The last one too, which DAVIS does not score."""
    write_davis2016(tmp_path / "davis", ["bear"])
    out = tmp_path / "out"
    first = benchmark("davis2016", tmp_path / "davis", out, segmenter=Shifting())
    *_, last = sorted((out / "bear").iterdir())
    content = last.read_bytes()
    last.unlink()
    again = benchmark("davis2016", tmp_path / "davis", out, segmenter=Shifting())
    assert last.read_bytes() == content
    assert again.figures == first.figures


def test_a_run_that_version_0_1_began_is_not_enlarged_in_its_middle(tmp_path):
    write_davis2016(tmp_path / "davis", ["bear", "dog"])
    alone = benchmark("davis2016", tmp_path / "davis", tmp_path / "whole", segmenter=Shifting())
    out = tmp_path / "out"
    shutil.copytree(tmp_path / "whole" / "bear", out / "bear")
    began = {"size": 480, "device": "auto", "precision": "auto", "objects": 1, "with_masks": False}
    new = json.loads((tmp_path / "whole" / "run.json").read_text())
    record = {
        "settings": {"model": "stm-lite", "weights": "shipped", **began},
        "peak_mib": 500.0,
        "timings": {"bear": new["timings"]["bear"]},
    }
    (out / "run.json").write_text(json.dumps(record))
    run_again = partial(benchmark, "davis2016", tmp_path / "davis", out, segmenter=Shifting())
    for _ in range(2):  # also by the version that resumed it
        assert run_again().figures == alone.figures
        settings = json.loads((out / "job.json").read_text())["settings"]
        assert settings["enlarge"] == "never"
    with pytest.raises(OutputError, match="enlarge 'never' there, 'always' here"):
        run_again(enlarge="always")
    run_again(overwrite=True)
    assert "enlarge" not in json.loads((out / "job.json").read_text())["settings"]


def test_a_missing_data_set_is_named(tmp_path):
    answer = run("benchmark", "davis2016", "--root", tmp_path / "no", "--out", tmp_path / "run")
    assert answer.returncode == 2
    assert str(tmp_path / "no") in answer.stderr
    assert "Traceback" not in answer.stderr


@pytest.fixture(scope="module")
def youtube(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One video of three frames a fifth of a second apart, and all eleven; a box comes later."""
    root = tmp_path_factory.mktemp("youtube")
    rng = np.random.default_rng(1)
    ground = cv2.GaussianBlur(rng.integers(60, 200, (96, 128, 3), np.uint8), (5, 5), 0)
    for split in ("train", "valid"):
        for t in range(11):
            labels, image = np.zeros((96, 128), np.uint8), ground.copy()
            cv2.circle(labels, (40 + 3 * t, 34), 20, 1, -1)
            if t >= 5:
                cv2.rectangle(labels, (80 - 2 * t, 66), (116 - 2 * t, 92), 2, -1)
            image[labels == 1], image[labels == 2] = (40, 40, 210), (60, 180, 30)
            folders = [f"{split}_all_frames"] + [split] * (t % 5 == 0)
            for folder in folders:
                (root / folder / "JPEGImages" / "aaa").mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(root / folder / "JPEGImages" / "aaa" / f"{t:05d}.jpg"), image)
            public = t in (0, 5) or split == "train"
            if t % 5 == 0 and public:
                given = np.where(labels == 2, 2, 0) if split == "valid" and t == 5 else labels
                path = root / split / "Annotations" / "aaa" / f"{t:05d}.png"
                write_mask(path, given.astype(int))
        seen = {"1": ["00000", "00005", "00010"], "2": ["00005", "00010"]}
        objects = {k: {"category": "dog", "frames": frames} for k, frames in seen.items()}
        meta = {"videos": {"aaa": {"objects": objects}}}
        (root / split / "meta.json").write_text(json.dumps(meta))
    return root


@pytest.mark.parametrize(("suffix", "frames"), [("", 3), ("-all-frames", 11)])
def test_youtube_vos_objects_come_later_and_a_submission_is_packed(
    youtube, tmp_path, suffix, frames
):
    file, out = tmp_path / "run.json", tmp_path / "run"
    options = ["--root", youtube, "--out", out, "--json", file, "-q"]
    answer = run("benchmark", "youtube-vos", *options, "--split", f"held-out{suffix}")
    assert answer.returncode == 0, answer.stderr
    result = json.loads(file.read_text())
    assert result["figures"]["Overall"] > 0.6
    assert result["run"]["frames"] == frames - 1
    assert len(list((out / "aaa").glob("*.png"))) == frames
    assert set(np.unique(read_labels(out / "aaa" / "00000.png"))) == {0, 1}
    truth = read_labels(youtube / "train" / "Annotations" / "aaa" / "00005.png")
    there = read_labels(out / "aaa" / "00005.png")
    assert ((there == 2) == (truth == 2)).all()
    with zipfile.ZipFile(out / "submission.zip") as packed:
        names = [f"Annotations/aaa/{t:05d}.png" for t in (0, 5, 10)]
        assert packed.namelist() == names
        last = Image.open(io.BytesIO(packed.read(names[-1])))
        assert last.mode == "P"
        assert (np.asarray(last) == read_labels(out / "aaa" / "00010.png")).all()
        assert {0, 1, 2} == set(np.unique(np.asarray(last)))


def test_a_split_with_first_masks_only_is_run_and_packed_but_not_scored(youtube, tmp_path):
    out = tmp_path / "run"
    options = ["--root", youtube, "--out", out, "--split", "valid"]
    answer = run("benchmark", "youtube-vos", *options, "--json", tmp_path / "run.json")
    assert answer.returncode == 0, answer.stderr
    assert "nothing can be scored" in answer.stdout
    assert str(out / "submission.zip") in answer.stdout
    assert json.loads((tmp_path / "run.json").read_text())["figures"] == {}
    with zipfile.ZipFile(out / "submission.zip") as packed:
        assert len(packed.namelist()) == 3
    first = (out / "submission.zip").read_bytes()
    assert run("benchmark", "youtube-vos", *options, "-q").returncode == 0
    assert (out / "submission.zip").read_bytes() == first


def test_a_frame_that_is_missing_from_a_submission_is_named(youtube, tmp_path):
    dataset = open_benchmark("youtube-vos", youtube, "valid")
    with pytest.raises(DatasetError, match=r"aaa.00000\.png"):
        write_submission(dataset, tmp_path)
    assert not list(tmp_path.iterdir())


def test_jumpcut_starts_anew_from_every_key_frame(tmp_path):
    folder = tmp_path / "JC" / "ANIMAL" / "ball"
    (folder / "GT").mkdir(parents=True)
    rng = np.random.default_rng(2)
    ground = cv2.GaussianBlur(rng.integers(60, 200, (60, 80, 3), np.uint8), (5, 5), 0)
    for t in range(28):
        disk = np.zeros((60, 80), np.uint8)
        cv2.circle(disk, (20 + t, 30), 13, 255, -1)
        image = np.where(disk[..., None] > 0, np.array([40, 40, 210], np.uint8), ground)
        cv2.imwrite(str(folder / f"{t:03d}.png"), image)
        cv2.imwrite(str(folder / "GT" / f"{t:03d}.png"), disk)
    out, file = tmp_path / "run", tmp_path / "run.json"
    options = ["--root", tmp_path / "JC", "--out", out, "--size", "96", "--json", file]
    answer = run("benchmark", "jumpcut", *options)
    assert answer.returncode == 0, answer.stderr
    keys = {p.name: len(list(p.iterdir())) for p in (out / "ball").iterdir()}
    # From 0 as far as 16, from 16 as far as 8: longer transfers leave the clip.
    assert keys == {"000": 17, "016": 9}
    result = json.loads(file.read_text())
    figures, figure_run = result["figures"], result["run"]
    assert figures["error_8"] < 25
    assert figures["error_16"] < 25
    assert figures["error_32"] is None
    assert figure_run["frames"] == 16 + 8
    assert figure_run["enlarge"] is True
    again = run("benchmark", "jumpcut", *options, "-q")
    assert again.returncode == 0
    assert json.loads(file.read_text())["figures"] == figures


def test_segtrack_follows_every_object_at_the_processing_size(tmp_path):
    root = tmp_path / "ST"
    rng = np.random.default_rng(3)
    ground = cv2.GaussianBlur(rng.integers(60, 200, (60, 80, 3), np.uint8), (5, 5), 0)
    for t in range(5):
        image = ground.copy()
        for k, (x, y, colour) in enumerate(
            [(20 + t, 16, (40, 40, 210)), (55 - t, 42, (60, 180, 30))]
        ):
            disk = np.zeros((60, 80), np.uint8)
            cv2.circle(disk, (x, y), 11, 255, -1)
            image[disk > 0] = colour
            path = root / "GroundTruth" / "two" / str(k + 1) / f"{t:05d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), disk)
        (root / "JPEGImages" / "two").mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(root / "JPEGImages" / "two" / f"{t:05d}.png"), image)
    scores = []
    for size in ("60", "160"):
        file = tmp_path / f"{size}.json"
        options = ["--root", root, "--out", tmp_path / size, "--size", size, "--json", file, "-q"]
        answer = run("benchmark", "segtrack-v2", *options)
        assert answer.returncode == 0, answer.stderr
        scores.append(json.loads(file.read_text())["figures"]["J_mean"])
    assert set(np.unique(read_labels(tmp_path / "160" / "two" / "00004.png"))) == {0, 1, 2}
    assert scores[1] > scores[0]  # small videos are enlarged, as RGMP has it
    assert scores[1] > 0.7


def test_a_benchmark_without_given_masks_is_refused(tmp_path, davis):
    unsupervised = run(
        "benchmark", "davis2017-unsupervised", "--root", davis, "--out", tmp_path / "run"
    )
    assert unsupervised.returncode == 2
    assert "no mask to start from" in unsupervised.stderr
