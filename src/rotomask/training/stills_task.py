"""Training on stills and single frames of videos: what several networks share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rotomask.data.sequences import VideoSequence
from rotomask.data.training.clips import find_videos
from rotomask.data.training.stills import JoinedStills, Stills, find_stills
from rotomask.errors import OptionError
from rotomask.training.clip_data import HELD_OUT, STILLS, VIDEOS
from rotomask.training.task import Data, Recipe, Task


@dataclass(frozen=True, kw_only=True)
class StillsRecipe(Recipe):
    """Common hyper-parameters of the networks that are trained on single frames."""

    optimiser_steps: int
    """Number of optimiser steps."""

    @property
    def steps(self) -> int:
        """Number of optimiser steps."""
        return self.optimiser_steps


@dataclass(frozen=True, kw_only=True)
class VideoFramesRecipe(StillsRecipe):
    """Hyper-parameters of a network that is trained on frames of videos too."""

    held_out: tuple[str, ...] = HELD_OUT
    """Names of the videos used for validation, not for training."""


class StillsTask(Task):
    """Base of the tasks on stills; a subclass gives the batches and the loss.

    Args:
        recipe: Hyper-parameters.
        stills: Collections by name.
        initial: Weights to start from instead of the recipe's own.
    """

    def __init__(
        self, recipe: StillsRecipe, stills: Mapping[str, Stills], initial: Path | None = None
    ) -> None:
        super().__init__(recipe, initial)
        self.sizes = {name: len(collection) for name, collection in stills.items()}
        self.stills = JoinedStills(tuple(stills.values()))

    def data_sizes(self) -> dict[str, int]:
        """Number of stills per collection."""
        return self.sizes


class VideoFramesTask(StillsTask):
    """Base of the tasks on stills and on frames of videos, some of which are held out.

    Args:
        recipe: Hyper-parameters.
        stills: Collections by name.
        videos: Videos to train on and to validate on.
        initial: Weights to start from instead of the recipe's own.
    """

    def __init__(
        self,
        recipe: VideoFramesRecipe,
        stills: Mapping[str, Stills],
        videos: Sequence[VideoSequence],
        initial: Path | None = None,
    ) -> None:
        super().__init__(recipe, stills, initial)
        self.videos = tuple(v for v in videos if v.name not in recipe.held_out)
        self.held_out = tuple(v for v in videos if v.name in recipe.held_out)

    def data_sizes(self) -> dict[str, int]:
        """Number of stills per collection, of videos and of video frames."""
        frames = sum(len(v) for v in self.videos)
        return {**self.sizes, "videos": len(self.videos), "video frames": frames}


def open_stills(data: Data, who: str) -> dict[str, Stills]:
    """The user's stills by name, for networks that are trained on stills alone.

    Args:
        data: Paths by name: ``stills``, ``duts`` and ``coco``, at least one.
        who: Subject and verb of the message, such as "embeddings are".

    Raises:
        OptionError: If there are none, or a name is unknown.
        DatasetError: If a path does not have the expected layout.
    """
    if not data or not set(data) <= set(STILLS):
        raise OptionError(
            f"{who} trained on stills: --data duts=FOLDER, --data coco=FILE.json, got "
            f"{', '.join(data) or 'none'}"
        )
    return {name: find_stills(path) for name, path in data.items()}


def open_stills_and_videos(data: Data, who: str) -> tuple[dict[str, Stills], list[VideoSequence]]:
    """The user's stills by name and videos, for networks whose samples are single frames.

    Args:
        data: Paths by name: stills, at least one, and optionally videos.
        who: Subject and verb of the message, such as "a detector is".

    Raises:
        OptionError: If there are no stills, or a name is unknown.
        DatasetError: If a path does not have the expected layout.
    """
    unknown = set(data) - set(STILLS) - set(VIDEOS)
    stills = {name: find_stills(data[name]) for name in STILLS if name in data}
    if unknown or not stills:
        raise OptionError(
            f"{who} trained on stills ({', '.join(STILLS)}) and optionally videos "
            f"({', '.join(VIDEOS)}), got {', '.join(data) or 'none'}; use --data duts=FOLDER "
            "--data davis=FOLDER"
        )
    return stills, [v for name in VIDEOS if name in data for v in find_videos(data[name])]
