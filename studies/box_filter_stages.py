"""A picture of filtering by boxes: map, detections, the box that was chosen, and what is left.

A row for each frame that is named. Maps and detections come out of the cache of box_filters.py, and
are computed where it lacks them.

    python -m studies.box_filter_stages --davis DAVIS --frames dog:20,cows:50 --out stages.jpg
"""

import argparse
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch

from rotomask.arrays import Frame
from rotomask.detection.box_sheet import draw_boxes
from rotomask.evaluation import open_benchmark
from rotomask.evaluation.measures.region import region_similarity
from rotomask.refine.box_filters import BoxFilterConfig
from rotomask.render import Pixels, contact_sheet, overlay
from rotomask.segmenters.box_filtered import BoxFiltered
from studies.box_filters import Kept, KeptDetections, Material, gather, numbered_frame

GREY, GREEN, ORANGE = (190, 190, 190), (60, 255, 60), (255, 150, 0)


def stages(
    material: Material, frame: Frame, index: int, config: BoxFilterConfig
) -> dict[str, Pixels]:
    """Caption -> picture, of one frame after all before it."""
    segmenter = BoxFiltered(Kept(material.maps), KeptDetections(material.found), config)
    segmenter.start(numbered_frame(0), material.truths[0])
    labels = material.truths[0]
    for number in range(1, index + 1):
        before = segmenter.places[1]
        labels = segmenter.labels(segmenter.step(numbered_frame(number)))
    chosen, found, truth = segmenter.chosen[1], material.found[index], material.truths[index]
    plain = (material.maps[index] >= 128).astype(np.int32)
    scores = [float(region_similarity(m > 0, truth > 0)) for m in (plain, labels)]
    boxes = draw_boxes(frame, found.boxes, [GREY] * len(found), [f"{s:.2f}" for s in found.scores])
    kind = "detected" if chosen.detected else "tracked" if len(chosen.boxes) else "none"
    picture = draw_boxes(boxes, before, [ORANGE])
    picture = draw_boxes(picture, chosen.boxes, [GREEN] * len(chosen.boxes))
    return {
        f"{material.name} {index}: map": heat(frame, material.maps[index]),
        f"without: J {scores[0]:.2f}": overlay(frame, plain),
        f"{len(found)} boxes; chosen: {kind}": picture,
        f"filtered: J {scores[1]:.2f}": overlay(frame, labels),
    }


def heat(frame: Frame, probability: npt.NDArray[np.uint8]) -> Pixels:
    """The map over the darkened grey frame."""
    colours = cv2.applyColorMap(probability, cv2.COLORMAP_INFERNO)[..., ::-1]
    grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)[..., None] * np.float32(0.35)
    return np.maximum(colours, grey).astype(np.uint8)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--davis", type=Path, required=True)
    parser.add_argument("--split", default="val")
    parser.add_argument("--frames", required=True, help="SEQUENCE:FRAME, with commas between")
    parser.add_argument("--model", default="oneshot")
    parser.add_argument("--detector", default="detector-lite")
    parser.add_argument("--cache", type=Path, default=Path("runs/box-filters"))
    parser.add_argument("--out", type=Path, default=Path("box-filters.jpg"))
    parser.add_argument("--width", type=int, default=320, help="of a picture, px")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    pictures: dict[str, Pixels] = {}
    for pair in arguments.frames.split(","):
        name, _, index = pair.partition(":")
        dataset = open_benchmark("davis2016", arguments.davis, arguments.split).select([name])
        (material,) = gather(arguments.model, arguments.detector, dataset, arguments.cache, {})
        frame = dataset.sequences[0].frame(int(index))
        pictures |= {
            f"{len(pictures)} {caption}": picture
            for caption, picture in stages(material, frame, int(index), BoxFilterConfig()).items()
        }
    captions = [caption.partition(" ")[2] for caption in pictures]
    sheet = contact_sheet(
        list(pictures.values()), captions, columns=4, cell_width_px=arguments.width
    )
    quality = [cv2.IMWRITE_JPEG_QUALITY, 85]
    cv2.imwrite(str(arguments.out), np.ascontiguousarray(sheet[..., ::-1]), quality)


if __name__ == "__main__":
    main()
