"""Edges of appearance, of motion and of both, against object outlines; and a picture of them.

    python -m studies.edges measure --train DAVIS-TRAIN --davis DAVIS --write
    python -m studies.edges picture --davis DAVIS

`measure` chooses every threshold on the four videos of DAVIS-2016 train that no training sees, and
reports F at it on the other data, beside F at the best threshold there (ODS). --write renews
docs/results.md. `picture` makes docs/images/edges.jpg, the four panels of figure 3 of the
DAVIS-2017 report on OSVOS, PSPNet, edges and flow, and a fifth.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import torch

from rotomask.arrays import Frame
from rotomask.data.training.clips import AnnotatedVideo, find_videos
from rotomask.edges.edge_detector import EdgeMaps
from rotomask.edges.frame_models import load_edge_detector
from rotomask.edges.motion_edges import EdgeMap, merge_edges, motion_edges
from rotomask.edges.thinning import thin_edges
from rotomask.evaluation.measures.object_edges import EdgeCounts, edge_counts, edge_score
from rotomask.flow.optical_flow import DISFlow, Flow
from rotomask.networks.osvos import preprocess
from rotomask.training.space_time import HELD_OUT
from studies.hed import load_hed
from studies.panels import grey, save_panels
from studies.results_page import markdown_table, write_block

PICTURE = Path(__file__).parents[1] / "docs" / "images" / "edges.jpg"
SHOWN = (("car-roundabout", 20), ("motocross-jump", 14), ("dance-twirl", 40))
PANEL = (427, 240)
TITLES = ("RGB", "appearance", "motion", "merge", "flow as input")


@dataclass
class Seen:
    """What the methods share of a frame; each part is made once."""

    frame: Frame
    flow: Flow
    plain: EdgeMaps
    with_flow: EdgeMaps
    without_flow: EdgeMaps
    seconds: dict[str, float] = field(default_factory=dict)


class Eyes:
    """The networks."""

    def __init__(self, weights: Path | None, flow_weights: Path | None, hed: bool = True) -> None:
        self.plain = load_edge_detector("edges-lite", weights=weights)
        self.flow = load_edge_detector("edges-flow-lite", weights=flow_weights)
        self.estimator = DISFlow()
        self.hed = load_hed() if hed else None

    def look(self, frame: Frame, neighbour: Frame) -> Seen:
        """Everything of a frame but HED's edges."""
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
        return Seen(frame, flow, plain, with_flow, self.flow.detect(frame), seconds)

    def look_with_hed(self, seen: Seen) -> EdgeMap:
        """HED's edges, at the frame's own size."""
        assert self.hed is not None
        begin = time.perf_counter()
        image = torch.from_numpy(seen.frame).permute(2, 0, 1)[None].float() / 255
        with torch.inference_mode():
            edges = torch.sigmoid(self.hed(preprocess(image))[0])[0, 0].numpy()
        seen.seconds["HED"] = time.perf_counter() - begin
        return np.asarray(edges, np.float32)


def methods(weights: tuple[float, ...]) -> dict[str, Callable[[Seen], EdgeMap]]:
    """Every row but HED's, by name."""
    rows: dict[str, Callable[[Seen], EdgeMap]] = {
        "appearance (edges-lite)": lambda s: s.plain.edges,
        "motion, not masked": lambda s: motion_edges(s.flow),
        "motion, masked by foreground": lambda s: motion_edges(s.flow, s.plain.foreground),
    }
    for weight in weights:
        rows[f"merged, weight {weight:g}"] = lambda s, w=weight: merge_edges(  # type: ignore[misc]
            s.plain.edges, motion_edges(s.flow, s.plain.foreground), w
        )
    rows["flow as input (edges-flow-lite)"] = lambda s: s.with_flow.edges
    rows["the same, flow withheld"] = lambda s: s.without_flow.edges
    return rows


def pairs(video: AnnotatedVideo, every: int) -> Iterator[tuple[Frame, Frame, np.ndarray]]:
    """Some frames with the next one and the objects' mask; DAVIS scores no first or last frame."""
    for index in range(1, len(video) - 1, every):
        frame, labels = video.read(index)
        yield frame, video.read(index + 1)[0], labels > 0


def measure(arguments: argparse.Namespace) -> None:
    torch.set_num_threads(arguments.threads)
    cv2.setNumThreads(arguments.threads)
    eyes = Eyes(arguments.weights, arguments.flow_weights)
    rows = methods(tuple(arguments.merge_weights))
    counts: dict[str, dict[str, dict[str, list[EdgeCounts]]]] = {"train": {}, "test": {}}
    seconds: dict[str, list[float]] = {}
    held_out = [v for v in find_videos(arguments.train) if v.name in HELD_OUT]
    for part, videos in (("train", held_out), ("test", find_videos(arguments.davis))):
        for video in videos:
            for frame, neighbour, mask in pairs(video, arguments.every):
                seen = eyes.look(frame, neighbour)
                maps = {name: make(seen) for name, make in rows.items()}
                hed = eyes.look_with_hed(seen)
                maps["HED (reference)"] = hed
                maps["HED, masked by foreground"] = hed * seen.plain.foreground
                for name, edges in maps.items():
                    of_video = counts[part].setdefault(name, {}).setdefault(video.name, [])
                    of_video.append(edge_counts(thin_edges(edges), mask))
                for name, value in seen.seconds.items():
                    seconds.setdefault(name, []).append(value)
            print(f"{part} {video.name}", flush=True)
    report(counts, seconds, arguments)


def report(
    counts: dict[str, dict[str, dict[str, list[EdgeCounts]]]],
    seconds: dict[str, list[float]],
    arguments: argparse.Namespace,
) -> None:
    """Print the table; keep it as JSON and, if asked, in docs/results.md."""
    table, figures = [], {}
    for name, of_videos in counts["test"].items():
        chosen = edge_score([c for v in counts["train"][name].values() for c in v])
        everything = [c for v in of_videos.values() for c in v]
        score = edge_score(everything, chosen.threshold)
        per_video = [edge_score(v, chosen.threshold).f for v in of_videos.values()]
        best = edge_score(everything)
        figures[name] = {
            "held-out F": chosen.f,
            "threshold": chosen.threshold,
            "F": score.f,
            "precision": score.precision,
            "recall": score.recall,
            "mean F of sequences": float(np.mean(per_video)),
            "best F": best.f,
        }
        table.append([name, *(f"{value:.3f}" for value in figures[name].values())])
    frames = sum(len(v) for v in next(iter(counts["test"].values())).values())
    heading = ["edges", "F held out", "threshold", "F", "precision", "recall", "F by video", "ODS"]
    times = {name: float(np.median(values)) for name, values in seconds.items()}
    text = (
        f"{frames} frames of {len(counts['test'][table[0][0]])} videos of DAVIS-2016 val (one in "
        f"{arguments.every}); median seconds a frame with {arguments.threads} thread: "
        + ", ".join(f"{name} {value:.2f}" for name, value in times.items())
        + "."
    )
    result = f"{markdown_table(heading, table)}\n\n{text}"
    print(result)
    if arguments.json:
        arguments.json.write_text(json.dumps({"rows": figures, "seconds": times}, indent=1))
    if arguments.write:
        write_block("edges", f"## Object edges\n\n{INTRODUCTION}\n\n{result}")


INTRODUCTION = (
    "How well edge maps agree with the outline of the annotated object "
    "([what they are](edges.md)): F of all frames' edge pixels together, thinned, with the "
    "tolerance of DAVIS. Thresholds are chosen on the four held-out videos of DAVIS-2016 train; "
    "ODS is F at the threshold that would have been best. HED marks every edge there is, not "
    "those of objects: it is a reference for its kind, not a rival. "
    "`python -m studies.edges measure`."
)


def picture(arguments: argparse.Namespace) -> None:
    cv2.setNumThreads(arguments.threads)
    torch.set_num_threads(arguments.threads)
    eyes = Eyes(arguments.weights, arguments.flow_weights, hed=False)
    videos = {video.name: video for video in find_videos(arguments.davis)}
    rows = []
    for name, index in SHOWN:
        frame, neighbour = videos[name].read(index)[0], videos[name].read(index + 1)[0]
        seen = eyes.look(frame, neighbour)
        motion = motion_edges(seen.flow, seen.plain.foreground)
        merged = merge_edges(seen.plain.edges, motion)
        maps = (seen.plain.edges, motion, merged, seen.with_flow.edges)
        rows.append([frame, *(grey(edges) for edges in maps)])
    save_panels(arguments.out, TITLES, rows, PANEL)
    print(arguments.out)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path, help="of edges-lite, in place of the shipped ones")
    parser.add_argument("--flow-weights", type=Path, help="of edges-flow-lite")
    parser.add_argument("--threads", type=int, default=1)
    commands = parser.add_subparsers(required=True)
    measuring = commands.add_parser("measure")
    measuring.add_argument("--train", type=Path, required=True, help="with the held-out videos")
    measuring.add_argument("--davis", type=Path, required=True, help="what is measured on")
    measuring.add_argument("--every", type=int, default=8, help="one frame in so many")
    measuring.add_argument("--merge-weights", type=float, nargs="+", default=[0.2, 0.35, 0.5])
    measuring.add_argument("--json", type=Path)
    measuring.add_argument("--write", action="store_true", help="renew docs/results.md")
    measuring.set_defaults(run=measure)
    picturing = commands.add_parser("picture")
    picturing.add_argument("--davis", type=Path, required=True)
    picturing.add_argument("--out", type=Path, default=PICTURE)
    picturing.set_defaults(run=picture)
    arguments = parser.parse_args()
    arguments.run(arguments)


if __name__ == "__main__":
    main()
