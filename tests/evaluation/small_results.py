"""Evaluations of small generated data sets, one of each kind of figures."""

from pathlib import Path

import numpy as np

from rotomask.data.sequences import VideoDataset
from rotomask.evaluation import EvaluationResult, evaluate_results, open_benchmark
from tests.evaluation.small_datasets import (
    moving_labels,
    spoiled,
    write_davis2017,
    write_fbms,
    write_grey,
    write_picture,
    write_results,
)

Evaluated = tuple[EvaluationResult, VideoDataset, Path]


def davis2017_result(root: Path, seed: int = 1) -> Evaluated:
    """Two sequences, of three objects and of one; one result has an id too many."""
    truths = {"three <b>": moving_labels(1, 12, 3, (48, 64)), "one": moving_labels(2, 9, 1)}
    results = {name: spoiled(labels, seed) for name, labels in truths.items()}
    results["one"][:, -3:, -3:] = 7
    if not (root / "DAVIS").exists():
        write_davis2017(root / "DAVIS", truths)
    for name, labels in results.items():
        write_results(root / f"out{seed}", name, labels)
    return _evaluated("davis2017", root / "DAVIS", root / f"out{seed}")


def fbms_result(root: Path) -> Evaluated:
    labels = {t: moving_labels(t, 1, 2)[0] for t in (0, 3, 6)}
    write_fbms(root / "FBMS/Testset", "cats01", labels, 8)
    for t, mask in labels.items():
        write_results(root / "out", "cats01", spoiled(mask[None], t), [f"cats01_{t + 1:04d}"])
    return _evaluated("fbms", root / "FBMS", root / "out")


def jumpcut_result(root: Path) -> Evaluated:
    truth = moving_labels(3, 40, 1)
    truth[:, 3:9, 3:9] = 1
    for t, mask in enumerate(truth):
        write_picture(root / "JC/ANIMAL/bear" / f"{t:03d}.jpg", t)
        write_grey(root / "JC/ANIMAL/bear/GT" / f"{t:03d}.png", 255 * mask)
        for key in (0, 16):
            write_results(root / "out/bear", f"{key:03d}", spoiled(mask[None], t), [f"{t:03d}"])
    return _evaluated("jumpcut", root / "JC", root / "out")


def nothing_scored_result(root: Path) -> Evaluated:
    """One sequence of two frames, of which none counts, beside one that counts."""
    truths = {"short": moving_labels(1, 2, 1), "long": moving_labels(1, 5, 1)}
    write_davis2017(root / "DAVIS", truths)
    for name, labels in truths.items():
        write_results(root / "out", name, np.zeros_like(labels))
    return _evaluated("davis2017", root / "DAVIS", root / "out")


def _evaluated(benchmark: str, root: Path, results: Path) -> Evaluated:
    dataset = open_benchmark(benchmark, root)
    return evaluate_results(dataset, results), dataset, results
