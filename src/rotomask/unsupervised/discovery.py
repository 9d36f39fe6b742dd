"""Instance-embedding transfer over a whole video: `EmbeddingDiscoverer`.

Three passes over the frames. The first keeps the seeds of every frame; then the tracks are ranked.
The second makes the sets of seeds and keeps every frame's scores, small and compressed. The third,
as its frames are asked for, brings the scores to the frames' size and refines them.
"""

import logging
from collections import deque
from collections.abc import Iterator, Sequence

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
from rotomask.unsupervised.base import Discoverer, OnFrames
from rotomask.unsupervised.config import DiscoveryConfig
from rotomask.unsupervised.features import FrameMaps, frame_maps, map_flow
from rotomask.unsupervised.frame import FrameSeeds, SeedSets, seed_sets, summarise
from rotomask.unsupervised.map_cache import MapCache
from rotomask.unsupervised.score import Owners, share_out, sharpen, soft_scores
from rotomask.unsupervised.stored import (
    FrameCounter,
    KeptScores,
    Refine,
    StoredDiscovery,
    certainty,
    keep_scores,
)
from rotomask.unsupervised.tracks import SeedTrack, distinct_tracks, rank_tracks

KEPT_MAPS_BYTES = 256 * 2**20
"""The network's output is kept for the second pass up to this: about 250 frames."""

logger = logging.getLogger(__name__)


class EmbeddingDiscoverer(Discoverer):
    """Finds moving objects by instance embeddings, objectness and flow (Li et al. 2018)."""

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
        self.refine: Refine | None = dense_crf if self.config.crf else None

    def __repr__(self) -> str:
        """Network, device, precision and settings."""
        name, runtime = type(self.network).__name__, self.runtime
        return f"{name} on {runtime.device}, {runtime.precision}, {self.config}"

    def discover(
        self, source: FrameSource, *, objects: int = 1, on_frames: OnFrames | None = None
    ) -> "EmbeddingDiscovery":
        """Look at the whole video."""
        if objects < 1:
            raise OptionError(f"at least 1 object can be looked for, got {objects}")
        counter, cache = FrameCounter(on_frames), MapCache(self.maps, KEPT_MAPS_BYTES)
        seeds = list(self._first_pass(source, cache, counter))
        if not seeds:
            raise InputError("the video has no frame to find an object in")
        if all(frame.saliency is None for frame in seeds):
            logger.info("nothing moves in the video: what looks most like an object is taken")
        tracks = self._choose(seeds, objects)
        found = list(self._second_pass(source, cache, seeds, tracks, counter))
        return EmbeddingDiscovery(source, found, tracks, self.refine)

    def maps(self, frame: Frame) -> FrameMaps:
        """What the network says of a frame, at the working size."""
        return frame_maps(self.network, self.runtime, frame, self._working_size(frame))

    def motion(self, first: Frame, second: Frame) -> Flow:
        """The flow between two frames less the camera's, on the network's grid."""
        size = self._working_size(first)
        return map_flow(self.flow, first, second, size, self.network.stride)

    def _working_size(self, frame: Frame) -> tuple[int, int]:
        size = (frame.shape[0], frame.shape[1])
        return fitted_size(size, self.config.size, self.network.multiple)

    def _first_pass(
        self, source: FrameSource, cache: MapCache, counter: FrameCounter
    ) -> Iterator[FrameSeeds]:
        """The seeds of every frame. The last frame moves as it came from the one before."""
        previous: Frame | None = None
        before: Frame | None = None
        for t, frame in enumerate(source.frames()):
            check_frame(frame, None if previous is None else previous.shape[:2])
            if previous is not None:
                flow = self.motion(previous, frame)
                yield summarise(cache.maps(t - 1, previous), flow, self.config)
                counter.add()
            before, previous = previous, frame
        if previous is not None:
            last = None if before is None else -self.motion(previous, before)
            yield summarise(cache.maps(counter.frames, previous), last, self.config)
            counter.add()

    def _choose(self, seeds: Sequence[FrameSeeds], objects: int) -> tuple[SeedTrack, ...]:
        return distinct_tracks(
            ranked_tracks(seeds, self.config, objects),
            [frame.seeds.points for frame in seeds],
            [frame.parts for frame in seeds],
            objects,
            self.config.least_share,
        )

    def _second_pass(
        self,
        source: FrameSource,
        cache: MapCache,
        seeds: Sequence[FrameSeeds],
        tracks: Sequence[SeedTrack],
        counter: FrameCounter,
    ) -> Iterator[KeptScores]:
        """The scores of every frame, from its own sets and those of frames near it."""
        window = _Window(self.config)
        for t, frame in enumerate(source.frames()):
            maps = cache.maps(t, frame)
            chosen = [int(track.seeds[t]) for track in tracks]
            if window.needs_sets(t):
                sets = seed_sets(maps, seeds[t], chosen, self.config)
            owner = sets.owner
            if len(chosen) > 1 and not window.needs_sets(t):
                owner = seed_sets(maps, seeds[t], chosen, self.config).owner
            scores = seeds[t].scores(self.config)[chosen]
            yield from window.add(maps, sets, owner, scores)
            counter.add()
        yield from window.finish()


class EmbeddingDiscovery(StoredDiscovery):
    """The objects of one video, and the seeds they were found by."""

    def __init__(
        self,
        source: FrameSource,
        kept: Sequence[KeptScores],
        tracks: Sequence[SeedTrack],
        refine: Refine | None,
    ) -> None:
        super().__init__(source, kept, [track.score for track in tracks], refine)
        self.tracks = tuple(tracks)
        """The seed of each object in every frame."""


def ranked_tracks(
    seeds: Sequence[FrameSeeds], config: DiscoveryConfig, objects: int = 1
) -> tuple[SeedTrack, ...]:
    """All tracks of a video, the best first.

    Args:
        seeds: Of every frame.
        config: The settings.
        objects: How many are looked for: with several, tracks stay near where they are.
    """
    nearness = config.nearness if objects > 1 else 0.0
    points = [frame.linking_points(nearness) for frame in seeds]
    scores = [frame.scores(config) for frame in seeds]
    return rank_tracks(points, scores, spread(len(seeds), config.track_starts))


def spread(count: int, wanted: int) -> list[int]:
    """At most so many of the numbers 0..count-1, evenly, the first and last among them."""
    return sorted({int(i) for i in np.linspace(0, count - 1, min(wanted, count)).round()})


class _Window:
    """Holds the frames whose neighbours' sets are still to come."""

    def __init__(self, config: DiscoveryConfig) -> None:
        self.config = config
        # Neighbours add to sets that are made for every frame; older ones stand alone.
        self.reach = config.neighbours if config.adapt_every == 1 else 0
        self._sets: deque[SeedSets] = deque(maxlen=2 * self.reach + 1)
        self._waiting: deque[tuple[FrameMaps, Owners, npt.NDArray[np.float32]]] = deque()

    def needs_sets(self, t: int) -> bool:
        """Whether sets are made for frame t."""
        every = self.config.adapt_every
        return t == 0 or (every is not None and t % every == 0)

    def add(
        self, maps: FrameMaps, sets: SeedSets, owner: Owners, scores: npt.NDArray[np.float32]
    ) -> Iterator[KeptScores]:
        """Take a frame; give those whose neighbours are now all there."""
        self._sets.append(sets)
        self._waiting.append((maps, owner, scores))
        if len(self._waiting) > self.reach:
            yield self._score()

    def finish(self) -> Iterator[KeptScores]:
        """Give the frames that are left."""
        while self._waiting:
            if len(self._sets) > len(self._waiting) + self.reach:
                self._sets.popleft()
            yield self._score()

    def _score(self) -> KeptScores:
        maps, owner, scores = self._waiting.popleft()
        background = np.concatenate([sets.background for sets in self._sets])
        objects = np.concatenate([points for sets in self._sets for points in sets.objects])
        together = soft_scores(maps.embedding, background, [objects])
        clarity = [
            float(score) * certainty(row)
            for score, row in zip(scores, share_out(together, owner, len(scores))[1:], strict=True)
        ]
        sharp = sharpen(together, self.config.sharpness)
        return keep_scores(share_out(sharp, owner, len(scores)), clarity)
