"""A batch on a Ray cluster of two nodes on this machine."""

import threading
from importlib.util import find_spec

import pytest

import rotomask

from .clips import results, write_clip

if find_spec("ray") is None:
    pytest.skip("Ray is not installed", allow_module_level=True)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # Ray's own
def test_a_node_killed_midway(tmp_path):
    from benchmarks.batch_scaling import ray_nodes

    rows = [write_clip(tmp_path / "in", seed, frames=12) for seed in range(8)]
    killed = threading.Event()
    with ray_nodes() as cluster:

        def on_progress(stage, done, total):
            if done >= total // 4 and not killed.is_set():
                killed.set()
                node = next(iter(cluster.worker_nodes))
                cluster.remove_node(node, allow_graceful=False)

        result = rotomask.batch(
            rows, tmp_path / "out", ray=cluster.address, on_progress=on_progress
        )
    assert killed.is_set()
    assert not result.failures
    assert len(result.outcomes) == len(rows)
    for number, row in enumerate(rows):
        alone = tmp_path / "alone" / f"clip{number}"
        rotomask.cut(row["video"], row["mask"], alone, size=64, device="cpu", formats=("mattes",))
        made = results(tmp_path / "out" / f"clip{number}")
        made.pop("review.png", None)
        assert made == results(alone)
