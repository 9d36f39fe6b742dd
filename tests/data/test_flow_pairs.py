"""Simulated pairs: the flow they come with is what moved the pixels."""

import numpy as np
import pytest

from rotomask.data.simulation.flow_pairs import FlowPairConfig, simulate_flow_pair
from rotomask.data.training.stills import Stills
from rotomask.data.training.synthetic import moving_shapes
from rotomask.errors import OptionError
from rotomask.flow.optical_flow import DISFlow, warp_back

PLAIN = FlowPairConfig(size=96, appearance=0)


class ShapeStills(Stills):
    """Frames of synthetic shapes on texture."""

    def __init__(self, count: int = 6) -> None:
        clips = [moving_shapes(seed, frames=1, size=(90, 120)) for seed in range(count)]
        self.pairs = [(frames[0], labels[0].astype(np.uint8)) for frames, labels in clips]

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int):
        return self.pairs[index]


@pytest.fixture(scope="module")
def stills() -> ShapeStills:
    return ShapeStills()


def _pair(stills, seed, config=PLAIN):
    return simulate_flow_pair(stills, config, np.random.default_rng(seed))


@pytest.mark.parametrize("seed", range(8))
def test_the_second_frame_moved_back_by_the_flow_is_the_first(stills, seed):
    pair = _pair(stills, seed)
    back = warp_back(pair.second, pair.flow).astype(int)
    error = np.abs(back - pair.first).max(-1)[pair.visible]
    still = np.abs(pair.second.astype(int) - pair.first).max(-1)[pair.visible]
    assert np.median(error) <= 4, "but for interpolation twice instead of once"
    assert np.mean(error > 40) < 0.06, "but for soft edges"
    assert error.mean() < 0.7 * still.mean(), "nothing of this would hold without the flow"


def test_hidden_pixels_are_those_that_something_passes_over(stills):
    """With one scene that stands still and one object, what is hidden lies under the object."""
    config = FlowPairConfig(
        size=96, most_objects=1, scene_shift=1e-9, turn_rad=0, bending=0, object_shift=0.1
    )
    for seed in range(40):
        pair = _pair(stills, seed, config)
        moves = np.linalg.norm(pair.flow, axis=-1) > 2
        if not 0.02 < moves.mean() < 0.5:
            continue
        shift = np.median(pair.flow[moves], axis=0)
        rows, columns = np.mgrid[:96, :96]
        from_x = np.rint(columns - shift[0]).astype(int)
        from_y = np.rint(rows - shift[1]).astype(int)
        inside = (from_x >= 0) & (from_y >= 0) & (from_x < 96) & (from_y < 96)
        lands = np.zeros((96, 96), bool)
        lands[inside] = moves[from_y[inside], from_x[inside]]
        # What enters from outside covers too, and is not in the first frame.
        agree = (~pair.visible == (lands & ~moves))[inside & ~moves]
        assert agree.mean() > 0.98
        return
    pytest.fail("no pair with one moving object was drawn")


def test_a_pair_is_a_function_of_its_seed(stills):
    first, again, other = _pair(stills, 3), _pair(stills, 3), _pair(stills, 4)
    np.testing.assert_array_equal(first.first, again.first)
    np.testing.assert_array_equal(first.flow, again.flow)
    assert (first.flow != other.flow).any()


def test_motion_is_as_large_as_asked(stills):
    lengths = {}
    for shift in (0.01, 0.06):
        config = FlowPairConfig(size=96, scene_shift=shift, object_shift=shift)
        flows = [np.abs(_pair(stills, seed, config).flow).mean() for seed in range(30)]
        lengths[shift] = np.mean(flows)
    assert lengths[0.06] > 2 * lengths[0.01]
    with pytest.raises(OptionError, match="32 px or more"):
        FlowPairConfig(size=8)


def test_another_estimator_finds_the_same_flow(stills):
    config = FlowPairConfig(size=96, most_objects=0, scene_shift=0.02, appearance=0)
    errors = []
    for seed in range(6):
        pair = _pair(stills, seed, config)
        found = DISFlow().estimate(pair.first, pair.second)
        errors.append(np.median(np.linalg.norm(found - pair.flow, axis=-1)[pair.visible]))
    assert np.median(errors) < 0.7
