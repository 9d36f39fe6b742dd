"""Training clips from the user's stills and videos, for the networks that propagate masks."""

import logging
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from torch import Tensor

from rotomask.data.packs import read_pack
from rotomask.data.sequences import VideoSequence
from rotomask.data.simulation import (
    ClipPlan,
    Composition,
    MotionConfig,
    plan_composed_clip,
    plan_real_clip,
    plan_simulated_clip,
    stack_clips,
)
from rotomask.data.simulation.plan import Picture
from rotomask.data.training.stills import JoinedStills, Stills, find_stills
from rotomask.errors import DatasetError, OptionError
from rotomask.training.casting import Cast, Casting
from rotomask.training.task import Batch, Data, Recipe, Task
from rotomask.training.video_split import HELD_OUT, VIDEOS, open_videos, split_videos

logger = logging.getLogger(__name__)

STILLS = ("stills", "duts", "coco")
PACK = "pack"
TRIES = 200


@dataclass(frozen=True, kw_only=True)
class Stage:
    """Part of a run, with clips of one kind."""

    steps: int
    """Number of optimiser steps."""
    batch: int = 8
    """Number of clips per batch."""
    frames: int = 3
    """Number of frames per clip, the reference frame included."""
    size: int = 256
    """Side of the square frames, px; a multiple of 16."""
    real: float = 0.35
    """Fraction of the clips from real video; the others are simulated from stills."""
    objects: tuple[float, ...] = (0.75, 0.25)
    """Fractions of the batches whose clips have 1, 2, ... objects; they add up to 1."""
    most_objects: int | None = None
    """Maximum number of objects in all clips of a batch: with many objects per clip, a batch has
    fewer clips. None: no limit."""
    max_gap: tuple[int, int] = (2, 6)
    """Maximum interval between the frames of a real clip, at the stage's first and last step."""
    random_reference: float = 0.3
    """Fraction of the real clips whose reference frame is any frame of the video, not the one
    before the clip."""
    paste: float = 0.6
    """Fraction of the simulated clips of strategy 2: objects on the background of another image."""
    occlusion: float = 0.3
    """Fraction of the simulated clips in which an object passes in front; half in real ones."""
    scales: tuple[float, float] = (0.55, 1.4)
    """Minimum and maximum magnification of real frames."""
    motion: MotionConfig = field(default_factory=MotionConfig)
    """Amount of motion in simulated clips."""
    appearance: float = 1.0
    """Strength of changes of light and image quality."""
    composition: Composition | None = None
    """Composition of the clips; None: their objects and at most one object in front."""

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise OptionError(f"a stage needs at least 1 step, got {self.steps}")
        if self.size % 16 or self.frames < 2:
            raise OptionError(
                "clips need a size that is a multiple of 16 and at least 2 frames, got "
                f"{self.size} px and {self.frames}"
            )
        if abs(sum(self.objects) - 1) > 1e-6:
            raise OptionError(f"the parts of 1, 2, ... objects must add up to 1: {self.objects}")


class Difficulty:
    """Running mean of each video's loss, and the odds of drawing it.

    Hard videos are drawn more often: the odds are the loss divided by the mean loss, limited to a
    half to `limit`. They change only in `refresh`, so that batches are a function of the step.
    """

    def __init__(self, videos: int, limit: float = 3.0, momentum: float = 0.9) -> None:
        self.limit, self.momentum = limit, momentum
        self.losses = np.full(videos, np.nan)
        self.odds = np.ones(videos)

    def tell(self, source: int, loss: float) -> None:
        """Record the loss of a clip; `source` is the number of its video, -1 for no video."""
        if source < 0:
            return
        before = self.losses[source]
        # The first loss of a video counts whole.
        keep = 0.0 if np.isnan(before) else self.momentum
        self.losses[source] = (keep * before if keep else 0.0) + (1 - keep) * loss

    def refresh(self) -> None:
        """Compute the odds from the losses so far."""
        if not np.isnan(self.losses).all():
            # Videos that were not drawn yet are NaN, and count as average below.
            relative = self.losses / np.nanmean(self.losses)
            self.odds = np.clip(np.nan_to_num(relative, nan=1.0), 0.5, self.limit)

    def state(self) -> dict[str, Any]:
        """Losses and odds as plain data."""
        losses = [None if np.isnan(x) else float(x) for x in self.losses]
        return {"losses": losses, "odds": self.odds.tolist()}

    def load_state(self, state: dict[str, Any]) -> None:
        """Restore what `state` returned."""
        self.losses = np.array([np.nan if x is None else x for x in state["losses"]], float)
        self.odds = np.array(state["odds"], float)


class ClipData:
    """Draws batches of clips from stills and videos."""

    def __init__(self, stills: Stills, videos: Sequence[VideoSequence]) -> None:
        self.stills, self.videos = stills, tuple(videos)
        self.difficulty = Difficulty(len(self.videos))
        self.casting = Casting(stills, self.videos)

    def describe(self) -> dict[str, int]:
        """Number of stills, videos and video frames."""
        return {
            "stills": len(self.stills),
            "videos": len(self.videos),
            "video frames": sum(len(v) for v in self.videos),
        }

    def batch(self, stage: Stage, progress: float, seed: tuple[int, ...]) -> Batch:
        """Plans of a batch of clips with their pictures: `simulation.stack_clips`.

        Args:
            stage: Stage of the run.
            progress: Progress of the stage, 0 to 1, with which the intervals grow.
            seed: Seed; the batch depends on nothing else but the data and the difficulty.
        """
        # Loader processes run beside each other: threads in each would fight for the cores.
        cv2.setNumThreads(0)
        rng = np.random.default_rng(seed)
        # Every clip of a batch has the same number of objects: they are one tensor.
        objects = 1 + int(rng.choice(len(stage.objects), p=np.array(stage.objects)))
        count = stage.batch
        if stage.most_objects is not None:
            count = min(count, max(1, stage.most_objects // objects))
        plans = []
        # All are drawn, also those that are cut off: the stream of random numbers does not depend
        # on the number of objects.
        for is_real in rng.random(stage.batch)[:count] < stage.real:
            draw = self._real if is_real and self.videos else self._simulated
            plans.append(self._until_good(draw, stage, progress, objects, rng))
        return stack_clips(plans)

    def _until_good(
        self,
        draw: Any,
        stage: Stage,
        progress: float,
        objects: int,
        rng: np.random.Generator,
    ) -> ClipPlan:
        for _ in range(TRIES):
            plan: ClipPlan | None = draw(stage, progress, objects, rng)
            if plan is not None:
                return plan
        raise DatasetError(
            f"no training clip could be made of the data in {TRIES} tries: are the masks empty, or "
            f"the videos shorter than {stage.frames} frames?"
        )

    def _simulated(
        self, stage: Stage, progress: float, objects: int, rng: np.random.Generator
    ) -> ClipPlan | None:
        if stage.composition is not None:
            own = rng.random() >= stage.paste
            cast = self.casting.on_still(
                stage.composition, stage.frames, objects, rng, own=own, occlusion=stage.occlusion
            )
            return self._composed(stage, cast, rng)
        return plan_simulated_clip(
            [self._still(rng) for _ in range(objects + 2)],
            size=stage.size,
            frames=stage.frames,
            objects=objects,
            rng=rng,
            paste=stage.paste,
            occlusion=stage.occlusion,
            motion=stage.motion,
            appearance=stage.appearance,
        )

    def _real(
        self, stage: Stage, progress: float, objects: int, rng: np.random.Generator
    ) -> ClipPlan | None:
        odds = self.difficulty.odds / self.difficulty.odds.sum()
        source = int(rng.choice(len(self.videos), p=odds))
        video = self.videos[source]
        low, high = stage.max_gap
        indices = draw_frames(
            len(video),
            stage.frames,
            # Gaps grow over the stage: first small motion, later what a memory of every fifth frame
            # sees.
            round(low + (high - low) * progress),
            rng,
            random_reference=rng.random() < stage.random_reference,
        )
        if indices is None:
            return None
        if stage.composition is not None:
            frames_read = tuple(video.read(int(i)) for i in indices)
            cast = self.casting.on_video(
                stage.composition, video, frames_read, objects, rng, occlusion=stage.occlusion / 2
            )
            return self._composed(stage, cast, rng, source=source)
        return plan_real_clip(
            [video.read(int(i)) for i in indices],
            [self._still(rng) for _ in range(objects + 1)],
            size=stage.size,
            objects=objects,
            rng=rng,
            source=source,
            scales=stage.scales,
            occlusion=stage.occlusion / 2,
            motion=stage.motion,
            appearance=0.6 * stage.appearance,
        )

    def _composed(
        self, stage: Stage, cast: Cast | None, rng: np.random.Generator, source: int = -1
    ) -> ClipPlan | None:
        assert stage.composition is not None
        if cast is None:
            return None
        plan = plan_composed_clip(
            cast.scene,
            cast.actors,
            size=stage.size,
            frames=stage.frames,
            own=cast.own,
            rng=rng,
            composition=stage.composition,
            scales=stage.scales,
            motion=stage.motion,
            appearance=stage.appearance * (1.0 if source < 0 else 0.6),
        )
        return None if plan is None else replace(plan, source=source)

    def _still(self, rng: np.random.Generator) -> Picture:
        return self.casting.still(rng)


class OpenedClips(NamedTuple):
    """Opened training data, which several tasks can share."""

    clips: ClipData
    held_out: tuple[VideoSequence, ...]
    """Videos for validation."""


@dataclass(frozen=True, kw_only=True)
class ClipRecipe(Recipe):
    """Common hyper-parameters of the networks that are trained on clips."""

    held_out: tuple[str, ...] = HELD_OUT
    """Names of the videos used for validation, not for training."""

    @property
    @abstractmethod
    def all_stages(self) -> tuple[Stage, ...]:
        """Stages of a run, in order."""

    @property
    def steps(self) -> int:
        """Number of optimiser steps."""
        return sum(stage.steps for stage in self.all_stages)

    def stage_at(self, step: int) -> tuple[Stage, float]:
        """Stage of a step, and the progress of the stage at that step, 0 to 1."""
        return stage_of(self.all_stages, step)

    def holding_out(self, videos: tuple[str, ...]) -> "ClipRecipe":
        """The recipe with these videos for validation in place of its own."""
        return replace(self, held_out=videos)

    def needs(self) -> tuple[str, ...]:
        """Required kinds of data: ``stills`` and ``videos``, as far as the stages use them."""
        kinds = {"stills" for stage in self.all_stages if stage.real < 1}
        kinds |= {"videos" for stage in self.all_stages if stage.real > 0}
        return tuple(sorted(kinds))


class ClipTask(Task):
    """Base of the tasks on clips; keeps the difficulty of each video.

    Args:
        recipe: Hyper-parameters.
        data: Paths by name, as `open_clip_data` takes them, or its result.
        initial: Weights to start from instead of the recipe's own.
    """

    recipe: ClipRecipe

    def __init__(
        self, recipe: ClipRecipe, data: "Data | OpenedClips", initial: Path | None = None
    ) -> None:
        super().__init__(recipe, initial)
        if not isinstance(data, OpenedClips):
            data = open_clip_data(data, held_out=recipe.held_out, needs=recipe.needs())
        self.clips, self.held_out = data

    def batch(self, step: int, part: int) -> Batch:
        """Plans of clips with their pictures, as `simulation.stack_clips` returns them."""
        stage, progress = self.recipe.stage_at(step)
        return self.clips.batch(stage, progress, (self.schedule.seed, step, part))

    def data_sizes(self) -> dict[str, int]:
        """Number of stills, videos and video frames."""
        return self.clips.describe()

    def tell_difficulty(self, batch: Batch, losses: Tensor) -> None:
        """Record the loss of each clip of a batch that holds their ``source``."""
        for source, value in zip(batch["source"].tolist(), losses.tolist(), strict=True):
            self.clips.difficulty.tell(source, value)

    def refresh(self) -> None:
        """Draw hard videos more often from now on."""
        self.clips.difficulty.refresh()

    def state(self) -> dict[str, Any]:
        """Difficulty of the videos."""
        return self.clips.difficulty.state()

    def load_state(self, state: dict[str, Any]) -> None:
        """Restore what `state` returned."""
        self.clips.difficulty.load_state(state)


def stage_of(stages: Sequence[Stage], step: int) -> tuple[Stage, float]:
    """Stage of a step, and the progress of the stage at that step, 0 to 1."""
    for stage in stages:
        if step < stage.steps:
            return stage, step / max(1, stage.steps - 1)
        step -= stage.steps
    return stages[-1], 1.0


def draw_frames(
    length: int,
    frames: int,
    max_gap: int,
    rng: np.random.Generator,
    *,
    random_reference: bool,
) -> "np.ndarray[tuple[int], np.dtype[np.int64]] | None":
    """Frame numbers of a clip, at random intervals of 1 to `max_gap`, forwards or backwards.

    RGMP (Oh et al. 2018), sec. 3.2: frames are skipped at random, and a random frame is the
    reference. The intervals are shorter if the video is too short for them.

    Returns:
        `frames` numbers, the reference first; None if the video has fewer frames.
    """
    if length < frames:
        return None
    allowed = max(1, min(max_gap, (length - 1) // (frames - 1)))
    offsets = np.concatenate([[0], np.cumsum(rng.integers(1, allowed + 1, frames - 1))])
    indices = int(rng.integers(length - offsets[-1])) + offsets
    if rng.random() < 0.5:
        indices = indices[::-1]
    if random_reference:
        indices = np.concatenate([[rng.integers(length)], indices[1:]])
    return indices.astype(np.int64)


def open_clip_data(
    data: Data, *, held_out: Sequence[str], needs: Sequence[str] = ("stills", "videos")
) -> OpenedClips:
    """Clips of the user's data, and the held-out videos.

    Args:
        data: ``stills``, ``duts`` or ``coco``: images and masks; ``videos``, ``clips``, ``davis``
            or ``youtube-vos``: annotated videos. ``pack``: a file that
            `write_pack` wrote, or a folder of such, with both.
        held_out: Names of the videos for validation; unknown ones are ignored.
        needs: Required kinds of data, of ``stills`` and ``videos``.

    Raises:
        OptionError: If a name is unknown, or required data is missing.
        DatasetError: If a path does not have the expected layout.
    """
    unknown = set(data) - set(STILLS) - set(VIDEOS) - {PACK}
    if unknown:
        raise OptionError(
            f"unknown training data {', '.join(sorted(unknown))}; stills are named "
            f"{', '.join(STILLS)}, videos {', '.join(VIDEOS)}, both together {PACK}"
        )
    parts = [find_stills(data[name]) for name in STILLS if name in data]
    videos = open_videos(data)
    if PACK in data:
        packed_stills, packed_videos = read_pack(data[PACK])
        parts, videos = [*parts, packed_stills], {**videos, PACK: tuple(packed_videos)}
    stills = JoinedStills(parts)
    missing = [
        kind
        for kind, entries in (("stills", stills), ("videos", [*chain(*videos.values())]))
        if kind in needs and not len(entries)
    ]
    if missing:
        raise OptionError(
            f"this recipe needs {' and '.join(missing)}: --data duts=FOLDER --data davis=FOLDER, "
            f"got {', '.join(data) or 'none'}"
        )
    training, validated = split_videos(videos, held_out)
    return OpenedClips(ClipData(stills, training), validated)
