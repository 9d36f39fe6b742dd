"""J and F of stm-lite on what training keeps out: real videos, and several objects.

The four held-out sequences of DAVIS-2016 train, one object each; then the videos composed of them
(`training/composed_videos.py`): twins, of which two are followed and a third passes, and three
different objects. Weights are compared, or ways to run them. Those shipped since 23 November 2026
have seen the four sequences: to choose anything, give others.

    python -m studies.stm_lite_held_out --davis DAVIS-TRAIN stm-lite.safetensors ...
    python -m studies.stm_lite_held_out --davis DAVIS-TRAIN --way size=384 --way boxes=tracked \\
        --way "size=600 refine=flip"

A way is settings as `rotomask.load_model` takes them. The last column is the processor's time.
"""

import time
from functools import partial
from pathlib import Path
from typing import Any

from rotomask.catalog import shipped_weights
from rotomask.data.sequences import VideoSequence
from rotomask.data.training.clips import find_videos
from rotomask.jobs.loading import load_model
from rotomask.segmenters.base import Segmenter
from rotomask.training.composed_videos import compose_videos
from rotomask.training.validation import validate
from rotomask.training.video_split import HELD_OUT
from studies.results_page import markdown_table
from studies.scripts import parse, script_parser


def settings_of(way: str) -> dict[str, Any]:
    """Settings by name, from texts such as ``size=600 boxes=tracked``."""
    pairs = (setting.split("=", 1) for setting in way.split())
    return {name: _number_or_text(value) for name, value in pairs}


def _number_or_text(value: str) -> int | float | str:
    for number in (int, float):
        try:
            return number(value)
        except ValueError:
            continue
    return value


def _same(segmenter: Segmenter) -> Segmenter:
    return segmenter


def main() -> None:
    parser = script_parser(__doc__)
    parser.add_argument("weights", type=Path, nargs="*", help="default: as shipped")
    parser.add_argument("--davis", type=Path, required=True)
    parser.add_argument("--way", action="append", help="NAME=VALUE ...; default: as `cut` does")
    parser.add_argument("--each", action="store_true", help="also the J of every video")
    arguments = parse(parser)
    held_out = [v for v in find_videos(arguments.davis) if v.name in HELD_OUT]
    composed = compose_videos(held_out)
    groups: dict[str, list[VideoSequence]] = {
        "held-out": list(held_out),
        "twins": [v for v in composed if v.name.endswith("-twins")],
        "others": [v for v in composed if v.name.endswith("-others")],
    }
    rows = []
    for path in arguments.weights or [shipped_weights("stm-lite")]:
        for way in arguments.way or [""]:
            segmenter = load_model("stm-lite", weights=path, device="cpu", **settings_of(way))
            row, began = [path.name, way], time.process_time()
            for videos in groups.values():
                scores = validate(partial(_same, segmenter), videos)
                row += [f"{scores[name]:.3f}" for name in ("score", "J", "F")]
                if arguments.each:
                    print({k: round(v, 3) for k, v in scores.items() if k.startswith("J ")})
            row.append(f"{time.process_time() - began:.0f}")
            rows.append(row)
            print(*row, flush=True)
    columns = [f"{group} {name}" for group in groups for name in ("J&F", "J", "F")]
    print(markdown_table(["weights", "way", *columns, "CPU s"], rows))


if __name__ == "__main__":
    main()
