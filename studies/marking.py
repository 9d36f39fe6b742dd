"""How many clicks a mask takes: GrabCut, click-lite, and click-lite with learning.

    python -m studies.marking measure --davis DAVIS --duts DUTS-TR --out curves --write
    python -m studies.marking times --davis DAVIS
    python -m studies.marking picture --davis DAVIS --out docs/images/marking.jpg

`measure` clicks every 10th frame, from the sixth on, of the videos of DAVIS-2016 val at hand (not
the "DAVIS 345" of the literature, which are frames of all fifty videos, most of them training
videos), and 200 images of DUTS-TR that click-lite was not trained on. Its encoder was trained on
them, within stm-lite. An image is clicked until its IoU is 0.90, five times at least and twenty at
most. Curves are stored, an image a line, and read again by the next run.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from rotomask.arrays import Frame
from rotomask.catalog import load_marker, names
from rotomask.data.training.clips import find_videos
from rotomask.data.training.stills import FolderStills, find_stills
from rotomask.evaluation.clicking import click_image
from rotomask.evaluation.measures.clicks import click_scores
from rotomask.evaluation.measures.region import region_similarity
from rotomask.evaluation.robot import ClickRobot, region_strokes
from rotomask.jobs.mark import draw_preview
from rotomask.prompts import Box, Click, Marker, Prompt, Scribble
from rotomask.training.interactive import held_out_stills
from studies.results_page import markdown_table
from studies.scripts import add_write, parse, publish, save_jpeg, script_parser, write_json

BoolMask = npt.NDArray[np.bool_]
Example = tuple[str, Callable[[], tuple[Frame, BoolMask]]]
"""A name, and what reads the image and its object."""

FIRST_FRAME, EVERY = 5, 10
LEAST_CLICKS, TARGET = 5, 0.9


def davis_examples(root: Path, every: int) -> Iterator[Example]:
    """Every so many-th frame of every video, its objects as one."""
    for video in find_videos(root):
        for index in range(FIRST_FRAME, len(video), every):

            def read(video: Any = video, index: int = index) -> tuple[Frame, BoolMask]:
                frame, labels = video.read(index)
                return frame, np.asarray(labels > 0)

            yield f"{video.name}/{index}", read


def duts_examples(root: Path, count: int) -> Iterator[Example]:
    """The images that training holds out."""
    stills = find_stills(root)
    assert isinstance(stills, FolderStills)
    held_out = held_out_stills(stills)
    for index in range(min(count, len(held_out))):

        def read(index: int = index) -> tuple[Frame, BoolMask]:
            frame, labels = held_out[index]
            return frame, np.asarray(labels > 0)

        yield held_out.pairs[index][0].stem, read


def measure(arguments: argparse.Namespace) -> None:
    """Click all images with all markers and print the table."""
    data: dict[str, list[Example]] = {}
    if arguments.davis:
        data["DAVIS-2016 val"] = list(davis_examples(arguments.davis, arguments.every))
    if arguments.duts:
        data["DUTS-TR, held out"] = list(duts_examples(arguments.duts, arguments.images))
    rows, figures = [], {}
    for set_name, examples in data.items():
        for model in arguments.models.split(","):
            curves = _curves(model, set_name, examples, arguments)
            row, figures[f"{model}, {set_name}"] = _row(model, set_name, curves)
            rows.append(row)
    header = ["data", "marker", "images", "NoC@85", "NoC@90", "over 20 @90", "IoU@1", "IoU@3"]
    header += ["IoU@5", "box alone", "falls", "first ms", "ms a click"]
    # For tools/ship_weights.py --figures: what the weights say of themselves.
    summary = {
        f"{name.partition(', ')[2]}, {f['images']} images": (
            f"NoC@85 {f['noc85']:.2f}, NoC@90 {f['noc90']:.2f}, IoU after 1, 3, 5 clicks "
            + ", ".join(f"{f['iou'][k - 1]:.3f}" for k in (1, 3, 5))
            + f"; a box alone {f['box']:.3f}"
        )
        for name, f in figures.items()
        if name.startswith("click-lite,")
    }
    write_json(arguments, {"summary": summary, "rows": figures})
    text = markdown_table(header, rows)
    frames = (
        f"DAVIS: every {arguments.every}th frame from frame {FIRST_FRAME} of the videos at hand."
    )
    command = "python -m studies.marking measure --davis DAVIS --duts DUTS-TR --out curves --write"
    note = f"{text}\n\n{frames}\n{_NOTE}"
    publish(arguments, "marking", "Marking by clicks", note, command=command)


_NOTE = (
    "Clicks of the robot of RITM at the centre of the largest error; NoC: mean clicks to that IoU, "
    "20 for a failure.\nBox alone: IoU from the object's own box. Falls: share of clicks after "
    "which the IoU is lower by more than 0.01.\nFirst: opening the frame. Times on one thread."
)


def _curves(
    model: str, set_name: str, examples: list[Example], arguments: argparse.Namespace
) -> list[dict[str, Any]]:
    """The stored curves of a marker on a data set, with those that were missing."""
    arguments.out.mkdir(parents=True, exist_ok=True)
    file = arguments.out / f"{model}, {set_name}.jsonl"
    lines = file.read_text().splitlines() if file.is_file() else []
    stored = {line["name"]: line for line in map(json.loads, lines)}
    marker: Marker | None = None
    for name, read in examples:
        if name in stored:
            continue
        if marker is None:
            weights = arguments.weights if model != "grabcut" else None
            marker = load_marker(model, weights=weights)
        frame, truth = read()
        if not truth.any():
            continue
        curve = click_image(marker, frame, truth, target=TARGET, least=LEAST_CLICKS)
        box = region_similarity(marker.labels([object_box(truth)]) == 1, truth)
        stored[name] = {"name": name, "box": box, **asdict(curve)}
        with file.open("a") as out:
            out.write(json.dumps(stored[name]) + "\n")
    return [stored[name] for name, _ in examples if name in stored]


def _row(
    model: str, set_name: str, curves: list[dict[str, Any]]
) -> tuple[list[str], dict[str, Any]]:
    scores = click_scores([curve["ious"] for curve in curves])
    steps = np.concatenate([np.diff(curve["ious"]) for curve in curves])
    times = np.concatenate([curve["click_s"] for curve in curves])
    figures = {
        **asdict(scores),
        "box": float(np.mean([curve["box"] for curve in curves])),
        "falls": float((steps < -0.01).mean()) if len(steps) else 0.0,
        "open_ms": 1000 * float(np.median([curve["open_s"] for curve in curves])),
        "click_ms": 1000 * float(np.median(times)),
    }
    row = [set_name, model, str(scores.images), f"{scores.noc85:.2f}", f"{scores.noc90:.2f}"]
    row += [str(scores.failed90), *(f"{scores.iou[k - 1]:.3f}" for k in (1, 3, 5))]
    row += [f"{figures['box']:.3f}", f"{100 * figures['falls']:.0f} %"]
    return [*row, f"{figures['open_ms']:.0f}", f"{figures['click_ms']:.0f}"], figures


def object_box(truth: BoolMask) -> Box:
    """The box of a mask."""
    ys, xs = np.nonzero(truth)
    x, y = int(xs.min()), int(ys.min())
    return Box(x, y, int(xs.max()) + 1 - x, int(ys.max()) + 1 - y)


def times(arguments: argparse.Namespace) -> None:
    """Print how long hard cases take: two objects, a small one, a frame of 4K, 30 clicks."""
    frame, labels = next(iter(find_videos(arguments.davis))).read(FIRST_FRAME)
    truth = labels > 0
    large = cv2.resize(frame, (3840, 2160), interpolation=cv2.INTER_CUBIC).astype(np.uint8)
    ys, xs = np.nonzero(truth)
    middle = float(xs.mean())
    left, right = truth & (np.arange(truth.shape[1]) < middle), truth.copy()
    right &= ~left
    cases: dict[str, tuple[Frame, list[Prompt]]] = {
        "one click": (frame, _robot_clicks(truth, 1)),
        "two objects that touch": (
            frame,
            [object_box(left), _with_id(object_box(right), 2)],
        ),
        "an object of 10 px": (frame, [Box(int(xs[0]) - 5, int(ys[0]) + 5, 10, 10)]),
        "a frame of 4K": (large, [Click(int(3840 * middle / truth.shape[1]), 1000)]),
        "30 clicks": (frame, _robot_clicks(truth, 30)),
    }
    rows = []
    for model in arguments.models.split(","):
        marker = load_marker(model)
        for name, (image, prompts) in cases.items():
            marker.open(image)  # once to warm up
            began = time.perf_counter()
            marker.open(image)
            opened = time.perf_counter()
            for count in range(1, len(prompts) + 1):
                marker.mask(prompts[:count])
            done = time.perf_counter()
            each = 1000 * (done - opened) / len(prompts)
            row = [model, name, str(len(prompts)), f"{1000 * (opened - began):.0f}"]
            rows.append([*row, f"{each:.0f}", f"{done - opened:.2f}"])
    header = ["marker", "case", "prompts", "first ms", "ms a prompt", "s in all"]
    publish(arguments, "marking-times", "Time to mark", markdown_table(header, rows))


def _with_id(box: Box, object_id: int) -> Box:
    return Box(box.x, box.y, box.width, box.height, object_id)


def _robot_clicks(truth: BoolMask, count: int) -> list[Prompt]:
    """Clicks of both signs, as the robot gives them to a marker that never gets anywhere."""
    robot, clicks = ClickRobot(truth), []
    for number in range(count):
        click = robot.click(truth & False if number % 2 == 0 else ~truth)
        assert click is not None
        clicks.append(click)
    return list(clicks)


def picture(arguments: argparse.Namespace) -> None:
    """Write a sheet of frames with prompts and masks: each video's middle frame, marked."""
    tiles, marker = [], load_marker(arguments.model)
    for video in find_videos(arguments.davis)[: arguments.frames]:
        frame, labels = video.read(len(video) // 2)
        truth = np.asarray(labels > 0)
        prompts = _scribbles(truth) if arguments.scribbles else _few_clicks(marker, frame, truth)
        marker.open(frame)
        mask = marker.labels(prompts)
        tile = draw_preview(frame, mask, prompts)
        text = f"{video.name} {region_similarity(mask == 1, truth):.2f}"
        cv2.putText(tile, text, (12, 34), cv2.FONT_HERSHEY_SIMPLEX, 1.0, (255, 255, 255), 2)
        tiles.append(cv2.resize(tile, (427, 240), interpolation=cv2.INTER_AREA).astype(np.uint8))
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % 2)
    rows = [np.concatenate(tiles[k : k + 2], 1) for k in range(0, len(tiles), 2)]
    save_jpeg(arguments.out, np.concatenate(rows, 0))
    print(arguments.out)


def _few_clicks(marker: Marker, frame: Frame, truth: BoolMask, count: int = 3) -> list[Prompt]:
    """The robot's first clicks."""
    marker.open(frame)
    robot, predicted = ClickRobot(truth), np.zeros(truth.shape, bool)
    prompts: list[Prompt] = []
    for _ in range(count):
        click = robot.click(predicted)
        if click is None:
            break
        prompts.append(click)
        predicted = marker.labels(prompts) == 1
    return prompts


def _scribbles(truth: BoolMask) -> list[Prompt]:
    """A stroke along the object's middle and one around it, as a user might draw them."""
    inside: list[Prompt] = [Scribble(points) for points in region_strokes(truth)]
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (61, 61))
    band = cv2.dilate(truth.astype(np.uint8), kernel)
    outlines, _ = cv2.findContours(band, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    around = [
        Scribble(
            tuple((float(x), float(y)) for x, y in (*outline[:, 0], outline[0, 0])), positive=False
        )
        for outline in outlines
        if len(outline) > 2
    ]
    return [*(inside or [object_box(truth)]), *around]  # some objects are too small for a stroke


def main() -> None:
    parser = script_parser(__doc__)
    commands = parser.add_subparsers(required=True)
    measuring = commands.add_parser("measure")
    measuring.add_argument("--davis", type=Path, help="videos to click")
    measuring.add_argument("--duts", type=Path, help="DUTS-TR, whose held-out images are clicked")
    measuring.add_argument("--every", type=int, default=EVERY, help=f"default: {EVERY}")
    measuring.add_argument("--images", type=int, default=200, help="of DUTS-TR; default: 200")
    measuring.add_argument("--models", default=",".join(names("interactive")))
    measuring.add_argument("--weights", type=Path, help="of click-lite, in place of the shipped")
    measuring.add_argument("--out", type=Path, required=True, help="folder for the curves")
    add_write(measuring, json_file=True)
    measuring.set_defaults(run=measure)
    timing = commands.add_parser("times")
    timing.add_argument("--davis", type=Path, required=True)
    timing.add_argument("--models", default=",".join(names("interactive")))
    add_write(timing)
    timing.set_defaults(run=times)
    picturing = commands.add_parser("picture")
    picturing.add_argument("--davis", type=Path, required=True)
    picturing.add_argument("--model", default="click-lite")
    picturing.add_argument("--scribbles", action="store_true", help="strokes in place of clicks")
    picturing.add_argument("--frames", type=int, default=10)
    picturing.add_argument("--out", type=Path, default=Path("docs/images/marking.jpg"))
    picturing.set_defaults(run=picture)
    arguments = parse(parser)
    arguments.run(arguments)


if __name__ == "__main__":
    main()
