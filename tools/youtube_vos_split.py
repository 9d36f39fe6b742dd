"""Split YouTube-VOS train into videos to train on and 150 held out, as files of names.

"Towards good practices" (Yu et al. 2019), sec. 3.1, keeps 150 of the 3,471 videos for choosing an
epoch, and does not name them. Here the seed decides: videos are ordered by the CRC-32 of the seed
and their name, and the smallest are held out. So the split needs no list, is the same everywhere,
and changes little when a video is missing. Seed 0 gives the split `held-out` of
`rotomask benchmark youtube-vos`.

    python tools/youtube_vos_split.py --root YOUTUBE-VOS --out splits [--seed 1]

Writes splits/train.txt and splits/held-out.txt, one name a line.
"""

import argparse
from pathlib import Path

from rotomask.data.benchmarks.youtube_vos import held_out, youtube_vos


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--count", type=int, default=150)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    names = [sequence.name for sequence in youtube_vos(arguments.root, "train")]
    held = held_out(names, count=arguments.count, seed=arguments.seed)
    parts = {"train": sorted(set(names) - set(held)), "held-out": held}
    arguments.out.mkdir(parents=True, exist_ok=True)
    for part, members in parts.items():
        (arguments.out / f"{part}.txt").write_text("".join(f"{name}\n" for name in members))
        print(f"{part:10} {len(members):5} videos")


if __name__ == "__main__":
    main()
