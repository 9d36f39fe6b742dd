"""Validation videos of several objects, composed of the held-out videos.

DAVIS-2016 has one object per video. These videos measure a network on several: each video's object
with a copy of itself and a passing one without an id, and with the objects of two other videos.
They are the same in every run, until the code that plans clips changes: compare only scores of the
same version.
"""

from collections.abc import Sequence

import numpy as np

from rotomask.data.sequences import MemorySequence, VideoSequence
from rotomask.data.simulation import (
    Actor,
    ClipPlan,
    Composition,
    MotionConfig,
    plan_composed_clip,
    render,
    stack_clips,
)
from rotomask.data.simulation.plan import Picture

FRAMES = 20
SIZE = 320
TRIES = 100
PLAIN = Composition.only(soft_edges=1)
CALM = MotionConfig(strength=0.35, bending=0.3)


def compose_videos(
    videos: Sequence[VideoSequence], *, frames: int = FRAMES, size: int = SIZE
) -> tuple[MemorySequence, ...]:
    """Two composed videos for each video: one of look-alikes, one of three different objects.

    Args:
        videos: Videos with at least one object in the first frame.
        frames: Maximum number of frames of a video.
        size: Side of the square frames, px.

    Returns:
        Videos ``NAME-twins`` (two objects) and ``NAME-others`` (three); those that cannot be
        composed are left out.
    """
    ordered = sorted(videos, key=lambda video: video.name)
    composed = []
    for number, video in enumerate(ordered):
        scene = _read(video, frames)
        # The same object in another order of time: equal in looks, but never in step with itself.
        copies = tuple(reversed(scene))
        twins = [
            Actor(copies, "followed", is_alike=True),
            Actor(scene[len(scene) // 2 :][:1], "passing", is_alike=True),
        ]
        # Objects of the two next videos by name: every video is a guest twice.
        guests = [ordered[(number + k) % len(ordered)] for k in (1, 2)]
        others = [Actor(_read(guest, len(scene)), "followed") for guest in guests]
        for name, actors in (("twins", twins), ("others", others)):
            plan = _plan(scene, actors, size, seed=(number, len(name)))
            if plan is not None:
                composed.append(_rendered(f"{video.name}-{name}", plan))
    return tuple(composed)


def _plan(
    scene: tuple[Picture, ...], actors: list[Actor], size: int, seed: tuple[int, int]
) -> ClipPlan | None:
    rng = np.random.default_rng(seed)
    height = len(scene[0][0])
    scale = 1.008 * size / height  # the whole height of the frames, without their border
    for _ in range(TRIES):
        plan = plan_composed_clip(
            scene,
            actors,
            size=size,
            frames=len(scene),
            own=1,
            rng=rng,
            composition=PLAIN,
            scales=(scale, scale),
            motion=CALM,
            appearance=0.0,
        )
        if plan is not None:
            return plan
    return None


def _rendered(name: str, plan: ClipPlan) -> MemorySequence:
    clip = render(stack_clips([plan]))
    images = (clip.frames[0].permute(0, 2, 3, 1) * 255).round().byte().numpy()
    return MemorySequence.of(name, zip(images, clip.labels[0].numpy(), strict=True))


def _read(video: VideoSequence, frames: int) -> tuple[Picture, ...]:
    """The first frames of a video; a shorter video is played back and forth."""
    forth = list(range(len(video)))
    # 0 1 2 3 2 1: neither end is shown twice in a row.
    cycle = forth + forth[-2:0:-1]
    return tuple(video.read(cycle[t % len(cycle)]) for t in range(frames))
