"""Tables of the RGMP paper (Oh et al. 2018) with the networks of rotomask added.

    python -m studies.rgmp_tables scales --davis DAVIS-TRAIN --split held-out
    rotomask benchmark davis2016 --root DAVIS --model rgmp-lite --out run --json run.json
    python -m studies.rgmp_tables overall --results run.json --write
    python -m studies.rgmp_tables ablations --davis DAVIS --runs RUNS --write
    python -m studies.rgmp_tables addons --davis DAVIS --gru RUN/weights.safetensors --write
    python -m studies.rgmp_tables objects --write

overall: table 1, DAVIS-2016. scales: the same network at one scale and at several. ablations:
table 5, of the shipped weights with a stream switched off, and of the weights of every run in
RUNS/ABLATION (-Ref, -Prev, -PT, -FT, -Rec, full). addons: table 6, online learning, a dense CRF and
a visual memory (weights of recipe rgmp-lite-gru or rgmp-lite-gru-all). objects: seconds a frame for
one to three objects. `--write` updates the table in docs/results.md.
"""

import argparse
import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rotomask.catalog import load_model
from rotomask.data.training.synthetic import moving_shapes
from rotomask.networks.precision import choose_runtime
from rotomask.networks.rgmp_lite import RGMPLite, RGMPLiteConfig
from rotomask.refine import dense_crf
from rotomask.segmenters.base import Segmenter
from rotomask.segmenters.reference_guided import ReferenceGuidedConfig, ReferenceGuidedSegmenter
from rotomask.segmenters.wrappers import Refined
from rotomask.training.online import OnlineConfig, learn_online
from studies.measuring import Measured, measure, step_seconds
from studies.results_page import markdown_table
from studies.scripts import add_davis, add_write, open_davis, parse, publish, script_parser

ABLATIONS = ("-Ref", "-Prev", "-PT", "-FT", "-Rec")

# Table 1 of the paper: online learning, post-processing, optical flow, J, F, seconds a frame.
TABLE1 = (
    ("PLM", "✓", "✓", "", "0.700", "0.620", "0.3"),
    ("SegFlow", "✓", "", "", "0.748", "0.745", "7.9"),
    ("MSK", "✓", "✓", "✓", "0.797", "0.754", "12"),
    ("LCT", "✓", "✓", "✓", "0.805", "0.776", "-"),
    ("MaskRNN", "✓", "", "✓", "0.807", "0.809", "-"),
    ("OSVOS", "✓", "✓", "", "0.798", "0.806", "9"),
    ("OSVOS-S", "✓", "✓", "", "0.856", "0.864", "4.5"),
    ("OnAVOS", "✓", "✓", "", "0.861", "0.849", "13"),
    ("BVS", "", "", "", "0.600", "0.588", "0.37"),
    ("OFL", "", "", "", "0.680", "0.634", "120"),
    ("VPN", "", "", "", "0.702", "0.655", "0.63"),
    ("RGMP", "", "", "", "0.815", "0.820", "0.13"),
)
# Table 5: J and F of the full model, then of each ablation.
TABLE5 = {
    "full": (0.815, 0.820),
    "-Ref": (0.683, 0.682),
    "-Prev": (0.735, 0.742),
    "-PT": (0.686, 0.689),
    "-FT": (0.550, 0.591),
    "-Rec": (0.743, 0.748),
}

# Table 6: J, F and seconds a frame of each add-on.
TABLE6 = (
    ("RGMP, paper", "0.815", "0.820", "0.13"),
    ("+ online learning, paper", "0.824", "0.822", "+ 1.74"),
    ("+ CRF, paper", "0.819", "0.799", "+ 2.53"),
    ("+ GRU, paper", "0.796", "0.810", "+ 0.01"),
)


def measure_rgmp(arguments: argparse.Namespace, **settings: Any) -> Measured:
    """J, F and CPU seconds a frame of rgmp-lite with these settings."""
    settings = {"device": "cpu", "enlarge": arguments.split == "held-out"} | settings
    return measure(load_model("rgmp-lite", **settings), open_davis(arguments))


def overall(arguments: argparse.Namespace) -> str:
    """Table 1: J, F and time beside the paper's rows."""
    result = json.loads(arguments.results.read_text())
    count, figures = len(result["sequences"]), result["figures"]
    j, f = figures["J_mean"], figures["F_mean"]
    seconds = seconds_per_frame(load_model("rgmp-lite", device="cpu"), 1)
    ours = (f"rgmp-lite ({count} sequences)", "", "", "", f"{j:.3f}", f"{f:.3f}", f"{seconds:.2f}")
    header = ["", "OL", "PP", "OF", "J mean", "F mean", "s a frame"]
    rows = [list(row) for row in (*TABLE1, ours)]
    return (
        "The papers' rows: all 20 sequences of DAVIS-2016 val, their own machines. OL: online "
        "learning, PP: post-processing, OF: optical flow. Ours: CPU, "
        f"{torch.get_num_threads()} thread(s), the network alone.\n\n"
        + markdown_table(header, rows)
    )


def scales(arguments: argparse.Namespace) -> str:
    """One network at several sets of scales."""
    rows = []
    for factors in ((1.0,), (0.5,), (0.5, 0.75), (0.75, 1.0), (0.5, 0.75, 1.0)):
        m = measure_rgmp(arguments, scales=factors)
        figures = [f"{value:.3f}" for value in (m.both, m.region, m.boundary)]
        rows.append([", ".join(map(str, factors)), *figures, f"{m.frame_s:.2f}"])
        print(rows[-1], flush=True)
    return markdown_table(["scales", "J&F", "J", "F", "CPU s a frame"], rows)


def ablations(arguments: argparse.Namespace) -> str:
    """Table 5, switched at test time and trained, beside the paper's."""
    rows = [_row("paper", TABLE5)]
    switched = {
        "full": _j_and_f(arguments),
        "-Ref": _j_and_f(arguments, use_reference=False),
        "-Prev": _j_and_f(arguments, use_previous=False),
    }
    rows.append(_row("rgmp-lite, switched off at test time", switched))
    trained: dict[str, tuple[float, float]] = {}
    for name in ("full", *ABLATIONS):
        weights = arguments.runs / name / "weights.safetensors" if arguments.runs else None
        if weights is not None and weights.is_file():
            inputs = {"-Ref": {"use_reference": False}, "-Prev": {"use_previous": False}}
            trained[name] = _j_and_f(arguments, weights=weights, **inputs.get(name, {}))
    if trained:
        rows.append(_row("rgmp-lite-short, trained so", trained))
    header = ["J / F (change of their mean)", "full", *ABLATIONS]
    return markdown_table(header, rows)


def _j_and_f(arguments: argparse.Namespace, **settings: Any) -> tuple[float, float]:
    measured = measure_rgmp(arguments, **settings)
    return measured.region, measured.boundary


def _row(name: str, results: dict[str, tuple[float, float]]) -> list[str]:
    """J / F, and the change of their mean from the full model, in percent."""
    full = sum(results["full"]) / 2
    cells = []
    for column in ("full", *ABLATIONS):
        if column not in results:
            cells.append("")
            continue
        j, f = results[column]
        change = "" if column == "full" else f" ({100 * ((j + f) / 2 - full):+.1f})"
        cells.append(f"{j:.3f} / {f:.3f}{change}")
    return [name, *cells]


def addons(arguments: argparse.Namespace) -> str:
    """Table 6: J, F and extra time of each add-on; its start is spread over the frames."""
    load = partial(load_model, "rgmp-lite", device="cpu", enlarge=arguments.split == "held-out")
    plain = load()
    made: dict[str, Segmenter] = {
        "rgmp-lite": plain,
        "+ online learning": learn_online(load(), OnlineConfig()),
        "+ CRF": Refined(load(), dense_crf),
    }
    if arguments.gru is not None:
        made["+ GRU"] = load(weights=arguments.gru)
    rows: list[list[str]] = []
    first = 0.0
    for name, segmenter in made.items():
        m = measure(segmenter, open_davis(arguments))
        cost = f"+ {m.frame_s - first:.2f}" if rows else f"{m.frame_s:.2f}"
        first = first or m.frame_s
        rows.append([name, f"{m.region:.3f}", f"{m.boundary:.3f}", cost])
        print(rows[-1], flush=True)
    header = ["", "J mean", "F mean", "s a frame"]
    where = "the held-out sequences of DAVIS-2016 train" if arguments.split == "held-out" else ""
    return (
        "The paper's rows: all 20 sequences of DAVIS-2016 val, GPU. Ours: "
        f"{where or '10 sequences of DAVIS-2016 val'}, CPU seconds of one thread, with what is "
        "learned before the video.\n\n" + markdown_table(header, [*map(list, TABLE6), *rows])
    )


def objects(arguments: argparse.Namespace) -> str:
    """Seconds a frame for one, two and three objects, of the models and of other shapes."""
    made: dict[str, Segmenter] = {
        "stm-lite": load_model("stm-lite", device="cpu"),
        "rgmp-lite": load_model("rgmp-lite", device="cpu"),
        "rgmp-lite, background of the product": load_model(
            "rgmp-lite", device="cpu", background="product"
        ),
        "rgmp-lite, scale 0.5": load_model("rgmp-lite", device="cpu", scales=(0.5,)),
        "rgmp-lite, scale 1": load_model("rgmp-lite", device="cpu", scales=(1.0,)),
        "rgmp-lite, scales 0.5, 0.75": load_model("rgmp-lite", device="cpu", scales=(0.5, 0.75)),
    }
    for name, shape in (
        ("mask joined with the image", RGMPLiteConfig(mask_stride=1)),
        ("matched at stride 16", RGMPLiteConfig(coarsest=16)),
        ("with a visual memory", RGMPLiteConfig(visual_memory=True)),
        ("with strides refined together", RGMPLiteConfig(refine_channels=64)),
    ):
        config = ReferenceGuidedConfig(scales=(1.0,))
        segmenter = ReferenceGuidedSegmenter(RGMPLite(shape), config, choose_runtime("cpu"))
        made[f"rgmp-lite, scale 1, {name}"] = segmenter
    rows = [
        [name, *(f"{seconds_per_frame(segmenter, count):.3f}" for count in (1, 2, 3))]
        for name, segmenter in made.items()
    ]
    text = markdown_table(["CPU seconds a frame", "1 object", "2 objects", "3 objects"], rows)
    return (
        f"854x480, CPU seconds of {torch.get_num_threads()} thread(s), median of 4 frames. The "
        f"other shapes of rgmp-lite, below scale 1, have random weights.\n\n{text}"
    )


def seconds_per_frame(segmenter: Segmenter, count: int) -> float:
    """Median CPU seconds of a 480p frame with so many moving shapes."""
    frames, labels = moving_shapes(0, frames=6, size=(480, 854), objects=count)
    times = step_seconds(segmenter, frames, labels[0].astype(np.int32), time.process_time)
    return float(np.median(times[1:]))  # the first step warms up


TABLES: dict[str, tuple[str, Callable[[argparse.Namespace], str]]] = {
    "overall": ("RGMP: overall (paper 3, table 1)", overall),
    "scales": ("RGMP: scales", scales),
    "ablations": ("RGMP: ablations (paper 3, table 5)", ablations),
    "addons": ("RGMP: add-ons (paper 3, table 6)", addons),
    "objects": ("RGMP: several objects", objects),
}


def main() -> None:
    parser = script_parser(__doc__)
    parser.add_argument("table", choices=TABLES)
    add_davis(parser, required=False)
    parser.add_argument("--results", type=Path, help="the file of `rotomask benchmark --json`")
    parser.add_argument("--runs", type=Path, help="folder of ablation runs")
    parser.add_argument("--gru", type=Path, help="weights with a visual memory")
    add_write(parser)
    arguments = parse(parser)
    if arguments.table == "overall" and arguments.results is None:
        parser.error("overall needs --results FILE")
    if arguments.table in ("scales", "ablations", "addons") and arguments.davis is None:
        parser.error(f"{arguments.table} needs --davis FOLDER")
    title, make = TABLES[arguments.table]
    command = f"python -m studies.rgmp_tables {arguments.table}"
    command += " --davis DAVIS" if arguments.davis else ""
    command += " --results run.json" if arguments.results else ""
    command += f" --split {arguments.split}" if arguments.split != "val" else ""
    command += " --runs RUNS" if arguments.runs else ""
    command += " --gru RUN/weights.safetensors" if arguments.gru else ""
    text = make(arguments)
    publish(arguments, f"rgmp-{arguments.table}", title, text, command=f"{command} --write")


if __name__ == "__main__":
    main()
