"""What learning from the reference frame is worth, by steps and learning rate.

Prints J and F on the sequences kept out of training, and the seconds of learning for each video.

    python -m studies.online_learning --davis DAVIS-TRAIN [--model NAME] [--weights FILE]
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch

from rotomask import load_model
from rotomask.data.benchmarks.sequences import VideoDataset
from rotomask.evaluation import open_benchmark, score_sequence
from rotomask.segmenters.base import Segmenter
from rotomask.training.online import OnlineConfig, OnlineLearned
from studies.checkpoint_spread import HELD_OUT

TRIED = "20:1e-4,40:3e-5,40:1e-4,40:3e-4,120:1e-4"


def measure(segmenter: Segmenter, dataset: VideoDataset) -> tuple[float, float, float]:
    """Mean J and F over the sequences, and seconds to start one."""
    rows = []
    for sequence in dataset:
        labels = [sequence.prompts()[0][0]]
        began = time.perf_counter()
        segmenter.start(sequence.frame(0), labels[0])
        spent = time.perf_counter() - began
        for index in range(1, len(sequence)):
            labels.append(segmenter.labels(segmenter.step(sequence.frame(index))))
        truths = [sequence.annotation(name) for name in sequence.frame_names]
        figures = score_sequence(labels, truths).figures
        rows.append((figures["J_mean"], figures["F_mean"], spent))
    region, boundary, seconds = np.mean(rows, axis=0)
    return float(region), float(boundary), float(seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--davis", type=Path, required=True)
    parser.add_argument("--split", default="train")
    parser.add_argument("--sequences", default=HELD_OUT, help="with commas between")
    parser.add_argument("--tried", default=TRIED, help="STEPS:LEARNING-RATE, with commas between")
    parser.add_argument("--model", default="stm-lite")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    dataset = open_benchmark("davis2016", arguments.davis, arguments.split)
    dataset = dataset.select(arguments.sequences.split(","))
    plain = load_model(arguments.model, weights=arguments.weights, enlarge=True)
    tried: dict[str, Segmenter] = {"without": plain}
    for pair in arguments.tried.split(","):
        steps, _, rate = pair.partition(":")
        config = OnlineConfig(steps=int(steps), learning_rate=float(rate))
        tried[f"{steps} steps at {rate}"] = OnlineLearned(plain, config)
    print(f"{arguments.model} on {arguments.sequences}")
    print(f"{'':20} {'J&F':>7} {'J':>7} {'F':>7} {'s to learn':>11}")
    for label, segmenter in tried.items():
        j, f, seconds = measure(segmenter, dataset)
        print(f"{label:20} {(j + f) / 2:7.4f} {j:7.4f} {f:7.4f} {seconds:11.1f}", flush=True)


if __name__ == "__main__":
    main()
