"""Follow an object with onnxruntime and numpy alone: no rotomask, no PyTorch.

rotomask export-model stm-lite --onnx stm-lite-onnx
python examples/onnx_clip.py [--models stm-lite-onnx] [--frames N] [--out probabilities.npz]

The frames are those of the demo clip. Real programs bring their own: RGB, 0 to 1, with sides that
are multiples of 16, and a short side of about 480 px.
"""

import argparse
from pathlib import Path

import numpy as np
import onnxruntime

MEMORY_EVERY, MEMORY_FRAMES = 3, 6

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--models", type=Path, default=Path("stm-lite-onnx"))
parser.add_argument("--frames", type=int, help="only the first so many")
parser.add_argument("--height", type=int, default=240, help="of the frames; a multiple of 16")
parser.add_argument("--out", type=Path, help="write the probabilities to this file")
arguments = parser.parse_args()

if not arguments.models.exists():
    import rotomask

    rotomask.export_model("stm-lite", arguments.models)


def load_clip() -> tuple[list[np.ndarray], np.ndarray]:
    """The demo clip at a small size: frames H×W×3 uint8, and the first mask H×W."""
    import cv2

    from rotomask import open_video, read_mask
    from rotomask.jobs.demo import demo_folder

    size = (arguments.height * 16 // 9 // 16 * 16, arguments.height)
    video = open_video(demo_folder() / "clip.mp4").frames(0, arguments.frames)
    mask = read_mask(demo_folder() / "first_mask.png").labels.astype(np.uint8)
    frames = [cv2.resize(frame.image, size, interpolation=cv2.INTER_AREA) for frame in video]
    return frames, cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST)


encoder, value_encoder, reader, decoder = (
    onnxruntime.InferenceSession(str(arguments.models / f"{name}.onnx"))
    for name in ("encoder", "value_encoder", "reader", "decoder")
)
frames, first_mask = load_clip()
mask = (first_mask == 1).astype(np.float32)[None]  # objects × H × W
memory: list[tuple[np.ndarray, np.ndarray]] = []  # keys 1×C×N, values O×C×N
probabilities = []
for index, frame in enumerate(frames):
    image = (frame.astype(np.float32) / 255).transpose(2, 0, 1)[None]
    key, *features = encoder.run(None, {"image": image})
    named = {f"features{4 << level}": maps for level, maps in enumerate(features)}  # by stride
    if index > 0:
        keys, values = (np.concatenate(parts, -1) for parts in zip(*memory, strict=True))
        (readout,) = reader.run(None, {"key": key, "memory_key": keys, "memory_value": values})
        given = {"readout": readout, "previous_masks": mask, **named}
        (probability,) = decoder.run(None, given)  # background first
        probabilities.append(probability)
        mask = probability[1:]
        print(f"frame {index:05d}: the object covers {(probability.argmax(0) == 1).mean():.1%}")
    if index % MEMORY_EVERY == 0:
        shallow = {name: named[name] for name in ("features4", "features8", "features16")}
        (value,) = value_encoder.run(None, {**shallow, "masks": mask})
        memory.append((key.reshape(*key.shape[:2], -1), value.reshape(*value.shape[:2], -1)))
        memory = memory[:1] + memory[1:][-(MEMORY_FRAMES - 1) :]  # the first, and the latest
if arguments.out is not None:
    np.savez_compressed(arguments.out, np.stack(probabilities))
