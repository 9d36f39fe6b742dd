"""Settings of models that jobs offer."""

import pytest

from rotomask.cli.values import read_memory
from rotomask.errors import OptionError
from rotomask.jobs.loading import load_model
from rotomask.jobs.model_settings import ModelSettings
from rotomask.segmenters.network_segmenter import NetworkSegmenter


def test_what_is_left_to_the_model_is_not_set():
    assert ModelSettings().for_model() == {}
    assert ModelSettings(size=360).for_model() == {"size": 360}
    assert ModelSettings(size=None).for_model() == {"size": None}
    assert ModelSettings().recorded() == {"size": 480}
    assert ModelSettings(focus="never").recorded() == {"size": 480}


def test_focus_reaches_the_model_and_is_recorded_where_it_takes_effect():
    assert ModelSettings(focus="always").for_model() == {"focus": "always"}
    assert ModelSettings(focus="always").recorded() == {"size": 480, "focus": "always"}
    assert ModelSettings(size=None).recorded() == {"size": None, "focus": "auto"}
    assert ModelSettings(size=None, focus="never").recorded() == {"size": None}
    with pytest.raises(OptionError, match="focus takes auto, always, never, got 'on'"):
        ModelSettings(focus="on")  # type: ignore[arg-type]


def test_memory_and_enlarging_reach_the_model_and_the_record():
    settings = ModelSettings(enlarge="never", memory="all")
    assert settings.for_model() == {"enlarge": False, "memory_frames": None}
    assert settings.recorded() == {"size": 480, "enlarge": "never", "memory": "all"}
    assert ModelSettings(memory=read_memory("12")).for_model()["memory_frames"] == 12


@pytest.mark.parametrize(
    ("name", "side"), [("stm-lite", 480), ("rgmp-lite", 480), ("embedding", 384)]
)
def test_every_model_has_its_own_size_by_default(name, side):
    segmenter = load_model(name, device="cpu", **ModelSettings().for_model())
    assert isinstance(segmenter, NetworkSegmenter)
    assert segmenter.config.size == side


@pytest.mark.parametrize("name", ["stm-lite", "rgmp-lite", "oneshot"])
def test_the_way_of_merging_reaches_every_network(name):
    settings = ModelSettings(merge="winner-take-all").for_model()
    segmenter = load_model(name, device="cpu", **settings)
    assert isinstance(segmenter, NetworkSegmenter)
    assert segmenter.config.aggregation == "winner-take-all"


def test_wrong_settings_are_named():
    with pytest.raises(OptionError, match="always, never, got 'yes'"):
        ModelSettings(enlarge="yes")  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="1 frame or more, or all, got 0"):
        ModelSettings(memory=0)
    with pytest.raises(OptionError, match="winner-take-all, naive, got 'hard'"):
        ModelSettings(merge="hard")  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="number of frames, or all, got 'many'"):
        read_memory("many")
