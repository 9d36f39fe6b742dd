"""Ablations of unsupervised segmentation, as in Li et al. 2018, sec. 4.4 and A.3.

Prints table 3 (how often the sets are recomputed), table 4 (the ranking of tracks, and how often
the first seed is on the object), embeddings compared with plain backbone features, and the
semi-supervised form; plots the drift of embeddings (fig. 6 and 8). Without a CRF, as in the paper.
The same command resumes an interrupted run.

    python -m studies.unsupervised_ablations --davis DAVIS --split train --out runs/ablations
"""

import itertools
import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from rotomask.catalog import load_network
from rotomask.data.sequences import VideoSequence
from rotomask.evaluation.measures.region import region_similarity
from rotomask.files import complete_or_absent
from rotomask.networks.embedding import EmbeddingNet
from rotomask.networks.layers.efficientnet_lite import EfficientNetLite0
from rotomask.networks.precision import choose_runtime
from rotomask.training.starting import lite0_imagenet_weights
from rotomask.unsupervised.config import DiscoveryConfig
from rotomask.unsupervised.embedding_discoverer import EmbeddingDiscoverer, evenly_spaced
from rotomask.unsupervised.embedding_segmenter import AnnotatedConfig, annotated_sets
from rotomask.unsupervised.features import FrameMaps
from rotomask.unsupervised.frame_seeds import FrameSeeds, SeedSets, find_frame_seeds, seed_sets
from rotomask.unsupervised.soft_scores import soft_scores
from rotomask.unsupervised.stored_discovery import enlarge_scores
from rotomask.unsupervised.tracks import Ranking, rank_tracks
from studies.embedding_measures import embedding_drift, resampled, seed_accuracy
from studies.measuring import truths_of
from studies.scripts import add_davis, open_davis, parse, script_parser

ADAPTATION = {"1": 1, "5": 5, "10": 10, "20": 20, "40": 40, "never": None}
RANKINGS: tuple[Ranking, ...] = ("motion", "objectness", "both")
DRIFT_STEPS = 11
"""Frames of a sequence, evenly over its time, at which drift is measured."""
DRIFT_CELLS = 3
"""Drift looks at one cell in so many, in both directions."""

Labels = npt.NDArray[np.integer]


class Study:
    """Maps, flow and annotations of one sequence, and the scores of each variant."""

    def __init__(
        self, sequence: VideoSequence, discoverer: EmbeddingDiscoverer, backbone: EfficientNetLite0
    ) -> None:
        self.config = discoverer.config
        frames = list(sequence.frames())
        self.truths = truths_of(sequence)
        self.maps = [discoverer.maps(frame) for frame in frames]
        self.plain = [
            _backbone_maps(backbone, frame, maps)
            for frame, maps in zip(frames, self.maps, strict=True)
        ]
        self.flows = [discoverer.motion(a, b) for a, b in itertools.pairwise(frames)]
        self.flows.append(-discoverer.motion(frames[-1], frames[-2]))

    def figures(self) -> dict[str, Any]:
        """All figures of the sequence."""
        seeds = self._seeds(self.maps)
        accuracy, similarity = {}, {}
        for ranking in RANKINGS:
            config = replace(self.config, ranking=ranking)
            track = self._track(seeds, config)
            accuracy[ranking] = self._seed_accuracy(seeds, track)
            sets = self._sets(self.maps, seeds, track)
            similarity[ranking] = self._similarity(self.maps, sets)
            if ranking == self.config.ranking:
                adaptation = {
                    name: self._similarity(self.maps, _held(sets, every))
                    for name, every in ADAPTATION.items()
                }
        plain_seeds = self._seeds(self.plain)
        plain_sets = self._sets(self.plain, plain_seeds, self._track(plain_seeds, self.config))
        return {
            "J by ranking": similarity,
            "seed accuracy": accuracy,
            "J by adaptation": adaptation,
            "J of backbone features": self._similarity(self.plain, plain_sets),
            "J with the first mask": self._semi_supervised(),
            "drift": self._drift(),
        }

    def _seeds(self, maps: Sequence[FrameMaps]) -> list[FrameSeeds]:
        pairs = zip(maps, self.flows, strict=True)
        return [find_frame_seeds(frame, flow, self.config) for frame, flow in pairs]

    def _track(self, seeds: Sequence[FrameSeeds], config: DiscoveryConfig) -> list[int]:
        points, scores = [s.seeds.points for s in seeds], [s.scores(config) for s in seeds]
        best = rank_tracks(points, scores, evenly_spaced(len(seeds), config.track_starts))[0]
        return [int(seed) for seed in best.seeds]

    def _sets(
        self, maps: Sequence[FrameMaps], seeds: Sequence[FrameSeeds], track: Sequence[int]
    ) -> list[SeedSets]:
        frames = zip(maps, seeds, track, strict=True)
        return [seed_sets(m, s, [k], self.config) for m, s, k in frames]

    def _similarity(self, maps: Sequence[FrameMaps], sets: Sequence[SeedSets]) -> float:
        """Mean J over the frames that DAVIS scores."""
        values = []
        for frame, members, truth in list(zip(maps, sets, self.truths, strict=True))[1:-1]:
            scores = soft_scores(frame.embedding, members.background, members.objects)
            values.append(_j(scores, truth))
        return float(np.mean(values))

    def _semi_supervised(self) -> float:
        background, objects = annotated_sets(
            self.maps[0], self.truths[0], [1], AnnotatedConfig(window=self.config.window)
        )
        owner = np.zeros(self.maps[0].objectness.shape, np.intp)  # of the only object
        sets = SeedSets(background=background, objects=(objects[1],), owner=owner)
        return self._similarity(self.maps, [sets] * len(self.maps))

    def _seed_accuracy(self, seeds: Sequence[FrameSeeds], track: Sequence[int]) -> float:
        cells, size = self.maps[0].objectness.shape, self.truths[0].shape
        positions = []
        for frame, k in zip(seeds, track, strict=True):
            y, x = divmod(int(frame.seeds.pixels[k]), cells[1])
            row, column = (y + 0.5) * size[0] / cells[0], (x + 0.5) * size[1] / cells[1]
            positions.append((int(row), int(column)))
        return seed_accuracy(positions, self.truths)

    def _drift(self) -> dict[str, list[float]]:
        step = DRIFT_CELLS
        indices = evenly_spaced(len(self.maps), DRIFT_STEPS)
        cells = self.maps[0].objectness.shape
        small = [self.maps[i].embedding[1::step, 1::step] for i in indices]
        truths = [_reduced(self.truths[i] != 0, cells)[1::step, 1::step] for i in indices]
        drift = embedding_drift(small, truths)
        grid = np.linspace(0, 1, DRIFT_STEPS)
        return {
            name: resampled(drift.time, getattr(drift, name), grid).tolist()
            for name in ("misclassified", "foreground_distance", "background_distance")
        }


def _reduced(mask: npt.NDArray[np.bool_], size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """The mask at another (height, width), by its nearest pixels."""
    reduced = cv2.resize(mask.astype(np.uint8), size[::-1], interpolation=cv2.INTER_NEAREST)
    return np.asarray(reduced, np.uint8)


def _held(sets: Sequence[SeedSets], every: int | None) -> list[SeedSets]:
    """The sets in use at each frame if they are recomputed every so many frames."""
    return [sets[0 if every is None else t - t % every] for t in range(len(sets))]


def _j(scores: npt.NDArray[np.float32], truth: Labels) -> float:
    full = enlarge_scores(scores, (truth.shape[0], truth.shape[1]))
    return region_similarity(full[1] > 0.5, truth != 0)


def _backbone_maps(
    backbone: EfficientNetLite0, frame: npt.NDArray[np.uint8], maps: FrameMaps
) -> FrameMaps:
    """ImageNet features of strides 16 and 32 as embeddings, scaled to the same spread."""
    height, width = maps.objectness.shape
    small = cv2.resize(frame, (4 * width, 4 * height), interpolation=cv2.INTER_AREA)
    image = torch.from_numpy(np.asarray(small)).permute(2, 0, 1)[None].float() / 255
    with torch.inference_mode():
        pyramid = backbone(image)
        levels = [pyramid.stride16[0], backbone.deepen(pyramid)[0]]
        grown = [
            F.interpolate(level[None], (height, width), mode="bilinear", align_corners=False)[0]
            for level in levels
        ]
    features = torch.cat(grown).permute(1, 2, 0).numpy()
    features = (features - features.mean((0, 1))) / (features.std((0, 1)) + 1e-6)
    features *= np.sqrt(_spread_of(maps.embedding) / _spread_of(features))
    return FrameMaps(embedding=features.astype(np.float32), objectness=maps.objectness)


def _spread_of(embedding: npt.NDArray[np.floating]) -> float:
    """Mean squared distance of two pixels."""
    return 2 * float(embedding.reshape(-1, embedding.shape[-1]).var(0).sum())


def _print_tables(results: dict[str, dict[str, Any]]) -> None:
    def mean(figure: str, key: str | None = None) -> float:
        values = [r[figure] if key is None else r[figure][key] for r in results.values()]
        return float(np.mean(values))

    def row(title: str, group: str, keys: Iterable[str]) -> None:
        print(f"{title:26}" + "".join(f"{mean(group, key):12.3f}" for key in keys))

    print(f"{len(results)} sequences, without CRF")
    print(f"\n{'recomputed every k frames':26}" + "".join(f"{k:>12}" for k in ADAPTATION))
    row("J", "J by adaptation", ADAPTATION)
    print(f"\n{'ranked by':26}" + "".join(f"{r:>12}" for r in RANKINGS))
    row("seed on the object", "seed accuracy", RANKINGS)
    row("J", "J by ranking", RANKINGS)
    print(f"\nJ of embeddings              {mean('J by ranking', 'both'):.3f}")
    print(f"J of backbone features       {mean('J of backbone features'):.3f}")
    print(f"J of embeddings, first mask  {mean('J with the first mask'):.3f}")


def _draw_drift(results: dict[str, dict[str, Any]], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    curves = {
        name: np.mean([r["drift"][name] for r in results.values()], axis=0)
        for name in ("misclassified", "foreground_distance", "background_distance")
    }
    time = np.linspace(0, 1, DRIFT_STEPS)
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), constrained_layout=True)
    left.plot(time, 100 * curves["misclassified"], color="tab:red")
    left.set(xlabel="relative time", ylabel="foreground nearer to first background, %")
    right.plot(time, curves["foreground_distance"], label="foreground", color="tab:red")
    right.plot(time, curves["background_distance"], label="background", color="tab:blue")
    right.set(xlabel="relative time", ylabel="distance to the first frame's nearest")
    right.legend()
    for axis in (left, right):
        axis.grid(alpha=0.3)
        axis.set_ylim(bottom=0)
    figure.savefig(path, dpi=100)


def main() -> None:
    parser = script_parser(__doc__, threads=2)
    add_davis(parser, split="train")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--out", type=Path, default=Path("runs/ablations"))
    arguments = parse(parser)
    network = load_network("embedding", arguments.weights)
    assert isinstance(network, EmbeddingNet)
    discoverer = EmbeddingDiscoverer(network, DiscoveryConfig(), choose_runtime("cpu"))
    backbone = EfficientNetLite0(with_stride32=True).eval()
    backbone.load_imagenet(lite0_imagenet_weights())
    arguments.out.mkdir(parents=True, exist_ok=True)
    results = {}
    for sequence in open_davis(arguments):
        file = arguments.out / f"{sequence.name}.json"
        if not file.is_file():
            figures = Study(sequence, discoverer, backbone).figures()
            with complete_or_absent(file) as temporary:
                temporary.write_text(json.dumps(figures))
        results[sequence.name] = json.loads(file.read_text())
    _print_tables(results)
    _draw_drift(results, arguments.out / "drift.png")


if __name__ == "__main__":
    main()
