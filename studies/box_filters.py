"""Paper 4, table 1: quality after each step of box filtering, on the same appearance maps.

Each model's soft maps and the detector's boxes are computed once for a sequence and stored in
`--cache`; then every combination of filters is run on them. With `--tune` the thresholds are first
selected, one after the other, on the held-out sequences.

    python -m studies.box_filters --davis DAVIS --tune DAVIS-TRAIN [--write]
"""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rotomask import load_detector, load_model
from rotomask.arrays import Frame, Mask, Probabilities
from rotomask.catalog import segmenter_role
from rotomask.data.sequences import VideoDataset, VideoSequence
from rotomask.detection import Detections, Detector
from rotomask.detection.boxes import label_boxes
from rotomask.evaluation import TrackProtocol, score_sequence
from rotomask.files import complete_or_absent
from rotomask.refine.box_filters import BoxFilterConfig
from rotomask.segmenters.base import Segmenter
from rotomask.segmenters.box_filtered import BoxFiltered
from rotomask.segmenters.follow import Annotation, FollowedFrame, follow
from studies.measuring import follow_sequence, truths_of
from studies.results_page import markdown_table
from studies.scripts import (
    add_davis,
    add_write,
    open_davis,
    open_held_out,
    parse,
    publish,
    script_parser,
)

PERFECT = "the last, true boxes (a perfect detector)"
ROWS: dict[str, dict[str, Any]] = {
    "appearance map": {"restrict": "nothing", "detections": False},
    "+ box clipping": {"restrict": "clip", "temporal": False, "fallback": False},
    "+ box clipping + temporal": {"restrict": "clip"},
    "+ components": {"restrict": "components", "temporal": False, "fallback": False},
    "+ temporal + components": {"restrict": "components"},
}
PAPER = (0.767, 0.760, 0.764, 0.791, 0.801)
"""J of the rows in the paper: DAVIS-2016 val, 20 sequences."""
CONTROLS: dict[str, dict[str, Any]] = {
    "the last, tracked box only (no detector)": {"detections": False},
    "the last, box of best score, not of best fit": {"appearance": False},
}
THRESHOLDS: tuple[tuple[str, tuple[Any, ...]], ...] = (
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


class StoredMaps(Segmenter):
    """A segmenter that replays maps computed before, in the order of the frames."""

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
        raise NotImplementedError("a sequence of DAVIS-2016 has one mask")

    def observe(self, frame: Frame, mask: Mask) -> None:
        raise NotImplementedError("a study runs a sequence in one go")


class StoredDetections(Detector):
    """A detector that replays detections: the frame's pixels hold its number."""

    def __init__(self, detections: Sequence[Detections]) -> None:
        self.class_names, self.detections = {}, detections

    def detect(self, frame: Frame) -> Detections:
        return self.detections[int(frame.flat[0]) + 256 * int(frame.flat[1])]


def numbered_frame(number: int) -> Frame:
    """A one-pixel picture that holds a frame number."""
    frame = np.zeros((1, 1, 3), np.uint8)
    frame.flat[:2] = number % 256, number // 256
    return frame


class Scores:
    """Figures stored in a file, so that an interrupted run resumes."""

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
    """Maps of one model and boxes of one detector for a sequence, with its annotations."""

    def __init__(
        self,
        name: str,
        maps: npt.NDArray[np.uint8],
        detections: Sequence[Detections],
        truths: Sequence[Mask],
        scores: "Scores",
    ) -> None:
        self.name, self.maps, self.detections, self.truths = name, maps, detections, truths
        self.scores = scores

    def segmenter(
        self, config: BoxFilterConfig, detections: Sequence[Detections] | None = None
    ) -> BoxFiltered:
        """The maps filtered by these boxes, by default those of the detector."""
        boxes = StoredDetections(self.detections if detections is None else detections)
        return BoxFiltered(StoredMaps(self.maps), boxes, config)

    def run(self, segmenter: BoxFiltered) -> Iterator[FollowedFrame]:
        """Every frame with the mask after filtering; the first is the annotation."""
        frames = ((number, numbered_frame(number)) for number in range(len(self.maps)))
        return follow(segmenter, frames, {0: Annotation(self.truths[0])})

    def score(
        self, config: BoxFilterConfig, measures: tuple[str, ...] = ("J",), *, perfect: bool = False
    ) -> dict[str, float]:
        """Figures of the filtered masks; `perfect` takes the boxes of the annotations."""
        key = f"{self.name}, {config}, {'true boxes' if perfect else 'detected'}, {measures}"
        if key not in self.scores.figures:
            segmenter = self.segmenter(config, self.true_boxes() if perfect else None)
            labels = (one.labels for one in self.run(segmenter))
            protocol = TrackProtocol(measures=measures)
            score = score_sequence(labels, self.truths, protocol=protocol, merged=True)
            self.scores.add(key, dict(score.figures))
        return self.scores.figures[key]

    def true_boxes(self) -> list[Detections]:
        """The detections of a perfect detector."""
        boxes = [label_boxes(truth) for truth in self.truths]
        ones = [np.ones(len(b), np.float32) for b in boxes]
        return [
            Detections(b, s, np.zeros(len(b), np.int64)) for b, s in zip(boxes, ones, strict=True)
        ]


def gather(
    model: str, detector: str, dataset: VideoDataset, cache: Path, options: Mapping[str, Any]
) -> list[Material]:
    """The material of every sequence, computed or read from the cache.

    Args:
        model: Name of the model that gives the maps.
        detector: Name or file of the detector.
        dataset: Sequences of DAVIS-2016.
        cache: Folder of stored maps, detections and scores.
        options: Settings of models that are fine-tuned; others take none.
    """
    segmenter: Segmenter | None = None
    loaded: Detector | None = None
    scores = Scores(cache / model / f"scores-{Path(detector).stem}.json")
    gathered = []
    for sequence in dataset:
        truths = [(truth > 0).astype(np.int32) for truth in truths_of(sequence)]
        file = cache / model / f"{sequence.name}.npz"
        if not file.is_file():
            settings = options if segmenter_role(model).learns_reference else {}
            segmenter = segmenter or load_model(model, **settings)
            began = time.perf_counter()
            maps = soft_maps(segmenter, sequence)
            seconds = time.perf_counter() - began
            print(f"{model} {sequence.name}: {seconds:.0f} s", flush=True)
            file.parent.mkdir(parents=True, exist_ok=True)
            np.savez_compressed(file, maps=maps)
        boxes = cache / Path(detector).name / f"{sequence.name}.npz"
        if not boxes.is_file():
            loaded = loaded or load_detector(detector)
            write_detections(boxes, [loaded.detect(frame) for frame in sequence.frames()])
        maps = np.load(file)["maps"]
        gathered.append(Material(sequence.name, maps, read_detections(boxes), truths, scores))
    return gathered


def soft_maps(segmenter: Segmenter, sequence: VideoSequence) -> npt.NDArray[np.uint8]:
    """The object's probability in every frame, T×H×W, 255 for 1."""
    maps = [
        one.labels.astype(np.float32) if one.probabilities is None else one.probabilities[1]
        for one in follow_sequence(segmenter, sequence)
    ]
    return np.stack([(m * 255).round().astype(np.uint8) for m in maps])


def write_detections(file: Path, detections: Sequence[Detections]) -> None:
    """Store the detections of every frame, as `read_detections` reads them."""
    file.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(
        file,
        counts=[len(d) for d in detections],
        boxes=np.concatenate([d.boxes for d in detections]),
        scores=np.concatenate([d.scores for d in detections]),
        classes=np.concatenate([d.classes for d in detections]),
    )


def read_detections(file: Path) -> list[Detections]:
    """The detections of every frame."""
    stored = np.load(file)
    ends = np.cumsum(stored["counts"])[:-1]
    parts = [np.split(stored[name], ends) for name in ("boxes", "scores", "classes")]
    return [Detections(*one) for one in zip(*parts, strict=True)]


def mean_j(materials: Sequence[Material], config: BoxFilterConfig) -> float:
    """Mean J over the sequences."""
    return float(np.mean([m.score(config)["J_mean"] for m in materials]))


def change(config: BoxFilterConfig, name: str, value: Any) -> BoxFilterConfig:
    """The config with one threshold replaced."""
    if name in ("low", "high"):
        return replace(config, components=replace(config.components, **{name: value}))
    return replace(config, **{name: value})


def tune(materials: Sequence[Material], config: BoxFilterConfig) -> BoxFilterConfig:
    """The best value of each threshold in turn, the others as they are."""
    best = mean_j(materials, config)
    for name, values in THRESHOLDS:
        for value in values:
            if name == "high" and value < config.components.low:
                continue
            other = change(config, name, value)
            score = best if other == config else mean_j(materials, other)
            if score > best + 5e-4:  # a smaller gain is noise
                best, config = score, other
        print(f"after {name}: {best:.4f}", flush=True)
    return config


def table(
    materials: Sequence[Material], config: BoxFilterConfig
) -> tuple[list[list[float]], list[list[str]]]:
    """J and F of every row, and J of every row by sequence."""
    rows: dict[str, tuple[BoxFilterConfig, bool]] = {
        name: (replace(config, **changes), False) for name, changes in (ROWS | CONTROLS).items()
    }
    rows[PERFECT] = (config, True)
    means, by_sequence = [], []
    for name, (row, perfect) in rows.items():
        scores = [m.score(row, ("J", "F"), perfect=perfect) for m in materials]
        means.append([float(np.mean([s[k] for s in scores])) for k in ("J_mean", "F_mean")])
        by_sequence.append([name, *(f"{s['J_mean']:.3f}" for s in scores)])
        print(f"{name:50} J {means[-1][0]:.4f} F {means[-1][1]:.4f}", flush=True)
    return means, by_sequence


def describe(config: BoxFilterConfig) -> str:
    """The thresholds in words."""
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


def tuned(
    model: str, detector: str, davis: Path, cache: Path, options: Mapping[str, Any]
) -> tuple[BoxFilterConfig, str]:
    """Thresholds selected on the held-out sequences, and a sentence about them."""
    materials = gather(model, detector, open_held_out(davis), cache, options)
    config = tune(materials, BoxFilterConfig())
    plain = mean_j(materials, replace(config, **ROWS["appearance map"]))
    note = (
        f"{model}: {describe(config)}; J of the held-out {plain:.3f} without filters, "
        f"{mean_j(materials, config):.3f} with"
    )
    print(note)
    return config, note


def main() -> None:
    parser = script_parser(__doc__)
    add_davis(parser)
    parser.add_argument("--tune", type=Path, help="DAVIS train, to select the thresholds on")
    parser.add_argument("--models", default="oneshot,stm-lite")
    parser.add_argument("--detector", default="detector-lite")
    parser.add_argument("--cache", type=Path, default=Path("runs/box-filters"))
    parser.add_argument("--iterations", type=int, help="fine-tuning steps; default: the model's")
    add_write(parser)
    arguments = parse(parser)
    dataset = open_davis(arguments)
    options = {} if arguments.iterations is None else {"iterations": arguments.iterations}
    models = arguments.models.split(",")
    columns: list[list[list[float]]] = []
    by_model, notes = [], []
    for model in models:
        config = BoxFilterConfig()
        if arguments.tune:
            config, note = tuned(
                model, arguments.detector, arguments.tune, arguments.cache, options
            )
            notes.append(note)
        materials = gather(model, arguments.detector, dataset, arguments.cache, options)
        means, by_sequence = table(materials, config)
        columns.append(means)
        by_model.append(markdown_table([f"J, {model}", *(m.name for m in materials)], by_sequence))
    names = [*ROWS, *CONTROLS, PERFECT]
    paper = [f"{j:.3f}" for j in PAPER] + [""] * (len(names) - len(PAPER))
    rows = [
        [name, paper[i], *(f"{value:.3f}" for means in columns for value in means[i])]
        for i, name in enumerate(names)
    ]
    header = ["", "paper J", *(f"{model} {k}" for model in models for k in ("J", "F"))]
    selected = "\n".join(f"- {note}" for note in notes)
    tables = "\n\n".join(by_model)
    text = f"""The paper's column: all 20 sequences of DAVIS-2016 val, OSVOS on VGG-16,
Faster R-CNN on ResNet-101 with classes. Ours: the {len(dataset)} sequences at hand,
boxes of {arguments.detector}. Iterations are those of fine-tuning, where a model is fine-tuned.

{markdown_table(header, rows)}

Selected on four sequences of DAVIS-2016 train that no network was trained on:

{selected}

{tables}"""
    (arguments.cache / "table.json").write_text(
        json.dumps({"rows": names, "models": models, "means": columns, "notes": notes}, indent=1)
    )
    budget = f" --iterations {arguments.iterations}" if arguments.iterations else ""
    command = f"python -m studies.box_filters --davis DAVIS --tune DAVIS-TRAIN{budget} --write"
    title = "Filtering by boxes (paper 4, table 1)"
    publish(arguments, "box-filters", title, text, command=command)


if __name__ == "__main__":
    main()
