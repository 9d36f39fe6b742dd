"""Training on stills and single frames of videos: what several networks share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rotomask.data.sequences import VideoSequence
from rotomask.data.training.stills import JoinedStills, Stills, find_stills
from rotomask.errors import OptionError
from rotomask.training.clip_data import STILLS
from rotomask.training.task import Data, Recipe, Task
from rotomask.training.video_split import HELD_OUT, VIDEOS, open_videos, split_videos


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
        videos: Videos to train on and to validate on, by the name of the data.
        initial: Weights to start from instead of the recipe's own.
    """

    def __init__(
        self,
        recipe: VideoFramesRecipe,
        stills: Mapping[str, Stills],
        videos: Mapping[str, Sequence[VideoSequence]],
        initial: Path | None = None,
    ) -> None:
        super().__init__(recipe, stills, initial)
        self.videos, self.held_out = split_videos(videos, recipe.held_out)

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


def open_stills_and_videos(
    data: Data, who: str
) -> tuple[dict[str, Stills], dict[str, tuple[VideoSequence, ...]]]:
    """The user's stills and videos by name, for networks whose samples are single frames.

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
    return stills, open_videos(data)
