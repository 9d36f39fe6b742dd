"""Advantage actor-critic: a policy and a value function, learnt together from episodes.

The synchronous form (A2C) of Mnih et al. 2016 (A3C, which paper 1 names): the same policy plays
several episodes, then one optimiser step is made on all of them. With G the discounted sum of the
later rewards and V the critic's estimate of it, the actor's loss is -log π(a|s) (G - V), the
critic's (G - V)²; entropy keeps the actor exploring.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rotomask.errors import OptionError

State = npt.NDArray[np.float32]


class Environment(ABC):
    """The world in which a policy acts, one episode at a time."""

    state_size: int
    actions: int

    @abstractmethod
    def reset(self, rng: np.random.Generator) -> State:
        """Start an episode. Returns its first state: `state_size` numbers of about unit size."""

    @abstractmethod
    def step(self, action: int) -> tuple[State, float, bool]:
        """Act. Returns the next state, the reward, and True if the episode is over."""


@dataclass(frozen=True, kw_only=True)
class ActorCriticConfig:
    """Settings of the training of a policy."""

    updates: int = 200
    """Optimiser steps."""
    episodes: int = 16
    """Episodes played for each update."""
    hidden: int = 48
    """Width of the two layers."""
    learning_rate: float = 3e-3
    discount: float = 0.97
    entropy: float = 0.02
    """Weight of the entropy."""
    value: float = 0.5
    """Weight of the critic's loss."""
    clip_norm: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.updates, self.episodes, self.hidden) < 1 or not 0 <= self.discount <= 1:
            raise OptionError(
                "a policy needs updates, episodes and a width of 1 or more and a discount of 0 to "
                f"1, got {self}"
            )


class ActorCritic(nn.Module):
    """The policy's and the value's network."""

    def __init__(self, state_size: int, actions: int, hidden: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Linear(state_size, hidden), nn.Tanh(), nn.Linear(hidden, hidden), nn.Tanh()
        )
        self.actor = nn.Linear(hidden, actions)
        self.critic = nn.Linear(hidden, 1)
        nn.init.zeros_(self.actor.weight)  # at first all actions are equally likely
        nn.init.zeros_(self.actor.bias)

    def forward(self, states: Tensor) -> tuple[Tensor, Tensor]:
        """States B×S -> logits of the actions B×A, values B."""
        hidden = self.body(states)
        return self.actor(hidden), self.critic(hidden)[:, 0]


@dataclass(frozen=True)
class Episode:
    """States, actions and rewards of an episode, step by step."""

    states: list[State]
    actions: list[int]
    rewards: list[float]


def learn_policy(
    environment: Environment,
    config: ActorCriticConfig | None = None,
    *,
    on_update: Callable[[int, float], None] | None = None,
) -> ActorCritic:
    """Train a policy.

    Args:
        environment: The world in which it acts.
        config: Settings of the training.
        on_update: Called with the number of the update and the mean sum of rewards of its episodes.
    """
    config = config or ActorCriticConfig()
    rng = np.random.default_rng(config.seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        network = ActorCritic(environment.state_size, environment.actions, config.hidden)
    optimiser = torch.optim.Adam(network.parameters(), lr=config.learning_rate)
    for update in range(config.updates):
        episodes = [play(environment, sampled(network, rng), rng) for _ in range(config.episodes)]
        loss = actor_critic_loss(network, episodes, config)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), config.clip_norm)
        optimiser.step()
        if on_update is not None:
            on_update(update, float(np.mean([sum(e.rewards) for e in episodes])))
    return network


def actor_critic_loss(
    network: ActorCritic, episodes: Sequence[Episode], config: ActorCriticConfig
) -> Tensor:
    """Loss of the actor and the critic on played episodes; see the module."""
    states = torch.from_numpy(np.stack([s for e in episodes for s in e.states]))
    actions = torch.tensor([a for e in episodes for a in e.actions])
    returns = torch.tensor(
        [g for e in episodes for g in discounted(e.rewards, config.discount)], dtype=torch.float32
    )
    logits, values = network(states)
    log_probabilities = F.log_softmax(logits, 1)  # B×A
    advantage = returns - values.detach()
    # A common scale of the advantages, so that one learning rate suits any size of reward.
    scale = advantage.std(correction=0) + 1e-3
    of_action = log_probabilities.gather(1, actions[:, None])[:, 0]  # B
    entropy = -(log_probabilities.exp() * log_probabilities).sum(1)
    total: Tensor = (
        -(of_action * advantage / scale).mean()
        + config.value * F.smooth_l1_loss(values, returns)
        - config.entropy * entropy.mean()
    )
    return total


def discounted(rewards: Sequence[float], discount: float) -> list[float]:
    """Discounted sum of the rewards from each step on."""
    total, sums = 0.0, []
    for reward in reversed(rewards):
        total = reward + discount * total
        sums.append(total)
    return sums[::-1]


Policy = Callable[[State], int]


def sampled(network: ActorCritic, rng: np.random.Generator) -> Policy:
    """A policy that draws its actions at random, as in training."""

    def act(state: State) -> int:
        with torch.no_grad():
            logits = network(torch.from_numpy(state)[None])[0][0]
        probabilities = torch.softmax(logits.double(), 0).numpy()  # float32 does not sum to 1
        return int(rng.choice(len(probabilities), p=probabilities / probabilities.sum()))

    return act


def greedy(network: ActorCritic) -> Policy:
    """A policy that takes the most probable action, as after training."""

    def act(state: State) -> int:
        with torch.no_grad():
            return int(network(torch.from_numpy(state)[None])[0].argmax())

    return act


def play(environment: Environment, policy: Policy, rng: np.random.Generator) -> Episode:
    """One episode to its end."""
    episode = Episode([], [], [])
    state, over = environment.reset(rng), False
    while not over:
        action = policy(state)
        episode.states.append(state)
        episode.actions.append(action)
        state, reward, over = environment.step(action)
        episode.rewards.append(reward)
    return episode
