"""Several objects and look-alikes: J and F on videos composed of DAVIS-2016 val.

    python -m studies.look_alikes --davis DAVIS --davis2017 DAVIS-2017 --write
    python -m studies.look_alikes --davis DAVIS --picture docs/images/look-alikes.jpg

Each video of the set gives two (`training/composed_videos.py`): *two alike*, its object and a copy
of it that is followed too, while a third one passes; *three different*, its object and those of two
other videos. `--davis2017` adds the videos of a DAVIS-2017 set that have several objects. Nothing
is chosen on them.
"""

import argparse
from functools import partial
from pathlib import Path

import numpy as np

from rotomask.arrays import Frame, Mask
from rotomask.data.sequences import VideoSequence
from rotomask.data.training.clips import find_videos
from rotomask.jobs.loading import load_model
from rotomask.render import BRIGHT_COLOURS, overlay
from rotomask.segmenters.base import Segmenter
from rotomask.segmenters.follow import Annotation, follow
from rotomask.training.composed_videos import compose_videos
from rotomask.training.validation import validate
from studies.panels import save_panels
from studies.results_page import markdown_table
from studies.scripts import add_write, parse, publish, script_parser

WAYS = {"default": "good", "best": "best"}
"""Names of `--quality` by column."""
KINDS = {"two alike": "-twins", "three different": "-others"}
"""Ends of the composed videos' names by row."""
SHOWN = (0, 6, 12, 19)
"""Frames of a composed video in the picture."""
SIDE = 200
"""Side of a frame in the picture, px."""


def main() -> None:
    parser = script_parser(__doc__)
    parser.add_argument("--davis", type=Path, required=True)
    parser.add_argument("--davis2017", type=Path, help="a DAVIS-2017 set to measure, too")
    parser.add_argument("--sequences", help="only these of --davis, comma-separated")
    parser.add_argument("--size", type=int, help="short side, px; default: that of the quality")
    parser.add_argument("--picture", type=Path, help="write a contact sheet in place of the table")
    add_write(parser)
    arguments = parse(parser)
    wanted = arguments.sequences.split(",") if arguments.sequences else None
    videos = [v for v in find_videos(arguments.davis) if wanted is None or v.name in wanted]
    composed = compose_videos(videos)
    if arguments.picture:
        titles = [f"frame {index}" for index in SHOWN]
        rows = [_shown(video, arguments) for video in composed]
        save_panels(arguments.picture, titles, rows, (SIDE, SIDE))
        return
    groups: dict[str, list[VideoSequence]] = {
        kind: [v for v in composed if v.name.endswith(end)] for kind, end in KINDS.items()
    }
    if arguments.davis2017:
        for video in find_videos(arguments.davis2017):
            if len(np.unique(video.read(0)[1])) > 2:
                groups[f"*{video.name}*"] = [video]
    _measure(groups, arguments)


def _measure(groups: dict[str, list[VideoSequence]], arguments: argparse.Namespace) -> None:
    rows: list[list[str]] = []
    each: dict[str, list[str]] = {}
    for kind, videos in groups.items():
        row = [kind, str(len(videos))]
        for quality in WAYS.values():
            scores = validate(partial(_segmenter, quality, arguments), videos)
            row += [f"{scores[name]:.3f}" for name in ("score", "J", "F")]
            for video in videos:
                each.setdefault(video.name, []).append(f"{scores[f'J {video.name}']:.3f}")
        rows.append(row)
        print(*row, flush=True)
    columns = [f"{way} {name}" for way in WAYS for name in ("J&F", "J", "F")]
    table = markdown_table(["videos", "number", *columns], rows)
    by_video = markdown_table(
        ["J", *WAYS], [[name, *values] for name, values in sorted(each.items())]
    )
    publish(
        arguments,
        "look-alikes",
        "Several objects and look-alikes",
        "stm-lite; videos of 20 frames of 320 px composed of those of DAVIS-2016 val at hand.\n"
        "*Two alike*: an object and its copy, while a third one passes; *three different*: an\n"
        "object and those of two other videos. Means over objects; best is `--quality best`.\n\n"
        f"{table}\n\n{by_video}",
        command="python -m studies.look_alikes --davis DAVIS --davis2017 DAVIS-2017 --write",
    )


def _shown(video: VideoSequence, arguments: argparse.Namespace) -> list[Frame]:
    """Some frames of a video with their masks; colours are those of `render`."""
    segmenter = _segmenter("good", arguments)
    frames = ((index, video.read(index)[0]) for index in range(len(video)))
    first: Mask = video.read(0)[1].astype(np.int32)
    colours = {k: BRIGHT_COLOURS[k % len(BRIGHT_COLOURS)] for k in range(1, first.max() + 1)}
    return [
        overlay(followed.frame, followed.labels, colours=colours)
        for followed in follow(segmenter, frames, {0: Annotation(first)})
        if followed.index in SHOWN
    ]


def _segmenter(quality: str, arguments: argparse.Namespace) -> Segmenter:
    settings = {} if arguments.size is None else {"size": arguments.size}
    return load_model("stm-lite", device="cpu", quality=quality, **settings)


if __name__ == "__main__":
    main()
