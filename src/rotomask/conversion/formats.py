"""The table of formats: how each is recognised, read and written, and what it cannot hold."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from rotomask.conversion import coco, cvat, label_studio, labelme, mask_folders, yolo
from rotomask.conversion.labelled_video import LabelledVideo, Save
from rotomask.conversion.reading import ReadOptions
from rotomask.errors import OptionError


@dataclass(frozen=True, kw_only=True)
class Format:
    """A format of annotations."""

    title: str
    loses: str
    """What of a labelled video it cannot hold; empty: nothing."""
    read: Callable[[Path, ReadOptions], LabelledVideo]
    outputs: Callable[[LabelledVideo], Iterator[str]]
    """Relative paths of the files that `write` writes."""
    write: Callable[[LabelledVideo, Save], None]


FORMATS: dict[str, Format] = {
    "masks": Format(
        title="folder of indexed PNG, as of rotomask cut",
        loses="names of objects",
        read=mask_folders.read_masks,
        outputs=mask_folders.mask_outputs,
        write=mask_folders.write_masks,
    ),
    "davis": Format(
        title="DAVIS-2017: Annotations/480p/NAME/*.png",
        loses="names of objects",
        read=mask_folders.read_davis,
        outputs=mask_folders.davis_outputs,
        write=mask_folders.write_davis,
    ),
    "coco": Format(
        title="COCO: annotations.json with run lengths",
        loses="",
        read=coco.read_coco,
        outputs=coco.coco_outputs,
        write=coco.write_coco,
    ),
    "youtube-vis": Format(
        title="YouTube-VIS: instances.json with tracks",
        loses="",
        read=coco.read_youtube_vis,
        outputs=coco.youtube_vis_outputs,
        write=coco.write_youtube_vis,
    ),
    "cvat": Format(
        title="CVAT for video 1.1: annotations.xml",
        loses="names of frames",
        read=cvat.read_cvat,
        outputs=cvat.cvat_outputs,
        write=cvat.write_cvat,
    ),
    "label-studio": Format(
        title="Label Studio: tasks.json with brush masks",
        loses="",
        read=label_studio.read_label_studio,
        outputs=label_studio.label_studio_outputs,
        write=label_studio.write_label_studio,
    ),
    "labelme": Format(
        title="LabelMe: a JSON file for each frame",
        loses="",
        read=labelme.read_labelme,
        outputs=labelme.labelme_outputs,
        write=labelme.write_labelme,
    ),
    "yolo": Format(
        title="YOLO segmentation: labels/*.txt and data.yaml",
        loses="holes, and the size of frames",
        read=yolo.read_yolo,
        outputs=yolo.yolo_outputs,
        write=yolo.write_yolo,
    ),
}
"""Every format by its name on the command line."""


MAIN_FILES = {
    "coco": coco.COCO_FILE,
    "youtube-vis": coco.VIS_FILE,
    "cvat": cvat.FILE,
    "label-studio": label_studio.FILE,
}
"""Formats of one file, and its name in a folder that rotomask wrote."""


def main_file(path: Path, name: str) -> Path:
    """The file of a format of one file where its folder is given; else the path itself."""
    file = path / MAIN_FILES[name] if name in MAIN_FILES else path
    return file if path.is_dir() and file.is_file() else path


def detect_format(path: Path) -> str:
    """The name of the format of a file or folder.

    Raises:
        OptionError: If it cannot be told; the message lists the names.
    """
    name = _of_folder(path) if path.is_dir() else _of_file(path)
    if name is None:
        raise OptionError(
            f"the format of {path} is not recognised; name it: --from {', '.join(FORMATS)}"
        )
    return name


def _of_folder(path: Path) -> str | None:
    if (path / "Annotations").is_dir():
        return "davis"
    if (path / "masks").is_dir() or any(path.glob("*.png")):
        return "masks"
    if (path / "labels").is_dir() or any(path.glob("*.txt")):
        return "yolo"
    for name, file in MAIN_FILES.items():
        if (path / file).is_file():
            return name
    return "labelme" if any(path.glob("*.json")) else None


def _of_file(path: Path) -> str | None:
    if path.suffix.lower() == ".xml":
        return "cvat"
    if path.suffix.lower() != ".json" or not path.is_file():
        return None
    with path.open("rb") as file:
        head = file.read(1 << 16)
    if head.lstrip().startswith(b"["):
        return "label-studio"
    if b'"videos"' in head:
        return "youtube-vis"
    return "coco"
