"""CPU time a frame of J and F: rotomask compared with a plain version of the official method.

    python benchmarks/evaluation_speed.py --root DAVIS --results MASKS

The plain method works on the full frame: boundary maps of whole arrays, and a dilation by
scikit-image's disk through OpenCV, as the davis2017 tool does. Both get the same arrays in memory
and must give the same figures. Reading the PNG files is timed separately.
"""

import argparse
import math
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from skimage.morphology import disk

from rotomask.data.benchmarks.label_files import read_label_image
from rotomask.evaluation import TrackProtocol, evaluate_results, open_benchmark
from rotomask.evaluation.protocols.tracks import measure_masks

BoolMask = npt.NDArray[np.bool_]


def plain_region(mask: BoolMask, truth: BoolMask, void: BoolMask) -> float:
    common = np.sum((mask & truth) & np.logical_not(void))
    union = np.sum((mask | truth) & np.logical_not(void))
    return float(common / union) if union else 1.0


def plain_boundary_map(mask: BoolMask) -> BoolMask:
    east, south, diagonal = np.zeros_like(mask), np.zeros_like(mask), np.zeros_like(mask)
    east[:, :-1] = mask[:, 1:]
    south[:-1, :] = mask[1:, :]
    diagonal[:-1, :-1] = mask[1:, 1:]
    edges = (mask ^ east) | (mask ^ south) | (mask ^ diagonal)
    edges[-1, :] = mask[-1, :] ^ east[-1, :]
    edges[:, -1] = mask[:, -1] ^ south[:, -1]
    edges[-1, -1] = False
    return np.asarray(edges)


def plain_boundary(mask: BoolMask, truth: BoolMask, void: BoolMask) -> float:
    radius = math.ceil(0.008 * float(np.linalg.norm(mask.shape)))
    edges = plain_boundary_map(mask * np.logical_not(void))
    true_edges = plain_boundary_map(truth * np.logical_not(void))
    element = disk(radius).astype(np.uint8)  # type: ignore[no-untyped-call]
    near = cv2.dilate(edges.astype(np.uint8), element)
    near_truth = cv2.dilate(true_edges.astype(np.uint8), element)
    count, true_count = np.sum(edges), np.sum(true_edges)
    if count == 0 or true_count == 0:
        return float(count == true_count)
    precision = np.sum(edges * near_truth) / float(count)
    recall = np.sum(true_edges * near) / float(true_count)
    if precision + recall == 0:
        return 0.0
    return float(2 * precision * recall / (precision + recall))


def plain(mask: BoolMask, truth: BoolMask) -> tuple[float, float]:
    void = np.zeros_like(mask)
    return plain_region(mask, truth, void), plain_boundary(mask, truth, void)


def ours(mask: BoolMask, truth: BoolMask) -> tuple[float, float]:
    values = measure_masks(mask, truth, None, TrackProtocol())
    return values["J"], values["F"]


def cpu_ms(
    method: Callable[[BoolMask, BoolMask], tuple[float, float]],
    pairs: list[tuple[BoolMask, BoolMask]],
) -> tuple[float, list[tuple[float, float]]]:
    """CPU milliseconds a frame, and the figures."""
    started = time.process_time()
    figures = [method(mask, truth) for mask, truth in pairs]
    return 1000 * (time.process_time() - started) / len(pairs), figures


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--root", type=Path, required=True, help="DAVIS-2016")
    parser.add_argument("--results", type=Path, required=True, help="folder of masks")
    parser.add_argument("--every", type=int, default=5, help="use one frame in so many")
    parser.add_argument("--repeat", type=int, default=5)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)

    dataset = open_benchmark("davis2016", arguments.root)
    paths = [
        (arguments.results / sequence.name / f"{frame}.png", sequence.annotations[frame][0])
        for sequence in dataset
        for frame in sequence.scored_frames()[:: arguments.every]
    ]
    started = time.process_time()
    pairs = [(read_label_image(a) > 0, read_label_image(b) > 0) for a, b in paths]
    print(f"{len(pairs)} frames of {pairs[0][0].shape[1]}x{pairs[0][0].shape[0]}")
    print(f"reading two PNG files  {1000 * (time.process_time() - started) / len(pairs):6.2f} ms")

    times: dict[str, list[float]] = {"plain": [], "ours": []}
    for _ in range(arguments.repeat):  # in turns, so that other load on the machine slows both
        plain_ms, plain_figures = cpu_ms(plain, pairs)
        our_ms, our_figures = cpu_ms(ours, pairs)
        times["plain"].append(plain_ms)
        times["ours"].append(our_ms)
    difference = np.abs(np.array(plain_figures) - np.array(our_figures)).max()
    plain_ms, our_ms = (statistics.median(times[name]) for name in ("plain", "ours"))
    print(f"J and F, plain method  {plain_ms:6.2f} ms of CPU a frame")
    print(f"J and F, rotomask      {our_ms:6.2f} ms of CPU a frame")
    print(f"ratio                  {plain_ms / our_ms:6.1f}")
    print(f"largest difference     {difference:.1e}")

    started = time.perf_counter()
    result = evaluate_results(dataset, arguments.results)
    frames = sum(len(sequence.scored_frames()) for sequence in dataset)
    print(f"all {frames} frames from files: {time.perf_counter() - started:.1f} s of wall time")
    print("  ".join(f"{name} {value:.4f}" for name, value in result.figures.items()))


if __name__ == "__main__":
    main()
