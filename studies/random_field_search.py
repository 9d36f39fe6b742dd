"""Search of the random field's parameters on sequences kept out of training, then one measurement.

    python -m studies.random_field_search --davis DAVIS-TRAIN --trials 25
    python -m studies.random_field_search --davis DAVIS-TRAIN --trials 0 --measure held-out
    python -m studies.random_field_search --davis DAVIS-TRAIN --trials 0 --measure DAVIS-VAL

The unaries are the probabilities of a segmenter; they are computed once and stored in `--cache`.
The search is Optuna's (TPE); its study is stored there too, and the same command resumes it. The
search maximises the mean of J and F of a few windows of each sequence at reduced size; `--measure`
scores all frames at full size.
"""

import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import optuna

from rotomask import load_model
from rotomask.arrays import Frame
from rotomask.data.sequences import VideoDataset, VideoSequence
from rotomask.evaluation import boundary_accuracy, open_benchmark, region_similarity
from rotomask.flow.optical_flow import DISFlow
from rotomask.networks.sizing import working_size
from rotomask.refine.field_windows import (
    FieldWindowConfig,
    reduce_probabilities,
    refine_video,
)
from rotomask.refine.random_field import RandomFieldConfig
from rotomask.segmenters.base import Segmenter
from rotomask.training.video_split import HELD_OUT
from studies.field_policy import FieldClip, make_clip, refined_masks
from studies.measuring import follow_sequence, truths_of
from studies.results_page import markdown_table
from studies.scripts import add_write, parse, publish, script_parser

SOLVERS = ("graph-cut", "mean-field")
SIZE = FieldWindowConfig().size
WINDOW = FieldWindowConfig().window
Array = npt.NDArray[np.float32]


def with_probabilities(
    segmenter: Segmenter, sequence: VideoSequence
) -> Iterator[tuple[Frame, Array]]:
    """Every frame of a sequence with its probabilities, 2×H×W; 0 or 1 in the annotated first."""
    for one in follow_sequence(segmenter, sequence):
        if one.probabilities is None:
            yield one.frame, np.stack([one.labels == 0, one.labels > 0]).astype(np.float32)
        else:
            yield one.frame, np.asarray(one.probabilities, np.float32)


def unaries(
    sequence: VideoSequence, model: str, cache: Path
) -> tuple[npt.NDArray[np.uint8], Array, npt.NDArray[np.bool_]]:
    """Reduced frames T×h×w×3, probabilities T×2×h×w and truth T×h×w, stored on disk."""
    path = cache / f"{model}-{SIZE}" / f"{sequence.name}.npz"
    if not path.is_file():
        frames, objects, truths = [], [], []
        run = with_probabilities(load_model(model), sequence)
        for (frame, probabilities), labels in zip(run, truths_of(sequence), strict=True):
            size = working_size((frame.shape[0], frame.shape[1]), SIZE, enlarge=False)
            truth = (labels > 0).astype(np.float32)
            frames.append(cv2.resize(frame, size[::-1], interpolation=cv2.INTER_AREA))
            objects.append(reduce_probabilities(probabilities, size)[1])
            truths.append(cv2.resize(truth, size[::-1], interpolation=cv2.INTER_AREA) >= 0.5)
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(
            path,
            frames=frames,
            chance=np.round(255 * np.stack(objects)).astype(np.uint8),
            truth=truths,
        )
    with np.load(path) as stored:
        probability = stored["chance"].astype(np.float32) / 255
        return stored["frames"], np.stack([1 - probability, probability], 1), stored["truth"]


def windows(
    dataset: VideoDataset, model: str, cache: Path, *, count: int, frames: int
) -> list[FieldClip]:
    """Some windows of each sequence, evenly spaced; none has the annotated first frame."""
    clips = []
    for sequence in dataset:
        stored = unaries(sequence, model, cache)
        for start in np.linspace(1, len(sequence) - frames, count).astype(int):
            clips.append(window(f"{sequence.name} {start}", stored, int(start), frames))
    return clips


def window(
    name: str,
    stored: tuple[npt.NDArray[np.uint8], Array, npt.NDArray[np.bool_]],
    start: int,
    frames: int,
) -> FieldClip:
    """Consecutive frames of a sequence, from its `unaries`."""
    pictures, probabilities, truths = (list(part[start : start + frames]) for part in stored)
    return make_clip(name, pictures, probabilities, truths, DISFlow())


def window_score(clips: list[FieldClip], config: RandomFieldConfig | None) -> tuple[float, float]:
    """Mean J and F over the clips' frames at reduced size; None stands for no field."""
    values = []
    for clip in clips:
        masks = (
            [p[1] > p[0] for p in clip.probabilities]
            if config is None
            else refined_masks(clip, config)
        )
        for mask, truth in zip(masks, clip.truths, strict=True):
            values.append((region_similarity(mask, truth), boundary_accuracy(mask, truth)))
    j, f = np.mean(values, axis=0)
    return float(j), float(f)


def search(clips: list[FieldClip], solver: str, trials: int, cache: Path) -> optuna.Study:
    """The study of a solver, with so many trials in all."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    cache.mkdir(parents=True, exist_ok=True)
    study = optuna.create_study(
        storage=f"sqlite:///{cache / 'studies.db'}",
        study_name=solver,
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=len(solver)),
        load_if_exists=True,
    )

    def objective(trial: optuna.Trial) -> float:
        config = RandomFieldConfig(
            smoothness=trial.suggest_float("smoothness", 0.02, 20, log=True),
            temporal=trial.suggest_float("temporal", 0.02, 20, log=True),
            contrast=trial.suggest_float("contrast", 3, 60, log=True),
            solver=solver,  # type: ignore[arg-type]
        )
        j, f = window_score(clips, config)
        trial.set_user_attr("J", j)
        trial.set_user_attr("F", f)
        return (j + f) / 2

    finished = sum(t.state == optuna.trial.TrialState.COMPLETE for t in study.trials)
    study.optimize(objective, n_trials=max(0, trials - finished))
    return study


def best_field(study: optuna.Study, solver: str) -> RandomFieldConfig:
    """The field of the study's best trial."""
    return RandomFieldConfig(solver=solver, **study.best_params)  # type: ignore[arg-type]


def measure(
    dataset: VideoDataset, model: str, fields: dict[str, RandomFieldConfig]
) -> tuple[dict[str, dict[str, tuple[float, float]]], dict[str, float]]:
    """J and F of each sequence at full size, scored as the benchmark does, and seconds a frame."""
    scores: dict[str, dict[str, tuple[float, float]]] = {}
    seconds = dict.fromkeys(fields, 0.0)
    frames = 0
    for sequence in dataset:
        run = with_probabilities(load_model(model), sequence)
        given = [(frame, p.astype(np.float16)) for frame, p in run]
        frames += len(given)
        truths = [truth > 0 for truth in truths_of(sequence)]
        results = {"before": [p[1] > p[0] for _, p in given]}
        for name, config in fields.items():
            began = time.perf_counter()
            whole = ((frame, p.astype(np.float32)) for frame, p in given)
            refined = refine_video(whole, FieldWindowConfig(field=config))
            results[name] = [p[1] > p[0] for p in refined]
            seconds[name] += time.perf_counter() - began
        scored = slice(1, len(given) - 1)
        for name, masks in results.items():
            pairs = list(zip(masks[scored], truths[scored], strict=True))
            j = np.mean([region_similarity(m, t) for m, t in pairs])
            f = np.mean([boundary_accuracy(m, t) for m, t in pairs])
            scores.setdefault(name, {})[sequence.name] = (float(j), float(f))
    return scores, {name: total / frames for name, total in seconds.items()}


def measured_table(
    scores: dict[str, dict[str, tuple[float, float]]], seconds: dict[str, float]
) -> str:
    rows = []
    for name, by_sequence in scores.items():
        j, f = np.mean(list(by_sequence.values()), axis=0)
        better = sum(sum(by_sequence[k]) > sum(scores["before"][k]) for k in by_sequence)
        against = "" if name == "before" else f"{better} of {len(by_sequence)}"
        time_s = f"{seconds[name]:.2f}" if name in seconds else ""
        rows.append([name, f"{(j + f) / 2:.4f}", f"{j:.4f}", f"{f:.4f}", against, time_s])
    return markdown_table(["", "J&F", "J", "F", "better on", "s a frame"], rows)


def searched_table(
    clips: list[FieldClip], fields: dict[str, RandomFieldConfig], studies: dict[str, int]
) -> str:
    rows = [["without", "", "", "", "", *(f"{v:.4f}" for v in window_score(clips, None))]]
    for name, config in fields.items():
        without_time = replace(config, temporal=0.0)
        for label, field in ((name, config), (f"{name}, no temporal terms", without_time)):
            values = [f"{v:.3g}" for v in (field.smoothness, field.temporal, field.contrast)]
            score = [f"{v:.4f}" for v in window_score(clips, field)]
            rows.append([label, *values, str(studies[name]) if field is config else "", *score])
    header = ["solver", "smoothness", "temporal", "contrast", "trials", "J", "F"]
    return markdown_table(header, rows)


def main() -> None:
    parser = script_parser(__doc__)
    parser.add_argument("--davis", type=Path, required=True, help="DAVIS-2016 train")
    parser.add_argument("--model", default="stm-lite")
    parser.add_argument("--cache", type=Path, default=Path("runs/random-field"))
    parser.add_argument("--trials", type=int, default=25, help="trials of each solver, in all")
    parser.add_argument("--windows", type=int, default=3, help="windows of each sequence")
    parser.add_argument("--held-out", default=",".join(HELD_OUT), help="sequences to search on")
    parser.add_argument("--measure", help="held-out, or a DAVIS folder whose val split is measured")
    add_write(parser)
    arguments = parse(parser)
    names = arguments.held_out.split(",")
    held_out = open_benchmark("davis2016", arguments.davis, "train").select(names)
    clips = windows(
        held_out, arguments.model, arguments.cache, count=arguments.windows, frames=WINDOW
    )
    studies = {s: search(clips, s, arguments.trials, arguments.cache) for s in SOLVERS}
    fields = {s: best_field(study, s) for s, study in studies.items()}
    print({name: asdict(config) for name, config in fields.items()})
    command = "python -m studies.random_field_search --davis DAVIS-TRAIN"
    if arguments.measure is None:
        counts = {s: len(study.trials) for s, study in studies.items()}
        text = (
            f"Search: {len(clips)} windows of {WINDOW} frames of {', '.join(names)} at {SIZE} "
            f"px, unaries of {arguments.model}, the mean of J and F there.\n\n"
            + searched_table(clips, fields, counts)
        )
        title = "Random field: search of its parameters"
        publish(arguments, "random-field-search", title, text, command=command)
        return
    is_held_out = arguments.measure == "held-out"
    dataset = held_out if is_held_out else open_benchmark("davis2016", arguments.measure)
    split = "held-out sequences" if is_held_out else "sequences of DAVIS-2016 val"
    where = f"{len(dataset)} {split}"
    scores, seconds = measure(dataset, arguments.model, fields)
    for name, by_sequence in scores.items():
        print(name, {k: tuple(round(v, 4) for v in pair) for k, pair in by_sequence.items()})
    text = (
        f"{arguments.model} before and after the field of the search, {where}, all frames at "
        "full size, one thread; the time is that of the field alone.\n\n"
        + measured_table(scores, seconds)
    )
    block = f"random-field-{'held-out' if is_held_out else 'val'}"
    command += f" --measure {'held-out' if is_held_out else 'DAVIS'}"
    publish(arguments, block, f"Random field: effect on {where}", text, command=command)


if __name__ == "__main__":
    main()
