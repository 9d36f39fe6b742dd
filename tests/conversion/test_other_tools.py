"""What rotomask writes, opened by libraries of others that are too heavy for every environment.

`pip install datumaro labelme` beside rotomask runs them (with QT_QPA_PLATFORM=offscreen);
docs/guide/labelling.md says with which versions they were.
"""

import shutil
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from tests.conversion.test_formats import NAMES, SIZE, video, written

pytestmark = pytest.mark.filterwarnings("ignore")  # of the libraries


def masks_of(dataset, datumaro):
    """Frame -> label name -> its mask, of a Datumaro data set."""
    labels = dataset.categories()[datumaro.AnnotationType.label]
    found = {}
    for item in dataset:
        masks = [a for a in item.annotations if a.type == datumaro.AnnotationType.mask]
        frame = item.id.rpartition("/")[2]
        found[frame] = {labels[mask.label].name: np.asarray(mask.image) > 0 for mask in masks}
    return found


def write_picture(path):
    """A picture of the size of the masks."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", SIZE[::-1]).save(path)


def check(found):
    source = video()
    assert set(found) == set(source.frame_names)
    for index, name in enumerate(source.frame_names):
        labels = source.labels(index)
        assert set(found[name]) == {NAMES[k] for k in NAMES if (labels == k).any()}
        for k in NAMES:
            if (labels == k).any():
                np.testing.assert_array_equal(found[name][NAMES[k]], labels == k)


def test_datumaro_reads_our_coco(tmp_path):
    datumaro = pytest.importorskip("datumaro", reason="datumaro is not installed")
    file = written("coco", tmp_path / "clip")
    (tmp_path / "set/annotations").mkdir(parents=True)
    shutil.copy(file, tmp_path / "set/annotations/instances_clip.json")
    for name in video().frame_names:
        write_picture(tmp_path / "set/images/clip" / f"{name}.png")
    check(masks_of(datumaro.Dataset.import_from(str(tmp_path / "set"), "coco_instances"), datumaro))


def test_datumaro_reads_the_masks_of_our_cvat_file(tmp_path):
    """Their reader takes masks of images only; a track's are given to it as such, unchanged."""
    datumaro = pytest.importorskip("datumaro", reason="datumaro is not installed")
    file = written("cvat", tmp_path / "clip")
    root = ElementTree.parse(file).getroot()
    shapes: dict[int, list[ElementTree.Element]] = {index: [] for index in range(4)}
    for track in root.findall("track"):
        for mask in track.findall("mask"):
            if mask.get("outside") == "0":
                mask.set("label", track.get("label", ""))
                shapes[int(mask.get("frame", ""))].append(mask)
        root.remove(track)
    for index, name in enumerate(video().frame_names):
        size = {"width": str(SIZE[1]), "height": str(SIZE[0])}
        about = {"id": str(index), "name": f"{name}.png", **size}
        ElementTree.SubElement(root, "image", about).extend(shapes[index])
        write_picture(tmp_path / "set/images" / f"{name}.png")
    ElementTree.ElementTree(root).write(tmp_path / "set" / "annotations.xml")
    check(masks_of(datumaro.Dataset.import_from(str(tmp_path / "set"), "cvat"), datumaro))


def test_labelme_reads_our_files(tmp_path):
    labelme = pytest.importorskip("labelme._label_file", reason="labelme is not installed")
    folder = written("labelme", tmp_path / "clip")
    source = video()
    for index, name in enumerate(source.frame_names):
        file = next(folder.rglob(f"{name}.json"))
        write_picture(file.with_name(f"{name}.png"))
        shapes = labelme.LabelFile(str(file)).shapes
        labels = source.labels(index)
        assert sorted(shape["label"] for shape in shapes) == sorted(
            NAMES[k] for k in NAMES if (labels == k).any()
        )
        for shape in shapes:
            (left, top), (right, bottom) = np.round(shape["points"]).astype(int)
            mask = np.zeros(SIZE, bool)
            mask[top : bottom + 1, left : right + 1] = shape["mask"]
            (k,) = (k for k in NAMES if NAMES[k] == shape["label"])
            np.testing.assert_array_equal(mask, labels == k)
