"""Cut an object out of a video file, from the mask of its first frame.

python examples/cut_a_file.py [VIDEO MASK] [--out DIR] [--frames N]
"""

import argparse
from pathlib import Path

import rotomask
from rotomask.jobs.demo import demo_folder

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("video", nargs="?", type=Path, default=demo_folder() / "clip.mp4")
parser.add_argument("mask", nargs="?", type=Path, default=demo_folder() / "first_mask.png")
parser.add_argument("--out", type=Path, default=Path("example-out"))
parser.add_argument("--frames", type=int, help="only the first so many")
arguments = parser.parse_args()

result = rotomask.cut(
    arguments.video,
    arguments.mask,
    arguments.out,
    stop=arguments.frames,
    formats=("overlay", "webm"),  # beside the masks
)
for name, path in result.outputs.items():
    print(name, path)
