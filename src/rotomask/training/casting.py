"""Stills and videos of composed clips: their scene and what is pasted on it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from rotomask.data.sequences import VideoSequence
from rotomask.data.simulation import Actor, Composition
from rotomask.data.simulation.plan import Picture, labels_in
from rotomask.data.training.stills import Stills

Story = Literal["same kind", "look-alike", "twin", "crowd", "plain"]


@dataclass(frozen=True)
class Cast:
    """Pictures of a clip, as `plan_composed_clip` takes them."""

    scene: tuple[Picture, ...]
    actors: tuple[Actor, ...]
    own: int
    """Number of the scene's own objects that are followed."""


class Casting:
    """Draws casts from stills, by kind, and from videos."""

    def __init__(self, stills: Stills, videos: Sequence[VideoSequence]) -> None:
        self.stills, self.videos = stills, tuple(videos)
        of_kind: dict[str, list[int]] = {}
        for number, kind in enumerate(stills.kinds):
            if kind:
                of_kind.setdefault(kind, []).append(number)
        # A kind with a single still has no look-alike.
        self.kinds = [numbers for numbers in of_kind.values() if len(numbers) > 1]

    def still(self, rng: np.random.Generator) -> Picture:
        """Image with objects: a still, or without stills a frame of a video."""
        if len(self.stills):
            return self.stills[int(rng.integers(len(self.stills)))]
        video = self.videos[int(rng.integers(len(self.videos)))]
        return video.read(int(rng.integers(len(video))))

    def alike(self, count: int, rng: np.random.Generator) -> list[Picture]:
        """Different stills of one kind, repeated if the kind has too few.

        Without kinds: frames of one video; without videos: one still.
        """
        if self.kinds:
            sizes = np.array([len(numbers) for numbers in self.kinds], float)
            # By the square root of the size: some kinds have hundreds of stills, most have few.
            odds = np.sqrt(sizes)
            numbers = self.kinds[int(rng.choice(len(sizes), p=odds / odds.sum()))]
            drawn = rng.permutation(numbers)[:count]
            pictures = [self.stills[int(i)] for i in drawn]
        elif self.videos:
            video = self.videos[int(rng.integers(len(self.videos)))]
            pictures = [video.read(int(i)) for i in rng.integers(len(video), size=count)]
        else:
            pictures = [self.still(rng)]
        return [pictures[i % len(pictures)] for i in range(count)]

    def thing(
        self, composition: Composition, frames: int, rng: np.random.Generator
    ) -> tuple[Picture, ...]:
        """Pictures of an object to paste: one still, or successive frames of a video."""
        if not self.videos or rng.random() >= composition.from_video:
            return (self.still(rng),)
        return _stretch(self.videos[int(rng.integers(len(self.videos)))], frames, rng)

    def on_still(
        self,
        composition: Composition,
        frames: int,
        objects: int,
        rng: np.random.Generator,
        *,
        own: bool,
        occlusion: float,
    ) -> Cast | None:
        """Cast on a still; with `own`, the still's own objects are followed first."""
        story = _draw_story(composition, rng)
        needs_kin = story in ("same kind", "look-alike", "crowd")
        # The followed objects and a crowd of up to six.
        kin = self.alike(objects + 6, rng) if needs_kin else []
        scene = kin.pop(0) if own and kin else self.still(rng)
        followed_in_scene = min(objects, len(labels_in(scene[1]))) if own else 0
        actors = []
        for number in range(objects - followed_in_scene):
            is_kin = story == "same kind" or (story != "twin" and number == 0 and not own)
            if kin and is_kin:
                actors.append(Actor((kin.pop(0),), "followed", is_alike=story == "same kind"))
            else:
                actors.append(Actor(self.thing(composition, frames, rng), "followed"))
        # What a twin is a double of: the scene's own object, or the first one that is pasted.
        first = (scene,) if followed_in_scene or not actors else actors[0].pictures
        doubles = [first] * 6 if story == "twin" else [(picture,) for picture in kin]
        actors += self._others(story, doubles, composition, frames, rng, occlusion)
        return Cast((scene,), tuple(actors), followed_in_scene)

    def on_video(
        self,
        composition: Composition,
        video: VideoSequence,
        frames_read: tuple[Picture, ...],
        objects: int,
        rng: np.random.Generator,
        *,
        occlusion: float,
    ) -> Cast | None:
        """Cast on frames of a video, whose own objects are followed first.

        Look-alikes of its object are the object itself, from other frames of the video.
        """
        own = min(objects, len(labels_in(frames_read[0][1])))
        if own == 0:
            return None
        frames = len(frames_read)
        story = _draw_story(composition, rng)
        actors = [
            Actor(self.thing(composition, frames, rng), "followed") for _ in range(objects - own)
        ]
        doubles: list[tuple[Picture, ...]] = []
        if story in ("look-alike", "twin", "crowd"):
            moves = rng.random() < 0.5  # the first of them; the others are single frames
            for number in range(1 if story == "twin" else 4):
                count = frames if moves and number == 0 else 1
                doubles.append(_stretch(video, count, rng))
        actors += self._others(story, doubles, composition, frames, rng, occlusion)
        return Cast(frames_read, tuple(actors), own)

    def _others(
        self,
        story: Story,
        doubles: Sequence[tuple[Picture, ...]],
        composition: Composition,
        frames: int,
        rng: np.random.Generator,
        occlusion: float,
    ) -> list[Actor]:
        """Actors without an id: look-alikes of the first object and objects that pass."""
        actors = []
        if story == "twin":
            actors = [Actor(doubles[0], "beside" if rng.random() < 0.7 else "passing", True)]
        elif story == "look-alike":
            for pictures in doubles[: int(rng.integers(1, 3))]:
                role: Literal["beside", "passing"] = "passing" if rng.random() < 0.6 else "beside"
                actors.append(Actor(pictures, role, True))
        elif story == "crowd":
            count = int(rng.integers(3, 7))
            if rng.random() < 0.5:
                actors = [Actor(pictures, "free", True) for pictures in doubles[:count]]
            else:
                actors = [Actor((self.still(rng),), "free") for _ in range(count)]
        elif rng.random() < occlusion:
            actors = [Actor(self.thing(composition, frames, rng), "free")]
        if rng.random() < composition.covered:
            actors.append(Actor((self.still(rng),), "covering"))
        return actors


def _draw_story(composition: Composition, rng: np.random.Generator) -> Story:
    names: tuple[Story, ...] = ("same kind", "look-alike", "twin", "crowd")
    ends = np.cumsum(
        [composition.same_kind, composition.look_alike, composition.twin, composition.crowd]
    )
    # Inverse of the cumulative distribution; beyond the last end there is no story.
    number = int(np.searchsorted(ends, rng.random(), side="right"))
    return names[number] if number < len(names) else "plain"


def _stretch(video: VideoSequence, frames: int, rng: np.random.Generator) -> tuple[Picture, ...]:
    """Frames of a video, one to three apart, in either direction of time."""
    gap = max(1, min(int(rng.integers(1, 4)), (len(video) - 1) // max(1, frames - 1)))
    last = max(0, len(video) - 1 - gap * (frames - 1))
    # Evenly spaced, and clipped below where the video is shorter than the clip.
    numbers = int(rng.integers(last + 1)) + gap * np.arange(frames)
    numbers = numbers.clip(0, len(video) - 1)
    if rng.random() < 0.5:
        numbers = numbers[::-1]
    return tuple(video.read(int(i)) for i in numbers)
