"""Interactive video: J&F after each round of a simulated user's corrections.

    python -m studies.interactive_video --davis DAVIS --out rounds --write
    python -m studies.interactive_video --davis DAVIS --out thorough --thorough --write
    python -m studies.interactive_video --davis DAVIS --out bound --marker true-mask --learn \\
        --rounds 4

Round 1: clicks on the middle frame until its IoU is 0.95, `--clicks` at most; the video is cut.
Each further round: the same on the worst frame that was not clicked before, as a correction
(`rotomask.correct`). A `--thorough` user takes up to 20 prompts a round until the IoU is 0.98,
brushes ropes and other thin parts once three clicks have marked the body, and lets the segmenter
learn from the corrected frames. The marker ``true-mask`` gives the frame's true mask in place of
clicks: what corrections can reach at most. J and F are means over all frames. Frames are those of
DAVIS-2016 val, one object a video; the human scribbles of the DAVIS interactive challenge are not
at hand, so its figures do not compare. Rounds are stored, a line each, and read again by the next
run.
"""

import argparse
import json
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import rotomask
from rotomask.catalog import load_marker
from rotomask.data.sequences import VideoSequence
from rotomask.data.training.clips import find_videos
from rotomask.evaluation.measures.boundary import boundary_accuracy
from rotomask.evaluation.measures.region import region_similarity
from rotomask.evaluation.robot import ClickRobot, StrokeRobot
from rotomask.jobs.carrying import corrected_mask
from rotomask.jobs.loading import load_model
from rotomask.masks import read_labels
from rotomask.prompts import Marker, Prompt
from rotomask.video import open_video
from studies.results_page import markdown_table
from studies.scripts import add_write, parse, publish, script_parser, write_json

BoolMask = npt.NDArray[np.bool_]
GOOD_ENOUGH, GOOD_ENOUGH_FOR_THE_THOROUGH = 0.95, 0.98
THOROUGH_PROMPTS = 20
TRUE_MASK = "true-mask"


class TrueMask(Marker):
    """A user who paints the frame perfectly: whatever is clicked, the mask is the truth.

    Args:
        truths: The masks of all frames, H×W.
    """

    def __init__(self, truths: list[BoolMask]) -> None:
        super().__init__()
        self.truths, self.index = truths, 0

    def object_probability(self, prompts: tuple[Prompt, ...]) -> npt.NDArray[np.float32]:
        """The truth, H×W, 0 or 1."""
        return self.truths[self.index].astype(np.float32)


def run_video(video: VideoSequence, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """J&F, number of prompts and seconds of every round of a video."""
    file = arguments.out / f"{video.name}.json"
    if file.is_file():
        stored: list[dict[str, Any]] = json.loads(file.read_text())
        return stored
    folder = arguments.out / video.name
    shutil.rmtree(folder, ignore_errors=True)
    opened = open_video(video.images[0].parent)
    truths = [video.read(index)[1] > 0 for index in range(len(video))]
    marker = TrueMask(truths) if arguments.marker == TRUE_MASK else load_marker(arguments.marker)
    segmenter = load_model(size=arguments.size)
    used = {len(video) // 2}
    index, rounds = len(video) // 2, []
    for number in range(arguments.rounds):
        began = time.perf_counter()
        old = np.zeros(truths[0].shape, np.int32)
        if number > 0:
            old = read_labels(folder / "masks" / f"{opened.frame_name(index)}.png")
        if isinstance(marker, TrueMask):
            marker.index = index
        image = opened.frame(index).image
        robot = (StrokeRobot if arguments.thorough else ClickRobot)(truths[index])
        most = THOROUGH_PROMPTS if arguments.thorough else arguments.clicks
        good = GOOD_ENOUGH_FOR_THE_THOROUGH if arguments.thorough else GOOD_ENOUGH
        prompts = prompt_frame(marker, image, robot, old, most, good)
        if number == 0:
            mask = corrected_mask(marker, old, tuple(prompts))
            rotomask.cut(opened, mask, folder, at=index, size=arguments.size, formats=())
        elif prompts:
            rotomask.correct(
                opened,
                folder,
                prompts,
                at=index,
                marker=marker,
                segmenter=segmenter,
                learn=arguments.learn or arguments.thorough,
            )
        seconds = time.perf_counter() - began
        scores = frame_scores(folder, [opened.frame_name(i) for i in range(len(video))], truths)
        rounds.append(
            {
                "J&F": float(scores.mean()),
                "frame": index,
                "prompts": len(prompts),
                "seconds": seconds,
            }
        )
        left = [i for i in range(len(video)) if i not in used]
        index = min(left, key=lambda i: (scores[i], i))
        used.add(index)
    shutil.rmtree(folder)
    file.write_text(json.dumps(rounds, indent=1))
    return rounds


def prompt_frame(
    marker: Marker,
    image: npt.NDArray[np.uint8],
    robot: ClickRobot,
    old: npt.NDArray[np.int32],
    most: int,
    good: float,
) -> list[Prompt]:
    """The robot's prompts on a frame, until its IoU is good or there are so many."""
    marker.open(image)
    predicted = np.asarray(old == 1)
    prompts: list[Prompt] = []
    while len(prompts) < most and region_similarity(predicted, robot.truth) < good:
        prompt = robot.prompt(predicted)
        if prompt is None or (not prompt.positive and not (old == 1).any() and not prompts):
            break
        prompts.append(prompt)
        predicted = corrected_mask(marker, old, tuple(prompts)) == 1
    return prompts


def frame_scores(
    folder: Path, frame_names: list[str], truths: list[BoolMask]
) -> npt.NDArray[np.float64]:
    """The mean of J and F of every frame."""
    scores = []
    for name, truth in zip(frame_names, truths, strict=True):
        mask = read_labels(folder / "masks" / f"{name}.png") == 1
        scores.append((region_similarity(mask, truth) + boundary_accuracy(mask, truth)) / 2)
    return np.array(scores)


def draw(results: dict[str, list[dict[str, Any]]], path: Path) -> None:
    """Write a plot of J&F over rounds, of each video and their mean."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(figsize=(7, 3.8), constrained_layout=True)
    curves = {name: [r["J&F"] for r in rounds] for name, rounds in results.items()}
    numbers = range(1, 1 + max(map(len, curves.values())))
    for name, curve in curves.items():
        axis.plot(numbers, curve, linewidth=1, alpha=0.7, label=name)
    mean = np.mean(list(curves.values()), axis=0)
    axis.plot(numbers, mean, color="black", linewidth=2.5, marker=".", label="mean")
    axis.set(xlabel="round", ylabel="J&F", xticks=numbers)
    axis.grid(alpha=0.3)
    axis.legend(fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100)
    plt.close(figure)


def main() -> None:
    parser = script_parser(__doc__)
    parser.add_argument("--davis", type=Path, required=True)
    parser.add_argument("--sequences", help="only these, comma-separated")
    parser.add_argument("--marker", default="click-lite", help=f"or {TRUE_MASK}")
    parser.add_argument("--clicks", type=int, default=10, help="most in a round; default: 10")
    parser.add_argument("--thorough", action="store_true", help="20 prompts, brushes, learning")
    parser.add_argument("--learn", action="store_true", help="learn from the corrected frames")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--size", type=int, default=480, help="short side, px; default: 480")
    parser.add_argument("--out", type=Path, required=True, help="folder for rounds")
    parser.add_argument("--picture", type=Path, help="write the curves here; --write: to docs")
    add_write(parser, json_file=True)
    arguments = parse(parser)
    arguments.out.mkdir(parents=True, exist_ok=True)
    wanted = arguments.sequences.split(",") if arguments.sequences else None
    videos = [v for v in find_videos(arguments.davis) if wanted is None or v.name in wanted]
    results = {video.name: run_video(video, arguments) for video in videos}
    write_json(arguments, results)
    rows = [
        [name, *(f"{round_['J&F']:.3f}" for round_ in rounds)] for name, rounds in results.items()
    ]
    for key, form in (("J&F", "{:.3f}"), ("prompts", "{:.1f}"), ("seconds", "{:.0f}")):
        means = np.mean([[r[key] for r in rounds] for rounds in results.values()], axis=0)
        rows.append([f"mean {key}", *(form.format(value) for value in means)])
    table = markdown_table(["J&F", *(f"round {n + 1}" for n in range(arguments.rounds))], rows)
    block, title = "interactive-video", "Interactive video: rounds of corrections"
    user = f"up to {arguments.clicks} clicks a round{', learning' * arguments.learn}"
    options = f"--clicks {arguments.clicks}{' --learn' * arguments.learn}"
    if arguments.thorough:
        block, title = f"{block}-thorough", f"{title} by a thorough user"
        user = f"up to {THOROUGH_PROMPTS} clicks and strokes a round, learning"
        options = "--thorough"
    if arguments.write or arguments.picture:
        draw(results, arguments.picture or Path(f"docs/images/{block}.png"))
    publish(
        arguments,
        block,
        title,
        f"{len(videos)} videos of DAVIS-2016 val, {arguments.marker}, {user}.\n\n{table}\n\n"
        f"![J&F over rounds](images/{block}.png)",
        command="python -m studies.interactive_video --davis DAVIS --out rounds "
        f"{options} --rounds {arguments.rounds} --write",
    )


if __name__ == "__main__":
    main()
