"""The shipped demonstration does what it says, on its real clip at full size."""

import pytest

from rotomask.jobs.demo import demo


@pytest.mark.slow
def test_the_dog_is_cut_out(tmp_path):
    result = demo(tmp_path / "demo")
    assert result.cut.frames == 60
    assert result.region_similarity > 0.88
    assert result.boundary_accuracy > 0.85
    for name in ("masks", "overlay", "webm", "contact-sheet"):
        assert result.cut.outputs[name].exists()
