"""Every effect by its name: settings, previews, what is touched."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rotomask.effects import EFFECTS, Option, Scene, find_effect, open_effect
from rotomask.errors import OptionError
from tests.effects.clips import FRAMES, SIZE, image_of, labels_of, write_cut

IDENTITY = {
    "blur-background": {"radius": 0},
    "grey-background": {"amount": 0, "dim": 0},
    "erase": {"amount": 0},
    "slow-motion": {"speed": 1},
}
"""Settings with which an effect changes nothing."""


@pytest.fixture(scope="module")
def cut(tmp_path_factory):
    return write_cut(tmp_path_factory.mktemp("effects"))


@pytest.mark.parametrize("name", EFFECTS)
def test_a_preview_is_a_picture_of_its_size(cut, name):
    view = open_effect(name, cut[0], cut[1], width=48)
    picture = view.picture(5)
    assert picture.dtype == np.uint8
    assert picture.shape[2] == (4 if view.effect.transparent else 3)
    if name != "sticker":
        assert picture.shape[:2] == (36, 48)
    np.testing.assert_array_equal(picture, view.picture(5), err_msg="a frame is always the same")


@pytest.mark.parametrize("name", EFFECTS)
def test_the_list_is_plain_data(name):
    effect = find_effect(name)
    described = json.loads(json.dumps(effect.to_json()))
    assert described["title"]
    assert described["description"].endswith(".")
    assert [o["name"] for o in described["settings"]] == list(effect.settings().to_json())
    assert all(o["help"].endswith(".") for o in described["settings"])


@pytest.mark.parametrize("name", IDENTITY)
def test_settings_of_zero_give_the_input(cut, name):
    picture = open_effect(name, cut[0], cut[1], IDENTITY[name]).picture(6)
    np.testing.assert_array_equal(picture, image_of(6))


def test_only_the_selected_object_is_touched(cut):
    picture = open_effect("anonymise", cut[0], cut[1], {"style": "fill"}, objects=(1,)).picture(4)
    is_square = labels_of(4) == 4
    np.testing.assert_array_equal(picture[is_square], image_of(4)[is_square])
    inside = labels_of(4) == 1
    assert (picture[inside] == 128).mean() > 0.98


def test_the_object_stays_as_it_is(cut):
    """Effects on the background leave what is certainly the object's."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    core = np.hypot(y - 36, x - 20 - 5 * 6) < 7
    for name in ("blur-background", "grey-background", "outline"):
        picture = open_effect(name, cut[0], cut[1]).picture(6)
        np.testing.assert_array_equal(picture[core], image_of(6)[core], err_msg=name)


def test_settings_change_without_a_new_scene(cut):
    view = open_effect("grey-background", cut[0], cut[1])
    other = view.with_settings(amount=0.5, dim="0")
    assert other.scene is view.scene
    assert other.settings.to_json() == {"amount": 0.5, "dim": 0.0, "contrast": 1.0}
    assert view.with_effect("outline").scene is view.scene
    assert not np.array_equal(view.picture(3), other.picture(3))


def test_a_corrected_mask_is_seen(tmp_path):
    from rotomask.masks import write_mask

    video, folder = write_cut(tmp_path, frames=2)
    scene = Scene(video, folder)
    assert scene.cutout(1).alpha.max() == 1
    write_mask(folder / "masks" / "00001.png", np.zeros(SIZE, np.int32))
    assert scene.cutout(1).alpha.max() == 0


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("blurr", {}, "there is no effect 'blurr'; choose from blur-background"),
        (
            "erase",
            {"radius": 3},
            "there is no setting 'radius'; there are margin, below, shadow, amount",
        ),
        ("outline", {"width": 11}, "width goes from 0 to 10, got 11"),
        ("outline", {"width": "wide"}, "width takes a number, got 'wide'"),
        ("outline", {"width": float("nan")}, "width takes a number"),
        ("outline", {"colour": "reddish"}, "'reddish' is no colour"),
        ("echo", {"count": 2.5}, "count takes a whole number"),
        ("echo", {"anchor": "moon"}, "anchor is one of scene, frame, got 'moon'"),
        ("clones", {"live": "perhaps"}, "live is yes or no"),
    ],
)
def test_wrong_settings_are_told(cut, name, values, message):
    with pytest.raises(OptionError, match=message):
        open_effect(name, cut[0], cut[1], values)


def test_a_frame_that_is_not_there(cut):
    with pytest.raises(OptionError, match=f"has no frame {FRAMES}; it has {FRAMES}, from 0"):
        open_effect("outline", cut[0], cut[1]).picture(FRAMES)


def any_value(option: Option) -> st.SearchStrategy[object]:
    """Values of an option over its whole range."""
    if option.kind == "flag":
        return st.booleans()
    if option.kind == "choice":
        return st.sampled_from(option.choices)
    if option.kind in ("colour", "media"):
        return st.tuples(*[st.integers(0, 255)] * 3).map(lambda c: "#{:02x}{:02x}{:02x}".format(*c))
    low, high = option.low or 0, min(option.high or 0, 10 * (option.low or 0) + 25)
    if option.kind == "whole":
        return st.integers(int(low), int(high))
    return st.floats(low, high, allow_subnormal=False)


@settings(max_examples=25)
@given(data=st.data())
def test_any_settings_render(cut, data):
    name = data.draw(st.sampled_from([n for n in EFFECTS if "plate" not in EFFECTS[n].needs]))
    effect = find_effect(name)
    values = {o.name: data.draw(any_value(o), label=o.name) for o in effect.settings.options()}
    picture = open_effect(name, cut[0], cut[1], values, width=48).picture(
        data.draw(st.integers(0, 11))
    )
    assert picture.dtype == np.uint8
    assert picture.ndim == 3
