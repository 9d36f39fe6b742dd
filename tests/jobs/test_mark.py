"""Marking a frame: the job, and the command over it."""

import re
from typing import Any

import numpy as np
import pytest
from PIL import Image

import rotomask
from rotomask.cli.mark import parse_prompts
from rotomask.errors import OptionError, OutputError, PromptError
from rotomask.jobs.mark import MarkOptions, mark, mark_frames
from rotomask.masks import read_labels
from rotomask.prompts import Box, Click, GrabCutMarker, Prompts, RoughMask, Scribble
from rotomask.video import open_video
from tests.refine.demo_frames import DEMO, box_of, demo_frame, iou

CLIP = DEMO / "clip.mp4"


@pytest.fixture(scope="module")
def truth():
    return demo_frame(0)[1] > 0


@pytest.fixture(scope="module")
def box(truth):
    return box_of(truth)


def test_a_box_marks_the_object_of_the_real_clip(tmp_path, truth, box):
    """The shipped network, the shipped clip: a box alone gives most of the object."""
    result = rotomask.mark(CLIP, [box], tmp_path / "mask.png", preview=True)
    assert result.object_ids == (1,)
    assert iou(result.labels == 1, truth) > 0.7
    np.testing.assert_array_equal(read_labels(tmp_path / "mask.png"), result.labels)
    assert result.preview == tmp_path / "mask-preview.png"
    with Image.open(tmp_path / "mask-preview.png") as picture:
        assert (picture.height, picture.width) == truth.shape


def test_only_what_a_mark_wrote_is_replaced(tmp_path, box):
    """Above all not the image that is marked, whose name a shell offers for --out, too."""
    image, mask = tmp_path / "photo.png", tmp_path / "mask.png"
    Image.fromarray(open_video(CLIP).frame(0).image).save(image)
    before = image.read_bytes()
    for video, out in ((image, image), (tmp_path, image), (CLIP, image)):
        with pytest.raises(OutputError, match=r"photo\.png was not written by `rotomask mark`"):
            mark(video, [box], out, model="grabcut")
    for _ in range(2):
        mark(image, [box], mask, model="grabcut", preview=True)
    with pytest.raises(OutputError, match=r"mask\.png was not written"):
        mark(mask, [box], mask, model="grabcut")
    (tmp_path / "mask-preview.png").write_bytes(before)
    with pytest.raises(OutputError, match=r"mask-preview\.png was not written"):
        mark(image, [box], mask, model="grabcut", preview=True)
    assert image.read_bytes() == before


def test_two_objects_have_their_own_ids(box):
    centre = Click(box.x + box.width // 2, box.y + box.height // 2, object_id=3)
    result = mark(CLIP, [centre, Click(2, 2, object_id=5)], model="grabcut")
    assert set(result.object_ids) <= {3, 5}
    assert result.labels[int(centre.y), int(centre.x)] == 3
    assert result.labels[2, 2] == 5


def test_an_object_that_its_prompts_do_not_mark_is_named(box, caplog):
    """GrabCut can take a point alone for background; here a brush erases what it found."""
    erased = Scribble(((0, 0), (9, 9)), False, 2, 2000, exact=True)
    marked = mark(CLIP, [box, Click(2, 2, object_id=2), erased], model="grabcut")
    assert marked.object_ids == (1,)
    assert [record.message for record in caplog.records] == [
        "object 2: its prompts on frame 0 mark nothing; add points on it, or a box"
    ]
    caplog.clear()
    assert mark(CLIP, [box], model="grabcut").object_ids == (1,)
    assert not caplog.records


def test_the_mask_is_written_for_the_frame_of_its_prompts(box):
    prompts = Prompts().add(box, 7)
    result = mark(CLIP, prompts, marker=GrabCutMarker())
    assert result.frame_index == 7
    marked = mark_frames(open_video(CLIP), prompts.add(box, 9), MarkOptions(model="grabcut"))
    assert sorted(marked) == [7, 9]
    np.testing.assert_array_equal(marked[7], result.labels)


def test_a_cut_begins_at_prompts_as_at_their_mask(tmp_path, box):
    """Two frames with prompts; the same files as from the masks that `mark` makes."""
    prompts = Prompts().add(box, 0).add(box, 2)
    how: dict[str, Any] = {"stop": 3, "size": 96, "formats": ()}
    rotomask.cut(CLIP, prompts, tmp_path / "prompts", marker="grabcut", **how)
    masks = mark_frames(open_video(CLIP), prompts, MarkOptions(model="grabcut"))
    rotomask.cut(CLIP, masks, tmp_path / "masks", **how)
    for index in range(3):
        name = f"masks/{index:05d}.png"
        assert (tmp_path / "prompts" / name).read_bytes() == (
            tmp_path / "masks" / name
        ).read_bytes()


def test_a_rough_mask_is_corrected_where_it_is_clicked(truth):
    """A blob beside the object goes by a click on it; the object stays."""
    rough = truth.copy()
    ys, xs = np.nonzero(~truth)
    far = int(np.argmax((xs - np.nonzero(truth)[1].mean()) ** 2))
    y, x = ys[far], xs[far]
    rough[max(0, y - 12) : y + 12, max(0, x - 12) : x + 12] = True
    click = Click(int(x), int(y), positive=False)
    result = mark(CLIP, [RoughMask(rough), click])
    assert result.labels[y, x] == 0
    assert iou(result.labels == 1, truth) > 0.7


@pytest.mark.parametrize(
    ("prompts", "changes", "error", "message"),
    [
        ([Click(5000, 2)], {}, PromptError, "the point 5000,2 is outside the frame"),
        ([], {}, PromptError, "no prompt is given"),
        ([Click(2, 2)], {"model": "stm-lite"}, OptionError, "known markers: click-lite"),
        ([Click(2, 2)], {"colour": 1}, OptionError, "mark has no setting 'colour'"),
        ([Click(2, 2)], {"preview": True}, OptionError, "a preview is written beside the mask"),
        ([Click(2, 2)], {"at": 900}, OptionError, "has no frame 900"),
        (Prompts().add(Click(2, 2), 1), {"at": 2}, OptionError, "no prompt is on frame 2"),
        (
            Prompts().add(Click(2, 2), 1).add(Click(2, 2), 4),
            {},
            OptionError,
            "the prompts are on frames 1, 4; say by `at` which one",
        ),
    ],
)
def test_what_cannot_be_marked_is_refused(prompts, changes, error, message):
    with pytest.raises(error, match=re.escape(message)):
        mark(CLIP, prompts, **changes)


def test_the_order_of_options_names_the_object_and_the_frame():
    text = "clip.mp4 --point 3,4 --point 9,9,- --object 2 --box 1,2,30,20 --at 7 --point=5,5 -q"
    prompts = parse_prompts(text.split(), (48, 64), start=1)
    assert [(p.frame, p.prompt) for p in prompts] == [
        (1, Click(3, 4)),
        (1, Click(9, 9, positive=False)),
        (1, Box(1, 2, 30, 20, object_id=2)),
        (7, Click(5, 5, object_id=2)),
    ]
    with pytest.raises(OptionError, match="--object takes a whole number, got 'two'"):
        parse_prompts(["--object", "two"], (48, 64))
