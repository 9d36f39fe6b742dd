"""The table of confidences of a cut: resumed as unstopped, corrected, undone, and its stretches."""

import csv

import numpy as np
import pytest

from rotomask.jobs.confidence import STORED, TABLE, read_confidences, uncertain_stretches
from rotomask.jobs.correct import correct, undo_correction
from rotomask.jobs.cut import cut
from rotomask.jobs.folder import JobRequest, claim
from rotomask.jobs.following import _write
from rotomask.jobs.mask_files import MaskFiles
from rotomask.prompts import Click
from rotomask.segmenters.confidence import ObjectConfidence
from rotomask.segmenters.follow import FollowedFrame
from rotomask.video import open_video
from tests.clips import write_folder
from tests.refine.demo_frames import DEMO

CLIP, MASK = DEMO / "clip.mp4", DEMO / "first_mask.png"


def rows(out):
    with (out / TABLE).open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_resumed_cut_has_the_table_of_one_never_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr("rotomask.jobs.snapshots.LEAST_SECONDS", 0.0)
    monkeypatch.setattr("rotomask.jobs.snapshots.MOST_COST", 1e6)
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    cut(CLIP, MASK, whole, stop=8, size=96, formats=())

    def stop(stage, done, total):
        if stage == "cut" and done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cut(CLIP, MASK, stopped, stop=8, size=96, formats=(), on_progress=stop)
    assert not (stopped / TABLE).exists()
    with (stopped / STORED).open("a") as file:
        file.write('{"frame": 6, "obj')  # the line of a killed job
    result = cut(CLIP, MASK, stopped, stop=8, size=96, formats=())
    assert (stopped / TABLE).read_bytes() == (whole / TABLE).read_bytes()
    assert [int(row["frame"]) for row in rows(whole)] == list(range(1, 8))
    assert result.frames == 8


def test_a_correction_is_certain_and_undo_restores_the_table(tmp_path):
    out = tmp_path / "out"
    cut(CLIP, MASK, out, stop=6, size=96, formats=())
    before = (out / TABLE).read_bytes()
    correct(CLIP, out, [Click(300, 60)], at=4, size=96)
    by_frame = {int(row["frame"]): float(row["confidence"]) for row in rows(out)}
    assert by_frame[4] == 1
    assert (out / TABLE).read_bytes() != before
    assert undo_correction(out) == 4
    assert (out / TABLE).read_bytes() == before
    assert read_confidences(out)[4][1].value < 1


def test_stretches_join_over_short_gaps_and_name_their_reason():
    low = ObjectConfidence(value=0.3, reason="jumps")
    lower = ObjectConfidence(value=0.1, reason="lost")
    high = ObjectConfidence(value=0.9, reason="unsure")
    frames = {i: {2: high} for i in range(20)}
    for index in (3, 4, 6):
        frames[index] = {2: low}
    frames[5] = {2: lower}
    frames[15] = {1: low, 2: high}
    first, second = uncertain_stretches(frames)
    assert str(first) == "object 1 is uncertain in frame 15 (jumps)"
    assert str(second) == "object 2 is uncertain from frame 3 to 6 (jumps)"
    assert second.lowest == 0.1


def test_a_confidence_is_stored_before_its_mask(tmp_path):
    """A frame with a mask is finished, and a resumed cut does not measure it again."""
    video = open_video(write_folder(tmp_path / "frames", ["0.png"], (16, 16)))
    masks_there = []
    with claim(tmp_path / "out", JobRequest(command="cut", settings={}, trees=["masks"])) as folder:
        store = MaskFiles(folder, video, soft=False)
        labels = np.ones((16, 16), np.int32)
        followed = FollowedFrame(0, video.frame(0).image, labels, None, "segmented")
        _write(store, followed, (1,), lambda *_: masks_there.append(store.is_finished(0)))
        assert masks_there == [False]
        assert store.is_finished(0)
