"""Prompts as data: lists with undo, JSON, text, and the checks that refuse them."""

import json
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from rotomask.errors import PromptError
from rotomask.prompts import (
    Box,
    Click,
    Painted,
    Polygon,
    Prompts,
    RoughMask,
    Scribble,
    check_prompts,
    prompts_from_json,
    prompts_to_json,
    read_prompts,
    write_prompts,
)
from rotomask.prompts.kinds import is_positive
from rotomask.prompts.text import parse_box, parse_point, parse_polygon, read_scribbles

SIZE = (48, 64)
CORNER = np.zeros(SIZE, bool)
CORNER[:10, :20] = True

numbers = st.floats(0, 60, allow_nan=False).map(lambda x: round(x, 3))
points = st.lists(st.tuples(numbers, numbers), min_size=1, max_size=5)
ids = st.integers(1, 9)
masks = st.binary(min_size=6, max_size=6).map(
    lambda b: np.unpackbits(np.frombuffer(b, np.uint8)).reshape(6, 8).astype(bool)
)
prompt = st.one_of(
    st.builds(Click, numbers, numbers, st.booleans(), ids),
    st.builds(Box, numbers, numbers, numbers, numbers, ids),
    st.builds(Scribble, points, st.booleans(), ids, numbers, st.booleans()),
    st.builds(Polygon, points, st.booleans(), ids),
    st.builds(Painted, masks, st.booleans(), ids),
    st.builds(RoughMask, masks, ids),
)


@given(st.lists(st.tuples(prompt, st.integers(0, 99)), max_size=6))
def test_json_gives_the_prompts_back(entries):
    prompts = Prompts()
    for one, frame in entries:
        prompts = prompts.add(one, frame)
    assert prompts_from_json(json.loads(json.dumps(prompts_to_json(prompts)))) == prompts


def test_file_gives_the_prompts_back(tmp_path):
    prompts = Prompts().add(Click(3, 4), 7).add(RoughMask(CORNER, 2), 9)
    write_prompts(tmp_path / "prompts.json", prompts)
    back = read_prompts(tmp_path / "prompts.json")
    assert back == prompts
    restored = back.at(9)[0]
    assert isinstance(restored, RoughMask)
    np.testing.assert_array_equal(restored.mask, CORNER)


def test_masks_compare_by_their_pixels():
    assert RoughMask(CORNER) == RoughMask(CORNER.copy())
    assert RoughMask(CORNER) != RoughMask(~CORNER)
    assert hash(Painted(CORNER)) == hash(Painted(CORNER.copy()))


def test_undo_returns_the_list_before():
    before = Prompts().add(Click(1, 1)).add(Box(1, 1, 5, 5, object_id=2), frame=4)
    after = before.add(Click(2, 2, positive=False), frame=6)
    assert after.undo() == before
    assert after.undo(9) == Prompts()
    assert (after.frames, after.object_ids) == ((0, 4, 6), (1, 2))
    assert after.without(1).object_ids == (2,)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], 'prompts are an object {"version": 1, "prompts": [...]}'),
        ({"version": 2, "prompts": []}, "prompts of version 2, expected 1"),
        ({"prompts": [7]}, "prompt 1: expected an object with a type, got 7"),
        ({"prompts": [{"type": "star"}]}, "prompt 1: unknown type 'star'; use click, box"),
        ({"prompts": [{"type": "click", "x": 1}]}, "prompt 1: y must be a number, got None"),
        (
            {"prompts": [{"type": "click", "x": 1, "y": 1}, {"type": "box", "box": [1, 2]}]},
            "prompt 2: box must be [x, y, width, height], got [1, 2]",
        ),
        ({"prompts": [{"type": "polygon", "points": [[1]]}]}, "points must be a list of pairs"),
        ({"prompts": [{"type": "click", "x": 1, "y": 1, "frame": -1}]}, "frame must be a whole"),
        ({"prompts": [{"type": "click", "x": 1, "y": 1, "object": 0}]}, "object must be a whole"),
        ({"prompts": [{"type": "mask", "mask": {"size": [2]}}]}, "mask must be run lengths"),
        (
            {"prompts": [{"type": "mask", "mask": {"size": [2, 3], "counts": "0Z1"}}]},
            "prompt 1: mask: the counts of its RLE add up to 42, the image has 6",
        ),
        (
            {
                "prompts": [
                    {"type": "mask", "mask": {"size": [60000, 60000], "counts": [36 * 10**8]}}
                ]
            },
            "prompt 1: mask: an image of 60000x60000 has more than 178 megapixels",
        ),
        ({"prompts": [{"type": "click", "x": 1, "y": 1, "positive": 1}]}, "positive must be true"),
    ],
)
def test_damaged_json_is_refused_in_one_line(content, message):
    with pytest.raises(PromptError, match=re.escape(message)) as error:
        prompts_from_json(content)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("prompts", "message"),
    [
        ([], "no prompt is given"),
        ([Click(64, 5)], "the point 64,5 is outside the frame, which is 64x48; give 0 to 63"),
        ([Click(5, -0.1)], "the point 5,-0.1 is outside the frame"),
        ([Click(float("nan"), 5)], "the point nan,5 is outside the frame"),
        ([Box(5, 5, 0, 9)], "the box 5,5,0,9 has no area"),
        ([Box(5, 5, 9, -2)], "the box 5,5,9,-2 has no area"),
        ([Box(50, 5, 20, 9)], "the box 50,5,20,9 reaches from 50,5 to 70,14, outside the frame"),
        ([Scribble(((1, 1), (99, 1)))], "the scribble's point 99,1 is outside"),
        ([Scribble(())], "a scribble has no points"),
        ([Polygon(((1, 1), (9, 9)))], "a polygon needs 3 corners or more, got 2"),
        ([Polygon(((1, 1), (5, 5), (9, 9)))], "a polygon has no area"),
        ([Click(5, 5, positive=False)], "object 1 has only negative prompts"),
        ([Click(5, 5), Click(5.4, 5.9, positive=False)], "the points at 5,5 contradict each other"),
        ([Click(5, 5), Click(5, 5, object_id=2)], "the point 5,5 is given to objects 1 and 2"),
        ([RoughMask(CORNER[:9])], "a rough mask of 64x9 cannot be for a frame of 64x48"),
        ([RoughMask(np.zeros(SIZE, bool))], "no pixel is marked"),
        ([Click(5, 5, object_id=0)], "an object's number is 1 to"),
    ],
)
def test_prompts_that_cannot_be_meant_are_refused(prompts, message):
    with pytest.raises(PromptError, match=re.escape(message)) as error:
        check_prompts(prompts, SIZE)
    assert "\n" not in str(error.value)


def test_prompts_at_the_edges_are_taken():
    check_prompts([Click(63.9, 47.9), Click(0, 0), Box(0, 0, 64, 48)], SIZE)
    check_prompts([Click(9, 9), Click(9, 9)], SIZE)  # the same twice is no contradiction


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("310,220", Click(310, 220)),
        (" 40.5 , 41 , - ", Click(40.5, 41, positive=False)),
        ("1,2,+", Click(1, 2)),
    ],
)
def test_points_are_read(text, expected):
    assert parse_point(text) == expected


@pytest.mark.parametrize("text", ["310", "1,2,3", "a,b", "1,2,-,4", ""])
def test_other_points_are_refused(text):
    with pytest.raises(PromptError, match="a point is X,Y on the object or X,Y,- beside it"):
        parse_point(text)


def test_boxes_and_polygons_are_read():
    assert parse_box("1,2,3,4", 5) == Box(1, 2, 3, 4, 5)
    assert parse_polygon("1,2 3,4;5,0") == Polygon(((1, 2), (3, 4), (5, 0)))
    with pytest.raises(PromptError, match="a box is X,Y,WIDTH,HEIGHT in pixels, got '1,2,3'"):
        parse_box("1,2,3")


def test_strokes_are_read_from_a_drawing(tmp_path):
    """Green on the object, red beside it; the photograph below is no stroke."""
    rng = np.random.default_rng(0)
    picture = rng.integers(90, 150, (*SIZE, 3)).astype(np.uint8)
    picture[10:12, 10:40] = (0, 255, 0)
    picture[30:32, 10:40] = (255, 0, 0)
    Image.fromarray(picture).save(tmp_path / "drawing.png")
    on, beside = read_scribbles(tmp_path / "drawing.png", SIZE, object_id=3)
    assert isinstance(on, Painted)
    assert isinstance(beside, Painted)
    assert (on.positive, on.object_id, int(on.mask.sum())) == (True, 3, 60)
    assert (beside.positive, beside.object_id, int(beside.mask[30:32].sum())) == (False, 3, 60)


def test_strokes_are_read_from_labels(tmp_path):
    labels = np.zeros(SIZE, np.uint8)
    labels[5, 5:9], labels[9, 5:9], labels[20, 5:9] = 1, 2, 255
    Image.fromarray(labels).save(tmp_path / "labels.png")
    prompts = read_scribbles(tmp_path / "labels.png", SIZE)
    found = [(p.object_id, is_positive(p)) for p in prompts]
    assert found == [(1, True), (2, True), (1, False), (2, False)]


def test_strokes_are_read_from_lines(tmp_path):
    (tmp_path / "lines.txt").write_text("# a comment\n10,10 20,12\n\n- 30,30 31,40\n")
    assert read_scribbles(tmp_path / "lines.txt", SIZE, 2) == [
        Scribble(((10, 10), (20, 12)), True, 2),
        Scribble(((30, 30), (31, 40)), False, 2),
    ]


def test_scribbles_that_cannot_be_read_are_refused(tmp_path):
    Image.new("RGB", (9, 9)).save(tmp_path / "small.png")
    with pytest.raises(PromptError, match=r"small\.png is 9x9 but the frame 64x48"):
        read_scribbles(tmp_path / "small.png", SIZE)
    Image.new("RGB", (64, 48)).save(tmp_path / "empty.png")
    with pytest.raises(PromptError, match=r"empty\.png has no strokes"):
        read_scribbles(tmp_path / "empty.png", SIZE)
    with pytest.raises(PromptError, match=r"none\.png does not exist"):
        read_scribbles(tmp_path / "none.png", SIZE)
    (tmp_path / "bad.txt").write_text("1,2 3\n")
    with pytest.raises(PromptError, match="line 1: a stroke is X,Y X,Y"):
        read_scribbles(tmp_path / "bad.txt", SIZE)
