"""A picture of every stage of unsupervised segmentation, for one frame of a real video.

python -m studies.unsupervised_stages VIDEO --frame 20 --out stages.jpg
"""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from rotomask import load_discoverer, open_video
from rotomask.flow.optical_flow import flow_colours
from rotomask.render import Pixels, contact_sheet, overlay
from rotomask.unsupervised.base import FrameList
from rotomask.unsupervised.embedding_discoverer import EmbeddingDiscoverer, EmbeddingDiscovery
from rotomask.unsupervised.foreground_sets import initial_foreground
from rotomask.unsupervised.frame_seeds import find_frame_seeds, seed_sets
from rotomask.unsupervised.graph import embedding_edges, embedding_graph
from rotomask.unsupervised.motion_saliency import region_flows
from rotomask.unsupervised.seeds import candidate_points, seed_regions
from studies.map_pictures import (
    embedding_picture,
    enlarged,
    mark_points,
    region_picture,
    value_picture,
)
from studies.scripts import parse, save_jpeg, script_parser

MAGENTA, BLUE, RED, WHITE = (255, 0, 255), (60, 90, 255), (255, 60, 60), (255, 255, 255)


def stages(
    discoverer: EmbeddingDiscoverer, discovery: EmbeddingDiscovery, frames: list[Pixels], index: int
) -> dict[str, Pixels]:
    """Stage name -> picture, of the first object."""
    frame, config = frames[index], discoverer.config
    size = (frame.shape[0], frame.shape[1])
    maps = discoverer.maps(frame)
    backward = index + 1 == len(frames)
    other = frames[index - 1 if backward else index + 1] if len(frames) > 1 else None
    flow = None if other is None else discoverer.motion(frame, other) * (-1 if backward else 1)
    summary = find_frame_seeds(maps, flow, config)
    seeds, cells = summary.seeds, maps.objectness.shape
    edges = embedding_edges(maps.embedding)
    regions = seed_regions(maps.embedding, seeds)
    seed = int(discovery.tracks[0].seeds[index])
    foreground = initial_foreground(
        embedding_graph(maps.embedding),
        seeds.pixels[[seed]],
        seeds.pixels[np.setdiff1d(summary.background, [seed])],
    )
    sets = seed_sets(maps, summary, [seed], config)
    members = [
        _positions(seeds.points, seeds.pixels, points)
        for points in (sets.background, sets.objects[0])
    ]
    scores = discovery.masks_at(index)
    marked = mark_points(
        mark_points(frame, seeds.pixels, cells, RED), seeds.pixels[summary.background], cells, BLUE
    )
    pictures = {
        "frame": frame,
        "embedding (PCA)": enlarged(embedding_picture(maps.embedding), size),
        "objectness": enlarged(value_picture(maps.objectness), size),
        "edge map": enlarged(value_picture(edges), size),
        "candidates": mark_points(frame, candidate_points(edges, config.window), cells, WHITE),
        "seeds, first background blue": marked,
        "regions": enlarged(region_picture(regions, _colours(len(seeds.pixels))), size),
    }
    if flow is not None:
        means = region_flows(flow, regions, len(seeds.pixels))
        longest = float(np.percentile(np.linalg.norm(flow, axis=-1), 99))
        pictures["flow less the camera's"] = enlarged(flow_colours(flow, longest), size)
        pictures["flow of regions"] = enlarged(flow_colours(means[regions], longest), size)
    if summary.saliency is not None:
        pictures["motion saliency"] = enlarged(value_picture(summary.saliency[regions]), size)
    initial = enlarged(value_picture(foreground.reshape(cells)), size)
    pictures |= {
        "seed and initial foreground": mark_points(initial, seeds.pixels[[seed]], cells, MAGENTA),
        "sets": mark_points(
            mark_points(frame, members[0], cells, BLUE), members[1], cells, MAGENTA
        ),
        "soft score": value_picture(scores[1]),
        "mask": overlay(frame, discovery.labels(scores)),
    }
    return pictures


def _positions(
    points: npt.NDArray[np.float32], places: npt.NDArray[np.intp], members: npt.NDArray[np.float32]
) -> npt.NDArray[np.intp]:
    """Positions of a set's members in the flattened map."""
    positions = {point.tobytes(): place for point, place in zip(points, places, strict=True)}
    return np.array([positions[point.tobytes()] for point in members], np.intp)


def _colours(count: int) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(0).integers(30, 256, (count, 3), np.uint8)


def main() -> None:
    parser = script_parser(__doc__)
    parser.add_argument("video", type=Path)
    parser.add_argument("--frame", type=int, default=0)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--out", type=Path, default=Path("stages.jpg"))
    arguments = parse(parser)
    discoverer = load_discoverer("embedding", weights=arguments.weights)
    assert isinstance(discoverer, EmbeddingDiscoverer)
    frames = [frame.image for frame in open_video(arguments.video).frames()]
    discovery = discoverer.discover(FrameList(frames))
    pictures = stages(discoverer, discovery, frames, arguments.frame)
    sheet = contact_sheet(list(pictures.values()), list(pictures), columns=4)
    save_jpeg(arguments.out, sheet, quality=95)


if __name__ == "__main__":
    main()
