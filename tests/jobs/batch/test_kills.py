"""A batch whose driver, or a worker of which, is killed at random moments."""

import json
import random
from pathlib import Path

import pytest

from benchmarks.batch_kills import one_stop, start
from benchmarks.batch_scaling import digest

from .clips import write_clip

CLIPS = 4


def _run(manifest: Path, out: Path) -> None:
    """Run a batch to its end."""
    with start(manifest, out, "--workers", "2") as process:
        _, errors = process.communicate()
    assert process.returncode == 0, errors


@pytest.mark.slow
@pytest.mark.parametrize(("what", "kills"), [("driver", 10), ("worker", 2), ("ctrl-c", 2)])
def test_nothing_is_lost_or_different(what, kills, tmp_path):
    names = [f"clip{seed}" for seed in range(CLIPS)]
    rows = [write_clip(tmp_path / "in", seed, frames=10) for seed in range(CLIPS)]
    manifest = tmp_path / "clips.jsonl"
    manifest.write_text("".join(json.dumps(row) + "\n" for row in rows))
    _run(manifest, tmp_path / "whole")
    torn, draw = tmp_path / "torn", random.Random(1)
    masks = 0
    for _ in range(kills):
        stopped = one_stop(manifest, torn, what, 10.0, draw)
        if stopped is None:  # it had ended before
            continue
        assert stopped.masks >= masks  # nothing that was there is gone
        assert stopped.survivors == 0
        masks = stopped.masks
    _run(manifest, torn)
    assert digest(torn, names) == digest(tmp_path / "whole", names)
    assert json.loads((torn / "summary.json").read_text())["totals"]["failed"] == 0
