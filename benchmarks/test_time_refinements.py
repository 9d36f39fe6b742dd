"""What each test-time refinement costs and gains, beside the papers' rows.

Every part of the refinements (the plain model, its mirrored twin, the same at 0.75 of the size, and
those of the other network) follows each sequence once, all in step. A row of the table is the mean
of some parts' probabilities, as `Ensemble` has it, perhaps refined; its cost is the time of its
parts and of what is done to their answers, in proportion to the plain model's in the same run.

    python benchmarks/test_time_refinements.py --davis DAVIS --ensemble-with rgmp-lite --write

One JSON a sequence in --out: a run that was stopped goes on. --write renews docs/results.md.
"""

import argparse
import json
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from results_page import markdown_table, write_block

from rotomask.data.sequences import VideoSequence
from rotomask.evaluation import open_benchmark, score_sequence
from rotomask.models.base import Probabilities, Segmenter
from rotomask.models.composed import Mirrored, Refine
from rotomask.models.refinements import Refinements, has_own_scales, load_segmenter
from rotomask.refine import dense_crf, filter_components

PLAIN, FLIP, SMALL, SMALL_FLIP = "plain", "mirrored", "0.75", "0.75 mirrored"
OTHER, OTHER_FLIP = "other", "other mirrored"
OTHER_SMALL, OTHER_SMALL_FLIP = "other 0.75", "other 0.75 mirrored"


@dataclass(frozen=True, kw_only=True)
class Row:
    """A line of the table."""

    parts: tuple[str, ...] = (PLAIN,)
    refine: Refine | None = None
    marks: tuple[str, ...] = ()
    """Columns with a tick."""


COLUMNS = ("flip", "multi-scale", "ensemble", "components", "CRF")
SCALED = (PLAIN, SMALL)
BOTH = (PLAIN, FLIP, SMALL, SMALL_FLIP)
OTHERS = (OTHER, OTHER_FLIP, OTHER_SMALL, OTHER_SMALL_FLIP)
EVERYTHING = (*BOTH, *OTHERS)
ROWS = (
    Row(),
    Row(parts=(PLAIN, FLIP), marks=("flip",)),
    Row(parts=SCALED, marks=("multi-scale",)),
    Row(parts=BOTH, marks=("flip", "multi-scale")),
    Row(parts=(OTHER,), marks=("the other network alone",)),
    Row(parts=(PLAIN, OTHER), marks=("ensemble",)),
    Row(parts=EVERYTHING, marks=("flip", "multi-scale", "ensemble")),
    Row(refine=filter_components, marks=("components",)),
    Row(refine=dense_crf, marks=("CRF",)),
    Row(parts=EVERYTHING, refine=dense_crf, marks=("flip", "multi-scale", "ensemble", "CRF")),
)

PAPERS = """
"Towards good practices" (Yu et al. 2019), table 3: STM with ResNet-50, YouTube-VOS validation.

| flip | multi-scale | Overall |
|---|---|---|
| | | 0.761 |
| ✓ | | 0.766 |
| ✓ | ✓ | 0.777 |

RGMP (Oh et al. 2018), table 6: add-ons, DAVIS-2016 val, all 20 sequences.

| | RGMP | + online learning | + CRF | + GRU |
|---|---|---|---|---|
| J mean | 0.815 | 0.824 | 0.819 | 0.796 |
| F mean | 0.820 | 0.822 | 0.799 | 0.810 |
| s a frame | 0.13 | + 1.74 | + 2.53 | + 0.01 |
"""


def load_parts(model: str, weights: Path | None, other: str | None) -> dict[str, Segmenter]:
    """Every part by name; RGMP averages over scales itself and has no smaller part."""
    load = partial(load_segmenter, device="cpu")
    parts: dict[str, Segmenter] = {PLAIN: load(model, weights=weights)}
    parts[SMALL] = load(model, Refinements(scales=(0.75,)), weights=weights)
    if other is not None:
        name, _, file = other.partition(":")
        parts[OTHER] = load(name, weights=file or None)
        if not has_own_scales(name):
            parts[OTHER_SMALL] = load(name, Refinements(scales=(0.75,)), weights=file or None)
    mirrored = {PLAIN: FLIP, SMALL: SMALL_FLIP, OTHER: OTHER_FLIP, OTHER_SMALL: OTHER_SMALL_FLIP}
    return parts | {mirrored[name]: Mirrored(part.twin()) for name, part in parts.items()}


def rows_of(parts: Collection[str]) -> list[Row]:
    """The rows that can be made of these parts, of each the parts that there are."""
    known = [row for row in ROWS if row.parts[-1] not in OTHERS or OTHER in parts]
    return [replace(row, parts=tuple(p for p in row.parts if p in parts)) for row in known]


def mean_of_networks(answers: dict[str, Probabilities]) -> Probabilities:
    """Each network counts the same, however many parts it has."""
    networks = [
        [answer for name, answer in answers.items() if (name in OTHERS) == is_other]
        for is_other in (False, True)
    ]
    means = [np.mean(network, axis=0) for network in networks if network]
    return np.asarray(np.mean(means, axis=0), np.float32)


def measure(
    sequence: VideoSequence, parts: dict[str, Segmenter], rows: Sequence[Row]
) -> list[dict[str, float]]:
    """J, F and seconds a frame of every row on one sequence."""
    seconds = np.zeros(len(rows))
    predictions: list[list[np.ndarray]] = [[] for _ in rows]
    for index, frame in enumerate(sequence.frames()):
        if index == 0:
            mask = sequence.prompts()[0][0]
            for part in parts.values():
                part.start(frame, mask)
            for kept in predictions:
                kept.append(mask.astype(np.uint8))
            continue
        answers, spent = {}, {}
        for name, part in parts.items():
            began = time.perf_counter()
            answers[name] = part.step(frame)
            spent[name] = time.perf_counter() - began
        for i, row in enumerate(rows):
            began = time.perf_counter()
            answer = mean_of_networks({name: answers[name] for name in row.parts})
            if row.refine is not None:
                answer = row.refine(answer, frame)
            labels = answer.argmax(0).astype(np.uint8)
            seconds[i] += time.perf_counter() - began + sum(spent[name] for name in row.parts)
            predictions[i].append(labels)
    truths = [sequence.annotation(name) for name in sequence.frame_names]
    results = []
    for kept, spent_s in zip(predictions, seconds, strict=True):
        figures = score_sequence(kept, truths).figures
        cost = float(spent_s) / (len(sequence) - 1)
        results.append({"J": figures["J_mean"], "F": figures["F_mean"], "seconds": cost})
    return results


def table(rows: Sequence[Row], results: list[list[dict[str, float]]]) -> str:
    """In the layout of paper 2's table 3: ticks, then figures."""
    mean = [
        {key: float(np.mean([r[i][key] for r in results])) for key in ("J", "F", "seconds")}
        for i in range(len(rows))
    ]
    lines = []
    for row, figures in zip(rows, mean, strict=True):
        ticks = ["✓" if column in row.marks else "" for column in COLUMNS]
        named = [mark for mark in row.marks if mark not in COLUMNS]
        both = (figures["J"] + figures["F"]) / 2
        values = [f"{v:.3f}" for v in (both, figures["J"], figures["F"])]
        ratio = figures["seconds"] / mean[0]["seconds"]
        lines.append([", ".join(named), *ticks, *values, f"{ratio:.1f}"])
    return markdown_table(["", *COLUMNS, "J&F", "J", "F", "time"], lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--davis", type=Path, required=True, help="DAVIS-2016 val")
    parser.add_argument("--model", default="stm-lite")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--ensemble-with", metavar="MODEL[:FILE]")
    parser.add_argument("--sequences", help="only these, with commas between")
    parser.add_argument("--split", default="val")
    parser.add_argument("--out", type=Path, default=Path("runs/test-time"))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--write", action="store_true", help="renew docs/results.md")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    other = arguments.ensemble_with
    parts = load_parts(arguments.model, arguments.weights, other)
    rows = rows_of(parts)
    dataset = open_benchmark("davis2016", arguments.davis, arguments.split)
    if arguments.sequences:
        dataset = dataset.select(arguments.sequences.split(","))
    arguments.out.mkdir(parents=True, exist_ok=True)
    results = []
    for sequence in dataset:
        file = arguments.out / f"{sequence.name}.json"
        if not file.is_file():
            file.write_text(json.dumps(measure(sequence, parts, rows), indent=1))
        results.append(json.loads(file.read_text()))
        print(f"{sequence.name}: " + " ".join(f"{r['J']:.3f}" for r in results[-1]), flush=True)
    caption = f"{arguments.model} on {len(dataset)} sequences of DAVIS-2016 {arguments.split}"
    if other is not None:
        caption += f"; the ensemble is with {other.partition(':')[0]}"
    text = f"{caption}. Time is in proportion to the first row's.\n\n{table(rows, results)}"
    print(text)
    if arguments.write:
        heading = "## Test-time refinements\n\n    python benchmarks/test_time_refinements.py "
        command = f"--davis DAVIS --ensemble-with {other} --write" if other else "--davis DAVIS"
        write_block("test-time", f"{heading}{command}\n\n{text}\n{PAPERS}")


if __name__ == "__main__":
    main()
