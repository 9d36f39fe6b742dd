"""Options as keywords: the names of the command line, and what editors and `help` are told."""

import inspect
from dataclasses import replace
from typing import Any, get_type_hints

import pytest

import rotomask
from rotomask.errors import OptionError
from rotomask.jobs import keywords as k
from rotomask.jobs.benchmark import BenchmarkOptions
from rotomask.jobs.correct import CorrectOptions
from rotomask.jobs.cut import CutOptions
from rotomask.jobs.detect import DetectOptions
from rotomask.jobs.edges import EdgeOptions
from rotomask.jobs.evaluate import EvaluateOptions
from rotomask.jobs.export import ExportOptions
from rotomask.jobs.flow import FlowOptions
from rotomask.jobs.keywords import keyword_names, with_keywords
from rotomask.jobs.mark import MarkOptions
from rotomask.jobs.propose import ProposeOptions
from rotomask.jobs.quality import QUALITIES
from rotomask.jobs.track import TrackOptions
from rotomask.segmenters.refinements import Refinements

OPTIONS: dict[str, tuple[type[Any], type[Any]]] = {
    "benchmark": (k.BenchmarkKeywords, BenchmarkOptions),
    "correct": (k.CorrectKeywords, CorrectOptions),
    "cut": (k.CutKeywords, CutOptions),
    "detect": (k.DetectKeywords, DetectOptions),
    "evaluate": (k.EvaluateKeywords, EvaluateOptions),
    "export_cut": (k.ExportKeywords, ExportOptions),
    "mark": (k.MarkKeywords, MarkOptions),
    "propose": (k.ProposeKeywords, ProposeOptions),
    "track": (k.TrackKeywords, TrackOptions),
    "write_edges": (k.EdgeKeywords, EdgeOptions),
    "write_flow": (k.FlowKeywords, FlowOptions),
}


@pytest.mark.parametrize("name", OPTIONS)
def test_editors_and_help_know_every_keyword(name):
    typed, options = OPTIONS[name]
    expected = set(keyword_names(options()))
    as_arguments = {"marker"} if name == "correct" else set()
    assert set(get_type_hints(typed)) == expected - as_arguments
    assert expected <= set(inspect.signature(getattr(rotomask, name)).parameters)


def test_keywords_of_the_command_line_set_the_fields():
    options = with_keywords(
        CutOptions(), {"end": 9, "flip": True, "boxes": "tracked", "seconds": 20.0}, "cut"
    )
    assert options.stop == 10
    assert options.refinements == Refinements(flip=True, boxes="tracked", online_seconds=20.0)
    texts = with_keywords(CutOptions(), {"refine": ["flip", "online=20s"], "boxes": "tracked"}, "c")
    assert texts.refinements == options.refinements
    assert with_keywords(CutOptions(), {"refine": "flip"}, "cut").refinements.flip
    assert with_keywords(CutOptions(), {"end": None}, "cut").stop is None
    assert with_keywords(CutOptions(), {"formats": "webm"}, "cut").formats == ("webm",)
    assert with_keywords(CutOptions(), {"formats": ["webm"]}, "cut").formats == ("webm",)
    ensemble = with_keywords(CutOptions(), {"ensemble": "rgmp-lite"}, "cut").refinements
    assert ensemble.ensemble_with == ("rgmp-lite",)
    assert with_keywords(DetectOptions(), {"score": 0.5}, "detect").least_score == 0.5
    assert with_keywords(ExportOptions(), {"formats": "rgba"}, "export").formats == ("rgba",)


def test_a_quality_stands_for_a_size_and_refinements():
    best = with_keywords(CutOptions(), {"quality": "best"}, "cut")
    quality = QUALITIES["best"]
    assert (best.size, best.refinements) == (quality.size, quality.refinements())
    assert best.refinements != Refinements()
    assert with_keywords(CutOptions(), {"quality": "best", "size": 240}, "cut").size == 240
    assert with_keywords(CutOptions(), {"quality": "good"}, "cut") == CutOptions()
    added = with_keywords(CutOptions(), {"quality": "best", "refine": ["crf"]}, "cut")
    assert added.refinements == replace(best.refinements, crf=True)
    own_steps = with_keywords(CutOptions(), {"quality": "best", "refine": ["online=9"]}, "cut")
    assert own_steps.refinements == Refinements(flip=True, online_steps=9)
    refined = rotomask.load_model(flip=True, online=best.refinements.online_where_possible)
    assert repr(rotomask.load_model(quality="best")) == repr(refined)
    assert f"size={QUALITIES['fast'].size}" in repr(rotomask.load_model(quality="fast"))


def test_contradicting_and_unknown_keywords_are_errors():
    with pytest.raises(OptionError, match="both end and stop"):
        with_keywords(CutOptions(), {"end": 9, "stop": 10}, "cut")
    with pytest.raises(OptionError, match="both score and least_score"):
        with_keywords(DetectOptions(), {"score": 0.5, "least_score": 0.4}, "detect")
    with pytest.raises(OptionError, match="got refine and flip"):
        with_keywords(CutOptions(), {"refine": "crf", "flip": True}, "cut")
    with pytest.raises(OptionError, match="unknown quality 'ultra'; use fast, good, best"):
        with_keywords(CutOptions(), {"quality": "ultra"}, "cut")
    both = {"quality": "best", "refinements": Refinements(crf=True)}
    with pytest.raises(OptionError, match="got quality and refinements"):
        with_keywords(CutOptions(), both, "cut")
    with pytest.raises(OptionError, match=r"no setting 'flop'; it has .*stop.*end.*flip"):
        with_keywords(CutOptions(), {"flop": True}, "cut")


def test_load_model_takes_refinements_by_name():
    assert "Flipped" in type(rotomask.load_model("stm-lite", flip=True)).__name__
    filtered = rotomask.load_model("stm-lite", boxes="tracked", size=240)
    assert type(filtered).__name__ == "BoxFiltered"
    with pytest.raises(OptionError, match="no setting 'flop'"):
        rotomask.load_model("stm-lite", flop=True)
