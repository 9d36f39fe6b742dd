"""Semi-supervised segmentation by instance embeddings: objects given by a mask (sec. 4.5, A.1)."""

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
from rotomask.unsupervised.seeds import find_seeds, seed_regions
from rotomask.unsupervised.soft_scores import sharpen, soft_scores
from rotomask.unsupervised.stored_discovery import enlarge_scores


@dataclass(frozen=True, kw_only=True)
class AnnotatedConfig:
    """Settings of `EmbeddingSegmenter`."""

    size: int | None = 384
    """Short side at which frames are processed, px; None: their own."""
    window: int = 9
    """Window in which a candidate seed has the least edge value, px of the map."""
    seeds: int = 100
    """Number of seeds in an annotated frame."""
    covered: float = 0.5
    """A region represents an object if the object covers more than this fraction of it."""
    sharpness: float = 15.0
    """Power to which the scores are raised, as in `DiscoveryConfig`: a CRF treats scores near 0.5
    as undecided."""
    enlarge: bool = True
    """Enlarge smaller frames to `size`; the network's output depends on the size of objects."""
    scale: float = 1.0
    """Factor on `size`, for multi-scale inference."""

    def __post_init__(self) -> None:
        if not 0 <= self.covered < 1:
            raise OptionError(f"covered must be 0 or more and below 1, got {self.covered}")
        if self.sharpness <= 0:
            raise OptionError(f"sharpness must be above 0, got {self.sharpness}")


class EmbeddingSegmenter(NetworkSegmenter[EmbeddingNet, AnnotatedConfig]):
    """Segments objects by the similarity of embeddings to those in the annotated frames (A.1).

    The sets of embeddings change only when a frame is annotated.
    """

    default_config = AnnotatedConfig()

    def __init__(
        self,
        network: torch.nn.Module,
        config: AnnotatedConfig | None = None,
        runtime: Runtime | None = None,
    ) -> None:
        super().__init__(network, config, runtime)
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
        # By the sets of before: what is annotated here must not change how the others are segmented
        # in this frame.
        segmented = self._segment(maps)
        self._learn(maps, mask, given)
        self._admit(given)
        return with_given(segmented, mask, self._ids, given)

    def _observe(self, frame: Frame, mask: Mask) -> None:
        """Do nothing: the sets do not depend on the segmenter's own masks."""

    def _maps(self, frame: Frame) -> FrameMaps:
        size = self.working_size(self._size)
        return frame_maps(self.network, self.runtime, frame, size)

    def _segment(self, maps: FrameMaps) -> Probabilities:
        objects = list(self._objects.values())
        small = soft_scores(maps.embedding, self._background, objects)
        # Sharpened before they are enlarged, as the unsupervised form does: outlines stay soft, and
        # a CRF gains by that.
        return enlarge_scores(sharpen(small, self.config.sharpness), self._size)

    def _learn(self, maps: FrameMaps, mask: Mask, given: Sequence[int]) -> None:
        """Add the embeddings of an annotated frame to the sets; absent objects add none."""
        background, objects = annotated_sets(maps, mask, ids_in(mask), self.config)
        # Unless all objects are given, the mask's background can contain one of the others.
        if set(given) >= set(self._objects):
            self._background = np.concatenate([self._background, background])
        for k in given:
            empty = np.zeros((0, background.shape[1]), np.float32)
            points = objects.get(k, empty)
            self._objects[k] = np.concatenate([self._objects.get(k, empty), points])
            # The object may have been background before it was annotated.
            if len(points) and len(self._background):
                similar = similarity(squared_distances(self._background, points)).max(1) > 0.5
                self._background = self._background[~similar]


def annotated_sets(
    maps: FrameMaps, mask: Mask, object_ids: Sequence[int], config: AnnotatedConfig
) -> tuple[Points, dict[int, Points]]:
    """Embeddings that represent the background and each object of a mask (A.1).

    For an object: the mean embedding of its pixels in each region of which it covers more than
    `AnnotatedConfig.covered`, or the mean of all its pixels if there is no such region. For the
    background: the mean embedding of each region without any object.

    Args:
        maps: Embedding and objectness of the annotated frame.
        mask: Labels, H×W.
        object_ids: Labels of the objects.
        config: The settings.

    Returns:
        The background's embeddings n×E, and those of each object with at least one pixel.
    """
    seeds = find_seeds(maps.embedding, maps.objectness, window=config.window, count=config.seeds)
    regions, count = seed_regions(maps.embedding, seeds).ravel(), len(seeds.pixels)
    flat = maps.embedding.reshape(len(regions), -1)
    size = np.bincount(regions, minlength=count)
    is_background = np.ones(count, bool)  # regions without a pixel of any object
    objects = {}
    for k in object_ids:
        fraction = _cell_fractions(mask == k, maps.objectness.shape)
        # Of each cell of the map, h×w: the map is four to eight times coarser than the mask.
        inside = fraction > 0.5
        if not inside.any():  # the object is smaller than a cell
            inside = fraction > 0
        object_mask = inside.ravel()
        pixels = np.bincount(regions[object_mask], minlength=count)  # of the object, by region
        is_background &= pixels == 0
        covered = np.flatnonzero(pixels > config.covered * size)
        # The object's own pixels of a region only: those beyond its outline are ground.
        means = [flat[object_mask & (regions == region)].mean(0) for region in covered]
        if not means and object_mask.any():
            means = [flat[object_mask].mean(0)]
        if means:
            objects[k] = np.stack(means)
    background = [
        flat[regions == region].mean(0) for region in np.flatnonzero(is_background & (size > 0))
    ]
    empty = np.zeros((0, flat.shape[1]), np.float32)
    return np.stack(background) if background else empty, objects


def _cell_fractions(mask: npt.NDArray[np.bool_], shape: tuple[int, int]) -> npt.NDArray[np.float32]:
    """Fraction of each cell of a map h×w that a mask H×W covers: h×w, 0 to 1."""
    cells = cv2.resize(mask.astype(np.float32), shape[::-1], interpolation=cv2.INTER_AREA)
    return np.asarray(cells, np.float32)
