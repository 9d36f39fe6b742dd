"""Objects of a few pixels, followed with the shipped weights."""

import cv2
import numpy as np

from rotomask.catalog import load_model
from rotomask.evaluation.measures.region import region_similarity

SIZE = (150, 200)


def _rolling_ball(frames: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """A ball of 20 px on grained ground, 3 px a frame, and its masks."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(60, 140, (20, 26, 3), dtype=np.uint8)
    ground = cv2.resize(coarse, SIZE[::-1], interpolation=cv2.INTER_CUBIC)
    images, masks = [], []
    for t in range(frames):
        mask = np.zeros(SIZE, np.uint8)
        cv2.circle(mask, (40 + 3 * t, 80), 10, 1, -1)
        image = np.where(mask[..., None] == 1, np.array([200, 120, 50], np.uint8), ground)
        images.append(np.asarray(cv2.GaussianBlur(image, (3, 3), 0), np.uint8))
        masks.append(mask.astype(np.int32))
    return images, masks


def test_a_ball_of_20_px_is_followed_in_a_small_video():
    images, masks = _rolling_ball(5)
    segmenter = load_model("rgmp-lite", device="cpu")
    segmenter.start(images[0], masks[0])
    for image, mask in zip(images[1:], masks[1:], strict=True):
        labels = segmenter.step(image).argmax(0)
        assert region_similarity(labels == 1, mask == 1) > 0.8
