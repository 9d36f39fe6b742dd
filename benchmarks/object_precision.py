"""What it costs in J to keep objects as float16, which saves memory with more than 16 of them.

    python -m benchmarks.object_precision --davis DAVIS2017 --sequence schoolgirls

Follows the objects of one sequence twice: with everything in float32, and with the limit from which
on float16 is kept (and from which on objects are encoded in groups) lowered to two objects.
"""

import argparse
import itertools
from pathlib import Path

import numpy as np

import rotomask
from rotomask.evaluation.measures.region import region_similarity
from rotomask.masks import read_labels
from rotomask.segmenters import memory_values, reference_guided

MORE_THAN_ANY = 1 << 16


def limit_objects(count: int) -> None:
    """Keep float32 up to so many objects."""
    memory_values.OBJECTS_AT_ONCE = count
    reference_guided.OBJECTS_AT_ONCE = reference_guided.MANY_OBJECTS = count


def mean_j(frames: Path, masks: list[Path], model: str, size: int) -> tuple[float, list[float]]:
    """Mean J over frames and objects, and the means of the objects."""
    first = read_labels(masks[0])
    ids = [int(k) for k in np.unique(first) if k]
    steps = rotomask.track(frames, first, model=model, size=size, device="cpu")
    scores = []
    for (_, labels), path in itertools.islice(zip(steps, masks, strict=False), 1, len(masks)):
        truth = read_labels(path)
        scores.append([region_similarity(labels == k, truth == k) for k in ids])
    return float(np.mean(scores)), [float(j) for j in np.mean(scores, 0)]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--davis", type=Path, required=True)
    parser.add_argument("--sequence", default="schoolgirls")
    parser.add_argument("--models", nargs="+", default=["stm-lite", "rgmp-lite"])
    parser.add_argument("--frames", type=int, default=20, help="only the first so many")
    parser.add_argument("--size", type=int, default=480, help="processing size, px")
    options = parser.parse_args()
    frames = options.davis / "JPEGImages/480p" / options.sequence
    folder = options.davis / "Annotations/480p" / options.sequence
    masks = sorted(folder.iterdir())[: options.frames]
    for model in options.models:
        for name, count in (("float32", MORE_THAN_ANY), ("float16", 2)):
            limit_objects(count)
            mean, objects = mean_j(frames, masks, model, options.size)
            listed = " ".join(f"{j:.3f}" for j in objects)
            print(f"{model:12} {name}: J {mean:.4f}; of the objects {listed}", flush=True)


if __name__ == "__main__":
    main()
