"""Edges from appearance, from motion and from both, scored against object outlines; a picture.

    python -m studies.edges measure --train DAVIS-TRAIN --davis DAVIS --write
    python -m studies.edges picture --davis DAVIS

`measure` selects every threshold on the held-out videos of DAVIS-2016 train and reports F at it on
the other data, with F at the best threshold there (ODS). `--write` updates docs/results.md.
`picture` makes docs/images/edges.jpg, the four panels of figure 3 of the
DAVIS-2017 report on OSVOS, PSPNet, edges and flow, and a fifth.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from rotomask import load_edge_detector
from rotomask.arrays import Frame
from rotomask.data.sequences import VideoSequence
from rotomask.data.training.clips import find_videos
from rotomask.edges.edge_detector import EdgeMaps
from rotomask.edges.motion_edges import EdgeMap, merge_edges, motion_edges
from rotomask.edges.thinning import thin_edges
from rotomask.evaluation.measures.object_edges import EdgeCounts, edge_counts, edge_score
from rotomask.flow.optical_flow import DISFlow, Flow
from rotomask.networks.osvos import preprocess
from rotomask.training.video_split import HELD_OUT
from studies.hed import load_hed
from studies.panels import grey, save_panels
from studies.results_page import markdown_table
from studies.scripts import add_measure_and_picture, parse, publish, script_parser, write_json

PICTURE = Path(__file__).parents[1] / "docs" / "images" / "edges.jpg"
SHOWN = (("car-roundabout", 20), ("motocross-jump", 14), ("dance-twirl", 40))
PANEL = (427, 240)
TITLES = ("RGB", "appearance", "motion", "merge", "flow as input")


@dataclass
class FrameOutputs:
    """Flow and edge maps of a frame, which the methods share."""

    frame: Frame
    flow: Flow
    plain: EdgeMaps
    with_flow: EdgeMaps
    without_flow: EdgeMaps
    seconds: dict[str, float] = field(default_factory=dict)


class Networks:
    """Every network that the table compares."""

    def __init__(self, weights: Path | None, flow_weights: Path | None, hed: bool = True) -> None:
        self.plain = load_edge_detector("edges-lite", weights=weights)
        self.flow = load_edge_detector("edges-flow-lite", weights=flow_weights)
        self.estimator = DISFlow()
        self.hed = load_hed() if hed else None

    def run(self, frame: Frame, neighbour: Frame) -> FrameOutputs:
        """All outputs for a frame but HED's edges."""
        begin = time.perf_counter()
        flow = self.estimator.estimate(frame, neighbour)
        after_flow = time.perf_counter()
        plain = self.plain.detect(frame)
        after_plain = time.perf_counter()
        with_flow = self.flow.detect(frame, flow)
        after_both = time.perf_counter()
        seconds = {
            "flow": after_flow - begin,
            "edges-lite": after_plain - after_flow,
            "edges-flow-lite": after_both - after_plain,
        }
        without_flow = self.flow.detect(frame)
        return FrameOutputs(frame, flow, plain, with_flow, without_flow, seconds)

    def run_hed(self, outputs: FrameOutputs) -> EdgeMap:
        """HED's edges, at the frame's own size."""
        assert self.hed is not None
        begin = time.perf_counter()
        image = torch.from_numpy(outputs.frame).permute(2, 0, 1)[None].float() / 255
        with torch.inference_mode():
            edges = torch.sigmoid(self.hed(preprocess(image))[0])[0, 0].numpy()
        outputs.seconds["HED"] = time.perf_counter() - begin
        return np.asarray(edges, np.float32)


Method = Callable[[FrameOutputs], EdgeMap]


def methods(weights: tuple[float, ...]) -> dict[str, Method]:
    """Every row of the table but HED's, by name."""
    rows: dict[str, Method] = {
        "appearance (edges-lite)": lambda s: s.plain.edges,
        "motion, not masked": lambda s: motion_edges(s.flow),
        "motion, masked by foreground": lambda s: motion_edges(s.flow, s.plain.foreground),
    }
    for weight in weights:
        rows[f"merged, weight {weight:g}"] = merged(weight)
    rows["flow as input (edges-flow-lite)"] = lambda s: s.with_flow.edges
    rows["the same, flow withheld"] = lambda s: s.without_flow.edges
    return rows


def merged(weight: float) -> Method:
    """Appearance and motion merged, motion with this weight."""

    def merge(outputs: FrameOutputs) -> EdgeMap:
        motion = motion_edges(outputs.flow, outputs.plain.foreground)
        return merge_edges(outputs.plain.edges, motion, weight)

    return merge


def pairs(video: VideoSequence, every: int) -> Iterator[tuple[Frame, Frame, npt.NDArray[np.bool_]]]:
    """Some frames with the next one and the objects' mask; DAVIS scores no first or last frame."""
    for index in range(1, len(video) - 1, every):
        frame, labels = video.read(index)
        yield frame, video.read(index + 1)[0], labels > 0


def measure(arguments: argparse.Namespace) -> None:
    """Print the table of all methods."""
    networks = Networks(arguments.weights, arguments.flow_weights)
    rows = methods(tuple(arguments.merge_weights))
    counts: dict[str, dict[str, dict[str, list[EdgeCounts]]]] = {"train": {}, "test": {}}
    seconds: dict[str, list[float]] = {}
    held_out = [v for v in find_videos(arguments.train) if v.name in HELD_OUT]
    for part, videos in (("train", held_out), ("test", find_videos(arguments.davis))):
        for video in videos:
            for frame, neighbour, mask in pairs(video, arguments.every):
                outputs = networks.run(frame, neighbour)
                maps = {name: make(outputs) for name, make in rows.items()}
                hed = networks.run_hed(outputs)
                maps["HED (reference)"] = hed
                maps["HED, masked by foreground"] = hed * outputs.plain.foreground
                for name, edges in maps.items():
                    by_video = counts[part].setdefault(name, {})
                    by_video.setdefault(video.name, []).append(edge_counts(thin_edges(edges), mask))
                for name, value in outputs.seconds.items():
                    seconds.setdefault(name, []).append(value)
            print(f"{part} {video.name}", flush=True)
    report(counts, seconds, arguments)


def report(
    counts: dict[str, dict[str, dict[str, list[EdgeCounts]]]],
    seconds: dict[str, list[float]],
    arguments: argparse.Namespace,
) -> None:
    """Print the table; write it as JSON and into docs/results.md if asked."""
    table, figures = [], {}
    for name, by_video in counts["test"].items():
        held_out = edge_score([c for v in counts["train"][name].values() for c in v])
        frames = [c for v in by_video.values() for c in v]
        score = edge_score(frames, held_out.threshold)
        per_video = [edge_score(v, held_out.threshold).f for v in by_video.values()]
        best = edge_score(frames)
        figures[name] = {
            "held-out F": held_out.f,
            "threshold": held_out.threshold,
            "F": score.f,
            "precision": score.precision,
            "recall": score.recall,
            "mean F of sequences": float(np.mean(per_video)),
            "best F": best.f,
        }
        table.append([name, *(f"{value:.3f}" for value in figures[name].values())])
    count = sum(len(v) for v in next(iter(counts["test"].values())).values())
    heading = ["edges", "F held out", "threshold", "F", "precision", "recall", "F by video", "ODS"]
    times = {name: float(np.median(values)) for name, values in seconds.items()}
    text = (
        f"{count} frames of {len(counts['test'][table[0][0]])} videos of DAVIS-2016 val (one in "
        f"{arguments.every}); median seconds a frame with {arguments.threads} thread: "
        + ", ".join(f"{name} {value:.2f}" for name, value in times.items())
        + "."
    )
    result = f"{markdown_table(heading, table)}\n\n{text}"
    write_json(arguments, {"rows": figures, "seconds": times})
    publish(arguments, "edges", "Object edges", f"{INTRODUCTION}\n\n{result}")


INTRODUCTION = (
    "Agreement of [edge maps](papers/edges.md) with the outline of the annotated object: F of all\n"
    "frames' edge pixels together, thinned, with the tolerance of DAVIS. Thresholds are selected\n"
    "on the four held-out videos of DAVIS-2016 train; ODS is F at the threshold that would have\n"
    "been best. HED marks all edges, not those of objects: it is a reference, not a competitor.\n"
    "`python -m studies.edges measure`."
)


def picture(arguments: argparse.Namespace) -> None:
    """Write the picture."""
    networks = Networks(arguments.weights, arguments.flow_weights, hed=False)
    videos = {video.name: video for video in find_videos(arguments.davis)}
    rows = []
    for name, index in SHOWN:
        frame, neighbour = videos[name].read(index)[0], videos[name].read(index + 1)[0]
        outputs = networks.run(frame, neighbour)
        motion = motion_edges(outputs.flow, outputs.plain.foreground)
        both = merge_edges(outputs.plain.edges, motion)
        maps = (outputs.plain.edges, motion, both, outputs.with_flow.edges)
        rows.append([frame, *(grey(edges) for edges in maps)])
    save_panels(arguments.out, TITLES, rows, PANEL)
    print(arguments.out)


def main() -> None:
    parser = script_parser(__doc__)
    parser.add_argument("--weights", type=Path, help="of edges-lite, used instead of the shipped")
    parser.add_argument("--flow-weights", type=Path, help="of edges-flow-lite")
    measuring, _ = add_measure_and_picture(parser, measure, picture, PICTURE)
    measuring.add_argument("--every", type=int, default=8, help="use one frame in so many")
    measuring.add_argument("--merge-weights", type=float, nargs="+", default=[0.2, 0.35, 0.5])
    arguments = parse(parser)
    arguments.run(arguments)


if __name__ == "__main__":
    main()
