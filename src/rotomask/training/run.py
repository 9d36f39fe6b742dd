"""A training run in a folder: started or resumed, validated, and its weights exported."""

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any, cast

from rotomask.errors import OutputError
from rotomask.files import complete_or_absent, load_json
from rotomask.training.hardware import Hardware
from rotomask.training.loop import Progress, fit
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
    ``weights.safetensors`` for `load_model(weights=...)`: the weights with the best validation
    score, or the last ones if nothing was validated. With `resume`, an interrupted run continues
    with the same batches as if it had not been interrupted.

    Args:
        recipe: A recipe or a name of `RECIPES`.
        data: Paths by the names that the recipe takes: ``duts``, ``davis``, ...
        out: The run's folder.
        resume: Resume the interrupted run in the folder.
        initial: Weights to start from instead of the recipe's own.
        hardware: Device, precision and processes; by default one process on the best device.
        on_step: Called after every optimiser step.

    Returns:
        The weights file.

    Raises:
        OptionError: If the recipe is unknown, data is missing or the hardware is unavailable.
        DatasetError: If a data folder does not have the expected layout.
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
        exported = best if best.is_file() else folder / "weights" / f"{run.step:06d}.safetensors"
        with complete_or_absent(path) as temporary:
            shutil.copyfile(exported, temporary)
    run.fabric.barrier()
    return path


def is_first_process() -> bool:
    """True in the process that writes the run's folder, False in the others of the same run.

    Fabric's own processes have a LOCAL_RANK, on further machines a NODE_RANK; those of torchrun a
    RANK; those of SLURM a SLURM_PROCID.
    """
    ranks = ("RANK", "SLURM_PROCID", "NODE_RANK", "LOCAL_RANK")
    return all(os.environ.get(name, "0") == "0" for name in ranks)


def _claim(folder: Path, recipe: Recipe, *, resume: bool) -> None:
    """Start a run in the folder, or check that the run in it has the same recipe."""
    file = folder / "recipe.json"
    assert is_dataclass(recipe)
    text = json.dumps(asdict(cast(Any, recipe)), indent=1)
    if file.is_file():
        if not resume:
            raise OutputError(f"{folder} holds a run; --resume it, or use another --out")
        try:
            there = load_json(file)
        except (OSError, ValueError) as error:
            raise OutputError(
                f"{file} is damaged; restore it, or --overwrite to start over"
            ) from error
        if there != json.loads(text):
            raise OutputError(f"{folder} holds a run of another recipe; use another --out")
    folder.mkdir(parents=True, exist_ok=True)
    with complete_or_absent(file) as temporary:
        temporary.write_text(text)
