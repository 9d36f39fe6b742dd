"""A policy that sets the random field's parameters for each sequence, as paper 1 tried with A3C.

State: statistics of the sequence's unaries, flow and colours, and the current parameters. Action:
one parameter up or down by a step, or stop. Reward: the change of J, in percent.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from rotomask.arrays import Frame
from rotomask.errors import OptionError
from rotomask.evaluation import region_similarity
from rotomask.flow.optical_flow import OpticalFlow, consistent
from rotomask.refine.random_field import (
    RandomFieldConfig,
    flow_links,
    solve_field,
)
from studies.actor_critic import Environment, Policy, State

Array = npt.NDArray[np.float32]

UNSURE = (0.2, 0.8)
"""Probabilities between which a pixel counts as undecided."""
PARAMETERS = ("smoothness", "temporal", "contrast")
STOP = 2 * len(PARAMETERS)
STATISTICS = 8
REWARD_SCALE = 100
"""Makes rewards percent of J."""


@dataclass(frozen=True)
class FieldClip:
    """A few frames of a sequence, ready for the field; everything at its size."""

    name: str
    frames: tuple[Frame, ...]
    """T of H×W×3 uint8."""
    probabilities: tuple[Array, ...]
    """T of 2×H×W: background, object."""
    truths: tuple[npt.NDArray[np.bool_], ...]
    """T of H×W."""
    links: tuple[npt.NDArray[np.int64], ...]
    """T - 1, see `flow_links`."""
    motion: tuple[float, float]
    """Mean length of the flow divided by the width, and the fraction of it that is consistent."""


def make_clip(
    name: str,
    frames: Sequence[Frame],
    probabilities: Sequence[Array],
    truths: Sequence[npt.NDArray[np.bool_]],
    flow: OpticalFlow,
) -> FieldClip:
    """A clip with its links by flow."""
    links, lengths, agreeing = [], [], []
    for first, second in pairwise(frames):
        forward, backward = flow.estimate(first, second), flow.estimate(second, first)
        agrees = consistent(forward, backward)
        links.append(flow_links(forward, agrees))
        lengths.append(np.linalg.norm(forward, axis=-1).mean() / forward.shape[1])
        agreeing.append(agrees.mean())
    motion = (float(np.mean(lengths)), float(np.mean(agreeing))) if links else (0.0, 1.0)
    return FieldClip(name, tuple(frames), tuple(probabilities), tuple(truths), tuple(links), motion)


def refined_masks(clip: FieldClip, config: RandomFieldConfig) -> list[npt.NDArray[np.bool_]]:
    """The object's masks after the field."""
    solved = solve_field(clip.frames, clip.probabilities, clip.links, config)
    return [p[1] > p[0] for p in solved]


def clip_j(clip: FieldClip, config: RandomFieldConfig | None) -> float:
    """Mean J of the clip's frames after the field; None: before it."""
    if config is None:
        masks = [p[1] > p[0] for p in clip.probabilities]
    else:
        masks = refined_masks(clip, config)
    pairs = zip(masks, clip.truths, strict=True)
    return float(np.mean([region_similarity(mask, truth) for mask, truth in pairs]))


def clip_statistics(clip: FieldClip) -> State:
    """A policy's view of a clip: `STATISTICS` numbers of about unit size."""
    probability = np.stack([p[1] for p in clip.probabilities])  # T×H×W
    inner = np.clip(probability, 1e-4, 1 - 1e-4)  # log 0 is infinite
    entropy = -(inner * np.log(inner) + (1 - inner) * np.log(1 - inner))
    mask = probability > 0.5
    colours = np.stack(clip.frames).astype(np.float32)
    steps = np.linalg.norm(np.diff(colours, axis=2), axis=-1)
    outline = mask[:, :, 1:] != mask[:, :, :-1]
    across = float(steps[outline].mean()) if outline.any() else 0.0
    area = float(mask.mean())
    return np.array(
        [
            10 * entropy.mean(),
            10 * ((probability > UNSURE[0]) & (probability < UNSURE[1])).mean(),
            3 * area,
            outline.sum() / max(1.0, 10 * np.sqrt(mask.sum())),
            20 * clip.motion[0],
            clip.motion[1],
            steps.mean() / 30,
            across / 60,
        ],
        np.float32,
    )


@dataclass(frozen=True, kw_only=True)
class FieldPolicyConfig:
    """Start of a policy, and limits of its steps."""

    start: RandomFieldConfig
    """Parameters from which every episode starts."""
    factor: float = 2.0
    """Factor of one step up."""
    reach: int = 3
    """Largest number of steps up or down from the start, for each parameter."""
    longest: int = 8
    """Largest number of steps of an episode."""

    def __post_init__(self) -> None:
        if self.factor <= 1 or self.reach < 1 or self.longest < 1:
            raise OptionError(
                "a policy's factor is above 1, its reach and longest episode 1 or more, got "
                f"{self.factor}, {self.reach} and {self.longest}"
            )


class FieldEnvironment(Environment):
    """Clips whose field can be set; J of parameters that were tried is stored."""

    state_size = STATISTICS + len(PARAMETERS) + 1
    actions = STOP + 1

    def __init__(self, clips: Sequence[FieldClip], config: FieldPolicyConfig) -> None:
        if not clips:
            raise OptionError("a policy needs at least one clip to act on")
        self.clips, self.config = tuple(clips), config
        self._statistics = [clip_statistics(clip) for clip in clips]
        self._scores: dict[tuple[int, tuple[int, ...]], float] = {}
        self._at, self._steps, self._count = 0, (0,) * len(PARAMETERS), 0

    def reset(self, rng: np.random.Generator) -> State:
        """A random clip with the parameters of the start."""
        return self.begin(int(rng.integers(len(self.clips))))

    def begin(self, index: int) -> State:
        """A clip by number."""
        self._at, self._steps, self._count = index, (0,) * len(PARAMETERS), 0
        return self._state()

    def step(self, action: int) -> tuple[State, float, bool]:
        """Change a parameter (0, 1: the first up, down; ...) or stop."""
        if action == STOP:
            return self._state(), 0.0, True
        before = self.j()
        parameter, down = divmod(action, 2)
        steps = list(self._steps)
        reach = self.config.reach
        steps[parameter] = int(np.clip(steps[parameter] + (-1 if down else 1), -reach, reach))
        self._steps = tuple(steps)
        self._count += 1
        reward = REWARD_SCALE * (self.j() - before)
        return self._state(), reward, self._count >= self.config.longest

    def field(self) -> RandomFieldConfig:
        """The parameters now."""
        start = self.config.start
        changed = {
            name: getattr(start, name) * self.config.factor**steps
            for name, steps in zip(PARAMETERS, self._steps, strict=True)
        }
        return replace(start, **changed)

    def j(self) -> float:
        """J of the clip under the parameters now."""
        key = (self._at, self._steps)
        if key not in self._scores:
            self._scores[key] = clip_j(self.clips[self._at], self.field())
        return self._scores[key]

    def _state(self) -> State:
        parameters = np.array(self._steps, np.float32) / self.config.reach
        time = np.array([self._count / self.config.longest], np.float32)
        return np.concatenate([self._statistics[self._at], parameters, time]).astype(np.float32)


def policy_fields(environment: FieldEnvironment, policy: Policy) -> list[RandomFieldConfig]:
    """The parameters that a policy gives each clip."""
    fields = []
    for index in range(len(environment.clips)):
        state, over = environment.begin(index), False
        while not over:
            state, _, over = environment.step(policy(state))
        fields.append(environment.field())
    return fields
