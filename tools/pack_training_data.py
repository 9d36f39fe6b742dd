"""Pack stills and videos with their masks into files for a machine without them.

    python tools/pack_training_data.py --duts DUTS-TR --out stills.zip --quality 38
    python tools/pack_training_data.py --davis DAVIS-TRAIN --side 384 --quality 60 --out videos.zip

`--data pack=FILE`, or a folder of such files, takes them in training. What may not be published may
not be published as a pack either.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import cv2

from rotomask.data.packs import Picture, write_pack
from rotomask.data.training.clips import find_videos
from rotomask.data.training.stills import FolderStills, find_stills


def named_stills(root: Path) -> Iterator[tuple[str, Picture]]:
    """The stills of a folder with the stems of their files, which tell their kinds."""
    stills = find_stills(root)
    for number in range(len(stills)):
        if isinstance(stills, FolderStills):
            yield stills.pairs[number][0].stem, stills[number]
        else:
            yield f"{number:06d}", stills[number]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--duts", type=Path, help="stills, as `rotomask train` takes them")
    parser.add_argument("--davis", type=Path, help="videos, as `rotomask train` takes them")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--side", type=int, default=256, help="short side, px")
    parser.add_argument("--quality", type=int, default=40, help="of WebP")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    size = write_pack(
        arguments.out,
        stills=named_stills(arguments.duts) if arguments.duts else (),
        videos=find_videos(arguments.davis) if arguments.davis else (),
        side=arguments.side,
        quality=arguments.quality,
    )
    print(f"{arguments.out}: {size / 2**20:.1f} MiB")


if __name__ == "__main__":
    main()
