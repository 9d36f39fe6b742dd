"""Tables of the RGMP paper (Oh et al. 2018) with our networks in them.

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
one to three objects. --write renews the table in docs/results.md.
"""

import argparse
import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from rotomask.catalog import load_model
from rotomask.data.training.clips import AnnotatedVideo, find_videos
from rotomask.data.training.synthetic import moving_shapes
from rotomask.networks.precision import choose_runtime
from rotomask.networks.rgmp_lite import RGMPLite, RGMPLiteConfig
from rotomask.refine import dense_crf
from rotomask.segmenters.base import Segmenter
from rotomask.segmenters.reference_guided import ReferenceGuidedConfig, ReferenceGuidedSegmenter
from rotomask.segmenters.wrappers import Refined
from rotomask.training.online import OnlineConfig, OnlineLearned
from rotomask.training.validation import validate
from studies.results_page import markdown_table, write_block

HELD_OUT = ("dog-agility", "hike", "motorbike", "swing")
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


class Timed:
    """A segmenter that adds up what its steps take."""

    def __init__(self, segmenter: Segmenter) -> None:
        self.segmenter, self.seconds, self.frames = segmenter, 0.0, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.segmenter, name)

    def start(self, frame: Any, mask: Any) -> None:
        began = time.process_time()
        self.segmenter.start(frame, mask)
        self.seconds += time.process_time() - began

    def step(self, frame: Any) -> Any:
        began = time.process_time()
        answer = self.segmenter.step(frame)
        self.seconds += time.process_time() - began
        self.frames += 1
        return answer


def videos_of(arguments: argparse.Namespace) -> tuple[AnnotatedVideo, ...]:
    """The videos that are measured; weights and settings are chosen on the held-out ones only."""
    videos = find_videos(arguments.davis)
    if arguments.split == "held-out":
        videos = tuple(video for video in videos if video.name in HELD_OUT)
    return videos


def measure(arguments: argparse.Namespace, **settings: object) -> tuple[float, float, float]:
    """J, F and seconds a frame of rgmp-lite."""
    settings = {"device": "cpu", "enlarge": arguments.split == "held-out"} | settings
    timed = Timed(load_model("rgmp-lite", **settings))  # type: ignore[arg-type]
    scores = validate(lambda: timed, videos_of(arguments))  # type: ignore[arg-type, return-value]
    return scores["J"], scores["F"], timed.seconds / timed.frames


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
    for chosen in ((1.0,), (0.5,), (0.5, 0.75), (0.75, 1.0), (0.5, 0.75, 1.0)):
        j, f, seconds = measure(arguments, scales=chosen)
        name = ", ".join(map(str, chosen))
        rows.append([name, f"{(j + f) / 2:.3f}", f"{j:.3f}", f"{f:.3f}", f"{seconds:.2f}"])
        print(rows[-1], flush=True)
    return markdown_table(["scales", "J&F", "J", "F", "CPU s a frame"], rows)


def ablations(arguments: argparse.Namespace) -> str:
    """Table 5, switched at test time and trained, beside the paper's."""
    rows = [_row("paper", TABLE5)]
    switched = {
        "full": measure(arguments),
        "-Ref": measure(arguments, use_reference=False),
        "-Prev": measure(arguments, use_previous=False),
    }
    rows.append(_row("rgmp-lite, switched off at test time", switched))
    trained = {}
    for name in ("full", *ABLATIONS):
        weights = arguments.runs / name / "weights.safetensors" if arguments.runs else None
        if weights is not None and weights.is_file():
            inputs = {"-Ref": {"use_reference": False}, "-Prev": {"use_previous": False}}
            trained[name] = measure(arguments, weights=weights, **inputs.get(name, {}))
    if trained:
        rows.append(_row("rgmp-lite-short, trained so", trained))
    header = ["J / F (change of their mean)", "full", *ABLATIONS]
    return markdown_table(header, rows)


def _row(name: str, results: dict[str, Any]) -> list[str]:
    """J / F and what the mean of both loses against the full model."""
    full = sum(results["full"][:2]) / 2
    cells = []
    for column in ("full", *ABLATIONS):
        if column not in results:
            cells.append("")
            continue
        j, f = results[column][:2]
        change = "" if column == "full" else f" ({100 * ((j + f) / 2 - full):+.1f})"
        cells.append(f"{j:.3f} / {f:.3f}{change}")
    return [name, *cells]


def addons(arguments: argparse.Namespace) -> str:
    """Table 6: what each add-on gives and costs; its own time is spread over the frames."""
    load = partial(load_model, "rgmp-lite", device="cpu", enlarge=arguments.split == "held-out")
    plain = load()
    made: dict[str, Segmenter] = {
        "rgmp-lite": plain,
        "+ online learning": OnlineLearned(load(), OnlineConfig()),
        "+ CRF": Refined(load(), dense_crf),
    }
    if arguments.gru is not None:
        made["+ GRU"] = load(weights=arguments.gru)
    rows: list[list[str]] = []
    first = 0.0
    for name, segmenter in made.items():
        timed = Timed(segmenter)
        scores = validate(lambda t=timed: t, videos_of(arguments))  # type: ignore[misc, arg-type, return-value]
        seconds = timed.seconds / timed.frames
        cost = f"+ {seconds - first:.2f}" if rows else f"{seconds:.2f}"
        first = first or seconds
        rows.append([name, f"{scores['J']:.3f}", f"{scores['F']:.3f}", cost])
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
    """Median over moving shapes."""
    frames, labels = moving_shapes(0, frames=6, size=(480, 854), objects=count)
    segmenter.start(frames[0], labels[0].astype(int))
    times = []
    for frame in frames[1:]:
        began = time.process_time()
        segmenter.step(frame)
        times.append(time.process_time() - began)
    return float(np.median(times[1:]))


TABLES: dict[str, tuple[str, Callable[[argparse.Namespace], str]]] = {
    "overall": ("RGMP: overall (paper 3, table 1)", overall),
    "scales": ("RGMP: scales", scales),
    "ablations": ("RGMP: ablations (paper 3, table 5)", ablations),
    "addons": ("RGMP: add-ons (paper 3, table 6)", addons),
    "objects": ("RGMP: several objects", objects),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("table", choices=TABLES)
    parser.add_argument("--davis", type=Path, help="annotated videos in the DAVIS layout")
    parser.add_argument("--results", type=Path, help="what `rotomask benchmark --json` wrote")
    parser.add_argument("--split", choices=("all", "held-out"), default="all")
    parser.add_argument("--runs", type=Path, help="folder of ablation runs")
    parser.add_argument("--gru", type=Path, help="weights with a visual memory")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--write", action="store_true", help="renew docs/results.md")
    arguments = parser.parse_args()
    if arguments.table == "overall" and arguments.results is None:
        parser.error("overall needs --results FILE")
    if arguments.table in ("scales", "ablations", "addons") and arguments.davis is None:
        parser.error(f"{arguments.table} needs --davis FOLDER")
    torch.set_num_threads(arguments.threads)
    cv2.setNumThreads(arguments.threads)
    heading, make = TABLES[arguments.table]
    text = make(arguments)
    print(text)
    if arguments.write:
        options = " --davis DAVIS" if arguments.davis else ""
        options += " --results run.json" if arguments.results else ""
        options += f" --split {arguments.split}" if arguments.split != "all" else ""
        options += " --runs RUNS" if arguments.runs else ""
        options += " --gru RUN/weights.safetensors" if arguments.gru else ""
        command = f"    python -m studies.rgmp_tables {arguments.table}{options} --write"
        write_block(f"rgmp-{arguments.table}", f"## {heading}\n\n{command}\n\n{text}")


if __name__ == "__main__":
    main()
