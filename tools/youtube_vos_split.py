"""Split YouTube-VOS train into videos to train on and 150 held out, as files of names.

"Towards good practices" (Yu et al. 2019), sec. 3.1, keeps 150 of the 3,471 videos for choosing an
epoch, and does not say which. Here the seed says it: a video's place is the CRC-32 of the seed and
its name, the smallest are held out, so that the split needs no list, is the same everywhere, and
changes little when a video is missing. Seed 0 is `rotomask benchmark youtube-vos --split held-out`.

    python tools/youtube_vos_split.py --root YOUTUBE-VOS --out splits [--seed 1]

writes splits/train.txt and splits/held-out.txt, a name a line.
"""

import argparse
from pathlib import Path

from rotomask.data.benchmarks.youtube_vos import held_out, youtube_vos


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--count", type=int, default=150)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    names = [sequence.name for sequence in youtube_vos(arguments.root, "train")]
    chosen = held_out(names, count=arguments.count, seed=arguments.seed)
    parts = {"train": sorted(set(names) - set(chosen)), "held-out": chosen}
    arguments.out.mkdir(parents=True, exist_ok=True)
    for part, members in parts.items():
        (arguments.out / f"{part}.txt").write_text("".join(f"{name}\n" for name in members))
        print(f"{part:10} {len(members):5} videos")


if __name__ == "__main__":
    main()
