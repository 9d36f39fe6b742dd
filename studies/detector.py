"""How well a detector finds the objects of annotated videos: average precision and recall.

An annotated video names few of its objects, so that boxes of other things count as wrong: recall
says more than precision. The best box is the one of the first ten that overlaps the object most.

    python -m studies.detector --davis DAVIS [--detector detector-lite] [--split train] [--write]

With --ship a run's weights go into the package, with the scores of their validation.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch

from rotomask.data.benchmarks.sequences import VideoDataset
from rotomask.detection import Detections, load_detector
from rotomask.detection.boxes import Boxes, box_iou, label_boxes
from rotomask.detection.loading import shipped_detector
from rotomask.evaluation import open_benchmark
from rotomask.evaluation.measures.detection import average_precision, recall
from rotomask.networks.checkpoints import load_state, read_metadata, save_weights
from studies.results_page import markdown_table, write_block

COLUMNS = ["AP50", "AP75", "recall of 1", "of 10", "of 10 at 0.75", "overlap of the best"]


def figures(found: list[Detections], truths: list[Boxes]) -> list[float]:
    """Those of the columns."""
    best = [
        float(box_iou(d.boxes[:10], t).max(initial=0))
        for d, t in zip(found, truths, strict=True)
        if len(t)
    ]
    return [
        average_precision(found, truths),
        average_precision(found, truths, 0.75),
        recall(found, truths, 1),
        recall(found, truths),
        recall(found, truths, overlap=0.75),
        float(np.mean(best)),
    ]


def measure(name: str, dataset: VideoDataset, stride: int) -> tuple[dict[str, list[float]], float]:
    """The figures of every sequence and of all frames together; CPU seconds a frame."""
    detector = load_detector(name)
    detector.detect(dataset.sequences[0].frame(0))  # the first pass of a network is slower
    rows: dict[str, list[float]] = {}
    all_found: list[Detections] = []
    all_truths: list[Boxes] = []
    seconds = 0.0
    for sequence in dataset:
        found: list[Detections] = []
        truths: list[Boxes] = []
        for index in range(0, len(sequence), stride):
            frame = sequence.frame(index)
            began = time.process_time()
            found.append(detector.detect(frame))
            seconds += time.process_time() - began
            truths.append(label_boxes(sequence.annotation(sequence.frame_names[index])))
        rows[sequence.name] = figures(found, truths)
        all_found, all_truths = all_found + found, all_truths + truths
    return {**rows, "all": figures(all_found, all_truths)}, seconds / len(all_found)


def ship(weights: Path) -> None:
    """Put a run's weights into the package, with what they say of themselves."""
    card, state = read_metadata(weights), load_state(weights)
    data, held_out = card["data"], card["validation"]
    summary = {
        "parameters": f"{sum(v.numel() for v in state.values()) / 1e6:.2f} M",
        "trained on": f"{data['duts']} stills of DUTS-TR, {data['videos']} videos of DAVIS-2016 "
        "train; encoder from ImageNet",
        "held-out videos": f"AP50 {held_out['AP50']:.3f}, recall of 10 {held_out['recall']:.3f} "
        "(4 of DAVIS-2016 train)",
    }
    save_weights(shipped_detector(), state, {**card, "summary": summary})
    print(json.dumps(summary, indent=1))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--davis", type=Path)
    parser.add_argument("--split", default="val")
    parser.add_argument("--sequences", help="with commas between")
    parser.add_argument("--detector", default="detector-lite")
    parser.add_argument("--stride", type=int, default=1, help="look at every so many-th frame")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--write", action="store_true", help="renew docs/results.md")
    parser.add_argument("--ship", type=Path, help="a run's weights, to be put into the package")
    arguments = parser.parse_args()
    if arguments.ship:
        ship(arguments.ship)
    if arguments.davis is None:
        return
    torch.set_num_threads(arguments.threads)
    dataset = open_benchmark("davis2016", arguments.davis, arguments.split)
    if arguments.sequences:
        dataset = dataset.select(arguments.sequences.split(","))
    rows, seconds = measure(arguments.detector, dataset, arguments.stride)
    cells = [[name, *(f"{value:.3f}" for value in values)] for name, values in rows.items()]
    table = markdown_table(["sequence", *COLUMNS], cells)
    text = f"""## Detector

    python -m studies.detector --davis DAVIS --write

{arguments.detector} on {len(rows) - 1} sequences of DAVIS-2016 {arguments.split},
one object in a frame, intersection over union of at least 0.5 (0.75). Other things that it finds
are not annotated and count as wrong.
{seconds:.3f} CPU seconds a frame on {arguments.threads} thread(s).

{table}"""
    print(text)
    if arguments.write:
        write_block("detector", text)


if __name__ == "__main__":
    main()
