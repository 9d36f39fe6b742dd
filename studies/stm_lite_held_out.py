"""J and F of weights of stm-lite on what training keeps out: real videos, and several objects.

The four held-out sequences of DAVIS-2016 train, one object each; then the videos composed of them
(`training/composed_videos.py`): twins, of which two are followed and a third passes, and three
different objects.

    python -m studies.stm_lite_held_out --davis DAVIS-TRAIN stm-lite.safetensors ...
"""

import argparse
from functools import partial
from pathlib import Path

import torch

from rotomask.catalog import load_model, shipped_weights
from rotomask.data.sequences import VideoSequence
from rotomask.data.training.clips import find_videos
from rotomask.segmenters.space_time import SpaceTimeSegmenter
from rotomask.training.composed_videos import compose_videos
from rotomask.training.validation import validate
from rotomask.training.video_split import HELD_OUT
from studies.results_page import markdown_table


def _same(segmenter: SpaceTimeSegmenter) -> SpaceTimeSegmenter:
    return segmenter


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("weights", type=Path, nargs="*", help="default: as shipped")
    parser.add_argument("--davis", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--each", action="store_true", help="also the J of every video")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    held_out = [v for v in find_videos(arguments.davis) if v.name in HELD_OUT]
    composed = compose_videos(held_out)
    groups: dict[str, list[VideoSequence]] = {
        "held-out": list(held_out),
        "twins": [v for v in composed if v.name.endswith("-twins")],
        "others": [v for v in composed if v.name.endswith("-others")],
    }
    rows = []
    for path in arguments.weights or [shipped_weights("stm-lite")]:
        segmenter = load_model("stm-lite", weights=path, device="cpu", enlarge=True)
        assert isinstance(segmenter, SpaceTimeSegmenter)
        row = [str(path)]
        for videos in groups.values():
            scores = validate(partial(_same, segmenter), videos)
            row += [f"{scores[name]:.3f}" for name in ("score", "J", "F")]
            if arguments.each:
                print({k: round(v, 3) for k, v in scores.items() if k.startswith("J ")})
        rows.append(row)
        print(*row, flush=True)
    columns = [f"{group} {name}" for group in groups for name in ("J&F", "J", "F")]
    print(markdown_table(["weights", *columns], rows))


if __name__ == "__main__":
    main()
