"""Data sets as they are on disk, and what is said of those that are missing or half there."""

import pickle
import shutil
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest

from rotomask.data.benchmarks.davis import davis2016, davis2017, davis2017_unsupervised
from rotomask.data.benchmarks.fbms import fbms
from rotomask.data.benchmarks.folder_pair import folder_pair
from rotomask.data.benchmarks.jumpcut import jumpcut, transfers
from rotomask.data.benchmarks.segtrack import segtrack_v2
from rotomask.data.benchmarks.youtube_vos import HELD_OUT_COUNT, held_out, youtube_vos
from rotomask.errors import DatasetError, OptionError
from tests.evaluation.davis_golden import shared_path
from tests.evaluation.small_datasets import (
    moving_labels,
    write_davis2017,
    write_fbms,
    write_grey,
    write_picture,
    write_youtube_vos,
)


def write_davis2016(
    root: Path, names: list[str], frames: int = 4, resolution: str = "480p"
) -> None:
    for name in names:
        for t, mask in enumerate(moving_labels(1, frames, 1)):
            write_picture(root / "JPEGImages" / resolution / name / f"{t:05d}.jpg", t)
            write_grey(root / "Annotations" / resolution / name / f"{t:05d}.png", 255 * mask)


def test_davis2016_with_the_lists_of_both_archives(tmp_path):
    write_davis2016(tmp_path, ["bear", "dog", "goat"])
    assert [s.name for s in davis2016(tmp_path)] == ["bear", "dog", "goat"]
    (tmp_path / "ImageSets/480p").mkdir(parents=True)
    lines = [
        f"/JPEGImages/480p/dog/{t:05d}.jpg /Annotations/480p/dog/{t:05d}.png" for t in range(4)
    ]
    (tmp_path / "ImageSets/480p/val.txt").write_text("\n".join(lines))
    assert [s.name for s in davis2016(tmp_path)] == ["dog"]
    (tmp_path / "ImageSets/2016").mkdir()
    (tmp_path / "ImageSets/2016/val.txt").write_text("goat\nbear\n")
    assert [s.name for s in davis2016(tmp_path)] == ["goat", "bear"]


def test_davis2016_takes_the_resolution_that_is_there(tmp_path):
    write_davis2016(tmp_path, ["bear"], resolution="384p")
    (sequence,) = davis2016(tmp_path)
    assert sequence.frame(2).shape == (26, 34, 3)
    assert set(np.unique(sequence.annotation("00001"))) <= {0, 1}
    assert sequence.scored == {1: ("00001", "00002")}
    assert len(list(sequence.frames())) == len(sequence) == 4


def test_frames_are_read_only_when_asked_for(tmp_path):
    write_davis2016(tmp_path, ["bear"])
    (sequence,) = davis2016(tmp_path)
    (tmp_path / "JPEGImages/480p/bear/00002.jpg").write_bytes(b"no picture")
    frames = sequence.frames()
    assert next(frames).shape == (26, 34, 3)
    next(frames)
    with pytest.raises(DatasetError, match=r"sequence bear: .*00002.jpg is not a readable image"):
        next(frames)
    assert pickle.loads(pickle.dumps(sequence)).name == "bear"  # for other processes


def test_masks_alone_are_enough_to_score(tmp_path):
    write_davis2016(tmp_path, ["bear"])
    shutil.rmtree(tmp_path / "JPEGImages")
    (sequence,) = davis2016(tmp_path)
    assert sequence.scored_frames() == ("00001", "00002")
    with pytest.raises(DatasetError, match="only annotations of bear, no frames"):
        sequence.frame(0)


@pytest.mark.parametrize("missing", ["one frame", "one sequence"])
def test_masks_are_scored_where_some_frames_are_missing(tmp_path, missing):
    write_davis2016(tmp_path, ["bear", "dog"])
    write_youtube_vos(tmp_path, {"aaa": moving_labels(1, 4, 1)}, {"aaa": ["person"]})
    for folder in (tmp_path / "JPEGImages/480p/dog", tmp_path / "train/JPEGImages/aaa"):
        if missing == "one frame":
            sorted(folder.iterdir())[2].unlink()
        else:
            shutil.rmtree(folder)
    whole, part = davis2016(tmp_path)
    assert part.scored_frames() == whole.scored_frames()
    assert (len(whole.images), part.images) == (4, ())
    (video,) = youtube_vos(tmp_path, "train")
    assert video.scored_frames() == ("00005", "00010", "00015")
    with pytest.raises(DatasetError, match="only annotations of dog, no frames"):
        part.frame(0)


def test_segtrack_jumpcut_and_fbms_are_scored_without_frames(tmp_path):
    labels = moving_labels(3, 20, 1)
    for t, mask in enumerate(labels):
        write_grey(tmp_path / f"segtrack/GroundTruth/bird/{t:05d}.png", 255 * mask)
        write_grey(tmp_path / f"jumpcut/Annotations/cat/{t:05d}.png", 255 * mask)
    (tmp_path / "segtrack/JPEGImages").mkdir()
    (bird,) = segtrack_v2(tmp_path / "segtrack")
    assert len(bird.scored_frames()) == 19
    (cat,) = jumpcut(tmp_path / "jumpcut")
    assert cat.scored_frames() == ("00008", "00016")
    write_fbms(tmp_path / "fbms/Testset", "cars", {0: labels[0], 4: labels[4]}, 6)
    (before,) = fbms(tmp_path / "fbms")
    for picture in (tmp_path / "fbms/Testset/cars").glob("*.jpg"):
        picture.unlink()
    (after,) = fbms(tmp_path / "fbms")
    assert after.scored_frames() == before.scored_frames() == ("cars_0001", "cars_0005")
    for name in after.scored_frames():
        np.testing.assert_array_equal(after.annotation(name), before.annotation(name))


def test_an_unknown_split_is_no_name_for_everything(tmp_path):
    write_davis2016(tmp_path, ["bear"])
    with pytest.raises(OptionError, match=r"DAVIS-2016 has no split 'trian'; choose from train"):
        davis2016(tmp_path, "trian")
    with pytest.raises(OptionError, match="jumpcut has no split 'val'"):
        jumpcut(tmp_path, "val")


def test_davis_names_what_is_missing(tmp_path):
    with pytest.raises(DatasetError, match=r"DAVIS-2016 is incomplete: the folder .*nowhere is"):
        davis2016(tmp_path / "nowhere")
    with pytest.raises(DatasetError, match=r"the folder .*Annotations is missing"):
        davis2016(tmp_path)
    write_davis2016(tmp_path, ["bear", "dog"])
    (tmp_path / "Annotations/480p/dog/00002.png").unlink()
    with pytest.raises(DatasetError, match=r"dog lacks an annotation for 1 of 4 frames \(00002\)"):
        davis2016(tmp_path)
    write_davis2016(tmp_path, ["dog"])
    (tmp_path / "ImageSets/2016").mkdir(parents=True)
    with pytest.raises(DatasetError, match=r"there is no list .*val.txt"):
        davis2016(tmp_path)
    (tmp_path / "ImageSets/2016/val.txt").write_text("bear\ndog\nlucia\nboat\n")
    with pytest.raises(DatasetError, match=r"lacks 2 of the 4 sequences in .*: lucia, boat"):
        davis2016(tmp_path)


def test_davis2017_ids_are_those_up_to_the_largest_of_the_first_frame(tmp_path):
    labels = moving_labels(3, 5, 3)
    labels[0][labels[0] == 2] = 0  # an id may be missing there
    labels[0, -1, -1] = 255
    write_davis2017(tmp_path, {"clip": labels})
    (sequence,) = davis2017(tmp_path)
    assert sequence.object_ids == (1, 2, 3)
    assert 255 not in sequence.annotation("00000")
    (index, (mask, ids)), *_ = sequence.prompts().items()
    assert (index, ids) == (0, (1, 2, 3))
    np.testing.assert_array_equal(mask, np.where(labels[0] == 255, 0, labels[0]))
    (unsupervised,) = davis2017_unsupervised(tmp_path)
    assert unsupervised.prompts() == {}
    assert unsupervised.scored_frames() == tuple(f"{t:05d}" for t in range(5))
    assert 255 in unsupervised.annotation("00000")


def test_davis2017_test_split_has_only_first_masks(tmp_path):
    write_davis2017(tmp_path, {"clip": moving_labels(3, 5, 2)})
    for t in range(1, 5):
        (tmp_path / f"Annotations/480p/clip/{t:05d}.png").unlink()
    (sequence,) = davis2017(tmp_path)
    assert len(sequence) == 5
    assert sequence.scored_frames() == ()
    assert list(sequence.prompts()) == [0]


def test_the_data_at_hand():
    dataset = davis2016(shared_path("data/davis2016-val-dev"))
    assert len(dataset) == 10
    assert sum(len(s) for s in dataset) == 682
    assert dataset.sequences[0].frame(0).shape == (480, 854, 3)
    assert davis2016(shared_path("data/davis2016-train")).sequences[0].frame(0).shape[0] == 384


def test_youtube_vos_splits(tmp_path):
    videos = {f"v{i:03d}": moving_labels(i, 3, 1) for i in range(4)}
    categories = {name: ["person"] for name in videos}
    write_youtube_vos(tmp_path, videos, categories)
    assert len(youtube_vos(tmp_path, "train")) == len(youtube_vos(tmp_path)) == 4
    assert [s.name for s in youtube_vos(tmp_path / "train", "train")] == list(videos)
    names = [f"{i:010x}" for i in range(3471)]
    chosen = held_out(names)
    assert len(chosen) == HELD_OUT_COUNT == 150
    assert set(chosen) == set(sorted(names, key=lambda n: zlib.crc32(n.encode()))[:150])
    assert held_out(names, seed=0) == chosen != held_out(names, seed=1) == held_out(names, seed=1)
    assert set(held_out(names, count=20)) < set(chosen)
    with pytest.raises(OptionError, match="at least 1"):
        held_out(names, count=0)
    assert set(held_out(names[10:])) >= set(chosen) - set(names[:10])
    with pytest.raises(OptionError, match="no split 'val'; choose from train, held-out, valid"):
        youtube_vos(tmp_path, "val")


def test_the_split_tool_writes_the_names_of_both_parts(tmp_path):
    videos = {f"v{i:03d}": moving_labels(i, 2, 1) for i in range(5)}
    write_youtube_vos(tmp_path / "data", videos, {name: ["person"] for name in videos})
    script = Path(__file__).parents[2] / "tools" / "youtube_vos_split.py"
    parts: dict[str, dict[str, list[str]]] = {}
    for seed in ("0", "1", "1"):
        options = ["--root", tmp_path / "data", "--out", tmp_path / seed, "--count", "2"]
        command = [sys.executable, script, *options, "--seed", seed]
        subprocess.run(list(map(str, command)), check=True, capture_output=True)
        names = {
            p: (tmp_path / seed / f"{p}.txt").read_text().split() for p in ("train", "held-out")
        }
        assert sorted(names["train"] + names["held-out"]) == list(videos)
        assert len(names["held-out"]) == 2
        assert parts.setdefault(seed, names) == names
    assert parts["0"]["held-out"] == held_out(list(videos), count=2)


def test_youtube_vos_all_frames(tmp_path):
    labels = moving_labels(1, 3, 1)
    write_youtube_vos(tmp_path, {"aaa": labels}, {"aaa": ["person"]})
    for t in range(11):
        write_picture(tmp_path / f"train_all_frames/JPEGImages/aaa/{t:05d}.jpg", t)
    (every,) = youtube_vos(tmp_path, "train-all-frames")
    (fifth,) = youtube_vos(tmp_path, "train")
    assert (len(every), len(fifth)) == (11, 3)
    assert every.scored == fifth.scored == {1: ("00005", "00010")}
    with pytest.raises(DatasetError, match=r"valid"):
        youtube_vos(tmp_path, "valid-all-frames")


def test_youtube_vos_validation_has_only_first_masks(tmp_path):
    labels = moving_labels(1, 4, 2)
    labels[:2][labels[:2] == 2] = 0
    labels[2, 20:, 20:] = 2
    write_youtube_vos(tmp_path, {"aaa": labels}, {"aaa": ["person", "dog"]}, "valid")
    for frame in ("00005", "00015"):
        (tmp_path / f"valid/Annotations/aaa/{frame}.png").unlink()
    (sequence,) = youtube_vos(tmp_path, "valid")
    assert sequence.scored == {1: (), 2: ()}
    assert {i: ids for i, (_, ids) in sequence.prompts().items()} == {0: (1,), 2: (2,)}


def test_youtube_vos_names_what_is_missing(tmp_path):
    with pytest.raises(DatasetError, match=r"there is no folder .*train and no meta.json"):
        youtube_vos(tmp_path)
    write_youtube_vos(tmp_path, {"aaa": moving_labels(1, 4, 1)}, {"aaa": ["person"]})
    (tmp_path / "train/Annotations/aaa/00000.png").unlink()
    with pytest.raises(DatasetError, match=r"aaa lacks the first mask for 1 of 1 frames \(00000\)"):
        youtube_vos(tmp_path)
    (tmp_path / "train/meta.json").write_text('{"videos": {"aaa": {"objects": {"1": {}}}}}')
    with pytest.raises(DatasetError, match=r"meta.json is damaged in video aaa"):
        youtube_vos(tmp_path)
    (tmp_path / "train/meta.json").write_text('{"videos": ')
    with pytest.raises(DatasetError, match=r"meta.json is damaged .*download it again"):
        youtube_vos(tmp_path)
    (tmp_path / "train/meta.json").unlink()
    with pytest.raises(DatasetError, match=r"meta.json is missing"):
        youtube_vos(tmp_path)


def test_fbms_without_definition_files(tmp_path):
    labels = {t: moving_labels(t, 1, 2)[0] for t in (0, 3)}
    write_fbms(tmp_path / "Trainingset", "bear01", labels, 5)
    (with_file,) = fbms(tmp_path, "train")
    (tmp_path / "Trainingset/bear01/GroundTruth/bear01Def.dat").unlink()
    (without,) = fbms(tmp_path, "train")
    assert with_file.annotations == without.annotations
    for name in with_file.scored_frames():
        np.testing.assert_array_equal(with_file.annotation(name), without.annotation(name))
    assert without.object_ids == (1, 2)


def test_fbms_names_what_is_missing(tmp_path):
    with pytest.raises(DatasetError, match=r"the folder .*Testset is missing"):
        fbms(tmp_path)
    write_fbms(tmp_path / "Testset", "cats01", {0: moving_labels(1, 1, 1)[0]}, 3)
    truth = tmp_path / "Testset/cats01/GroundTruth"
    (truth / "cats01_0001.pgm").rename(truth / "other_0009.pgm")
    with pytest.raises(DatasetError, match=r"lacks 1 of 1 labelled frames \(cats01_0001.pgm\)"):
        fbms(tmp_path)
    (truth / "cats01Def.dat").write_text("Total number of regions:\nmany\n")
    with pytest.raises(DatasetError, match="is not a ground truth definition"):
        fbms(tmp_path)
    (truth / "cats01Def.dat").unlink()
    with pytest.raises(DatasetError, match="has no image"):
        fbms(tmp_path)
    with pytest.raises(OptionError, match="no split 'val'"):
        fbms(tmp_path, "val")


def test_segtrack_names_what_is_missing(tmp_path):
    with pytest.raises(DatasetError, match=r"the folder .*GroundTruth is missing"):
        segtrack_v2(tmp_path)
    for k, count in ((1, 3), (2, 2)):
        for t in range(count):
            write_grey(tmp_path / f"GroundTruth/bmx/{k}/{t:05d}.png", np.zeros((4, 5)))
    with pytest.raises(DatasetError, match=r"masks of bmx are incomplete: 3 in 1, 2 in 2"):
        segtrack_v2(tmp_path)
    (tmp_path / "GroundTruth/bmx/1/00002.png").unlink()
    write_picture(tmp_path / "JPEGImages/bmx/00000.png", 1)
    with pytest.raises(DatasetError, match=r"bmx has 2 masks but 1 images, with other"):
        segtrack_v2(tmp_path)
    with pytest.raises(OptionError, match="choose from objects, merged"):
        segtrack_v2(tmp_path, "val")


def test_jumpcut_layouts_and_what_is_missing(tmp_path):
    with pytest.raises(DatasetError, match="no sequence with a folder of masks"):
        jumpcut(tmp_path)
    for place in ("grouped/HUMAN/walk/GroundTruth", "plain/walk/mask", "davis/Annotations/walk"):
        for t in range(10):
            write_grey(tmp_path / place / f"{t:03d}.png", np.full((4, 5), 255))
    for place in ("grouped/HUMAN/walk", "plain/walk", "davis/JPEGImages/walk"):
        for t in range(10):
            write_picture(tmp_path / place / f"{t:03d}.bmp", t)
    for layout in ("grouped", "plain", "davis"):
        (sequence,) = jumpcut(tmp_path / layout)
        assert sequence.name == "walk"
        assert sequence.scored == {1: ("008",)}
        assert sequence.annotation("008").min() == 1
    (tmp_path / "plain/walk/000.bmp").unlink()
    assert len(jumpcut(tmp_path / "grouped").sequences[0].annotations) == 10
    with pytest.raises(DatasetError, match=r"walk has 10 masks but 9 images, with other"):
        jumpcut(tmp_path / "plain")


def test_jumpcut_transfers():
    assert transfers(30, 8) == ((0, 8), (16, 24))
    assert transfers(17, 16) == ((0, 16),)
    assert transfers(8, 8) == ()
    assert len(transfers(200, 32)) == 7


def test_folder_pair_kinds(tmp_path):
    for t, mask in enumerate(moving_labels(1, 4, 1)):
        write_grey(tmp_path / f"white/{t}.png", 255 * mask)
        write_grey(tmp_path / f"ids/{t}.png", 3 * mask)
    (white,) = folder_pair(tmp_path / "white")
    assert white.merged
    assert white.object_ids == (1,)
    (ids,) = folder_pair(tmp_path / "ids", "without-ends")
    assert not ids.merged
    assert ids.scored == {3: ("1", "2")}
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match="has no masks"):
        folder_pair(tmp_path / "empty")
    with pytest.raises(OptionError, match="choose from all, without-first"):
        folder_pair(tmp_path, "val")
