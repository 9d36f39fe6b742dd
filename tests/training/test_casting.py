"""Casts of composed clips: kinds by file name, doubles of what is followed, one seed one batch."""

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from rotomask.data.simulation import Composition, render
from rotomask.data.training.stills import JoinedStills, find_stills
from rotomask.training.casting import Casting
from rotomask.training.clip_data import Stage, open_clip_data
from tests.scripts import write_stills, write_video

NOTHING = Composition(**{f.name: 0.0 for f in fields(Composition)})


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Stills of three synsets and some of none, and two videos."""
    root = tmp_path_factory.mktemp("data")
    for i in range(2):
        write_video(root / "davis", f"shape-{i}", 100 + i, 10, size=(96, 128))
    names = [f"n0000000{i % 3}_{i}" if i < 9 else f"other_{i}" for i in range(12)]
    return {"stills": write_stills(root / "stills", names), "davis": root / "davis"}


@pytest.fixture(scope="module")
def clips(data):
    return open_clip_data(data, held_out=())[0]


def test_kinds_are_the_synsets_of_file_names(data):
    stills = find_stills(data["stills"])
    kinds = JoinedStills([stills, stills]).kinds
    assert kinds[:12] == kinds[12:]
    assert sorted(set(kinds)) == ["", "n00000000", "n00000001", "n00000002"]
    casting = Casting(stills, ())
    found = casting.alike(3, np.random.default_rng(0))
    of_kind = {k: [i for i, kind in enumerate(kinds[:12]) if kind == k] for k in set(kinds)}
    shown = {int(i) for i in range(12) for image, _ in found if (stills[i][0] == image).all()}
    assert any(shown <= set(numbers) for kind, numbers in of_kind.items() if kind)


@pytest.mark.parametrize("real", [0.0, 1.0])
@pytest.mark.parametrize("story", ["same_kind", "look_alike", "twin", "crowd"])
def test_stories_have_their_ids_and_no_more(clips, story, real):
    composition = replace(NOTHING, **{story: 1.0}, from_video=0.5, covered=0.3)
    for objects in (1, 3):
        counts = tuple(float(k == objects) for k in range(1, objects + 1))
        stage = Stage(steps=1, batch=3, size=64, real=real, objects=counts, composition=composition)
        batch = clips.batch(stage, 0.5, (7, objects))
        labels = render(batch).labels
        for shown in labels[:, 0]:
            assert set(shown.unique().tolist()) - {0} == set(range(1, objects + 1))
        layers = (batch["index"][:, :, 0] >= 0).sum(1)
        followed = objects + int(real == 0.0)
        assert (layers >= followed).all()
        if story == "twin":
            assert batch["keeps_guidance"].all()
        if story == "same_kind":
            assert not batch["keeps_guidance"].any()


def test_a_composed_batch_is_a_function_of_its_seed(clips, data):
    stage = Stage(
        steps=1, batch=4, size=64, real=0.5, objects=(0.3, 0.4, 0.3), composition=Composition()
    )
    again = open_clip_data(data, held_out=())[0]
    for seed in ((0, 1, 0), (0, 2, 0)):
        first, second = clips.batch(stage, 0.5, seed), again.batch(stage, 0.5, seed)
        assert first.keys() == second.keys()
        assert all(torch.equal(first[name], second[name]) for name in first)
    other = clips.batch(stage, 0.5, (0, 3, 0))
    assert first["index"].shape != other["index"].shape or not torch.equal(
        first["matrix"], other["matrix"]
    )


def test_batches_of_many_objects_have_fewer_clips(clips):
    for objects, expected in ((1, 4), (2, 3), (8, 1)):
        counts = tuple(float(k == objects) for k in range(1, objects + 1))
        stage = Stage(
            steps=1,
            batch=4,
            size=64,
            real=0.5,
            objects=counts,
            most_objects=6,
            composition=NOTHING,
        )
        batch = clips.batch(stage, 0.5, (objects,))
        assert len(batch["source"]) == expected


def test_clips_are_composed_of_stills_alone_and_of_videos_alone(data):
    for kind in ("stills", "davis"):
        alone = open_clip_data({kind: data[kind]}, held_out=(), needs=())[0]
        stage = Stage(
            steps=1,
            batch=6,
            size=64,
            real=0.0 if kind == "stills" else 0.5,
            objects=(0.5, 0.5),
            composition=Composition(),
        )
        labels = render(alone.batch(stage, 0.5, (1,))).labels
        assert labels.any()
