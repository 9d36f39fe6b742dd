"""Recipes of the papers have the papers' settings; docs/guide/training.md says what differs."""

import re
from pathlib import Path

import pytest
import torch
from torch import nn

from rotomask.training.loop import _make_optimiser
from rotomask.training.recipes import RECIPES
from rotomask.training.reference_guided import ReferenceGuidedRecipe
from rotomask.training.space_time import SpaceTimeRecipe

BY_ADAM = ("stm", "stm-refine50", "rgmp", "rgmp-gru", "rgmp-gru-all")
BY_SGD = ("osvos", "osvos-slim")


@pytest.mark.parametrize("name", [*BY_ADAM, *BY_SGD])
def test_nothing_is_added_to_the_papers_optimiser(name):
    schedule = RECIPES[name].schedule
    assert schedule.warmup == 0
    assert schedule.clip_norm is None
    assert schedule.ema == 0
    assert schedule.decay == "constant"
    weights = [nn.Parameter(torch.ones(3, 3)), nn.Parameter(torch.ones(3))]
    optimiser = _make_optimiser([(weights, 1.0)], schedule)
    if name in BY_ADAM:
        assert type(optimiser) is torch.optim.Adam
        assert schedule.learning_rate == 1e-5
        assert {group["weight_decay"] for group in optimiser.param_groups} == {0.0}
    else:
        assert isinstance(optimiser, torch.optim.SGD)
        assert {group["momentum"] for group in optimiser.param_groups} == {0.9}


@pytest.mark.parametrize("name", BY_ADAM)
def test_the_loss_is_cross_entropy_alone(name):
    recipe = RECIPES[name]
    assert isinstance(recipe, SpaceTimeRecipe | ReferenceGuidedRecipe)
    assert recipe.hardest == (1.0, 1.0)
    assert recipe.dice == 0
    assert recipe.encoder_factor == 1
    if isinstance(recipe, ReferenceGuidedRecipe):
        assert recipe.sides == 0


def test_clips_are_as_the_papers_draw_them():
    stm, refine50, rgmp = RECIPES["stm"], RECIPES["stm-refine50"], RECIPES["rgmp"]
    assert isinstance(stm, SpaceTimeRecipe)
    assert isinstance(refine50, SpaceTimeRecipe)
    assert isinstance(rgmp, ReferenceGuidedRecipe)
    stills, videos = stm.stages
    assert (stills.paste, stills.occlusion, stills.motion.bending) == (0, 0, 0)
    assert (videos.real, videos.max_gap, videos.frames, videos.size) == (1, (1, 25), 3, 384)
    assert stm.schedule.accumulate * stills.batch == 4
    assert refine50.schedule.accumulate * stills.batch == 16
    assert rgmp.pre_training is not None
    assert rgmp.pre_training.paste == 0.5  # both strategies alike
    assert rgmp.fine_tuning[0].frames == 2 + 5  # a reference, the first guidance, five recursions


def test_every_recipe_of_a_paper_has_its_deviations_written_down():
    page = (Path(__file__).parents[2] / "docs" / "guide" / "training.md").read_text()
    table = page[page.index("## Recipes of the papers") :]
    rows = set(re.findall(r"^\| `([a-z0-9-]+)`", table, re.MULTILINE))
    assert {"stm", "stm-refine50", "rgmp", "rgmp-gru", "osvos", "osvos-slim"} <= rows
