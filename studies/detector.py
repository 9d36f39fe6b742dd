"""Average precision and recall of a detector on annotated videos.

Only a few of a video's objects are annotated, so boxes of other things count as wrong: recall says
more than precision. The best box is the one of the first ten that overlaps the object most.

    python -m studies.detector --davis DAVIS [--detector detector-lite] [--split train] [--write]
"""

import time

import numpy as np

from rotomask import load_detector
from rotomask.data.sequences import VideoDataset
from rotomask.detection import Detections
from rotomask.detection.boxes import Boxes, box_iou, label_boxes
from rotomask.evaluation.measures.detection import average_precision, recall
from studies.results_page import markdown_table
from studies.scripts import add_davis, add_write, open_davis, parse, publish, script_parser

COLUMNS = ["AP50", "AP75", "recall of 1", "of 10", "of 10 at 0.75", "overlap of the best"]


def figures(detections: list[Detections], truths: list[Boxes]) -> list[float]:
    """One figure for each of `COLUMNS`."""
    best = [
        float(box_iou(d.boxes[:10], t).max(initial=0))
        for d, t in zip(detections, truths, strict=True)
        if len(t)
    ]
    return [
        average_precision(detections, truths),
        average_precision(detections, truths, 0.75),
        recall(detections, truths, 1),
        recall(detections, truths),
        recall(detections, truths, overlap=0.75),
        float(np.mean(best)),
    ]


def measure(name: str, dataset: VideoDataset, stride: int) -> tuple[dict[str, list[float]], float]:
    """The figures of every sequence and of all frames together; CPU seconds a frame."""
    detector = load_detector(name)
    detector.detect(dataset.sequences[0].frame(0))  # the first pass of a network is slower
    rows: dict[str, list[float]] = {}
    all_detections: list[Detections] = []
    all_truths: list[Boxes] = []
    seconds = 0.0
    for sequence in dataset:
        detections: list[Detections] = []
        truths: list[Boxes] = []
        for index in range(0, len(sequence), stride):
            frame = sequence.frame(index)
            began = time.process_time()
            detections.append(detector.detect(frame))
            seconds += time.process_time() - began
            truths.append(label_boxes(sequence.annotation(sequence.frame_names[index])))
        rows[sequence.name] = figures(detections, truths)
        all_detections += detections
        all_truths += truths
    return {**rows, "all": figures(all_detections, all_truths)}, seconds / len(all_detections)


def main() -> None:
    parser = script_parser(__doc__)
    add_davis(parser)
    parser.add_argument("--detector", default="detector-lite")
    parser.add_argument("--stride", type=int, default=1, help="use one frame in so many")
    add_write(parser)
    arguments = parse(parser)
    rows, seconds = measure(arguments.detector, open_davis(arguments), arguments.stride)
    cells = [[name, *(f"{value:.3f}" for value in values)] for name, values in rows.items()]
    table = markdown_table(["sequence", *COLUMNS], cells)
    text = f"""{arguments.detector} on {len(rows) - 1} sequences of DAVIS-2016 {arguments.split},
one object in a frame, intersection over union of at least 0.5 (0.75). Other objects that it detects
are not annotated and count as wrong.
{seconds:.3f} CPU seconds a frame on {arguments.threads} thread(s).

{table}"""
    command = "python -m studies.detector --davis DAVIS --write"
    publish(arguments, "detector", "Detector", text, command=command)


if __name__ == "__main__":
    main()
