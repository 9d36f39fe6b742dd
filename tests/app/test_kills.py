"""Whatever is killed, nothing is lost, doubled or changed: a few kills; more by benchmarks."""

import pytest

from benchmarks.app_kills import JOBS, run, small_clip


@pytest.mark.slow
def test_kills_at_random_moments_change_nothing() -> None:
    report = run(kills=5, seconds=(2.0, 9.0), seed=7, clip=small_clip())
    assert report["expected"]["jobs"] == JOBS
    assert report["expected"]["masks"] == 30
    assert report["projects"] == report["ways"]
    assert report["differences"] == []
