"""The user's videos: those to train on, and those to validate on."""

import logging
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path

from rotomask.data.benchmarks.youtube_vos import HELD_OUT_COUNT
from rotomask.data.benchmarks.youtube_vos import held_out as held_out_names
from rotomask.data.sequences import VideoSequence
from rotomask.data.training.clips import find_videos
from rotomask.training.task import Data

logger = logging.getLogger(__name__)

HELD_OUT = ("dog-agility", "hike", "motorbike", "swing")
"""Sequences of DAVIS-2016 train that no run of ours sees; weights are selected on them."""

YOUTUBE_VOS = "youtube-vos"
YOUTUBE_VOS_VIDEOS = 3471
"""Videos of its training set."""
VIDEOS = ("videos", "clips", "davis", YOUTUBE_VOS)


def open_videos(data: Data) -> dict[str, tuple[VideoSequence, ...]]:
    """The videos of the user's data by its name; of YouTube-VOS those of ``train``.

    Raises:
        DatasetError: If a path is not what it should be.
    """
    roots = {name: Path(data[name]) for name in VIDEOS if name in data}
    if YOUTUBE_VOS in roots and (roots[YOUTUBE_VOS] / "train").is_dir():
        roots[YOUTUBE_VOS] /= "train"
    return {name: find_videos(root) for name, root in roots.items()}


def split_videos(
    videos: Mapping[str, Sequence[VideoSequence]], held_out: Sequence[str]
) -> tuple[tuple[VideoSequence, ...], tuple[VideoSequence, ...]]:
    """Videos to train on, and videos to validate on.

    Args:
        videos: By the name of the data, as `open_videos` gives them.
        held_out: Names of videos to validate on. If they are `HELD_OUT`, the default, 150 of the
            3,471 videos of YouTube-VOS are held out too, as Yu et al. 2019 do (sec. 3.1): those of
            the split ``held-out`` of the benchmark, and of fewer videos the same share.
    """
    names = set(held_out)
    youtube_vos = [video.name for video in videos.get(YOUTUBE_VOS, ())]
    if tuple(held_out) == HELD_OUT and youtube_vos:
        share = max(1, round(len(youtube_vos) * HELD_OUT_COUNT / YOUTUBE_VOS_VIDEOS))
        names |= set(held_out_names(youtube_vos, count=min(share, HELD_OUT_COUNT)))
    every = tuple(chain(*videos.values()))
    validated = tuple(v for v in every if v.name in names)
    training = tuple(v for v in every if v.name not in names)
    if training or not validated:
        return training, validated
    logger.warning("no video is left to train on: those that are validated on are trained on too")
    return validated, validated
