"""Actor-critic on a small world, and the random field as one."""

import numpy as np
import pytest
import torch

from rotomask.data.training.synthetic import moving_shapes
from rotomask.errors import OptionError
from rotomask.flow.optical_flow import DISFlow
from rotomask.refine.random_field import RandomFieldConfig
from studies.actor_critic import (
    ActorCritic,
    ActorCriticConfig,
    Environment,
    actor_critic_loss,
    discounted,
    greedy,
    learn_policy,
    play,
)
from studies.field_policy import (
    STOP,
    FieldEnvironment,
    FieldPolicyConfig,
    clip_j,
    clip_statistics,
    make_clip,
    policy_fields,
)


class Valley(Environment):
    """A place from -1 to 1 with a goal that the state tells; steps cost what they lead away."""

    state_size, actions = 2, 3

    def reset(self, rng):
        self.goal, self.place, self.count = rng.uniform(-0.8, 0.8), 0.0, 0
        return self._state()

    def step(self, action):
        before = abs(self.goal - self.place)
        self.place += (-0.2, 0.0, 0.2)[action]
        self.count += 1
        return self._state(), before - abs(self.goal - self.place), self.count == 6

    def _state(self):
        return np.array([self.goal, self.place], np.float32)


def _mean(policy, episodes=60):
    rng = np.random.default_rng(99)
    return np.mean([sum(play(Valley(), policy, rng).rewards) for _ in range(episodes)])


def test_a_policy_learns_to_go_where_it_pays():
    config = ActorCriticConfig(updates=100, episodes=16, hidden=32, learning_rate=1e-2)
    told = []
    network = learn_policy(Valley(), config, on_update=lambda k, r: told.append(r))
    rng = np.random.default_rng(1)
    learnt, at_random = _mean(greedy(network)), _mean(lambda _: int(rng.integers(3)))
    best = _mean(lambda state: 1 + int(np.rint(np.clip((state[0] - state[1]) / 0.2, -1, 1))))
    assert learnt > 0.55 * best
    assert learnt > at_random + 0.4 * best
    assert np.mean(told[-10:]) > np.mean(told[:10])


def test_returns_and_the_direction_of_the_loss():
    assert discounted([1.0, 0.0, 2.0], 0.5) == [1.5, 1.0, 2.0]
    torch.manual_seed(0)
    network, rng = ActorCritic(2, 3, 8), np.random.default_rng(0)
    episodes = [play(Valley(), lambda _: int(rng.integers(3)), rng) for _ in range(4)]
    loss = actor_critic_loss(network, episodes, ActorCriticConfig(entropy=0))
    loss.backward()
    states = torch.from_numpy(np.stack([s for e in episodes for s in e.states]))
    taken = torch.tensor([a for e in episodes for a in e.actions])
    gains = torch.tensor([g for e in episodes for g in discounted(e.rewards, 0.97)])
    advantage = gains - network(states)[1].detach()
    # The gradient of the bias: chances less what was taken, weighed by the advantage.
    push = (torch.softmax(network(states)[0], 1) - torch.nn.functional.one_hot(taken, 3)) * (
        advantage / (advantage.std(correction=0) + 1e-3)
    )[:, None]
    torch.testing.assert_close(network.actor.bias.grad, push.mean(0).float(), atol=1e-5, rtol=1e-4)


@pytest.fixture(scope="module")
def clips():
    """The second clip is given probabilities with holes that a field closes."""
    made = []
    for seed, noise in ((4, 0.0), (5, 0.45)):
        frames, labels = moving_shapes(seed, frames=3, size=(32, 40))
        rng = np.random.default_rng(seed)
        chance = np.clip((labels > 0) * 0.7 + 0.15 + rng.normal(0, noise, labels.shape), 0.01, 0.99)
        probabilities = [np.stack([1 - p, p]).astype(np.float32) for p in chance]
        made.append(make_clip(f"clip {seed}", [*frames], probabilities, [*(labels > 0)], DISFlow()))
    return made


START = RandomFieldConfig(smoothness=0.1, temporal=0.1, contrast=20, solver="mean-field")


def test_rewards_are_what_changes_in_j(clips):
    environment = FieldEnvironment(clips, FieldPolicyConfig(start=START))
    environment.begin(1)
    total = 0.0
    for action in (0, 0, 2, 4, 1):  # smoother twice, more time, more contrast, less smooth
        state, reward, over = environment.step(action)
        total += reward
        assert not over
        assert state.shape == (environment.state_size,)
    field = environment.field()
    assert (field.smoothness, field.temporal, field.contrast) == (0.2, 0.2, 40)
    expected = 100 * (clip_j(clips[1], field) - clip_j(clips[1], START))
    assert total == pytest.approx(expected)
    assert expected > 1, "on noisy probabilities a stronger field is better"
    assert environment.step(STOP)[1:] == (0.0, True)


def test_an_episode_ends_and_parameters_stay_within_reach(clips):
    config = FieldPolicyConfig(start=START, reach=2, longest=4)
    environment = FieldEnvironment(clips, config)
    environment.begin(0)
    overs = [environment.step(0)[2] for _ in range(4)]
    assert overs == [False, False, False, True]
    assert environment.field().smoothness == pytest.approx(0.4)
    fields = policy_fields(environment, lambda _: STOP)
    assert fields == [START, START]
    with pytest.raises(OptionError, match="above 1"):
        FieldPolicyConfig(start=START, factor=1)
    with pytest.raises(OptionError, match="at least one clip"):
        FieldEnvironment([], config)


def test_statistics_tell_a_sure_clip_from_a_noisy_one(clips):
    sure, noisy = (clip_statistics(clip) for clip in clips)
    assert np.isfinite(sure).all()
    assert np.abs(sure).max() < 20
    assert noisy[1] > 2 * sure[1], "pixels that are not decided"
    assert noisy[3] > sure[3], "outline"
