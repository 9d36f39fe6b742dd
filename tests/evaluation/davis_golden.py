"""The three authors' result sets on DAVIS-2016 and the ground truth, beside the checkout."""

import dataclasses
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from rotomask.data.sequences import VideoDataset
from rotomask.evaluation import open_benchmark

SHARED = Path(__file__).parents[3] / "shared"
GOLDEN = SHARED / "golden"


def shared_path(name: str) -> Path:
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"needs shared/{name} beside the checkout")
    return path


def whole_davis2016(scratch: Path) -> VideoDataset:
    """All 20 sequences of val: ten from the data set at hand, ten of which only masks are."""
    first = open_benchmark("davis2016", shared_path("data/davis2016-val-dev"))
    annotations = shared_path("golden/davis2016-val-annotations")
    (scratch / "masks-only").mkdir()
    (scratch / "masks-only/Annotations").symlink_to(annotations)
    second = open_benchmark("davis2016", scratch / "masks-only")
    merged = sorted((*first.sequences, *second.sequences), key=lambda s: s.name)
    return dataclasses.replace(first, sequences=tuple(merged))


def unzip_results(author: str, scratch: Path) -> Path:
    """The folder of an author's masks, unpacked."""
    with zipfile.ZipFile(shared_path(f"golden/davis2016-results/{author}.zip")) as archive:
        archive.extractall(scratch / author)
    nested = scratch / author / author
    return nested if nested.is_dir() else scratch / author


def official_figures(author: str) -> dict[str, Any]:
    """Sequence -> "J", "F" -> the official value of every scored frame."""
    path = shared_path(f"golden/davis2016-results/{author}.official.json")
    figures: dict[str, Any] = json.loads(path.read_text())
    return figures
