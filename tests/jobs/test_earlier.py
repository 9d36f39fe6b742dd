"""Folders that version 0.1 wrote: read, resumed if the settings are the same, or refused.

The records are verbatim those of version 0.1 for this clip and mask.
"""

import json
import os
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rotomask
from rotomask.errors import OutputError
from rotomask.jobs.cut import CutResult
from rotomask.jobs.earlier import refinements_text
from rotomask.jobs.edges import edges
from rotomask.jobs.export import export
from rotomask.jobs.fingerprints import mask_digest
from rotomask.jobs.flow import flow
from rotomask.jobs.refine import refine
from rotomask.masks import write_mask
from rotomask.segmenters.refinements import Refinements
from rotomask.video import open_video
from tests.clips import write_clip
from tests.jobs.still import Shifting

SIZE = (96, 128)
COUNT = 6
CUT: dict[str, Any] = {
    "video": "clip",
    "frame_size": [96, 128],
    "start": 0,
    "annotations": {"0": "eec4aa3387fffa1f"},
    "model": "stm-lite",
    "weights": None,
    "size": 480,
    "direction": "both",
    "objects": None,
    "format": 1,
}
FLOW = {"video": "clip", "estimator": "dis", "weights": None, "longest_px": None}
EDGES = {
    "video": "clip",
    "frame_size": [96, 128],
    "model": "edges-lite",
    "weights": None,
    "motion": False,
    "thin": False,
    "bits": 8,
    "estimator": "dis",
    "size": 48,
    "precision": "auto",
}


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write_clip(tmp_path / "clip.mp4", frames=COUNT, size=SIZE)


def _reference() -> np.ndarray:
    labels = np.zeros(SIZE, np.int32)
    labels[:24, :32] = 1
    return labels


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A cut that was killed after four frames."""
    folder = tmp_path / "out"
    for t in range(4):
        write_mask(folder / "masks" / f"{t:05d}.png", np.roll(_reference(), t, axis=1))
    (folder / "job.json").write_text(json.dumps(CUT, indent=1))
    return folder


def _cut(clip: Path, out: Path, **options: Any) -> CutResult:
    return rotomask.cut(clip, _reference(), out, segmenter=Shifting(), formats=(), **options)


def test_an_unfinished_cut_is_resumed(clip, old):
    before = {p: p.stat().st_mtime_ns for p in (old / "masks").iterdir()}
    assert _cut(clip, old).frames_segmented == COUNT - 4
    assert all(p.stat().st_mtime_ns == time for p, time in before.items())
    assert json.loads((old / "job.json").read_text())["format"] == 2
    assert _cut(clip, old).frames_segmented == 0


def test_small_videos_of_a_resumed_cut_are_not_enlarged_in_its_middle(clip, old):
    _cut(clip, old)
    for _ in range(2):  # also by the version that resumed it
        assert json.loads((old / "job.json").read_text())["settings"]["enlarge"] == "never"
        assert _cut(clip, old).frames_segmented == 0
    with pytest.raises(OutputError, match="enlarge 'never' there, 'always' here"):
        _cut(clip, old, enlarge="always")
    assert _cut(clip, old, overwrite=True).frames_segmented == COUNT - 1
    assert "enlarge" not in json.loads((old / "job.json").read_text())["settings"]


def test_a_cut_at_the_videos_own_size_goes_on_with_whole_frames(clip, tmp_path):
    """Versions without `focus` made such a record; a new cut has the field."""
    out = tmp_path / "whole"
    _cut(clip, out, size=None, focus="never", stop=2)
    assert "focus" not in json.loads((out / "job.json").read_text())["settings"]
    assert _cut(clip, out, size=None).frames_segmented == COUNT - 2
    assert "focus" not in json.loads((out / "job.json").read_text())["settings"]
    with pytest.raises(OutputError, match="focus unset there, 'always' here"):
        _cut(clip, out, size=None, focus="always")
    _cut(clip, tmp_path / "new", size=None)
    assert json.loads((tmp_path / "new/job.json").read_text())["settings"]["focus"] == "auto"


def test_a_cut_of_version_one_is_not_resumed_in_another_way(clip, old):
    for change in ({"enlarge": "always"}, {"memory": 3}, {"merge": "naive"}):
        with pytest.raises(OutputError, match=f"{next(iter(change))} unset there"):
            _cut(clip, old, **change)


def test_another_cut_is_refused_and_named_or_replaced(clip, old):
    before = {p: p.read_bytes() for p in old.rglob("*") if p.is_file()}
    with pytest.raises(OutputError, match=r"another job.*size 480 there, 96 here"):
        _cut(clip, old, size=96)
    assert {p: p.read_bytes() for p in old.rglob("*") if p.is_file()} == before
    (old / "notes.txt").write_text("mine")
    _cut(clip, old, size=96, overwrite=True, stop=2)
    names = {p.relative_to(old).as_posix() for p in old.rglob("*") if p.is_file()}
    kept = {name for name in names if not name.startswith(".rotomask")}
    written = {"job.json", "confidence.csv", "masks/00000.png", "masks/00001.png"}
    assert kept == {*written, "notes.txt"}


def test_a_finished_cut_is_exported_and_refined(clip, old, tmp_path):
    outputs = export(clip, old, formats=("rgba",)).outputs
    assert len(list(outputs["rgba"].iterdir())) == 4, "it was cut with --end 3"
    assert json.loads((old / "job.json").read_text()) == CUT
    assert refine(clip, old, tmp_path / "refined", size=48).frames == 4


def test_what_it_rendered_is_replaced_by_overwrite_alone(clip, old):
    older, newer = old / "contact_sheet.png", old / "overlay.mp4"
    older.write_bytes(b"mine, from before the cut")
    newer.write_bytes(b"an overlay of version 0.1")
    written = (old / "job.json").stat().st_mtime
    os.utime(older, (written - 60, written - 60))
    os.utime(newer, (written + 60, written + 60))
    before = {p: p.read_bytes() for p in old.rglob("*") if p.is_file()}

    def run(formats: tuple[str, ...], **options: Any) -> None:
        rotomask.cut(clip, _reference(), old, segmenter=Shifting(), formats=formats, **options)

    for call in (run, partial(export, clip, old)):
        with pytest.raises(OutputError, match=r"version 0.1 did not record .*--overwrite"):
            call(formats=("overlay",))
    for call in (run, partial(export, clip, old)):
        with pytest.raises(OutputError, match=r"contact_sheet.png was not written by rotomask"):
            call(formats=("overlay", "contact-sheet"), overwrite=True)
    assert {p: p.read_bytes() for p in old.rglob("*") if p.is_file()} == before
    export(clip, old, formats=("overlay",), overwrite=True)
    assert open_video(newer).frame_count == 4
    export(clip, old, formats=("overlay",))
    newer.write_bytes(b"an overlay of version 0.1")
    run(("overlay",), overwrite=True)
    assert open_video(newer).frame_count == COUNT
    assert older.read_bytes() == before[older]


def test_what_was_found_is_followed_on(clip, tmp_path):
    out = tmp_path / "out"
    labels = np.roll(_reference(), 2, axis=1)
    write_mask(out / "found" / "00002.png", labels)
    request = {"video": "clip", "start": 0, "stop": 3, "objects": 1}
    digest = mask_digest(labels)
    found = {"request": request, "frame": 2, "mask": "00002.png", "digest": digest}
    (out / "found" / "found.json").write_text(json.dumps(found, indent=1))
    (out / "job.json").write_text(json.dumps({**CUT, "annotations": {"2": digest}}))
    write_mask(out / "masks" / "00002.png", labels)
    result = rotomask.cut(clip, None, out, segmenter=Shifting(), formats=())
    assert (result.frames, result.frames_segmented) == (COUNT, COUNT - 1)


def test_flow_and_edges_are_resumed_or_refused(clip, tmp_path):
    (tmp_path / "flow" / "flo").mkdir(parents=True)
    (tmp_path / "flow" / "flow.json").write_text(json.dumps(FLOW, indent=1))
    (tmp_path / "flow" / "flo" / "00000.flo").write_bytes(b"an earlier flow")
    with pytest.raises(OutputError, match="longest_px None there, 9 here"):
        flow(clip, tmp_path / "flow", longest_px=9)
    assert flow(clip, tmp_path / "flow", formats=("flo",)).estimated == COUNT - 2
    assert (tmp_path / "flow" / "flo" / "00000.flo").read_bytes() == b"an earlier flow"

    (tmp_path / "edges").mkdir()
    (tmp_path / "edges" / "edges.json").write_text(json.dumps(EDGES, indent=1))
    with pytest.raises(OutputError, match="bits 8 there, 16 here"):
        edges(clip, tmp_path / "edges", size=48, bits=16)
    assert edges(clip, tmp_path / "edges", size=48).written == COUNT


@pytest.mark.parametrize("name", ["job.json", "flow.json", "edges.json"])
@pytest.mark.parametrize("content", ["", "{", "[1]"])
def test_damaged_records_are_an_error_of_one_line(clip, tmp_path, name, content):
    jobs = {
        "job.json": lambda: _cut(clip, tmp_path / "out"),
        "flow.json": lambda: flow(clip, tmp_path / "out"),
        "edges.json": lambda: edges(clip, tmp_path / "out", size=48),
    }
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).write_text(content)
    with pytest.raises(OutputError, match=r"is damaged or not a record") as error:
        jobs[name]()
    assert "\n" not in str(error.value)
    assert (tmp_path / "out" / name).read_text() == content


def test_refinements_are_described_as_they_were():
    everything = Refinements(
        flip=True,
        scales=(0.75, 1.0),
        boxes="tracked",
        crf=True,
        online_steps=4,
        ensemble_with=("rgmp-lite",),
    )
    assert f"stm-lite{refinements_text(everything)}" == (
        "stm-lite + with rgmp-lite + online 4 steps + flip + scales 0.75,1 + boxes of none + crf"
    )
