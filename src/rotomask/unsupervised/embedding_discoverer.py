"""Unsupervised segmentation by instance embeddings (Li et al. 2018): `EmbeddingDiscoverer`.

Three passes over the video. The first stores the seeds of every frame; after it the tracks are
ranked. The second computes the sets of seeds and stores the compressed scores of every frame. The
third runs as frames are requested: it enlarges the scores to the frame and refines them.
"""

import logging
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
import torch

from rotomask.arrays import Frame, check_frame
from rotomask.errors import InputError, OptionError
from rotomask.flow.optical_flow import DISFlow, Flow, OpticalFlow
from rotomask.networks.embedding import EmbeddingNet
from rotomask.networks.precision import Runtime, choose_runtime
from rotomask.networks.sizing import fitted_size
from rotomask.refine.dense_crf import dense_crf
from rotomask.segmenters.follow import FrameSource
from rotomask.unsupervised.base import Discoverer, OnFrames, Refine
from rotomask.unsupervised.config import DiscoveryConfig
from rotomask.unsupervised.evidence import are_parts_of_one, compact, tracks_with_evidence
from rotomask.unsupervised.features import FrameMaps, frame_maps, map_flow
from rotomask.unsupervised.frame_seeds import FrameSeeds, SeedSets, find_frame_seeds, seed_sets
from rotomask.unsupervised.graph import Indices
from rotomask.unsupervised.map_cache import MapCache
from rotomask.unsupervised.soft_scores import Owners, sharpen, soft_scores, split_foreground
from rotomask.unsupervised.stored_discovery import (
    FrameCounter,
    StoredDiscovery,
    StoredScores,
    certainty,
    store_scores,
)
from rotomask.unsupervised.tracks import SeedTrack, distinct_tracks, rank_tracks

MAP_CACHE_BYTES = 256 * 2**20
"""Limit of the network's output that is stored for the second pass: about 250 frames."""

logger = logging.getLogger(__name__)


class EmbeddingDiscoverer(Discoverer):
    """Unsupervised segmentation of moving objects by embeddings, objectness and flow.

    Li et al. 2018 (instance embedding transfer), sec. 3.

    Args:
        network: The embedding network; moved to the device, set to evaluation mode and frozen.
        config: The settings.
        runtime: Device and precision.
        flow: The flow estimator; DIS by default.
    """

    def __init__(
        self,
        network: EmbeddingNet,
        config: DiscoveryConfig | None = None,
        runtime: Runtime | None = None,
        *,
        flow: OpticalFlow | None = None,
    ) -> None:
        self.config = config or DiscoveryConfig()
        self.runtime = runtime or choose_runtime()
        network.to(self.runtime.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.network = network.eval().requires_grad_(False)
        self.flow = flow or DISFlow()
        self.refine = dense_crf if self.config.crf else None

    def __repr__(self) -> str:
        """Network, device, precision and settings."""
        name, runtime = type(self.network).__name__, self.runtime
        return f"{name} on {runtime.device}, {runtime.precision}, {self.config}"

    def discover(
        self, source: FrameSource, *, objects: int = 1, on_frames: OnFrames | None = None
    ) -> "EmbeddingDiscovery":
        """Find the objects of a video; see `Discoverer.discover`."""
        if objects < 1:
            raise OptionError(f"objects must be at least 1, got {objects}")
        counter, cache = FrameCounter(on_frames), MapCache(self.maps, MAP_CACHE_BYTES)
        seeds = list(self._first_pass(source, cache, counter))
        if not seeds:
            raise InputError("the video has no frames to find an object in")
        if all(frame.saliency is None for frame in seeds):
            logger.info("nothing moves in the video: objects are ranked by objectness alone")
        tracks = self._object_tracks(seeds, objects)
        stored = list(self._second_pass(source, cache, seeds, tracks, counter))
        return EmbeddingDiscovery(source, stored, tracks, self.refine)

    def maps(self, frame: Frame) -> FrameMaps:
        """Embedding and objectness of a frame, computed at the working size."""
        return frame_maps(self.network, self.runtime, frame, self._working_size(frame))

    def motion(self, first: Frame, second: Frame) -> Flow:
        """Stabilised flow between two frames on the grid of the output; see `map_flow`."""
        size = self._working_size(first)
        return map_flow(self.flow, first, second, size, self.network.stride)

    def _working_size(self, frame: Frame) -> tuple[int, int]:
        size = (frame.shape[0], frame.shape[1])
        return fitted_size(size, self.config.size, self.network.multiple)

    def _first_pass(
        self, source: FrameSource, cache: MapCache, counter: FrameCounter
    ) -> Iterator[FrameSeeds]:
        """The seeds of every frame, with its flow to the next frame.

        For the last frame it is the negative flow to the one before.
        """
        previous: Frame | None = None
        before: Frame | None = None
        for t, frame in enumerate(source.frames()):
            # One frame late: the flow of frame t-1 needs frame t.
            check_frame(frame, None if previous is None else previous.shape[:2])
            if previous is not None:
                flow = self.motion(previous, frame)
                yield find_frame_seeds(cache.maps(t - 1, previous), flow, self.config)
                counter.add()
            before, previous = previous, frame
        if previous is not None:
            # Motion is taken to go on as it was; the flow backwards has the pixels of the last
            # frame.
            last = None if before is None else -self.motion(previous, before)
            yield find_frame_seeds(cache.maps(counter.frames, previous), last, self.config)
            counter.add()

    def _object_tracks(self, seeds: Sequence[FrameSeeds], objects: int) -> tuple[SeedTrack, ...]:
        return object_tracks(seeds, self.config, objects)

    def _second_pass(
        self,
        source: FrameSource,
        cache: MapCache,
        seeds: Sequence[FrameSeeds],
        tracks: Sequence[SeedTrack],
        counter: FrameCounter,
    ) -> Iterator[StoredScores]:
        """The scores of every frame, by its own sets and those of its neighbours."""
        window = _Window(self.config)
        for t, frame in enumerate(source.frames()):
            maps = cache.maps(t, frame)
            object_seeds = [int(track.seeds[t]) for track in tracks]
            if window.needs_sets(t):
                # Also of later frames until they are computed anew: `adapt_every` frames share one
                # set.
                sets = seed_sets(maps, seeds[t], object_seeds, self.config)
            owner = sets.owner
            # Older sets can still score this frame, but ownership of pixels moves with the objects.
            if len(object_seeds) > 1 and not window.needs_sets(t):
                owner = seed_sets(maps, seeds[t], object_seeds, self.config).owner
            # By these it is told in which frame an object is clearest.
            scores = seeds[t].scores(self.config)[object_seeds]
            pixels = seeds[t].seeds.pixels[object_seeds]
            yield from window.add(_Waiting(maps, owner, scores, pixels), sets)
            counter.add()
        yield from window.finish()


class EmbeddingDiscovery(StoredDiscovery):
    """The objects of one video with the seed tracks by which they were found."""

    def __init__(
        self,
        source: FrameSource,
        stored: Sequence[StoredScores],
        tracks: Sequence[SeedTrack],
        refine: Refine | None,
    ) -> None:
        super().__init__(source, stored, [track.score for track in tracks], refine)
        self.tracks = tuple(tracks)
        """Seed track of each object."""


def object_tracks(
    seeds: Sequence[FrameSeeds], config: DiscoveryConfig, objects: int
) -> tuple[SeedTrack, ...]:
    """Tracks of at most `objects` objects, the best first; each but the first has evidence.

    Args:
        seeds: Seeds of every frame.
        config: The settings.
        objects: Largest number of objects.
    """
    facts, evidence = [frame.facts for frame in seeds], config.evidence
    return distinct_tracks(
        tracks_with_evidence(ranked_tracks(seeds, config, objects), facts, evidence),
        [frame.seeds.points for frame in seeds],
        [frame.components for frame in seeds],
        objects,
        evidence.least_share,
        partial(are_parts_of_one, frames=facts, config=evidence),
    )


def ranked_tracks(
    seeds: Sequence[FrameSeeds], config: DiscoveryConfig, objects: int = 1
) -> tuple[SeedTrack, ...]:
    """All tracks of a video, the best first.

    Args:
        seeds: Seeds of every frame.
        config: The settings.
        objects: Number of objects; with several, tracks are linked by position too.
    """
    nearness = config.nearness if objects > 1 else 0.0
    points = [frame.linking_points(nearness) for frame in seeds]
    scores = [frame.scores(config) for frame in seeds]
    return rank_tracks(points, scores, evenly_spaced(len(seeds), config.track_starts))


def evenly_spaced(count: int, most: int) -> list[int]:
    """At most this many of the indices 0..count-1, evenly spaced, with the first and last."""
    return sorted({int(i) for i in np.linspace(0, count - 1, min(most, count)).round()})


@dataclass(frozen=True)
class _Waiting:
    """A frame that waits for the sets of its later neighbours."""

    maps: FrameMaps
    owner: Owners
    scores: npt.NDArray[np.float32]
    """Score of each object's seed, O."""
    pixels: Indices
    """Pixel of each object's seed, O."""


class _Window:
    """A sliding window: frames wait in it until the sets of their later neighbours are there."""

    def __init__(self, config: DiscoveryConfig) -> None:
        self.config = config
        # Only sets that are computed for every frame are combined with those of neighbours.
        self.reach = config.neighbours if config.adapt_every == 1 else 0
        # The frame's own sets and those of `reach` neighbours on each side; older ones fall out.
        self._sets: deque[SeedSets] = deque(maxlen=2 * self.reach + 1)
        self._waiting: deque[_Waiting] = deque()

    def needs_sets(self, t: int) -> bool:
        """True if sets are computed for frame t."""
        every = self.config.adapt_every
        return t == 0 or (every is not None and t % every == 0)

    def add(self, frame: _Waiting, sets: SeedSets) -> Iterator[StoredScores]:
        """Add a frame; yield the frame that now has all its neighbours, if there is one."""
        self._sets.append(sets)
        self._waiting.append(frame)
        if len(self._waiting) > self.reach:
            yield self._score()

    def finish(self) -> Iterator[StoredScores]:
        """Yield the remaining frames."""
        while self._waiting:
            # The window shrinks at the end of the video: sets that are out of reach are dropped.
            if len(self._sets) > len(self._waiting) + self.reach:
                self._sets.popleft()
            yield self._score()

    def _score(self) -> StoredScores:
        waiting = self._waiting.popleft()
        maps, owner, scores = waiting.maps, waiting.owner, waiting.scores
        background = np.concatenate([sets.background for sets in self._sets])
        objects = np.concatenate([points for sets in self._sets for points in sets.objects])
        # All objects are scored as one foreground against the background, then split by owner.
        foreground = soft_scores(maps.embedding, background, [objects])
        by_object = split_foreground(foreground, owner, len(scores))[1:]
        clarity = [
            float(score) * certainty(row) for score, row in zip(scores, by_object, strict=True)
        ]
        sharp = sharpen(foreground, self.config.sharpness)
        split = split_foreground(sharp, owner, len(scores))
        if len(scores) > 1:  # one object may have pieces anywhere: similar things that move with it
            split = compact(split, waiting.pixels, self.config.evidence.reach)
        return store_scores(split, clarity)
