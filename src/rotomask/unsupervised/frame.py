"""One frame through the stages: what is kept of it, and its sets of seeds."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from rotomask.flow.optical_flow import Flow
from rotomask.unsupervised.config import DiscoveryConfig
from rotomask.unsupervised.features import FrameMaps
from rotomask.unsupervised.graph import Indices, Points, Values, embedding_graph, nearest_source
from rotomask.unsupervised.saliency import least_objectlike, motion_saliency, region_flows
from rotomask.unsupervised.seeds import Seeds, find_seeds, seed_regions
from rotomask.unsupervised.sets import covered_seeds, initial_foreground, still_or_no_object
from rotomask.unsupervised.tracks import seed_scores


@dataclass(frozen=True, kw_only=True, eq=False)
class FrameSeeds:
    """What is kept of a frame from the first pass: its seeds and how they move."""

    seeds: Seeds
    saliency: Values | None
    """Motion saliency of each, 0 to 1; None where there is no motion to tell."""
    background: Indices
    """The initial background seeds."""
    positions: Values
    """Where the seeds are, n×2 (y, x), in parts of the frame's short side."""
    parts: npt.NDArray[np.intp]
    """The connected part of what is object-like in which each seed is, n; 0: in none."""

    def linking_points(self, nearness: float) -> Points:
        """What tracks are linked by: embeddings, and a little of where the seeds are, n×E+2."""
        near = np.sqrt(nearness) * self.positions
        return np.concatenate([self.seeds.points, near], axis=1, dtype=np.float32)

    def scores(self, config: DiscoveryConfig) -> Values:
        """How much each seed looks like the object, 0 to 1."""
        return seed_scores(self.seeds.objectness, self.saliency, config.ranking)


@dataclass(frozen=True, kw_only=True, eq=False)
class SeedSets:
    """The embeddings that stand for the background and for each object."""

    background: Points
    objects: tuple[Points, ...]
    owner: npt.NDArray[np.intp]
    """The object whose seeds each pixel is nearest to on the embedding graph, h×w, 0, 1, ..."""


def summarise(maps: FrameMaps, flow: Flow | None, config: DiscoveryConfig) -> FrameSeeds:
    """Seeds of a frame, their regions, and how much they move (sec. 3.2, 3.3).

    Args:
        maps: Of the frame.
        flow: Less the camera's, h×w×2, px; None for a video of one frame.
        config: The settings.
    """
    seeds = find_seeds(maps.embedding, maps.objectness, window=config.window, count=config.seeds)
    height, width = maps.objectness.shape
    rows, columns = np.divmod(seeds.places, width)
    background = least_objectlike(seeds.objectness, config.background_seeds)
    saliency = None
    if flow is not None and len(background):
        regions = seed_regions(maps.embedding, seeds)
        flows = region_flows(flow, regions, len(seeds.places))
        saliency = motion_saliency(flows, background, still_px=config.still_px)
    parts = cv2.connectedComponents((maps.objectness > 0.5).astype(np.uint8), connectivity=4)[1]
    return FrameSeeds(
        seeds=seeds,
        saliency=saliency,
        background=background,
        positions=(np.stack([rows, columns], axis=1) / min(height, width)).astype(np.float32),
        parts=np.asarray(parts, np.intp).ravel()[seeds.places],
    )


def seed_sets(
    maps: FrameMaps, frame: FrameSeeds, chosen: Sequence[int], config: DiscoveryConfig
) -> SeedSets:
    """Foreground and background sets of a frame (sec. 3.4).

    Args:
        maps: Of the frame.
        frame: Its seeds.
        chosen: The seed of each object's track.
        config: The settings.
    """
    seeds, count = frame.seeds, len(frame.seeds.places)
    graph = embedding_graph(maps.embedding)
    regions = nearest_source(graph, seeds.places).reshape(maps.objectness.shape)
    still = still_or_no_object(
        seeds.objectness,
        frame.saliency,
        low_objectness=config.low_objectness,
        low_saliency=config.low_saliency,
    )
    owner = np.full(count, -1)
    for k, seed in reversed(list(enumerate(chosen))):
        others = np.union1d(np.setdiff1d(chosen, [seed]), np.setdiff1d(frame.background, chosen))
        inside = initial_foreground(graph, seeds.places[[seed]], seeds.places[others])
        covered = covered_seeds(inside.reshape(regions.shape), regions, count, config.covered)
        owner[covered] = k
    owner[still] = -1
    owner[list(chosen)] = range(len(chosen))
    owned = np.flatnonzero(owner >= 0)
    background = seeds.points[still & (owner < 0)]
    return SeedSets(
        background=background,
        objects=tuple(seeds.points[owner == k] for k in range(len(chosen))),
        owner=owner[owned][nearest_source(graph, seeds.places[owned])].reshape(regions.shape),
    )
