"""The batch of every step, a function of the seed and the step's number alone."""

from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from rotomask.data.clips import AnnotatedVideo, ClipConfig, find_videos, sample_clip
from rotomask.data.simulated import SimulatedConfig, simulate_clip
from rotomask.data.stills import Stills, find_stills
from rotomask.training.recipes import Recipe


class ClipBatches(Dataset[tuple[Tensor, Tensor]]):
    """Item `step` is that step's batch, so that a resumed run goes on exactly where it was."""

    def __init__(self, recipe: Recipe, stills: Stills, videos: tuple[AnnotatedVideo, ...]) -> None:
        self.recipe, self.stills, self.videos = recipe, stills, videos

    def __len__(self) -> int:
        return self.recipe.steps

    def __getitem__(self, step: int) -> tuple[Tensor, Tensor]:
        """Frames B×T×3×S×S uint8 and labels B×T×S×S uint8."""
        cv2.setNumThreads(0)
        rng = np.random.default_rng((self.recipe.seed, step))
        stage, progress = self.recipe.stage_at(step)
        low, high = stage.max_gap
        real = ClipConfig(
            frames=stage.frames, size=stage.size, max_gap=round(low + (high - low) * progress)
        )
        simulated = SimulatedConfig(frames=stage.frames, size=stage.size)
        # Every clip of a batch has the same number of objects: they are one tensor.
        objects = 1 + int(rng.random() < stage.two_objects)
        is_real = rng.random(stage.batch) < stage.real / (1 - stage.two_objects)
        clips = [
            sample_clip(self.videos, real, rng)
            if real_clip and objects == 1
            else simulate_clip(self.stills, simulated, rng, objects=objects)
            for real_clip in is_real
        ]
        frames = torch.from_numpy(np.stack([c[0] for c in clips])).movedim(-1, 2)
        return frames.contiguous(), torch.from_numpy(np.stack([c[1] for c in clips]))


def open_batches(recipe: Recipe, data: dict[str, Path]) -> ClipBatches:
    """The batches of a recipe on the user's data.

    Args:
        recipe: The recipe.
        data: ``stills`` (or ``duts``): a folder of images and masks; ``davis``: annotated videos.
    """
    stills = find_stills(data.get("stills", data.get("duts", Path())))
    return ClipBatches(recipe, stills, find_videos(data["davis"], exclude=recipe.validation))
