"""How click-lite is run: what its settings gain on the held-out videos of DAVIS-2016 train.

    python -m studies.marker_settings clicks --davis DAVIS-TRAIN
    python -m studies.marker_settings found --davis DAVIS-TRAIN

`clicks`: IoU after clicks of the robot, on every 5th frame. They begin with nothing, with the
object's mask of three frames before, or with the mask that stm-lite has there, from the true mask
of the first frame. `found`: J and F of what `embedding` finds, on every 4th frame in which its IoU
is 0.3 or more, and of the same mask marked anew (`unsupervised/marked_anew.py`).
"""

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rotomask.arrays import Frame
from rotomask.catalog import load_discoverer, load_marker
from rotomask.data.sequences import VideoSequence
from rotomask.evaluation.clicking import click_image
from rotomask.evaluation.measures.boundary import boundary_accuracy
from rotomask.evaluation.measures.region import region_similarity
from rotomask.jobs.loading import load_model
from rotomask.prompts import Click
from rotomask.prompts.click_marker import ClickMarker
from rotomask.prompts.regions import interior_distance
from rotomask.segmenters.follow import Annotation, follow
from rotomask.unsupervised.base import FrameList
from rotomask.unsupervised.marked_anew import MarkedAnew
from studies.results_page import markdown_table
from studies.scripts import open_held_out, parse, script_parser

BoolMask = npt.NDArray[np.bool_]
CLICKS = (1, 3, 5, 10, 20)
BEFORE = 3
"""Frames from a rough mask to the frame that it is corrected on."""
FIRST_FRAME, FRAME_STEP = 3, 5
FOUND_FIRST, FOUND_STEP, FOUND_LEAST = 2, 4, 0.3

WAYS: dict[str, dict[str, Any]] = {
    "384 px, rough masks stay": {"fine_side": 384, "keep_rough": 0.0},
    "512 px from the 4th prompt": {"keep_rough": 0.0},
    "and rough masks replaced below an IoU of 0.6": {"keep_rough": 0.6},
    "of 0.7": {"keep_rough": 0.7},
    "of 0.8 (as shipped)": {},
    "of 0.9": {"keep_rough": 0.9},
}


def clicks(arguments: argparse.Namespace) -> None:
    """Print the IoU after clicks, by what they begin with."""
    examples = [e for video in open_held_out(arguments.davis) for e in _examples(video)]
    shipped = load_marker("click-lite")
    assert isinstance(shipped, ClickMarker)
    for number, start in enumerate(("nothing", f"{BEFORE} frames before", "stm-lite's mask")):
        rows = []
        # Without a rough mask there is nothing to keep or to replace.
        ways = list(WAYS.items())[: None if number else 2]
        for way, changes in ways:
            marker = shipped.twin()
            marker.config = replace(shipped.config, **changes)
            curves = [
                click_image(marker, frame, truth, most=max(CLICKS), start=starts[number])
                for frame, truth, starts in examples
            ]
            # Where clicking ended early no pixel was wrong.
            ious = [[*c.ious, *[1.0] * (max(CLICKS) - len(c.ious))] for c in curves]
            means = np.mean(ious, axis=0)
            rows.append([way, *(f"{means[k - 1]:.3f}" for k in CLICKS)])
        header = [f"from {start}", *(f"{k} clicks" for k in CLICKS)]
        print(f"{len(examples)} frames\n\n{markdown_table(header, rows)}\n", flush=True)


def _examples(
    video: VideoSequence,
) -> Iterator[tuple[Frame, BoolMask, tuple[BoolMask | None, BoolMask, BoolMask]]]:
    """Frames with their true masks, and what the clicks begin with."""
    frames = ((index, video.read(index)[0]) for index in range(len(video)))
    first = (video.read(0)[1] > 0).astype(np.int32)
    for followed in follow(load_model(), frames, {0: Annotation(first)}):
        index = followed.index
        if index >= FIRST_FRAME and (index - FIRST_FRAME) % FRAME_STEP == 0:
            earlier = video.read(index - BEFORE)[1] > 0
            starts = (None, earlier, np.asarray(followed.labels > 0))
            yield followed.frame, video.read(index)[1] > 0, starts


def found(arguments: argparse.Namespace) -> None:
    """Print J and F of found masks, before and after they are marked anew."""
    marker, discoverer = load_marker("click-lite"), load_discoverer("embedding")
    scores: dict[str, list[tuple[float, float]]] = {}
    for video in open_held_out(arguments.davis):
        images = [video.read(index)[0] for index in range(len(video))]
        discovery = discoverer.discover(FrameList(images))
        for index in range(FOUND_FIRST, len(video), FOUND_STEP):
            frame, truth = images[index], video.read(index)[1] > 0
            probabilities = discovery.masks_at(index)
            mask = discovery.labels(probabilities) > 0
            if region_similarity(mask, truth) < FOUND_LEAST:
                continue
            y, x = divmod(int(interior_distance(mask).argmax()), mask.shape[1])
            marker.open(frame)
            results = {"found": mask, "a click in the middle": marker.labels([Click(x, y)]) == 1}
            for passes, name in ((1, "marked anew"), (2, "twice (as shipped)")):
                anew = MarkedAnew(marker, passes=passes)(probabilities, frame)
                results[name] = np.asarray(anew.argmax(0) == 1)
            for name, result in results.items():
                pair = region_similarity(result, truth), boundary_accuracy(result, truth)
                scores.setdefault(name, []).append(pair)
    rows = [[name, *(f"{v:.3f}" for v in np.mean(each, axis=0))] for name, each in scores.items()]
    print(f"{len(scores['found'])} frames\n\n{markdown_table(['mask', 'J', 'F'], rows)}")


def main() -> None:
    parser = script_parser(__doc__)
    parser.add_argument("what", choices=("clicks", "found"))
    parser.add_argument("--davis", type=Path, required=True, help="DAVIS-2016 train")
    arguments = parse(parser)
    {"clicks": clicks, "found": found}[arguments.what](arguments)


if __name__ == "__main__":
    main()
