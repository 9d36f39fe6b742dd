"""Every benchmark on a generated data set, against figures worked out slowly and plainly here."""

import itertools
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pytest

from rotomask.evaluation import evaluate_results, open_benchmark
from rotomask.evaluation.protocols.davis2017_unsupervised import MAX_PROPOSALS
from tests.evaluation.plain import plain_boundary, plain_region
from tests.evaluation.small_datasets import (
    moving_labels,
    spoiled,
    write_davis2017,
    write_fbms,
    write_grey,
    write_picture,
    write_results,
    write_youtube_vos,
)

Array: TypeAlias = npt.NDArray[Any]


def plain_j_and_f(
    results: Array, truths: Array, object_id: int, void: Array | None = None
) -> npt.NDArray[np.float64]:
    """One object's J and F in every frame."""
    values = []
    for t, (result, truth) in enumerate(zip(results, truths, strict=True)):
        ignored = None if void is None else void[t]
        mask, true_mask = result == object_id, truth == object_id
        values.append(
            (plain_region(mask, true_mask, ignored), plain_boundary(mask, true_mask, ignored))
        )
    return np.array(values).T


def plain_statistics(values: Array) -> tuple[float, float, float]:
    n = len(values)
    edges = [round(1 + i * (n - 1) / 4 + 1e-10) - 1 for i in range(5)]
    first = values[edges[0] : edges[1] + 1]
    last = values[edges[3] : edges[4] + 1]
    return float(values.mean()), float((values > 0.5).mean()), float(first.mean() - last.mean())


def test_davis2017_semi_supervised(tmp_path):
    truths = {"three": moving_labels(1, 9, 3), "one": moving_labels(2, 6, 1)}
    truths["three"][3:, 20:, :5] = 255  # void: background here
    results = {name: spoiled(labels, 3) for name, labels in truths.items()}
    write_davis2017(tmp_path / "DAVIS", truths)
    for name, labels in results.items():
        write_results(tmp_path / "out", name, labels)
    result = evaluate_results(open_benchmark("davis2017", tmp_path / "DAVIS"), tmp_path / "out")

    collected = []
    for name, ids in (("three", (1, 2, 3)), ("one", (1,))):
        scored = {item.object_id: item for item in result.sequence(name).objects}
        assert tuple(scored) == ids
        for k in ids:
            j, f = plain_j_and_f(results[name][1:-1], truths[name][1:-1], k)
            np.testing.assert_allclose(scored[k].curves["J"], j, atol=1e-9)
            np.testing.assert_allclose(scored[k].curves["F"], f, atol=1e-9)
            figures = scored[k].figures
            for measure, values in (("J", j), ("F", f)):
                for kind, value in zip(
                    ("mean", "recall", "decay"), plain_statistics(values), strict=True
                ):
                    assert figures[f"{measure}_{kind}"] == pytest.approx(value, abs=1e-9)
            collected.append((j.mean(), f.mean()))
    # Objects count alike, not sequences: three of four belong to the first.
    assert result.figures["J_mean"] == pytest.approx(np.mean(collected, axis=0)[0], abs=1e-9)
    assert result.figures["J&F"] == pytest.approx(np.mean(collected), abs=1e-9)


def test_davis2017_unsupervised_matches_proposals(tmp_path):
    truth = moving_labels(5, 6, 3)
    truth[:, :6, 20:] = 255
    truth[2:, 10:14, 10:20] = 255  # over objects too
    result = np.zeros_like(truth)
    for new, old in ((7, 3), (2, 1), (9, 2)):  # other ids; and one proposal too many
        result[spoiled(truth, 8) == old] = new
    result[:, -3:, :4] = 4
    result[3][result[3] == 9] = 0  # a proposal may be absent from a frame
    write_davis2017(tmp_path / "DAVIS", {"seq": truth}, unsupervised=True)
    write_results(tmp_path / "out", "seq", result)
    dataset = open_benchmark("davis2017-unsupervised", tmp_path / "DAVIS")
    scored = evaluate_results(dataset, tmp_path / "out")

    void = truth == 255
    table = {}
    for proposal, k in itertools.product((2, 4, 7, 9), (1, 2, 3)):
        table[proposal, k] = plain_j_and_f((result == proposal) * k, truth, k, void)
    best = max(
        itertools.permutations((2, 4, 7, 9), 3),
        key=lambda chosen: sum(table[p, k].mean() for p, k in zip(chosen, (1, 2, 3), strict=True)),
    )
    items = scored.sequences[0].objects
    assert [item.matched_id for item in items] == list(best)
    for item, proposal in zip(items, best, strict=True):
        np.testing.assert_allclose(
            np.array([item.curves["J"], item.curves["F"]]),
            table[proposal, item.object_id],
            atol=1e-9,
        )
    assert scored.figures["J&F"] == pytest.approx(
        np.mean([table[p, k].mean() for p, k in zip(best, (1, 2, 3), strict=True)]), abs=1e-9
    )


def test_unsupervised_with_too_few_and_too_many_proposals(tmp_path):
    truth = moving_labels(6, 4, 3)
    write_davis2017(tmp_path / "DAVIS", {"seq": truth}, unsupervised=True)
    dataset = open_benchmark("davis2017-unsupervised", tmp_path / "DAVIS")
    write_results(tmp_path / "few", "seq", np.where(truth == 2, 255, 0).astype(np.uint8))
    scored = evaluate_results(dataset, tmp_path / "few")
    by_id = {item.object_id: item for item in scored.sequences[0].objects}
    assert by_id[2].figures["J_mean"] == 1
    assert by_id[1].matched_id is None
    # An empty proposal is right where the object is out of the frame, as in the official tool.
    for k in (1, 3):
        np.testing.assert_array_equal(by_id[k].curves["J"], [not (m == k).any() for m in truth])
    assert scored.sequences[0].notes == ("no proposal matches object 1, 3",)

    many = np.zeros_like(truth)
    many[:, 0, : MAX_PROPOSALS + 1] = np.arange(1, MAX_PROPOSALS + 2)
    write_results(tmp_path / "many", "seq", many)
    with pytest.raises(Exception, match="more than 20 objects"):
        evaluate_results(dataset, tmp_path / "many")


def test_youtube_vos_scores_objects_from_when_they_appear(tmp_path):
    first, second = moving_labels(11, 7, 2), moving_labels(12, 5, 1)
    first[:3][first[:3] == 2] = 0
    first[3, 4:9, 4:9] = 2  # object 2 appears in the fourth frame
    categories = {"aaa": ["person", "unicorn"], "bbb": ["dog"]}
    write_youtube_vos(tmp_path / "yv", {"aaa": first, "bbb": second}, categories)
    for name, labels in (("aaa", first), ("bbb", second)):
        frames = [f"{5 * t:05d}" for t in range(len(labels))]
        write_results(tmp_path / "out", name, spoiled(labels, 4), frames)
    dataset = open_benchmark("youtube-vos", tmp_path / "yv")
    assert dataset.split == "held-out"
    prompts = dataset.sequences[0].prompts()
    assert {index: ids for index, (_, ids) in prompts.items()} == {0: (1,), 3: (2,)}
    assert set(np.unique(prompts[3][0])) == {0, 2}
    result = evaluate_results(dataset, tmp_path / "out")

    j1, f1 = plain_j_and_f(spoiled(first, 4)[1:], first[1:], 1)
    j2, f2 = plain_j_and_f(spoiled(first, 4)[4:], first[4:], 2)
    j3, f3 = plain_j_and_f(spoiled(second, 4)[1:], second[1:], 1)
    expected = {
        "J_seen": (j1.mean() + j3.mean()) / 2,
        "J_unseen": j2.mean(),
        "F_seen": (f1.mean() + f3.mean()) / 2,
        "F_unseen": f2.mean(),
    }
    for key, value in expected.items():
        assert result.figures[key] == pytest.approx(value, abs=1e-9)
    assert result.figures["Overall"] == pytest.approx(np.mean(list(expected.values())), abs=1e-9)


def test_fbms_regions(tmp_path):
    colours = [(0, 128, 0), (255, 255, 255), (200, 10, 10), (0, 0, 250)]  # white is second
    labelled = {t: moving_labels(20 + t, 1, 3)[0] for t in (0, 4, 9)}
    write_fbms(tmp_path / "FBMS/Testset", "cats01", labelled, 10, colours=colours)
    greys = {t: moving_labels(30 + t, 1, 2)[0] for t in (0, 3)}
    write_fbms(tmp_path / "FBMS/Testset", "tennis", greys, 5)
    dataset = open_benchmark("fbms", tmp_path / "FBMS")
    assert [s.scored_frames() for s in dataset] == [
        ("cats01_0001", "cats01_0005", "cats01_0010"),
        ("tennis_0001", "tennis_0004"),
    ]
    # With white as background, regions 0, 1, 2, 3 of the file are labels 1, 0, 2, 3.
    relabel = np.array([1, 0, 2, 3], np.uint8)
    truths = {
        "cats01": [relabel[m] for m in labelled.values()],
        "tennis": list(greys.values()),
    }
    results = {name: spoiled(np.stack(masks), 7) for name, masks in truths.items()}
    results["cats01"][results["cats01"] == 3] = 5
    for name, sequence in zip(truths, dataset, strict=True):
        frames = list(sequence.scored_frames())
        write_results(tmp_path / "out", name, results[name], frames)
        for frame, truth in zip(frames, truths[name], strict=True):
            np.testing.assert_array_equal(sequence.annotation(frame), truth)
    scored = evaluate_results(dataset, tmp_path / "out")

    p_means, r_means, p_fg, r_fg, j_fg = [], [], [], [], []
    for name, masks in truths.items():
        truth, result = np.stack(masks), results[name]
        regions, clusters = np.unique(truth), np.unique(result)
        padded = [*clusters, *[None] * len(regions)]  # None: no cluster

        def quality(
            region: int, cluster: int | None, truth: Array = truth, result: Array = result
        ) -> tuple[float, float, float]:
            if cluster is None:
                return 1.0, 0.0, 0.0
            shared = ((truth == region) & (result == cluster)).sum()
            if not shared:
                return 1.0, 0.0, 0.0
            p, r = shared / (result == cluster).sum(), shared / (truth == region).sum()
            return p, r, 2 * p * r / (p + r)

        best = max(
            itertools.permutations(padded, len(regions)),
            key=lambda c: sum(quality(g, k)[2] for g, k in zip(regions, c, strict=True)),
        )
        p, r, _ = np.mean([quality(g, k) for g, k in zip(regions, best, strict=True)], axis=0)
        assert scored.sequence(name).figures["F"] == pytest.approx(2 * p * r / (p + r), abs=1e-9)
        p_means.append(p)
        r_means.append(r)
        shared = ((truth > 0) & (result > 0)).sum()
        p_fg.append(shared / (result > 0).sum())
        r_fg.append(shared / (truth > 0).sum())
        j_fg.append(
            np.mean([plain_region(b > 0, a > 0) for a, b in zip(masks, result, strict=True)])
        )
    p, r = np.mean(p_means), np.mean(r_means)
    assert scored.figures["F"] == pytest.approx(2 * p * r / (p + r), abs=1e-9)
    p, r = np.mean(p_fg), np.mean(r_fg)
    assert scored.figures["F_foreground"] == pytest.approx(2 * p * r / (p + r), abs=1e-9)
    assert scored.figures["J_foreground"] == pytest.approx(np.mean(j_fg), abs=1e-9)
    assert scored.figures["objects"] == 5


def write_segtrack(root: Path) -> tuple[Array, Array]:
    """One sequence of one object, one of two; pictures and masks of different types."""
    single, double = moving_labels(40, 5, 1), moving_labels(41, 4, 2)
    for t, mask in enumerate(single):
        write_picture(root / "JPEGImages/girl" / f"girl_{t:03d}.bmp", t)
        write_grey(root / "GroundTruth/girl" / f"{t:05d}.png", 255 * mask)
    for t, mask in enumerate(double):
        write_picture(root / "JPEGImages/bmx" / f"bmx_{t:05d}.png", t)
        for k in (1, 2):
            write_grey(root / f"GroundTruth/bmx/{k}" / f"bmx_{t:05d}.png", 255 * (mask == k))
    return single, double


def test_segtrack_v2(tmp_path):
    single, double = write_segtrack(tmp_path / "SegTrackv2")
    girl = [f"girl_{t:03d}" for t in range(5)]
    bmx = [f"bmx_{t:05d}" for t in range(4)]
    write_results(tmp_path / "out", "girl", 255 * spoiled(single, 1), girl)
    write_results(tmp_path / "out", "bmx", spoiled(double, 1), bmx)
    result = evaluate_results(
        open_benchmark("segtrack-v2", tmp_path / "SegTrackv2"), tmp_path / "out"
    )
    expected = [
        plain_j_and_f(spoiled(double, 1)[1:], double[1:], 1)[0].mean(),
        plain_j_and_f(spoiled(double, 1)[1:], double[1:], 2)[0].mean(),
        plain_j_and_f(spoiled(single, 1)[1:], single[1:], 1)[0].mean(),
    ]
    assert result.figures["J_mean"] == pytest.approx(np.mean(expected), abs=1e-9)
    assert "F_mean" not in result.figures

    merged = open_benchmark("segtrack-v2", tmp_path / "SegTrackv2", "merged")
    result = evaluate_results(merged, tmp_path / "out")
    expected = [
        plain_j_and_f(spoiled(labels, 1) > 0, labels > 0, 1)[0].mean()
        for labels in (double, single)
    ]
    assert result.figures["J_mean"] == pytest.approx(np.mean(expected), abs=1e-9)


def test_jumpcut_errors_by_distance(tmp_path):
    truth = moving_labels(50, 60, 1)
    truth[:, 2:5, 2:6] = 1
    for t, mask in enumerate(truth):
        write_picture(tmp_path / "JumpCut/ANIMAL/bear" / f"{t:04d}.jpg", t)
        write_grey(tmp_path / "JumpCut/ANIMAL/bear/GT" / f"{t:04d}.png", 255 * mask)
    dataset = open_benchmark("jumpcut", tmp_path / "JumpCut")
    expected = {}
    for distance in (8, 16, 32):
        errors = []
        for key in range(0, 97, 16):
            if key + distance < 60:
                result = spoiled(truth[key + distance][None], key)[0]
                write_results(
                    tmp_path / "out/bear", f"{key:04d}", result[None], [f"{key + distance:04d}"]
                )
                wrong = sum(
                    bool(a) != bool(b)
                    for a, b in zip(result.flat, truth[key + distance].flat, strict=True)
                )
                errors.append(100 * wrong / (truth[key + distance] > 0).sum())
        expected[f"error_{distance}"] = np.mean(errors)
    result = evaluate_results(dataset, tmp_path / "out")
    assert result.figures == pytest.approx(expected, abs=1e-9)
    assert [len(item.frames) for item in result.sequences[0].objects] == [4, 3, 2]


@pytest.mark.parametrize("flat", [True, False])
def test_folders_of_masks(tmp_path, flat):
    truth = moving_labels(60, 4, 2)
    place = "truth" if flat else "truth/clip"
    write_results(tmp_path, place, truth)
    write_results(tmp_path, "out" if flat else "out/clip", spoiled(truth, 2))
    result = evaluate_results(open_benchmark("folders", tmp_path / "truth"), tmp_path / "out")
    expected = [plain_j_and_f(spoiled(truth, 2), truth, k).mean() for k in (1, 2)]
    assert result.figures["J&F"] == pytest.approx(np.mean(expected), abs=1e-9)
