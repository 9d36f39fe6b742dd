"""Cost and gain of each test-time refinement, with the papers' rows.

Every part that a refinement averages (a network, at a scale, on the video or on its mirror image)
follows each sequence once, all of them frame by frame together. A row of the table is the mean of
some parts' probabilities, as in `Ensemble`, with or without post-processing. Its cost is the time
of its parts, online learning included, and of the averaging and post-processing, divided by the
time of the plain model in the same run.

    python -m studies.test_time_refinements --davis DAVIS --ensemble-with rgmp-lite --write

Writes one JSON file a sequence into `--out`; the same command resumes an interrupted run. `--write`
updates docs/results.md.
"""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rotomask import load_model
from rotomask.arrays import Mask, Probabilities
from rotomask.catalog import segmenter_role
from rotomask.data.sequences import VideoSequence
from rotomask.evaluation import score_sequence
from rotomask.refine import dense_crf, filter_components
from rotomask.segmenters.base import Segmenter
from rotomask.segmenters.follow import follow
from rotomask.segmenters.refinements import Refinements
from rotomask.segmenters.wrappers import Mirrored, Refine
from rotomask.training.online import OnlineConfig
from studies.measuring import annotations_of, timed, truths_of
from studies.results_page import markdown_table
from studies.scripts import add_davis, add_write, open_davis, parse, publish, script_parser

MODEL, OTHER = "model", "other"

REFINE: dict[str, Refine] = {"components": filter_components, "CRF": dense_crf}


class Part(NamedTuple):
    """A segmenter that follows the video on its own."""

    network: str
    scale: float
    mirrored: bool
    learns: bool


@dataclass(frozen=True, kw_only=True)
class Row:
    """A line of the table."""

    networks: tuple[str, ...] = (MODEL,)
    scales: tuple[float, ...] = (1.0,)
    flip: bool = False
    learns: bool = False
    """Whether the network learns from the reference frame first."""
    refine: str = ""

    def parts(self, own_scales: frozenset[str]) -> list[list[Part]]:
        """The parts by network; one with scales of its own (RGMP) has one part for all."""
        views = (False, True) if self.flip else (False,)
        return [
            [
                Part(network, scale, view, self.learns)
                for scale in ((1.0,) if network in own_scales else self.scales)
                for view in views
            ]
            for network in self.networks
        ]


BOTH = (MODEL, OTHER)


def rows_of(scales: tuple[float, ...]) -> list[Row]:
    """The table's lines, with these scales for multi-scale testing."""
    return [
        Row(),
        Row(flip=True),
        Row(scales=scales),
        Row(scales=scales, flip=True),
        Row(networks=(OTHER,)),
        Row(networks=BOTH),
        Row(networks=BOTH, flip=True),
        Row(networks=BOTH, scales=scales, flip=True),
        Row(refine="components"),
        Row(refine="CRF"),
        Row(learns=True),
        Row(learns=True, refine="CRF"),
        Row(networks=BOTH, scales=scales, flip=True, refine="CRF"),
    ]


PAPERS = """
STM with ResNet-50 on YouTube-VOS validation: "Towards good practices" (Yu et al. 2019), table 3.

| flip | multi-scale | Overall |
|---|---|---|
| | | 0.761 |
| ✓ | | 0.766 |
| ✓ | 0.75, 1 | 0.777 |

RGMP on DAVIS-2016 val, all 20 sequences: Oh et al. 2018, table 6.

| | RGMP | + online learning | + CRF | + GRU |
|---|---|---|---|---|
| J mean | 0.815 | 0.824 | 0.819 | 0.796 |
| F mean | 0.820 | 0.822 | 0.799 | 0.810 |
| s a frame | 0.13 | + 1.74 | + 2.53 | + 0.01 |
"""


def load_parts(
    rows: Sequence[Row],
    own_scales: frozenset[str],
    names: dict[str, str],
    weights: dict[str, Path | None],
    *,
    enlarge: bool,
) -> dict[Part, Segmenter]:
    """Every part of every row, once; `enlarge` enlarges smaller frames to 480 px."""
    parts: dict[Part, Segmenter] = {}
    wanted = {part for row in rows for network in row.parts(own_scales) for part in network}
    for part in sorted(wanted, key=lambda p: p.mirrored):
        if part.mirrored:
            parts[part] = Mirrored(parts[part._replace(mirrored=False)].twin())
            continue
        refinements = Refinements(
            scales=None if part.scale == 1 else (part.scale,),
            online_steps=OnlineConfig().steps if part.learns else 0,
        )
        name, file = names[part.network], weights[part.network]
        parts[part] = load_model(name, refinements, weights=file, device="cpu", enlarge=enlarge)
    return parts


def measure(
    sequence: VideoSequence,
    parts: dict[Part, Segmenter],
    rows: Sequence[Row],
    own_scales: frozenset[str],
) -> list[dict[str, float]]:
    """J, F and seconds a frame of every row on one sequence."""
    seconds = np.zeros(len(rows))
    predictions: list[list[Mask]] = [[] for _ in rows]
    frames = list(sequence.frames())
    given = annotations_of(sequence)
    # One frame at a time through all parts: the probabilities of one frame are in memory, not T.
    runs = {
        part: timed(follow(segmenter, enumerate(frames), given), time.perf_counter)
        for part, segmenter in parts.items()
    }
    for frame in frames:
        outputs: dict[Part, Probabilities] = {}
        spent: dict[Part, float] = {}
        for part, run in runs.items():
            one, spent[part] = next(run)
            if one.probabilities is not None:
                outputs[part] = one.probabilities
        for i, row in enumerate(rows):
            networks = row.parts(own_scales)
            seconds[i] += sum(spent[p] for network in networks for p in network)
            if not outputs:  # the annotated frame
                predictions[i].append(one.labels.astype(np.uint8))
                continue
            began = time.perf_counter()
            means = [np.mean([outputs[p] for p in network], axis=0) for network in networks]
            combined = np.mean(means, axis=0)
            if row.refine:
                combined = REFINE[row.refine](combined, frame)
            predictions[i].append(combined.argmax(0).astype(np.uint8))
            seconds[i] += time.perf_counter() - began
    truths = truths_of(sequence)
    results = []
    for labels, spent_s in zip(predictions, seconds, strict=True):
        figures = score_sequence(labels, truths).figures
        cost = float(spent_s) / (len(sequence) - 1)
        results.append({"J": figures["J_mean"], "F": figures["F_mean"], "seconds": cost})
    return results


def table(rows: Sequence[Row], results: list[list[dict[str, float]]], names: dict[str, str]) -> str:
    """A table in the layout of paper 2's table 3: ticks, then figures."""
    mean = [
        {key: float(np.mean([r[i][key] for r in results])) for key in ("J", "F", "seconds")}
        for i in range(len(rows))
    ]
    lines = []
    for row, figures in zip(rows, mean, strict=True):
        scales = ", ".join(f"{s:g}" for s in row.scales) if len(row.scales) > 1 else ""
        both = (figures["J"] + figures["F"]) / 2
        values = [f"{v:.3f}" for v in (both, figures["J"], figures["F"])]
        ratio = figures["seconds"] / mean[0]["seconds"]
        network = " + ".join(names[n] for n in row.networks)
        ticks = ["✓" if row.flip else "", scales, "✓" if row.learns else "", row.refine]
        lines.append([network, *ticks, *values, f"{ratio:.1f}"])
    header = ["network", "flip", "multi-scale", "online", "refined by", "J&F", "J", "F", "time"]
    return markdown_table(header, lines)


def main() -> None:
    parser = script_parser(__doc__)
    add_davis(parser)
    parser.add_argument("--model", default="stm-lite")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--ensemble-with", metavar="MODEL[:FILE]")
    parser.add_argument("--scales", default="0.75,1")
    parser.add_argument("--out", type=Path, default=Path("runs/test-time"))
    parser.add_argument("--enlarge", action="store_true", help="smaller frames to 480 px")
    add_write(parser)
    arguments = parse(parser)
    names, weights = {MODEL: arguments.model}, {MODEL: arguments.weights}
    if arguments.ensemble_with:
        name, _, file = arguments.ensemble_with.partition(":")
        # Two sets of weights of one network are told apart by their file.
        names[OTHER] = f"{name} ({Path(file).stem})" if name == arguments.model else name
        weights[OTHER] = Path(file) if file else None
    models = {key: name.partition(" ")[0] for key, name in names.items()}
    own_scales = frozenset(
        key for key, name in models.items() if segmenter_role(name).averages_scales
    )
    scales = tuple(float(factor) for factor in arguments.scales.split(","))
    rows = [row for row in rows_of(scales) if set(row.networks) <= set(names)]
    parts = load_parts(rows, own_scales, models, weights, enlarge=arguments.enlarge)
    dataset = open_davis(arguments)
    arguments.out.mkdir(parents=True, exist_ok=True)
    results = []
    for sequence in dataset:
        file = arguments.out / f"{sequence.name}.json"
        if not file.is_file():
            file.write_text(json.dumps(measure(sequence, parts, rows, own_scales), indent=1))
        results.append(json.loads(file.read_text()))
        print(f"{sequence.name}: " + " ".join(f"{r['J']:.3f}" for r in results[-1]), flush=True)
    text = (
        f"{len(dataset)} sequences of DAVIS-2016 {arguments.split}, one thread; time is in "
        f"proportion to the first row's.\n\n{table(rows, results, names)}\n{PAPERS}"
    )
    with_other = f" --ensemble-with {arguments.ensemble_with}" if OTHER in names else ""
    command = f"python -m studies.test_time_refinements --davis DAVIS{with_other} --write"
    publish(arguments, "test-time", "Test-time refinements", text, command=command)


if __name__ == "__main__":
    main()
