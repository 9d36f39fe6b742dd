"""A training run as a job: its folder is claimed, resumed or replaced as those of all jobs."""

import contextlib
from collections.abc import Callable
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path
from typing import Any, cast

from rotomask.catalog import with_settings
from rotomask.errors import OptionError, OutputError
from rotomask.jobs.earlier import EarlierRecord
from rotomask.jobs.folder import JobRequest, claim
from rotomask.jobs.manifest import MANIFEST
from rotomask.jobs.notebook import NotebookBars, in_notebook
from rotomask.training.clip_data import PACK
from rotomask.training.hardware import Hardware, check_packages
from rotomask.training.loop import Progress
from rotomask.training.recipes import find_recipe
from rotomask.training.run import is_first_process
from rotomask.training.run import train as run
from rotomask.training.task import Data, Recipe
from rotomask.training.video_split import open_videos

RECORD = "recipe.json"
WRITTEN = (
    RECORD,
    "losses.csv",
    "validation.csv",
    "tensorboard",
    "checkpoint.pt",
    "weights",
    "weights.safetensors",
)
"""Files and folders of a run."""


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """Start and hardware of a run."""

    resume: bool = False
    """True to resume the run in the folder."""
    initial: Path | None = None
    """Weights to start from, in place of the recipe's own."""
    held_out: tuple[str, ...] | None = None
    """Names of the videos to validate on and not to train on; None: those of the recipe, and of
    YouTube-VOS the paper's share."""
    hardware: Hardware | None = None
    """By default one process on the best device there is."""
    overwrite: bool = False
    """True to replace another job's output."""


def train(
    recipe: Recipe | str,
    data: Data,
    out: str | Path,
    options: TrainOptions | None = None,
    *,
    on_step: Callable[[Progress], None] | None = None,
    **changes: object,
) -> Path:
    """Train a recipe on the user's data.

    Args:
        recipe: A recipe or a name of `training.recipes.RECIPES`.
        data: Paths by name, as the recipe takes them: ``duts``, ``davis``, ...
        out: The run's folder; see `training.run.train` for what is in it.
        options: Options; or give its fields as keywords.
        on_step: Called after every optimiser step; by default a notebook shows a bar.
        **changes: Fields of `TrainOptions`.

    Returns:
        The weights file.

    Raises:
        OptionError: If the recipe is unknown, or data, the hardware or a package is missing.
        DatasetError: If a data folder is not what it should be.
        OutputError: If the folder holds a run and `resume` is off, another job, or no run to
            resume; or another process writes to it.
        WeightsError: If the weights to start from are missing or of another network.
    """
    # Before the folder is claimed: what is missing leaves no trace.
    check_packages()
    options = with_settings(options or TrainOptions(), changes, "train")
    recipe = find_recipe(recipe) if isinstance(recipe, str) else recipe
    if options.held_out is not None:
        recipe = _holding_out(recipe, data, options.held_out)
    if on_step is None and in_notebook():
        on_step = _bar_of_steps()
    root = Path(out)
    holds_run = (root / MANIFEST).exists() or (root / RECORD).exists()
    with contextlib.ExitStack() as stack:
        if is_first_process():  # the others are started while this one holds the folder
            recipe.task(data, options.initial)  # what is wrong with the data leaves no folder
            if options.resume and not holds_run:
                raise OutputError(f"{root} holds no run to resume; start one without --resume")
            if holds_run and not options.resume and not options.overwrite:
                raise OutputError(
                    f"{root} holds a run; --resume it, --overwrite it, or choose another --out"
                )
            request = _request(recipe, data, options)
            stack.enter_context(claim(root, request, overwrite=options.overwrite))
        return run(
            recipe,
            data,
            root,
            resume=options.resume,
            initial=options.initial,
            hardware=options.hardware,
            on_step=on_step,
        )


def _bar_of_steps() -> Callable[[Progress], None]:
    """What moves a notebook's bar, with the loss beside it."""
    bars = NotebookBars()

    def on_step(progress: Progress) -> None:
        # The loss is that of a step, hence restless; its course is in losses.csv.
        bars("train", progress.step, progress.steps, note=f"loss {progress.loss:.3f}")

    return on_step


def _holding_out(recipe: Recipe, data: Data, names: tuple[str, ...]) -> Recipe:
    """A recipe with other videos held out.

    Raises:
        OptionError: If it is not validated on videos, or the data has no video of a name.
    """
    changed = recipe.holding_out(names)
    present = {video.name for videos in open_videos(data).values() for video in videos}
    missing = [name for name in names if name not in present]
    if missing and PACK not in data:  # what is in a pack is known when it is opened
        raise OptionError(
            f"the training data has no video {', '.join(missing[:5])}; held-out videos are those "
            "of --data that are validated on"
        )
    return changed


def _request(recipe: Recipe, data: Data, options: TrainOptions) -> JobRequest:
    assert is_dataclass(recipe)
    settings = asdict(cast(Any, recipe))
    return JobRequest(
        command="train",
        settings={"recipe": settings},
        trees=WRITTEN,
        inputs=[Path(str(path)) for path in data.values()]
        + ([] if options.initial is None else [options.initial]),
        earlier=EarlierRecord(file=RECORD, settings=settings, files=(*WRITTEN, "weights/*")),
    )
