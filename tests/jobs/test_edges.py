"""Edge maps on disk: through the command line, gone on with, in 8 and 16 bits."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rotomask.data.training.synthetic import moving_shapes
from rotomask.edges.thinning import thin_edges
from rotomask.errors import OptionError, OutputError
from rotomask.evaluation.measures.object_edges import edge_counts, edge_score
from rotomask.jobs.edges import EdgeOptions, edges, with_neighbours
from rotomask.video import open_video
from tests.cli.running import run

FRAMES = 3
SEED = 40


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clip") / "shapes"
    folder.mkdir()
    for t, frame in enumerate(moving_shapes(SEED, frames=FRAMES)[0]):
        Image.fromarray(frame).save(folder / f"{t:05d}.png")
    return folder


def _score(folder: Path) -> float:
    labels = moving_shapes(SEED, frames=FRAMES)[1]
    counts = []
    for t in range(FRAMES):
        picture = np.asarray(Image.open(folder / f"{t:05d}.png"))
        edges = (picture / 255).astype(np.float32)
        counts.append(edge_counts(thin_edges(edges), labels[t] > 0, tolerance=3))
    return edge_score(counts).f


def test_the_command_writes_edges_of_both_kinds_and_their_merge(video, tmp_path):
    answer = run("edges", video, "--out", tmp_path / "out", "--motion")
    assert answer.returncode == 0, answer.stderr
    for name in ("edges", "motion", "merged"):
        assert name in answer.stdout
        files = sorted(path.name for path in (tmp_path / "out" / name).iterdir())
        assert files == [f"{t:05d}.png" for t in range(FRAMES)]
    noise = np.random.default_rng(0).random((FRAMES, 96, 128)).astype(np.float32)
    labels = moving_shapes(SEED, frames=FRAMES)[1]
    by_chance = edge_score(
        [edge_counts(thin_edges(n), m > 0, 3) for n, m in zip(noise, labels, strict=True)]
    ).f
    assert _score(tmp_path / "out" / "edges") > by_chance + 0.1
    edges, merged = (
        np.asarray(Image.open(tmp_path / "out" / name / "00001.png")).astype(int)
        for name in ("edges", "merged")
    )
    assert (merged > edges + 20).any()
    assert (edges > merged + 20).any()

    # The same command goes on; another one is refused.
    (tmp_path / "out" / "edges" / "00001.png").unlink()
    kept = (tmp_path / "out" / "edges" / "00000.png").stat().st_mtime_ns
    assert run("edges", video, "--out", tmp_path / "out", "--motion").returncode == 0
    assert (tmp_path / "out" / "edges" / "00001.png").is_file()
    assert (tmp_path / "out" / "edges" / "00000.png").stat().st_mtime_ns == kept
    other = run("edges", video, "--out", tmp_path / "out")
    assert other.returncode == 2
    assert "motion True there, False here" in other.stderr


def test_thin_edges_of_a_model_with_flow_in_16_bits(video, tmp_path):
    options = EdgeOptions(model="edges-flow-lite", thin=True, bits=16)
    result = edges(video, tmp_path, options)
    assert (result.written, result.frames) == (FRAMES, FRAMES)
    assert result.folders == (tmp_path / "edges",)
    picture = Image.open(tmp_path / "edges" / "00001.png")
    assert picture.mode == "I;16"
    pixels = np.asarray(picture)
    assert pixels.max() > 255
    assert (pixels == 0).mean() > 0.5
    assert edges(video, tmp_path, options).written == 0


def test_motion_is_that_of_the_estimator_asked_for(video, tmp_path):
    found = []
    for name in ("dis", "flow-lite"):
        edges(video, tmp_path / name, EdgeOptions(motion=True, estimator=name))
        found.append(np.asarray(Image.open(tmp_path / name / "motion" / "00001.png")).astype(int))
    assert (found[0] != found[1]).any()
    with pytest.raises(OptionError, match="unknown flow estimator"):
        edges(video, tmp_path / "other", EdgeOptions(estimator="other"))
    assert not (tmp_path / "other").exists()


def test_every_frame_has_a_neighbour(video):
    pairs = [
        (frame.index, None if neighbour is None else neighbour.index)
        for frame, neighbour in with_neighbours(open_video(video).frames())
    ]
    assert pairs == [(0, 1), (1, 2), (2, 1)]
    single = list(with_neighbours(open_video(video / "00000.png").frames()))
    assert len(single) == 1
    assert single[0][1] is None


def test_a_single_picture_has_edges_but_none_of_motion(video, tmp_path):
    edges(video / "00000.png", tmp_path, EdgeOptions(motion=True))
    (motion,) = (tmp_path / "motion").iterdir()
    assert np.asarray(Image.open(motion)).max() == 0


def test_wrong_options_are_refused(video, tmp_path):
    with pytest.raises(OptionError, match="8 or 16 bits"):
        EdgeOptions(bits=12)
    edges(video / "00000.png", tmp_path)
    with pytest.raises(OutputError, match="another job"):
        edges(video, tmp_path)
