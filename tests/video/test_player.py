"""The player of notebooks: a video inside the page, whose frames are the pictures."""

import base64
import re
from fractions import Fraction

import numpy as np

from rotomask.video import open_video
from rotomask.video.player import PLAYER_HEIGHT_PX, player_html
from tests.clips import picture, picture_index


def test_it_holds_the_pictures_in_their_order(tmp_path):
    page = player_html((picture(k) for k in range(5)), Fraction(12), "a <caption>")
    assert "a &lt;caption&gt;" in page
    (data,) = re.findall(r"data:video/mp4;base64,([^\"]+)", page)
    (tmp_path / "player.mp4").write_bytes(base64.b64decode(data))
    video = open_video(tmp_path / "player.mp4")
    assert [picture_index(frame.image) for frame in video.frames()] == list(range(5))
    assert video.fps == 12


def test_large_pictures_are_reduced_and_none_are_a_line_of_text(tmp_path):
    page = player_html([np.zeros((1080, 1922, 3), np.uint8)] * 2, Fraction(24), "large")
    (data,) = re.findall(r"data:video/mp4;base64,([^\"]+)", page)
    (tmp_path / "player.mp4").write_bytes(base64.b64decode(data))
    assert open_video(tmp_path / "player.mp4").size[0] == PLAYER_HEIGHT_PX
    assert "<video" not in player_html([], Fraction(24), "nothing")
