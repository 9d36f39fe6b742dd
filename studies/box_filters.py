"""Paper 4, table 1: what each step of filtering by boxes is worth, on the same appearance maps.

Each model's soft maps and the detector's boxes are computed once for a sequence and kept
(--cache); then every combination of filters is run on them. With --tune the thresholds are chosen
first, one after the other, on the four sequences of DAVIS-2016 train that no training saw.

    python -m studies.box_filters --davis DAVIS --tune DAVIS-TRAIN [--write]
"""

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from rotomask.arrays import Frame, Mask, Probabilities
from rotomask.data.benchmarks.sequences import VideoDataset, VideoSequence
from rotomask.detection import Detections, Detector, load_detector
from rotomask.detection.boxes import label_boxes
from rotomask.evaluation import TrackProtocol, open_benchmark, score_sequence
from rotomask.files import complete_or_absent
from rotomask.refine.box_filters import BoxFilterConfig
from rotomask.segmenters.base import Segmenter
from rotomask.segmenters.box_filtered import BoxFiltered
from rotomask.segmenters.refinements import learns_itself, load_segmenter
from rotomask.training.space_time import HELD_OUT
from studies.results_page import markdown_table, write_block

ROWS = {
    "appearance map": {"restrict": "nothing", "detections": False},
    "+ box clipping": {"restrict": "clip", "temporal": False, "fallback": False},
    "+ box clipping + temporal": {"restrict": "clip"},
    "+ components": {"restrict": "components", "temporal": False, "fallback": False},
    "+ temporal + components": {"restrict": "components"},
}
PAPER = (0.767, 0.760, 0.764, 0.791, 0.801)
"""Of the rows: DAVIS-2016 val, 20 sequences."""
CONTROLS = {
    "the last, tracked box only (no detector)": {"detections": False},
    "the last, box of best score, not of best fit": {"appearance": False},
}
TRIED: tuple[tuple[str, tuple[Any, ...]], ...] = (
    ("low", (0.2, 0.3, 0.4, 0.5)),
    ("high", (0.6, 0.7, 0.8, 0.9, 0.95)),
    ("temporal_overlap", (0.1, 0.2, 0.3, 0.5)),
    ("appearance_overlap", (0.05, 0.1, 0.2)),
    ("reach", (0.0, 0.1, 0.25, 0.5)),
    ("margin", (0.0, 0.05, 0.1, 0.2)),
    ("first_overlap", (0.3, 0.5, 0.7)),
    ("most_boxes", (1, 2, 3)),
    ("weak_in_boxes", (False, True)),
)


class Kept(Segmenter):
    """Maps that were computed before, and their detections, in the order of the frames."""

    def __init__(self, maps: npt.NDArray[np.uint8]) -> None:
        self.maps, self.next = maps, 1

    @property
    def object_ids(self) -> tuple[int, ...]:
        return (1,)

    def start(self, frame: Frame, mask: Mask) -> None:
        self.next = 1

    def step(self, frame: Frame) -> Probabilities:
        probability = self.maps[self.next].astype(np.float32) / 255
        self.next += 1
        return np.stack([1 - probability, probability])

    def add(
        self, frame: Frame, mask: Mask, object_ids: Sequence[int] | None = None
    ) -> Probabilities:
        raise NotImplementedError("a benchmark gives one mask")

    def observe(self, frame: Frame, mask: Mask) -> None:
        raise NotImplementedError("a benchmark is not resumed")


class KeptDetections(Detector):
    """Detections that were made before: asked for with the number of the frame in its pixels."""

    def __init__(self, found: Sequence[Detections]) -> None:
        self.class_names, self.found = {}, found

    def detect(self, frame: Frame) -> Detections:
        return self.found[int(frame.flat[0]) + 256 * int(frame.flat[1])]


def numbered_frame(number: int) -> Frame:
    """A picture that holds nothing but its number."""
    frame = np.zeros((1, 1, 3), np.uint8)
    frame.flat[:2] = number % 256, number // 256
    return frame


class Scores:
    """Figures that were computed before, in a file: a run that was stopped goes on."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.figures: dict[str, dict[str, float]] = {}
        if file.is_file():
            self.figures = json.loads(file.read_text())

    def add(self, key: str, figures: dict[str, float]) -> None:
        self.figures[key] = figures
        with complete_or_absent(self.file) as temporary:
            temporary.write_text(json.dumps(self.figures))


class Material:
    """What one model and detector say of a sequence, and its truth."""

    def __init__(
        self,
        name: str,
        maps: npt.NDArray[np.uint8],
        found: Sequence[Detections],
        truths: Sequence[Mask],
        known: "Scores",
    ) -> None:
        self.name, self.maps, self.found, self.truths = name, maps, found, truths
        self.known = known

    def labels(self, config: BoxFilterConfig, found: Sequence[Detections] | None = None):
        """The masks that filtering leaves, the first as given."""
        detector = KeptDetections(self.found if found is None else found)
        segmenter = BoxFiltered(Kept(self.maps), detector, config)
        segmenter.start(numbered_frame(0), self.truths[0])
        yield self.truths[0]
        for number in range(1, len(self.maps)):
            yield segmenter.labels(segmenter.step(numbered_frame(number)))

    def score(
        self, config: BoxFilterConfig, measures: tuple[str, ...] = ("J",), *, perfect: bool = False
    ) -> dict[str, float]:
        """Figures of the masks filtered by boxes, those of a perfect detector, or those made."""
        key = f"{self.name}, {config}, {'true boxes' if perfect else 'detected'}, {measures}"
        if key not in self.known.figures:
            labels = self.labels(config, self.true_boxes() if perfect else None)
            protocol = TrackProtocol(measures=measures)
            score = score_sequence(labels, self.truths, protocol=protocol, merged=True)
            self.known.add(key, dict(score.figures))
        return self.known.figures[key]

    def true_boxes(self) -> list[Detections]:
        """What a perfect detector would find."""
        boxes = [label_boxes(truth) for truth in self.truths]
        ones = [np.ones(len(b), np.float32) for b in boxes]
        return [
            Detections(b, s, np.zeros(len(b), np.int64)) for b, s in zip(boxes, ones, strict=True)
        ]


def gather(
    model: str, detector: str, dataset: VideoDataset, cache: Path, options: Mapping[str, int]
) -> list[Material]:
    """The material of every sequence, computed or out of the cache.

    The options are settings of models that are fine-tuned.
    """
    segmenter: Segmenter | None = None
    finder: Detector | None = None
    known = Scores(cache / model / f"scores-{Path(detector).stem}.json")
    gathered = []
    for sequence in dataset:
        truths = [(sequence.annotation(n) > 0).astype(np.int32) for n in sequence.frame_names]
        file = cache / model / f"{sequence.name}.npz"
        if not file.is_file():
            chosen = options if learns_itself(model) else {}
            segmenter = segmenter or load_segmenter(model, **chosen)
            began = time.perf_counter()
            maps = soft_maps(segmenter, sequence, truths[0])
            seconds = time.perf_counter() - began
            print(f"{model} {sequence.name}: {seconds:.0f} s", flush=True)
            file.parent.mkdir(parents=True, exist_ok=True)
            np.savez_compressed(file, maps=maps)
        boxes = cache / Path(detector).name / f"{sequence.name}.npz"
        if not boxes.is_file():
            finder = finder or load_detector(detector)
            keep_detections(boxes, [finder.detect(frame) for frame in sequence.frames()])
        maps = np.load(file)["maps"]
        gathered.append(Material(sequence.name, maps, read_detections(boxes), truths, known))
    return gathered


def soft_maps(segmenter: Segmenter, sequence: VideoSequence, mask: Mask) -> npt.NDArray[np.uint8]:
    """The object's probability in every frame, T×H×W, 255 for 1."""
    maps = [mask.astype(np.float32)]
    segmenter.start(sequence.frame(0), mask)
    for index in range(1, len(sequence)):
        maps.append(segmenter.step(sequence.frame(index))[1])
    return np.stack([(m * 255).round().astype(np.uint8) for m in maps])


def keep_detections(file: Path, found: Sequence[Detections]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(
        file,
        counts=[len(d) for d in found],
        boxes=np.concatenate([d.boxes for d in found]),
        scores=np.concatenate([d.scores for d in found]),
        classes=np.concatenate([d.classes for d in found]),
    )


def read_detections(file: Path) -> list[Detections]:
    stored = np.load(file)
    ends = np.cumsum(stored["counts"])[:-1]
    parts = [np.split(stored[name], ends) for name in ("boxes", "scores", "classes")]
    return [Detections(*one) for one in zip(*parts, strict=True)]


def mean_j(materials: Sequence[Material], config: BoxFilterConfig) -> float:
    return float(np.mean([m.score(config)["J_mean"] for m in materials]))


def change(config: BoxFilterConfig, name: str, value: Any) -> BoxFilterConfig:
    if name in ("low", "high"):
        return replace(config, components=replace(config.components, **{name: value}))
    return replace(config, **{name: value})


def tune(materials: Sequence[Material], config: BoxFilterConfig) -> BoxFilterConfig:
    """The best value of each threshold in turn, the others as they are."""
    best = mean_j(materials, config)
    for name, values in TRIED:
        for value in values:
            if name == "high" and value < config.components.low:
                continue
            other = change(config, name, value)
            score = best if other == config else mean_j(materials, other)
            if score > best + 5e-4:  # what is less is noise
                best, config = score, other
        print(f"after {name}: {best:.4f}", flush=True)
    return config


def table(
    materials: Sequence[Material], config: BoxFilterConfig
) -> tuple[list[list[float]], list[list[str]]]:
    """J and F of every row, and its J by sequence."""
    rows: dict[str, tuple[BoxFilterConfig, bool]] = {
        name: (replace(config, **changes), False) for name, changes in (ROWS | CONTROLS).items()
    }
    rows["the last, true boxes (a perfect detector)"] = (config, True)
    means, by_sequence = [], []
    for name, (row, perfect) in rows.items():
        scores = [m.score(row, ("J", "F"), perfect=perfect) for m in materials]
        means.append([float(np.mean([s[k] for s in scores])) for k in ("J_mean", "F_mean")])
        by_sequence.append([name, *(f"{s['J_mean']:.3f}" for s in scores)])
        print(f"{name:50} J {means[-1][0]:.4f} F {means[-1][1]:.4f}", flush=True)
    return means, by_sequence


def describe(config: BoxFilterConfig) -> str:
    thresholds = config.components
    return f"low {thresholds.low:g}, high {thresholds.high:g}, " + ", ".join(
        f"{name} {getattr(config, name)}"
        for name in (
            "temporal_overlap",
            "appearance_overlap",
            "first_overlap",
            "reach",
            "margin",
            "most_boxes",
            "weak_in_boxes",
        )
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--davis", type=Path, required=True)
    parser.add_argument("--split", default="val")
    parser.add_argument("--sequences", help="with commas between")
    parser.add_argument("--tune", type=Path, help="DAVIS train, to choose the thresholds on")
    parser.add_argument("--models", default="oneshot,stm-lite")
    parser.add_argument("--detector", default="detector-lite")
    parser.add_argument("--cache", type=Path, default=Path("runs/box-filters"))
    parser.add_argument("--iterations", type=int, help="of fine-tuning; default: the model's")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--write", action="store_true", help="renew docs/results.md")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    dataset = open_benchmark("davis2016", arguments.davis, arguments.split)
    if arguments.sequences:
        dataset = dataset.select(arguments.sequences.split(","))
    options = {} if arguments.iterations is None else {"iterations": arguments.iterations}
    models = arguments.models.split(",")
    columns: list[list[list[float]]] = []
    parts, notes = [], []
    for model in models:
        config = BoxFilterConfig()
        if arguments.tune:
            held_out = open_benchmark("davis2016", arguments.tune, "train").select(HELD_OUT)
            known = gather(model, arguments.detector, held_out, arguments.cache, options)
            config = tune(known, config)
            plain = mean_j(known, replace(config, **ROWS["appearance map"]))
            notes.append(
                f"{model}: {describe(config)}; J of the held-out {plain:.3f} without filters, "
                f"{mean_j(known, config):.3f} with"
            )
            print(notes[-1])
        found = gather(model, arguments.detector, dataset, arguments.cache, options)
        means, by_sequence = table(found, config)
        columns.append(means)
        header = [f"J, {model}", *(m.name for m in found)]
        parts.append(markdown_table(header, by_sequence))
    names = [*ROWS, *CONTROLS, "the last, true boxes (a perfect detector)"]
    paper = [f"{j:.3f}" for j in PAPER] + [""] * (len(names) - len(PAPER))
    rows = [
        [name, paper[i], *(f"{value:.3f}" for means in columns for value in means[i])]
        for i, name in enumerate(names)
    ]
    header = ["", "paper J", *(f"{model} {k}" for model in models for k in ("J", "F"))]
    by_model = "\n\n".join(parts)
    chosen = "\n".join(f"- {note}" for note in notes)
    budget = f" --iterations {arguments.iterations}" if arguments.iterations else ""
    text = f"""## Filtering by boxes (paper 4, table 1)

    python -m studies.box_filters --davis DAVIS --tune DAVIS-TRAIN{budget} --write

The paper's column: all 20 sequences of DAVIS-2016 val, OSVOS on VGG-16, Faster R-CNN on
ResNet-101 with classes. Ours: the {len(dataset)} sequences at hand,
boxes of {arguments.detector}. Iterations are those of fine-tuning, where a model is fine-tuned.

{markdown_table(header, rows)}

Chosen on four sequences of DAVIS-2016 train that no training saw:

{chosen}

{by_model}"""
    print(text)
    (arguments.cache / "table.json").write_text(
        json.dumps({"rows": names, "models": models, "means": columns, "notes": notes}, indent=1)
    )
    if arguments.write:
        write_block("box-filters", text)


if __name__ == "__main__":
    main()
