"""Images with instance labels from a COCO file: what embeddings can learn from beside stills."""

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from rotomask.data.scenes import MOST_INSTANCES, Labels, Scene
from rotomask.errors import DatasetError


class CocoInstances:
    """The images of a COCO JSON file and the instances in each, read when asked for.

    Crowd regions are of no single instance and left out; of two instances that overlap the smaller
    one is in front.

    Args:
        annotations: ``instances_*.json``.
        images: The folder of its images.

    Raises:
        DatasetError: If the file is missing or damaged, or no image of it has an instance.
    """

    def __init__(self, annotations: Path, images: Path) -> None:
        from pycocotools.coco import COCO

        if not annotations.is_file():
            raise DatasetError(f"there is no COCO file {annotations}; give instances_*.json")
        try:
            self._coco = COCO()
            self._coco.dataset = json.loads(annotations.read_text(encoding="utf-8"))
            with contextlib.redirect_stdout(io.StringIO()):  # it prints what it does
                self._coco.createIndex()
            with_instance = {a["image_id"] for a in self._wanted(list(self._coco.anns.values()))}
        except (ValueError, KeyError, TypeError, AssertionError) as error:
            raise DatasetError(f"{annotations} is not a COCO instances file: {error}") from error
        self._images = images
        self._ids = sorted(with_instance)
        if not self._ids:
            raise DatasetError(f"no image of {annotations} has an instance")

    def __len__(self) -> int:
        return len(self._ids)

    def __getitem__(self, index: int) -> Scene:
        """The image H×W×3 uint8 RGB and its instances H×W uint8.

        Raises:
            DatasetError: If the image is missing or damaged, or of another size than its instances.
        """
        record = self._coco.imgs[self._ids[index]]
        path = self._images / record["file_name"]
        image = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)
        if image is None:
            raise DatasetError(f"cannot read {path}")
        labels: Labels = np.zeros(image.shape[:2], np.uint8)
        found = self._wanted(self._coco.imgToAnns[record["id"]])
        largest = sorted(found, key=lambda a: -a["area"])[:MOST_INSTANCES]
        for k, annotation in enumerate(largest, start=1):
            inside = self._coco.annToMask(annotation)
            if inside.shape != labels.shape:
                raise DatasetError(
                    f"{path} is {labels.shape[1]}x{labels.shape[0]} but its COCO record "
                    f"{inside.shape[1]}x{inside.shape[0]}"
                )
            labels[inside > 0] = k
        return np.asarray(image, np.uint8), labels

    @staticmethod
    def _wanted(annotations: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [a for a in annotations if not a.get("iscrowd") and a.get("segmentation")]
