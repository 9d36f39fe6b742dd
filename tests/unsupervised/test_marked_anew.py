"""Found objects, marked anew."""

import numpy as np
import numpy.typing as npt

from rotomask.catalog import load_marker
from rotomask.evaluation.measures.region import region_similarity
from rotomask.prompts import Marker, Prompt, RoughMask
from rotomask.unsupervised.marked_anew import MarkedAnew
from tests.unsupervised.pasted import pasted_clip

_IMAGES, _LABELS = pasted_clip(1, ((20, 40), (0, 0)), ((180, 60), (0, 0)))
FRAME = _IMAGES[0]
TRUTHS = [np.asarray(_LABELS[0] == k) for k in (1, 2)]


def _scores(*masks: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
    rows = np.stack([np.where(mask, 0.8, 0.1 / len(masks)) for mask in masks])
    return np.concatenate([1 - rows.sum(0, keepdims=True), rows]).astype(np.float32)


def _coarse(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """The mask on a grid of 24 px, as scores of a small map are."""
    return np.kron(mask[::24, ::24], np.ones((24, 24))).astype(bool)[: len(mask), : mask.shape[1]]


class Elsewhere(Marker):
    """Marks a corner, whatever is asked for."""

    def object_probability(self, prompts: tuple[Prompt, ...]) -> npt.NDArray[np.float32]:
        assert all(isinstance(prompt, RoughMask) for prompt in prompts)
        probability = np.zeros(self.frame.shape[:2], np.float32)
        probability[:20, :20] = 1
        return probability


def test_outlines_are_sharper_than_what_was_found():
    found = [_coarse(truth) for truth in TRUTHS]
    marked = MarkedAnew(load_marker("click-lite"))(_scores(*found), FRAME)
    np.testing.assert_allclose(marked.sum(0), 1, atol=1e-4)
    for k, truth in enumerate(TRUTHS, start=1):
        after = region_similarity(np.asarray(marked.argmax(0) == k), truth)
        assert after > region_similarity(found[k - 1], truth) + 0.1


def test_an_object_that_the_marker_misses_stays_as_it_was_found():
    found = _scores(*TRUTHS)
    marked = MarkedAnew(Elsewhere())(found, FRAME)
    np.testing.assert_array_equal(marked.argmax(0), found.argmax(0))
    np.testing.assert_allclose(marked.sum(0), 1, atol=1e-5)


def test_what_has_no_pixel_is_left_alone():
    nothing = _scores(np.zeros(FRAME.shape[:2], bool))
    marker = Elsewhere()
    assert MarkedAnew(marker)(nothing, FRAME) is nothing
    first = MarkedAnew(marker, before=lambda scores, _: scores * np.float32(0.5))
    np.testing.assert_array_equal(first(nothing, FRAME), nothing / 2)
