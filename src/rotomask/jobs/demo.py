"""The shipped demonstration: a real clip, its first mask, its ground truth."""

from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np

from rotomask.catalog import with_settings
from rotomask.evaluation.measures.boundary import boundary_accuracy
from rotomask.evaluation.measures.region import region_similarity
from rotomask.jobs.cut import CutResult, cut
from rotomask.jobs.job_options import FolderOptions
from rotomask.jobs.progress import OnProgress
from rotomask.masks import read_labels

FORMATS = ("overlay", "webm", "contact-sheet")


@dataclass(frozen=True, kw_only=True)
class DemoResult:
    """What the demonstration did, and how well."""

    cut: CutResult
    region_similarity: float
    """J, mean over the frames but the first and the last, as DAVIS has it."""
    boundary_accuracy: float
    """F, likewise."""


def demo_folder() -> Path:
    """Where `clip.mp4`, `first_mask.png` and `truth/` are: *dog* of DAVIS 2016."""
    return Path(str(resources.files("rotomask") / "assets" / "demo"))


@dataclass(frozen=True, kw_only=True)
class DemoOptions(FolderOptions):
    """Options of the demonstration."""


def demo(
    out: str | Path,
    options: DemoOptions | None = None,
    *,
    on_progress: OnProgress | None = None,
    **changes: object,
) -> DemoResult:
    """Cut the dog out of its clip, and score every mask against the ground truth.

    Args:
        out: Folder to write to.
        options: Options; or give its fields as keywords.
        on_progress: Receives the stages of `cut`.
        **changes: Fields of `DemoOptions`.

    Raises:
        OutputError: If the folder cannot be written, or holds another job.
    """
    options = with_settings(options or DemoOptions(), changes, "demo")
    folder = demo_folder()
    result = cut(
        folder / "clip.mp4",
        folder / "first_mask.png",
        out,
        **options.where,
        threads=options.threads,
        formats=FORMATS,
        overwrite=options.overwrite,
        on_progress=on_progress,
    )
    truths = sorted((folder / "truth").glob("*.png"))[1:-1]
    scores = []
    for path in truths:
        truth = read_labels(path) > 0
        mask = read_labels(result.outputs["masks"] / path.name) > 0
        scores.append((region_similarity(mask, truth), boundary_accuracy(mask, truth)))
    region, boundary = np.mean(scores, axis=0)
    return DemoResult(
        cut=result, region_similarity=float(region), boundary_accuracy=float(boundary)
    )
