"""Separation of touching objects by distance maps, measured; and a picture of the maps.

    python -m studies.distance_transform measure --train DAVIS-TRAIN --davis DAVIS --write
    python -m studies.distance_transform picture --davis DAVIS

DAVIS-2016 marks one object a video, so scenes are composed: the object of one video is pasted on a
frame of another, in front of its object and touching it. A scene is separated if each of the two
objects has an instance that overlaps it by an IoU of 0.5 or more. The unchanged frames show what
that costs: an object is whole if one instance overlaps it so much. The level of a core is selected
on the held-out videos of DAVIS-2016 train. `--write` updates docs/results.md. `picture` makes
docs/images/distance-transform.jpg after figure 4 of the DAVIS-2017 report on OSVOS, PSPNet,
edges and flow.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from rotomask.arrays import Frame
from rotomask.data.sequences import VideoSequence
from rotomask.data.training.clips import find_videos
from rotomask.data.training.images import Image, Labels
from rotomask.render import overlay
from rotomask.training.video_split import HELD_OUT
from studies.distance_network import (
    BINS,
    DistanceMaps,
    distance_bins,
    load_distance_estimator,
    normalised_distance,
)
from studies.panels import grey, save_panels
from studies.results_page import markdown_table
from studies.scripts import add_measure_and_picture, parse, publish, script_parser, write_json
from studies.watershed import separate_instances

PICTURE = Path(__file__).parents[1] / "docs" / "images" / "distance-transform.jpg"
SHOWN = (("bmx-trees", 40), ("dance-twirl", 40), ("cows", 30), ("scooter-black", 20))
PANEL = (340, 192)
TITLES = ("RGB", "four bins", "regression", "regression, masked", "instances")
CORES = tuple(float(x) for x in np.arange(0.25, 0.86, 0.05).round(2))
LARGEST_OVERLAP = 0.25
"""Largest fraction of the object behind that the one in front may hide."""
SMALLEST = 0.002
"""Smallest fraction of its frame that an object covers."""
OVERLAP = 0.5
"""IoU from which an instance counts as the object's."""

Instances = npt.NDArray[np.int32]


class Scene(NamedTuple):
    """A frame and its objects."""

    frame: Frame
    labels: Labels
    """H×W: 1, 2 the two of a composed scene; 1 the only one of a real frame."""


def compose(behind: tuple[Image, Labels], front: tuple[Image, Labels], seed: int) -> Scene | None:
    """The object of one picture pasted in front of that of another, so that they touch.

    Returns:
        None where the object is missing in one of them, or no position suits.
    """
    rng = np.random.default_rng(seed)
    image, mask = behind[0], behind[1] > 0
    cut, cut_mask = front[0], (front[1] > 0).astype(np.uint8)
    if min(mask.mean(), cut_mask.mean()) < SMALLEST:
        return None
    x, y, width, height = cv2.boundingRect(cut_mask)
    cut = cut[y : y + height, x : x + width]
    cut_mask = cut_mask[y : y + height, x : x + width]
    scale = np.sqrt(mask.sum() / cut_mask.sum()) * rng.uniform(0.6, 1.1)
    centre = np.argwhere(mask).mean(0)
    angle = rng.uniform(0, 2 * np.pi)
    size = (image.shape[1], image.shape[0])
    for away in range(0, max(size), 4):
        at = centre + away * np.array([np.sin(angle), np.cos(angle)])
        matrix = np.array(
            [
                [scale, 0, at[1] - scale * width / 2],
                [0, scale, at[0] - scale * height / 2],
            ]
        )
        placed = cv2.warpAffine(cut_mask * 255, matrix, size)
        covered = placed > 127
        hidden = (covered & mask).sum() / mask.sum()
        if hidden > LARGEST_OVERLAP:
            continue
        if covered.sum() < 0.7 * scale**2 * cut_mask.sum() or not _touch(covered, mask & ~covered):
            return None
        colour = cv2.warpAffine(cut, matrix, size, borderMode=cv2.BORDER_REPLICATE)
        alpha = cv2.GaussianBlur(placed, (3, 3), 0)[..., None] / 255.0
        mixed = image * (1 - alpha) + colour * alpha
        labels = np.where(covered, 2, mask).astype(np.uint8)
        return Scene(mixed.round().astype(np.uint8), labels)
    return None


def _touch(one: npt.NDArray[np.bool_], other: npt.NDArray[np.bool_]) -> bool:
    grown = cv2.dilate(one.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    return bool((grown & other).any())


def scenes_of(videos: list[VideoSequence], count: int) -> tuple[list[Scene], list[Scene]]:
    """Composed scenes, `count` of every video with others' objects in front, and real frames."""
    composed: list[Scene] = []
    real: list[Scene] = []
    for number, video in enumerate(videos):
        wanted = len(composed) + count
        for attempt in range(6 * count):
            rng = np.random.default_rng((number, attempt))
            other = videos[(number + 1 + int(rng.integers(len(videos) - 1))) % len(videos)]
            behind = video.read(int(rng.integers(len(video))))
            scene = compose(behind, other.read(int(rng.integers(len(other)))), attempt)
            if scene is not None and len(composed) < wanted:
                composed.append(scene)
                real.append(Scene(behind[0], (behind[1] > 0).astype(np.uint8)))
    return composed, real


def is_separated(scene: Scene, instances: Instances) -> bool:
    """Return whether each object of the scene has an instance of its own."""
    for k in np.unique(scene.labels[scene.labels > 0]):
        truth = scene.labels == k
        best = 0.0
        for j in np.unique(instances[truth]):
            if j > 0:
                mask = instances == j
                best = max(best, float((mask & truth).sum() / (mask | truth).sum()))
        if best < OVERLAP:
            return False
    return True


Method = Callable[[Scene, DistanceMaps, float], Instances]


def _components(foreground: npt.NDArray[np.bool_]) -> Instances:
    return np.asarray(cv2.connectedComponents(foreground.astype(np.uint8))[1], np.int32)


METHODS: dict[str, Method] = {
    "connected parts of the foreground": lambda s, m, c: _components(m.foreground >= 0.5),
    "four bins, watershed": lambda s, m, c: separate_instances(
        m.level_of_bins(), m.foreground >= 0.5, core=c
    ),
    "regression, watershed": lambda s, m, c: separate_instances(
        m.distance, m.foreground >= 0.5, core=c
    ),
    "connected parts of the true foreground": lambda s, m, c: _components(s.labels > 0),
    "true distance and foreground, watershed": lambda s, m, c: separate_instances(
        normalised_distance(s.labels), s.labels > 0, core=c
    ),
}


def measure(arguments: argparse.Namespace) -> None:
    """Print the table of all methods."""
    estimator = load_distance_estimator(weights=arguments.weights)
    held_out = [v for v in find_videos(arguments.train) if v.name in HELD_OUT]
    parts = {
        "train": scenes_of(held_out, 2 * arguments.scenes),
        "test": scenes_of(list(find_videos(arguments.davis)), arguments.scenes),
    }
    maps = {
        part: [[estimator.estimate(scene.frame) for scene in kind] for kind in both]
        for part, both in parts.items()
    }

    def rates(part: str, method: Method, core: float) -> tuple[float, float]:
        """Fractions of the scenes that are separated, and of the real objects that are whole."""
        fractions = []
        for scenes, outputs in zip(parts[part], maps[part], strict=True):
            pairs = zip(scenes, outputs, strict=True)
            right = [is_separated(scene, method(scene, m, core)) for scene, m in pairs]
            fractions.append(float(np.mean(right)))
        return fractions[0], fractions[1]

    rows, figures = [], {}
    for name, method in METHODS.items():
        tried = {core: rates("train", method, core) for core in CORES}
        core = max(tried, key=lambda c: sum(tried[c]))
        separated, whole = rates("test", method, core)
        figures[name] = {"core": core, "separated": separated, "whole": whole}
        shown = f"{core:.2f}" if "watershed" in name else ""
        before = "{:.3f} | {:.3f}".format(*tried[core]).split(" | ")
        rows.append([name, shown, *before, f"{separated:.3f}", f"{whole:.3f}"])
        print(name, figures[name], flush=True)
    errors = accuracy(parts["test"][0], maps["test"][0])
    heading = ["instances from", "core", "separated, held out", "whole, held out"]
    result = markdown_table([*heading, "separated", "whole"], rows)
    count = len(parts["test"][0])
    result += (
        f"\n\n{count} composed scenes and as many frames of the ten videos of DAVIS-2016 val; "
        f"{len(parts['train'][0])} of each to choose the core. Inside the composed scenes' objects "
        f"{errors['bins']:.0%} of the pixels are in the right one of the four bins "
        f"({errors['commonest bin']:.0%} are in the commonest one); the regressed distance is off "
        f"by {errors['distance']:.2f} on average, a constant by {errors['constant']:.2f}."
    )
    write_json(arguments, {"rows": figures, "errors": errors})
    publish(arguments, "distance", "Distance maps", f"{INTRODUCTION}\n\n{result}")


INTRODUCTION = (
    "Separation of two touching objects by the distance transform of instances, predicted by\n"
    "[distance-lite](papers/edges.md#distance-maps): the fraction of composed scenes in which\n"
    "both have an instance of their own (IoU 0.5), and the fraction of real frames whose one\n"
    "object stays whole. `python -m studies.distance_transform measure`."
)


def accuracy(scenes: list[Scene], maps: list[DistanceMaps]) -> dict[str, float]:
    """Accuracy of bins and distance within objects, and that of the best constants."""
    truth = np.concatenate([normalised_distance(s.labels)[s.labels > 0] for s in scenes])
    bins = np.concatenate(
        [m.bins.argmax(0)[s.labels > 0] for s, m in zip(scenes, maps, strict=True)]
    )
    distance = np.concatenate([m.distance[s.labels > 0] for s, m in zip(scenes, maps, strict=True)])
    right = distance_bins(truth)
    return {
        "bins": float((bins == right).mean()),
        "commonest bin": float(np.bincount(right).max() / len(right)),
        "distance": float(np.abs(distance - truth).mean()),
        "constant": float(np.abs(np.median(truth) - truth).mean()),
    }


def picture(arguments: argparse.Namespace) -> None:
    """Write the picture."""
    estimator = load_distance_estimator(weights=arguments.weights)
    videos = {video.name: video for video in find_videos(arguments.davis)}
    rows = []
    for name, index in SHOWN:
        frame = videos[name].read(index)[0]
        maps = estimator.estimate(frame)
        inside = maps.foreground >= 0.5
        labels = separate_instances(maps.distance, inside, core=arguments.core)
        rows.append(
            [
                frame,
                grey((maps.bins.argmax(0) + 1) / BINS * inside),
                grey(maps.distance),
                grey(maps.distance * maps.foreground),
                overlay(frame, labels),
            ]
        )
    save_panels(arguments.out, TITLES, rows, PANEL)
    print(arguments.out)


def main() -> None:
    parser = script_parser(__doc__)
    parser.add_argument("--weights", type=Path, help="used instead of studies/weights")
    measuring, picturing = add_measure_and_picture(parser, measure, picture, PICTURE)
    measuring.add_argument("--scenes", type=int, default=10, help="composed scenes a video")
    picturing.add_argument("--core", type=float, default=0.3, help="level of a core, 0 to 1")
    arguments = parse(parser)
    arguments.run(arguments)


if __name__ == "__main__":
    main()
