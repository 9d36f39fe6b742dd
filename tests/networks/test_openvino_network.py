"""stm-lite computed by OpenVINO, in float and in int8, beside PyTorch."""

import numpy as np
import pytest

from rotomask.data.training.synthetic import moving_shapes
from rotomask.errors import OptionError
from rotomask.jobs.loading import load_model
from rotomask.networks.int8 import quantised, read_ranges
from rotomask.segmenters.refinements import Refinements
from rotomask.segmenters.state import restore, state_of

SIZE = (96, 128)


@pytest.fixture(autouse=True, scope="module")
def _cache(tmp_path_factory):
    """A cache that the tests of this module share: converting takes seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


def _clip(frames=7):
    images, labels = moving_shapes(3, frames=frames, size=SIZE)
    return images, labels[0]


def _load(backend):
    pytest.importorskip("openvino")
    return load_model("stm-lite", precision="float32", device="cpu", backend=backend)


def _followed(segmenter, images, mask):
    segmenter.start(images[0], mask)
    return [segmenter.step(image) for image in images[1:]]


@pytest.mark.slow
def test_float_gives_the_probabilities_of_pytorch_to_1e_3():
    images, mask = _clip()
    two = np.where((mask == 1) & (np.arange(SIZE[1]) < SIZE[1] // 2), 2, mask)
    computed, torch_own = _load("openvino"), load_model("stm-lite", precision="float32")
    for labels in (mask, two):
        expected = _followed(torch_own, images, labels)
        found = _followed(computed, images, labels)
        worst = max(np.abs(a - b).max() for a, b in zip(found, expected, strict=True))
        assert 0 < worst < 1e-3


@pytest.mark.slow
def test_int8_has_nearly_the_masks_of_float_and_goes_on_from_its_state():
    images, mask = _clip()
    expected = _followed(load_model("stm-lite", precision="float32"), images, mask)
    segmenter = _load("openvino-int8")
    segmenter.start(images[0], mask)
    found = [segmenter.step(image) for image in images[1:4]]
    state = state_of(segmenter)
    found += [segmenter.step(image) for image in images[4:]]
    for int8, exact in zip(found, expected, strict=True):
        assert (int8.argmax(0) != exact.argmax(0)).mean() < 0.02
    assert not np.array_equal(found[-1], expected[-1])
    fresh = _load("openvino-int8")
    restore(fresh, state)
    for image, before in zip(images[4:], found[3:], strict=True):
        assert np.array_equal(fresh.step(image), before)


def test_back_ends_that_cannot_be_are_refused(tmp_path):
    with pytest.raises(OptionError, match="unknown back end 'tpu'; use torch, openvino"):
        load_model("stm-lite", backend="tpu")
    with pytest.raises(OptionError, match="rgmp-lite has no back end openvino; it is for stm-lite"):
        load_model("rgmp-lite", backend="openvino")
    pytest.importorskip("openvino")
    with pytest.raises(OptionError, match="learns online in PyTorch alone"):
        load_model("stm-lite", Refinements(online_steps=3), backend="openvino")
    from rotomask.catalog import shipped_weights

    with pytest.raises(OptionError, match="for the shipped weights"):
        load_model("stm-lite", backend="openvino-int8", weights=shipped_weights("stm-lite"))


def test_ranges_are_of_layers_that_are_there(tmp_path):
    from rotomask.catalog import load_network
    from rotomask.errors import WeightsError

    network = load_network("stm-lite")
    with pytest.raises(WeightsError, match="no convolution"):
        quantised(network, {"encoder.stem.9": (0.0, 1.0)})
    damaged = tmp_path / "ranges.json"
    damaged.write_text('{"ranges": {"a": [1]}}')
    with pytest.raises(WeightsError, match="cannot read the ranges"):
        read_ranges(damaged)
