"""The semi-supervised form: seeds chosen by the mask of the first frame (sec. 4.5, A.1)."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import torch

from rotomask.arrays import Frame, Mask, Probabilities
from rotomask.errors import OptionError
from rotomask.networks.embedding import EmbeddingNet
from rotomask.networks.precision import Runtime
from rotomask.networks.sizing import fitted_size
from rotomask.segmenters.framing import ids_in, with_given
from rotomask.segmenters.network_segmenter import NetworkSegmenter
from rotomask.unsupervised.features import FrameMaps, frame_maps
from rotomask.unsupervised.graph import Points, similarity, squared_distances
from rotomask.unsupervised.score import soft_scores
from rotomask.unsupervised.seeds import find_seeds, seed_regions
from rotomask.unsupervised.stored import enlarge_scores


@dataclass(frozen=True, kw_only=True)
class AnnotatedConfig:
    """How the embedding network follows objects whose mask is given."""

    size: int | None = 384
    """Short side at which frames are looked at, px; None: their own."""
    window: int = 9
    """Side of the window in which a candidate seed is the least edge, px of the map."""
    seeds: int = 100
    """Seeds of an annotated frame."""
    covered: float = 0.5
    """Share of a region in an object from which its mean embedding stands for the object."""
    enlarge: bool = True
    """Whether smaller frames are enlarged to `size`: what looks like an object depends on it."""
    scale: float = 1.0
    """Factor of `size`, for averages over several."""

    def __post_init__(self) -> None:
        if not 0 <= self.covered < 1:
            raise OptionError(f"covered must be 0 or more and below 1, got {self.covered}")


class EmbeddingSegmenter(NetworkSegmenter[EmbeddingNet, AnnotatedConfig]):
    """Follows objects by the embeddings of their first mask; these stay as they are (A.1)."""

    def __init__(
        self,
        network: torch.nn.Module,
        config: AnnotatedConfig | None = None,
        runtime: Runtime | None = None,
    ) -> None:
        super().__init__(network, config or AnnotatedConfig(), runtime)
        self._objects: dict[int, Points] = {}

    def working_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """Height and width at which frames of a size are processed, px."""
        short_side = self.config.size or min(size)
        if not self.config.enlarge:
            short_side = min(short_side, min(size))
        return fitted_size(size, round(short_side * self.config.scale), self.network.multiple)

    def _start(self, frame: Frame, mask: Mask) -> None:
        maps = self._maps(frame)
        self._background, objects = annotated_sets(maps, mask, self._ids, self.config)
        empty = np.zeros((0, self._background.shape[1]), np.float32)
        self._objects = {k: objects.get(k, empty) for k in self._ids}

    def _step(self, frame: Frame) -> Probabilities:
        return self._segment(self._maps(frame))

    def _add(self, frame: Frame, mask: Mask, given: tuple[int, ...]) -> Probabilities:
        maps = self._maps(frame)
        segmented = self._segment(maps)
        self._learn(maps, mask, given)
        self._admit(given)
        return with_given(segmented, mask, self._ids, given)

    def _observe(self, frame: Frame, mask: Mask) -> None:
        """Nothing is learnt from the segmenter's own masks."""

    def _maps(self, frame: Frame) -> FrameMaps:
        size = self.working_size(self._size)
        return frame_maps(self.network, self.runtime, frame, size)

    def _segment(self, maps: FrameMaps) -> Probabilities:
        objects = list(self._objects.values())
        small = soft_scores(maps.embedding, self._background, objects)
        return enlarge_scores(small, self._size)

    def _learn(self, maps: FrameMaps, mask: Mask, given: Sequence[int]) -> None:
        """Add what an annotated frame shows to the sets. Of an absent object nothing is learnt."""
        background, objects = annotated_sets(maps, mask, ids_in(mask), self.config)
        if set(given) >= set(self._objects):  # else it may show an object that is not in the mask
            self._background = np.concatenate([self._background, background])
        for k in given:
            empty = np.zeros((0, background.shape[1]), np.float32)
            points = objects.get(k, empty)
            self._objects[k] = np.concatenate([self._objects.get(k, empty), points])
            if len(points) and len(self._background):  # it may have been taken for background
                alike = similarity(squared_distances(self._background, points)).max(1) > 0.5
                self._background = self._background[~alike]


def annotated_sets(
    maps: FrameMaps, mask: Mask, object_ids: Sequence[int], config: AnnotatedConfig
) -> tuple[Points, dict[int, Points]]:
    """Embeddings that stand for background and objects, by a mask (A.1).

    A region of which an object covers more than a share gives the mean embedding of what is
    covered; one without any object its own to the background. An object that covers no region so
    gives the mean of its pixels.

    Args:
        maps: Of the annotated frame.
        mask: H×W labels.
        object_ids: The objects wanted.
        config: The settings.

    Returns:
        The background's points n×E, and those of each object that has a pixel.
    """
    seeds = find_seeds(maps.embedding, maps.objectness, window=config.window, count=config.seeds)
    regions, count = seed_regions(maps.embedding, seeds).ravel(), len(seeds.pixels)
    flat = maps.embedding.reshape(len(regions), -1)
    size = np.bincount(regions, minlength=count)
    free = np.ones(count, bool)
    objects = {}
    for k in object_ids:
        inside = _cells(mask == k, maps.objectness.shape) > 0.5
        if not inside.any():  # smaller than a cell
            inside = _cells(mask == k, maps.objectness.shape) > 0
        index = inside.ravel()
        within = np.bincount(regions[index], minlength=count)
        free &= within == 0
        covered = np.flatnonzero(within > config.covered * size)
        means = [flat[index & (regions == region)].mean(0) for region in covered]
        if not means and index.any():
            means = [flat[index].mean(0)]
        if means:
            objects[k] = np.stack(means)
    ground = [flat[regions == region].mean(0) for region in np.flatnonzero(free & (size > 0))]
    background = np.stack(ground) if ground else np.zeros((0, flat.shape[1]), np.float32)
    return background, objects


def _cells(inside: npt.NDArray[np.bool_], shape: tuple[int, int]) -> npt.NDArray[np.float32]:
    """The part of each cell of a map that is inside, h×w, 0 to 1."""
    cells = cv2.resize(inside.astype(np.float32), shape[::-1], interpolation=cv2.INTER_AREA)
    return np.asarray(cells, np.float32)
