"""Composed scenes: every object an instance, and what is pasted is in front."""

import numpy as np

from rotomask.data.training.scenes import SceneConfig, compose_scene, separate_components
from rotomask.data.training.stills import Stills


class _Squares(Stills):
    """Images of one colour with squares of another; the instances are the squares."""

    def __init__(self, colours: list[int], squares: int = 1) -> None:
        self.colours, self.squares = colours, squares

    def __len__(self) -> int:
        return len(self.colours)

    def __getitem__(self, index: int):
        image = np.full((60, 80, 3), 20, np.uint8)
        labels = np.zeros((60, 80), np.uint8)
        for k in range(self.squares):
            area = (slice(20, 40), slice(5 + 35 * k, 25 + 35 * k))
            image[area], labels[area] = self.colours[index], k + 1
        return image, labels


def test_large_parts_are_instances_and_small_ones_join():
    mask = np.zeros((20, 40), bool)
    mask[2:12, 2:12] = mask[2:10, 20:30] = True
    mask[18, 38] = True
    labels = separate_components(mask, 0.1)
    assert labels[5, 5] == 1
    assert labels[5, 25] == 2
    assert labels[18, 38] == 1
    assert ((labels > 0) == mask).all()
    assert not separate_components(np.zeros((5, 5), bool), 0.1).any()


def test_a_scene_is_a_function_of_its_generator():
    stills = _Squares([200, 120], squares=2)
    config = SceneConfig(size=64)
    first = compose_scene(stills, config, np.random.default_rng(3))
    again = compose_scene(stills, config, np.random.default_rng(3))
    other = compose_scene(stills, config, np.random.default_rng(4))
    assert all((a == b).all() for a, b in zip(first, again, strict=True))
    assert (first[0] != other[0]).any()
    assert first[0].shape == (64, 64, 3)
    assert first[1].shape == (64, 64)
    assert first[0].dtype == first[1].dtype == np.uint8


def test_without_pasting_the_images_own_instances_stay():
    stills, config = _Squares([200], squares=2), SceneConfig(size=64, paste=0)
    found = {
        int(compose_scene(stills, config, np.random.default_rng(i))[1].max()) for i in range(12)
    }
    assert found <= {0, 1, 2}
    assert 2 in found


def test_pasted_objects_are_instances_of_their_own():
    stills, config = _Squares([200]), SceneConfig(size=64, paste=1, most_pasted=3)
    most = 0
    for i in range(12):
        image, labels = compose_scene(stills, config, np.random.default_rng(i))
        ids = np.unique(labels)
        assert ids.tolist() == list(range(len(ids)))
        most = max(most, len(ids) - 1)
        bright, dark = image[labels > 0].mean(), image[labels == 0].mean()
        assert len(ids) == 1 or bright > dark, "the labels are where the squares are"
    assert most >= 3


def test_separate_components_of_one_mask_are_instances():
    class Parts(Stills):
        def __len__(self) -> int:
            return 1

        def __getitem__(self, index: int):
            labels = np.zeros((60, 60), np.uint8)
            labels[5:25, 5:25] = labels[35:55, 35:55] = 1
            return np.zeros((60, 60, 3), np.uint8), labels

    config = SceneConfig(size=64, paste=0)
    found = {compose_scene(Parts(), config, np.random.default_rng(i))[1].max() for i in range(12)}
    assert 2 in found
