"""The stages of one frame: its seeds with their motion, and its foreground and background sets."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from rotomask.flow.optical_flow import Flow
from rotomask.unsupervised.config import DiscoveryConfig
from rotomask.unsupervised.evidence import SeedFacts
from rotomask.unsupervised.features import FrameMaps
from rotomask.unsupervised.foreground_sets import (
    background_seeds,
    covered_seeds,
    initial_foreground,
)
from rotomask.unsupervised.graph import Indices, Points, Values, embedding_graph, nearest_source
from rotomask.unsupervised.motion_saliency import lowest_objectness, motion_saliency, region_flows
from rotomask.unsupervised.seeds import Seeds, find_seeds, seed_regions
from rotomask.unsupervised.tracks import seed_scores


@dataclass(frozen=True, kw_only=True, eq=False)
class FrameSeeds:
    """The n seeds of a frame and their motion: what the first pass stores of it."""

    seeds: Seeds
    saliency: Values | None
    """Motion saliency of each seed, n, 0 to 1; None if nothing moves."""
    background: Indices
    """Indices of the initial background seeds."""
    positions: Values
    """Positions of the seeds, n×2 (y, x), in units of the frame's short side."""
    components: npt.NDArray[np.intp]
    """Connected component of high objectness that contains each seed, n; 0: none."""
    flows: Values | None
    """Mean flow of each seed's region, n×2, px of the map; None in a video of one frame."""

    @property
    def facts(self) -> SeedFacts:
        """What tells objects from parts and from ground."""
        return SeedFacts(
            objectness=self.seeds.objectness, components=self.components, flows=self.flows
        )

    def linking_points(self, nearness: float) -> Points:
        """Vectors by which tracks are linked: embeddings and weighted positions, n×E+2 float32."""
        # The square root, because the squared distance of two vectors is compared.
        weighted = np.sqrt(nearness) * self.positions
        return np.concatenate([self.seeds.points, weighted], axis=1, dtype=np.float32)

    def scores(self, config: DiscoveryConfig) -> Values:
        """Score of each seed for being the object, n, 0 to 1."""
        return seed_scores(self.seeds.objectness, self.saliency, config.ranking)


@dataclass(frozen=True, kw_only=True, eq=False)
class SeedSets:
    """The embeddings that represent the background and each object."""

    background: Points
    """n×E."""
    objects: tuple[Points, ...]
    """n×E for each object."""
    owner: npt.NDArray[np.intp]
    """Index of the object with the nearest seed on the embedding graph, h×w: 0, 1, ..."""


def find_frame_seeds(maps: FrameMaps, flow: Flow | None, config: DiscoveryConfig) -> FrameSeeds:
    """The seeds of a frame and their motion saliency (sec. 3.2, 3.3).

    Args:
        maps: Embedding and objectness of the frame.
        flow: Stabilised flow, h×w×2, px; None in a video of one frame.
        config: The settings.
    """
    seeds = find_seeds(maps.embedding, maps.objectness, window=config.window, count=config.seeds)
    height, width = maps.objectness.shape
    rows, columns = np.divmod(seeds.pixels, width)
    background = lowest_objectness(seeds.objectness, config.background_seeds)
    saliency = flows = None
    if flow is not None and len(background):
        # One flow a region rather than a pixel: the mean over pixels alike has less noise.
        regions = seed_regions(maps.embedding, seeds)
        flows = region_flows(flow, regions, len(seeds.pixels))
        saliency = motion_saliency(flows, background, still_px=config.still_px)
    object_like = (maps.objectness > 0.5).astype(np.uint8)
    # 4-connected: regions that touch at a corner only are taken for two objects.
    components = cv2.connectedComponents(object_like, connectivity=4)[1]
    return FrameSeeds(
        seeds=seeds,
        saliency=saliency,
        background=background,
        positions=(np.stack([rows, columns], axis=1) / min(height, width)).astype(np.float32),
        components=np.asarray(components, np.intp).ravel()[seeds.pixels],
        flows=flows,
    )


def seed_sets(
    maps: FrameMaps, frame: FrameSeeds, object_seeds: Sequence[int], config: DiscoveryConfig
) -> SeedSets:
    """Foreground and background sets of a frame (sec. 3.4).

    Args:
        maps: Embedding and objectness of the frame.
        frame: Its seeds.
        object_seeds: Index of the seed on each object's track, the best object first.
        config: The settings.
    """
    seeds, count = frame.seeds, len(frame.seeds.pixels)
    graph = embedding_graph(maps.embedding)
    # h×w: index of the seed to whose region a pixel belongs.
    regions = nearest_source(graph, seeds.pixels).reshape(maps.objectness.shape)
    still = background_seeds(
        seeds.objectness,
        frame.saliency,
        low_objectness=config.low_objectness,
        low_saliency=config.low_saliency,
    )
    owner = np.full(count, -1)  # object of each seed; -1: none
    # In reverse, so that the best object's claim overwrites those of the others.
    for k, seed in reversed(list(enumerate(object_seeds))):
        # Each object competes with the other objects and with the initial background.
        rivals = np.union1d(
            np.setdiff1d(object_seeds, [seed]), np.setdiff1d(frame.background, object_seeds)
        )
        foreground = initial_foreground(graph, seeds.pixels[[seed]], seeds.pixels[rivals])
        covered = covered_seeds(foreground.reshape(regions.shape), regions, count, config.covered)
        owner[covered] = k
    owner[still] = -1
    owner[list(object_seeds)] = range(len(object_seeds))  # the tracks' own seeds always count
    owned = np.flatnonzero(owner >= 0)
    # A seed of a track may be still; it represents its object all the same.
    background = seeds.points[still & (owner < 0)]
    return SeedSets(
        background=background,
        objects=tuple(seeds.points[owner == k] for k in range(len(object_seeds))),
        owner=owner[owned][nearest_source(graph, seeds.pixels[owned])].reshape(regions.shape),
    )
