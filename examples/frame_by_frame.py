"""Follow an object frame by frame, correct it once, and use the answers as they come.

python examples/frame_by_frame.py [--frames N]
"""

import argparse

import rotomask
from rotomask.jobs.demo import demo_folder

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--frames", type=int, help="only the first so many")
arguments = parser.parse_args()

folder = demo_folder()
segmenter = rotomask.load_model()
for frame in rotomask.open_video(folder / "clip.mp4").frames(0, arguments.frames):
    if frame.index == 0:
        labels = rotomask.read_mask(folder / "first_mask.png").labels
        segmenter.start(frame.image, labels)
    elif frame.index == 4:  # the user drew this one anew
        correction = rotomask.read_mask(folder / "truth" / f"{frame.name}.png").labels
        labels = segmenter.labels(segmenter.add(frame.image, correction))
    else:
        probabilities = segmenter.step(frame.image)  # objects + 1, height, width
        labels = segmenter.labels(probabilities)
    print(f"frame {frame.name}: the dog covers {(labels == 1).mean():.1%} of the picture")
