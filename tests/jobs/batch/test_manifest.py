"""Lists of videos: CSV, JSON lines, patterns, rows from Python."""

import json

import pytest

from rotomask.errors import InputError, OptionError
from rotomask.jobs.batch.manifest import read_items
from rotomask.jobs.cut import CutOptions

DEFAULTS = CutOptions(size=360)


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def test_csv(tmp_path):
    path = write(
        tmp_path / "clips.csv",
        "video,mask,at,out,size,format,start,end,refine\n"
        'a.mp4,a.png,,,,"webm,coco",,,\n'
        "sub/b.mp4,0=m0.png;40=/abs/m40.png,,day/b,192,none,,59,flip;scales=0.75\n"
        "c.mp4,c.png,12,,,,10,,\n",
    )
    a, b, c = read_items(path, DEFAULTS)
    assert (a.name, a.video, a.masks) == (
        "a",
        str(tmp_path / "a.mp4"),
        ((0, str(tmp_path / "a.png")),),
    )
    assert a.options == CutOptions(size=360, formats=("webm", "coco"))
    assert (b.name, b.masks) == ("day/b", ((0, str(tmp_path / "m0.png")), (40, "/abs/m40.png")))
    assert (b.options.size, b.options.stop, b.options.formats) == (192, 60, ())
    assert b.options.refinements.flip
    assert b.options.refinements.scales == (0.75,)
    assert (c.masks[0][0], c.options.start) == (12, 10)


def test_json_lines(tmp_path):
    prompts = {"version": 1, "prompts": [{"frame": 4, "type": "click", "x": 3, "y": 2}]}
    rows = [
        {"video": "s3://bucket/a b.mp4", "mask": {"0": "first.png", "7": "s3://bucket/m.png"}},
        {"video": "b.mp4", "prompts": prompts, "options": {"model": "rgmp-lite", "size": 0}},
        {"video": "c.mp4", "frames": 90, "options": {"boxes": "tracked"}},
    ]
    path = write(tmp_path / "clips.jsonl", "\n\n".join(map(json.dumps, rows)))
    a, b, c = read_items(path, DEFAULTS)
    assert (a.name, a.video) == ("a b", "s3://bucket/a b.mp4")
    assert a.masks == ((0, str(tmp_path / "first.png")), (7, "s3://bucket/m.png"))
    assert json.loads(b.prompts or "") == prompts
    assert (b.options.model, b.options.size) == ("rgmp-lite", None)
    assert (c.frames, c.options.refinements.boxes, c.marked) == (90, "tracked", "none: found")


def test_relative_to_a_remote_manifest():
    assert read_items([{"video": "a.mp4", "mask": "a.png"}], DEFAULTS)[0].video == "a.mp4"


def test_pattern_with_masks_beside(tmp_path):
    for day in ("1", "2"):
        (tmp_path / day).mkdir()
        for name in ("clip.mp4", "clip.png", "other 10.mov", "other 10-prompts.json"):
            (tmp_path / day / name).touch()
    items = read_items(str(tmp_path / "*" / "*"), DEFAULTS)
    assert [item.name for item in items] == ["1/clip", "1/other 10", "2/clip", "2/other 10"]
    assert items[0].masks == ((0, str(tmp_path / "1" / "clip.png")),)
    assert items[1].prompts == str(tmp_path / "1" / "other 10-prompts.json")


def test_pattern_without_a_mask(tmp_path):
    for name in ("a.mp4", "a-mask.png", "b.mp4"):
        (tmp_path / name).touch()
    with pytest.raises(InputError, match=r"1 of 2 videos have no mask beside them: .*b\.mp4"):
        read_items(str(tmp_path / "*.mp4"), DEFAULTS)
    with pytest.raises(InputError, match="matches no video"):
        read_items(str(tmp_path / "*.webm"), DEFAULTS)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("video,mask\n,a.png\n", "line 2: a row needs its video"),
        ("video,colour\na.mp4,red\n", "unknown column or option 'colour'"),
        ("video,size\na.mp4,big\n", "size takes a whole number, got 'big'"),
        ("video,size\na.mp4,3\n", "at least 16 px"),
        ("video\na.mp4\nb/a.mov\n", "have the same output folder a"),
        ("video,out\na.mp4,x\nb.mp4,x/y\n", "x/y lies in that of"),
        ("video,out\na.mp4,../x\n", "inside the batch's"),
        ("video,out\na.mp4,.rotomask/x\n", "inside the batch's"),
        ("video,out\na.mp4,summary.json\n", "name of a file of the batch"),
        ("video,mask,prompts\na.mp4,a.png,a.json\n", "a mask and prompts"),
        ("video,at\na.mp4,3\n", "at without a mask"),
        ("video,mask,at\na.mp4,0=a.png;3=b.png,3\n", "at and several masks"),
        ("video\na,b\n", "more cells than columns"),
        ("video\n", "lists no video"),
        ("video,format\na.mp4,gif\n", "there is no format 'gif'"),
    ],
)
def test_mistakes_in_csv(tmp_path, text, message):
    with pytest.raises((InputError, OptionError), match=message):
        read_items(write(tmp_path / "clips.csv", text), DEFAULTS)


@pytest.mark.parametrize("text", ["{", "[1]", '"a.mp4"', '{"video": 3}', "[" * 100_000])
def test_mistakes_in_json_lines(tmp_path, text):
    with pytest.raises(InputError, match="line 1"):
        read_items(write(tmp_path / "clips.jsonl", text), DEFAULTS)


def test_missing_manifest(tmp_path):
    with pytest.raises(InputError, match="cannot read"):
        read_items(tmp_path / "none.csv", DEFAULTS)
