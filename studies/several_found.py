"""Objects found where several are asked for, with and without evidence of their own.

    python -m studies.several_found --davis DAVIS-TRAIN [--multi DAVIS-2017] [--objects 3]

Videos composed of the held-out ones of DAVIS-2016 train (`training/composed_videos.py`: two or
three objects), those videos themselves (one object), and, if given, videos of DAVIS-2017. A
proposal is right if its IoU with an object that no better proposal took is 0.5 or more; else it is
wrong: a part, a union, or nothing.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from rotomask.data.benchmarks.davis import davis2017
from rotomask.data.sequences import VideoSequence
from rotomask.data.training.clips import find_videos
from rotomask.evaluation.measures.region import region_similarity
from rotomask.jobs.loading import load_discoverer
from rotomask.training.composed_videos import compose_videos
from rotomask.training.video_split import HELD_OUT
from rotomask.unsupervised.base import Discoverer, FrameList, Proposal
from rotomask.unsupervised.config import DiscoveryConfig
from rotomask.unsupervised.evidence import NO_EVIDENCE
from studies.results_page import markdown_table

Video = Sequence[tuple[np.ndarray, np.ndarray]]
"""Frames H×W×3 with labels H×W."""


def judge(proposals: Sequence[Proposal], video: Video) -> tuple[int, int, int]:
    """Numbers of right and wrong proposals, and of objects that can be found."""
    objects = {int(k) for _, labels in video for k in np.unique(labels) if k}
    left, right = set(objects), 0
    for proposal in proposals:
        labels = video[proposal.frame_index][1]
        overlap = {k: region_similarity(proposal.mask, labels == k) for k in left}
        best = max(overlap, key=overlap.__getitem__, default=None)
        if best is not None and overlap[best] >= 0.5:
            right += 1
            left.remove(best)
    return right, len(proposals) - right, len(objects)


def count(discoverer: Discoverer, videos: dict[str, Video], objects: int, *, each: bool) -> str:
    """Right and wrong proposals over videos, as ``right / wrong (objects)``."""
    totals = np.zeros(3, int)
    for name, video in videos.items():
        frames = FrameList([np.ascontiguousarray(image) for image, _ in video])
        found = judge(discoverer.discover(frames, objects=objects).proposals(), video)
        totals += found
        if each:
            print(f"  {name:32} right {found[0]}, wrong {found[1]} of {found[2]}", flush=True)
    return f"{totals[0]} / {totals[1]} ({totals[2]})"


def read(video: VideoSequence, frames: int) -> Video:
    """The first frames of a video."""
    return [video.read(t) for t in range(min(frames, len(video)))]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--davis", type=Path, required=True)
    parser.add_argument("--multi", type=Path, help="DAVIS-2017, every fourth frame")
    parser.add_argument("--objects", type=int, default=3)
    parser.add_argument("--frames", type=int, default=10, help="of every video")
    parser.add_argument("--videos", help="real ones, separated by commas; default: held out")
    parser.add_argument("--each", action="store_true", help="print every video")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    real = [v for v in find_videos(arguments.davis) if v.name in HELD_OUT]
    composed = compose_videos(real, frames=arguments.frames)
    if arguments.videos is not None:
        names = arguments.videos.split(",")
        real = [v for v in find_videos(arguments.davis) if v.name in names]
    groups: dict[str, dict[str, Video]] = {
        "composed": {v.name: read(v, arguments.frames) for v in composed},
        "real, one object": {v.name: read(v, arguments.frames) for v in real},
    }
    if arguments.multi is not None:
        groups["real, several"] = {
            s.name: [
                (s.frame(t), s.annotation(s.frame_names[t]))
                for t in range(0, len(s), 4)[: arguments.frames]
            ]
            for s in davis2017(arguments.multi)
        }
    rows = []
    for name, config in (
        ("none", DiscoveryConfig(evidence=NO_EVIDENCE)),
        ("of each object's own", DiscoveryConfig()),
    ):
        discoverer = load_discoverer("embedding", config=config)
        each = arguments.each
        rows.append(
            [name, *(count(discoverer, v, arguments.objects, each=each) for v in groups.values())]
        )
    print(markdown_table(["evidence", *groups], rows))


if __name__ == "__main__":
    main()
