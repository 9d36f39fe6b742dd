"""flow-lite compared with DIS: error on simulated pairs, masks moved by flow on DAVIS, a picture.

    python -m studies.optical_flow --duts DUTS-TR --davis DAVIS-TRAIN --write

The pairs are simulated from the one still in twenty that flow-lite is not trained on. The masks are
those of DAVIS-2016 train, which the network was not trained on: the mask of a frame, moved to the
next one by the flow, is compared with the mask there (intersection over union).
"""

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

from rotomask import load_flow
from rotomask.catalog import names as names_of
from rotomask.data.sequences import VideoSequence
from rotomask.data.simulation.flow_pairs import FlowPairConfig, simulate_flow_pair
from rotomask.data.training.clips import find_videos
from rotomask.data.training.images import Image
from rotomask.data.training.stills import find_stills
from rotomask.evaluation import region_similarity
from rotomask.flow.optical_flow import OpticalFlow, consistent, flow_colours, warp_back
from rotomask.render import contact_sheet
from rotomask.training.flow import split_stills
from studies.results_page import markdown_table
from studies.scripts import add_write, parse, publish, save_jpeg, script_parser, write_json

BINS_PX = (0, 2, 8, 24, 64, np.inf)
SEED = 2026
Estimators = dict[str, OpticalFlow]


@dataclass
class Errors:
    """End-point errors of one estimator, summed by length of the true motion."""

    total: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros(len(BINS_PX) - 1))
    count: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(len(BINS_PX) - 1, int))
    hidden: list[float] = field(default_factory=list)
    seconds: float = 0.0


def simulated(estimators: Estimators, duts: Path, pairs: int, size: int) -> dict[str, Errors]:
    """Errors on the same held-out pairs."""
    _, stills = split_stills(find_stills(duts))
    rng = np.random.default_rng(SEED)
    results = {name: Errors() for name in estimators}
    for _ in range(pairs):
        pair = simulate_flow_pair(stills, FlowPairConfig(size=size), rng)
        bins = np.digitize(np.linalg.norm(pair.flow, axis=-1), BINS_PX[1:-1])[pair.visible]
        for name, estimator in estimators.items():
            began = time.perf_counter()
            flow = estimator.estimate(pair.first, pair.second)
            errors = results[name]
            errors.seconds += (time.perf_counter() - began) / pairs
            error = np.linalg.norm(flow - pair.flow, axis=-1)
            errors.total += np.bincount(bins, error[pair.visible], len(BINS_PX) - 1)
            errors.count += np.bincount(bins, minlength=len(BINS_PX) - 1)
            errors.hidden += error[~pair.visible].tolist()
    return results


def moved_masks(
    estimators: Estimators, videos: Sequence[VideoSequence], every: int
) -> dict[str, dict[str, list[float]]]:
    """Overlap of moved and true masks by estimator and video; ``no motion`` leaves the mask."""
    overlaps: dict[str, dict[str, list[float]]] = {}
    for video in videos:
        for index in range(0, len(video) - 1, every):
            (frame, labels), (after, truth) = video.read(index), video.read(index + 1)
            if not labels.any() or not truth.any():
                continue
            mask = (labels > 0).astype(np.float32)
            moved = {"no motion": mask}
            for name, estimator in estimators.items():
                # From the later frame backwards, so that each of its pixels has one source.
                flow = estimator.estimate(after, frame)
                moved[name] = np.asarray(warp_back(mask, flow), np.float32)
            for name, soft in moved.items():
                score = region_similarity(soft >= 0.5, truth > 0)
                overlaps.setdefault(name, {}).setdefault(video.name, []).append(score)
    return overlaps


def simulated_table(results: dict[str, Errors]) -> str:
    """End-point errors by length of the true motion, a line an estimator."""
    ranges = [
        f"{low:g} to {high:g} px" if np.isfinite(high) else f"{low:g} px and more"
        for low, high in pairwise(BINS_PX)
    ]
    rows = []
    count = next(iter(results.values())).count
    fractions = (f"{value:.0%}" for value in count / count.sum())
    rows.append(["fraction of the pixels", "", *fractions, "", ""])
    for name, errors in results.items():
        mean = errors.total.sum() / errors.count.sum()
        by_length = (f"{v:.2f}" for v in errors.total / np.maximum(errors.count, 1))
        hidden = f"{np.mean(errors.hidden):.2f}"
        rows.append([name, f"{mean:.2f}", *by_length, hidden, f"{errors.seconds:.2f}"])
    return markdown_table(["error in px", "all seen", *ranges, "hidden", "s a pair"], rows)


def masks_table(overlaps: dict[str, dict[str, list[float]]]) -> str:
    """Mean and worst overlap of moved masks, a line an estimator."""
    rows = []
    names = list(overlaps)
    videos = list(overlaps["no motion"])
    means = {name: [float(np.mean(overlaps[name][v])) for v in videos] for name in names}
    for name in names:
        better = sum(a > b for a, b in zip(means[name], means["dis"], strict=True))
        against = "" if name == "dis" else f"{better} of {len(videos)}"
        rows.append([name, f"{np.mean(means[name]):.3f}", f"{np.min(means[name]):.3f}", against])
    return markdown_table(["flow", "mean IoU", "worst video", "better than DIS on"], rows)


def picture(estimators: Estimators, videos: Sequence[VideoSequence], names: Sequence[str]) -> Image:
    """Rows of a frame, the flow of each estimator in the same colours, and consistent pixels."""
    images, titles = [], []
    for video in (v for v in videos if v.name in names):
        middle = len(video) // 2
        frame, after = video.read(middle)[0], video.read(middle + 1)[0]
        flows = {name: e.estimate(frame, after) for name, e in estimators.items()}
        longest = float(np.percentile(np.linalg.norm(flows["dis"], axis=-1), 99))
        images.append(frame)
        titles.append(f"{video.name}, full colour {longest:.0f} px")
        for name, flow in flows.items():
            images.append(flow_colours(flow, longest))
            titles.append(name)
        agree = consistent(flows["dis"], estimators["dis"].estimate(after, frame))
        images.append(np.where(agree[..., None], frame, np.array([255, 0, 255], np.uint8)))
        titles.append("dis: not consistent")
    return contact_sheet(images, titles, columns=2 + len(estimators), cell_width_px=240)


def simulated_block(
    arguments: argparse.Namespace, estimators: Estimators
) -> tuple[str, dict[str, str]]:
    """The table of end-point errors, and its line in the summary."""
    errors = simulated(estimators, arguments.duts, arguments.pairs, arguments.size)
    text = (
        f"{arguments.pairs} pairs simulated at {arguments.size} px from stills of DUTS-TR that "
        "flow-lite is not trained on; mean end-point error by the length of the true motion, "
        "of pixels that the second frame shows, and of those that it hides; one thread.\n\n"
        + simulated_table(errors)
    )
    means = {name: e.total.sum() / e.count.sum() for name, e in errors.items()}
    line = ", ".join(f"{name} {value:.2f} px" for name, value in means.items())
    return text, {"simulated pairs": line}


def masks_block(
    arguments: argparse.Namespace, estimators: Estimators
) -> tuple[str, dict[str, str]]:
    """The table of moved masks, and its line in the summary; the picture, if asked for."""
    videos = find_videos(arguments.davis)
    if arguments.picture:
        save_jpeg(arguments.picture, picture(estimators, videos, arguments.videos.split(",")))
    overlaps = moved_masks(estimators, videos, arguments.every)
    count = sum(len(values) for values in overlaps["dis"].values())
    text = (
        f"{count} pairs of frames of {len(overlaps['dis'])} videos of DAVIS-2016 train (every "
        "second frame, 384p): the mask of a frame moved to the next by the flow.\n\n"
        + masks_table(overlaps)
    )
    means = {k: np.mean([np.mean(v) for v in by.values()]) for k, by in overlaps.items()}
    line = ", ".join(f"{name} {value:.3f}" for name, value in means.items())
    return text, {"masks moved on DAVIS-2016 train": line}


def main() -> None:
    parser = script_parser(__doc__)
    parser.add_argument("--duts", type=Path)
    parser.add_argument("--davis", type=Path, help="DAVIS-2016 train")
    parser.add_argument("--weights", type=Path, help="of flow-lite, used instead of the shipped")
    parser.add_argument("--pairs", type=int, default=60)
    parser.add_argument("--size", type=int, default=448, help="side of the simulated pairs, px")
    parser.add_argument("--every", type=int, default=8, help="one pair of frames in so many")
    parser.add_argument("--picture", type=Path, help="write the picture here")
    parser.add_argument("--videos", default="bear,breakdance-flare,hockey,motorbike")
    add_write(parser, json_file=True)
    arguments = parse(parser)
    estimators = {
        name: load_flow(name, weights=None if name == "dis" else arguments.weights, device="cpu")
        for name in names_of("flow")
    }
    blocks: list[str] = []
    summary: dict[str, str] = {}
    for wanted, make in ((arguments.duts, simulated_block), (arguments.davis, masks_block)):
        if wanted:
            text, line = make(arguments, estimators)
            blocks.append(text)
            summary |= line
    command = "python -m studies.optical_flow --duts DUTS-TR --davis DAVIS-TRAIN --write"
    text = "\n\n".join(blocks)
    publish(arguments, "optical-flow", "Optical flow", text, command=command)
    write_json(arguments, {"summary": summary})


if __name__ == "__main__":
    main()
