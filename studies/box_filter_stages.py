"""A picture of filtering by boxes: map, detections, the selected box, and the filtered mask.

One row for each named frame. Maps and detections are read from the cache of `box_filters`, and
computed where it lacks them.

    python -m studies.box_filter_stages --davis DAVIS --frames dog:20,cows:50 --out stages.jpg
"""

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from rotomask.arrays import Frame
from rotomask.detection.drawing import draw_boxes
from rotomask.evaluation import open_benchmark
from rotomask.evaluation.measures.region import region_similarity
from rotomask.refine.box_filters import BoxFilterConfig
from rotomask.render import Pixels, contact_sheet, overlay
from studies.box_filters import Material, gather
from studies.scripts import parse, save_jpeg, script_parser

GREY, GREEN, ORANGE = (190, 190, 190), (60, 255, 60), (255, 150, 0)


def stages(
    material: Material, frame: Frame, index: int, config: BoxFilterConfig
) -> dict[str, Pixels]:
    """Caption -> picture, of one frame after all before it."""
    segmenter = material.segmenter(config)
    for one in material.run(segmenter):
        if one.index == index - 1:
            before = segmenter.last_boxes[1]
        if one.index == index:
            break
    labels, selected = one.labels, segmenter.filtered[1]
    detections, truth = material.detections[index], material.truths[index]
    plain = (material.maps[index] >= 128).astype(np.int32)
    scores = [float(region_similarity(m > 0, truth > 0)) for m in (plain, labels)]
    captions = [f"{score:.2f}" for score in detections.scores]
    picture = draw_boxes(frame, detections.boxes, [GREY] * len(detections), captions)
    picture = draw_boxes(picture, before, [ORANGE])
    picture = draw_boxes(picture, selected.boxes, [GREEN] * len(selected.boxes))
    kind = "detected" if selected.detected else "tracked" if len(selected.boxes) else "none"
    return {
        f"{material.name} {index}: map": heat(frame, material.maps[index]),
        f"without: J {scores[0]:.2f}": overlay(frame, plain),
        f"{len(detections)} boxes; selected: {kind}": picture,
        f"filtered: J {scores[1]:.2f}": overlay(frame, labels),
    }


def heat(frame: Frame, probability: npt.NDArray[np.uint8]) -> Pixels:
    """The map over the darkened grey frame."""
    colours = cv2.applyColorMap(probability, cv2.COLORMAP_INFERNO)[..., ::-1]
    grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)[..., None] * np.float32(0.35)
    return np.asarray(np.maximum(colours, grey), np.uint8)


def main() -> None:
    parser = script_parser(__doc__)
    parser.add_argument("--davis", type=Path, required=True)
    parser.add_argument("--split", default="val")
    parser.add_argument("--frames", required=True, help="SEQUENCE:FRAME, comma-separated")
    parser.add_argument("--model", default="oneshot")
    parser.add_argument("--detector", default="detector-lite")
    parser.add_argument("--cache", type=Path, default=Path("runs/box-filters"))
    parser.add_argument("--out", type=Path, default=Path("box-filters.jpg"))
    parser.add_argument("--width", type=int, default=320, help="width of a picture, px")
    arguments = parse(parser)
    captions: list[str] = []
    pictures: list[Pixels] = []
    for pair in arguments.frames.split(","):
        name, _, index = pair.partition(":")
        dataset = open_benchmark("davis2016", arguments.davis, arguments.split).select([name])
        (material,) = gather(arguments.model, arguments.detector, dataset, arguments.cache, {})
        frame = dataset.sequences[0].frame(int(index))
        row = stages(material, frame, int(index), BoxFilterConfig())
        captions += list(row)
        pictures += list(row.values())
    sheet = contact_sheet(pictures, captions, columns=4, cell_width_px=arguments.width)
    save_jpeg(arguments.out, sheet, quality=85)


if __name__ == "__main__":
    main()
