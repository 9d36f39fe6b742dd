"""A training run in a folder: begun or resumed, validated, and its weights exported."""

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any, cast

from rotomask.errors import OutputError
from rotomask.files import complete_or_absent
from rotomask.training.loop import Hardware, Progress, fit
from rotomask.training.recipes import find_recipe
from rotomask.training.task import Data, Recipe


def train(
    recipe: Recipe | str,
    data: Data,
    out: str | Path,
    *,
    resume: bool = False,
    initial: Path | None = None,
    hardware: Hardware | None = None,
    on_step: Callable[[Progress], None] | None = None,
) -> Path:
    """Train a recipe on the user's data.

    Writes into its folder ``recipe.json``, ``losses.csv``, ``validation.csv``, ``tensorboard/``,
    ``checkpoint.pt``, the averaged weights of every validation under ``weights/``, and at the end
    ``weights.safetensors``, which `load_model(weights=...)` takes: those of the validation that
    scored best, or without one the last. A run that was stopped goes on with `resume`, with the
    same batches that it would have seen.

    Args:
        recipe: A recipe or a name of `RECIPES`.
        data: Paths by name, as the recipe takes them: ``duts``, ``davis``, ...
        out: The run's folder.
        resume: Go on with the run in the folder.
        initial: Weights to start from, in place of the recipe's own start.
        hardware: On what; by default one process on the best device there is.
        on_step: Told after every optimiser step.

    Returns:
        The weights file.

    Raises:
        OptionError: If the recipe is unknown, data is missing or the hardware is not there.
        DatasetError: If a data folder is not what it should be.
        OutputError: If the folder holds a run and `resume` is off, or another recipe's run.
        WeightsError: If the weights to start from are missing or of another network.
    """
    recipe = find_recipe(recipe) if isinstance(recipe, str) else recipe
    folder = Path(out)
    task = recipe.task(data, initial)
    if is_first_process():
        _claim(folder, recipe, resume=resume)
    run = fit(task, folder, hardware, resume=resume, on_step=on_step)
    path = folder / "weights.safetensors"
    if run.fabric.global_rank == 0:
        best = folder / "weights" / "best.safetensors"
        chosen = best if best.is_file() else folder / "weights" / f"{run.step:06d}.safetensors"
        with complete_or_absent(path) as temporary:
            shutil.copyfile(chosen, temporary)
    run.fabric.barrier()
    return path


def is_first_process() -> bool:
    """Whether this process was started by the user, not as another one of a run of several."""
    return os.environ.get("LOCAL_RANK", "0") == "0"


def _claim(folder: Path, recipe: Recipe, *, resume: bool) -> None:
    """Begin a run in the folder, or check that the one there is this recipe's."""
    file = folder / "recipe.json"
    assert is_dataclass(recipe)
    text = json.dumps(asdict(cast(Any, recipe)), indent=1)
    if file.is_file():
        if not resume:
            raise OutputError(f"{folder} holds a run; --resume it, or choose another --out")
        if json.loads(file.read_text()) != json.loads(text):
            raise OutputError(f"{folder} holds a run of another recipe; choose another --out")
    folder.mkdir(parents=True, exist_ok=True)
    with complete_or_absent(file) as temporary:
        temporary.write_text(text)
