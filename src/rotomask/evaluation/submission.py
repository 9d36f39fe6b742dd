"""Submissions to the YouTube-VOS server: one zip of indexed PNG files."""

import zipfile
from pathlib import Path

from rotomask.data.sequences import VideoDataset
from rotomask.errors import DatasetError
from rotomask.files import Commit, complete_or_absent, replace_file

FILE_NAME = "submission.zip"
FILE_DATE = (1980, 1, 1, 0, 0, 0)
"""Date of all files in the zip, its format's earliest, so that equal masks give equal files."""


def write_submission(dataset: VideoDataset, results: Path, commit: Commit = replace_file) -> Path:
    """Write a zip of the masks in a results folder for the server.

    Its layout is ``Annotations/VIDEO/FRAME.png`` with the frames of the 6 fps subset, even if the
    method was run on all frames. The PNG files are stored unchanged.

    Args:
        dataset: Any split of YouTube-VOS.
        results: Folder of the masks, ``RESULTS/VIDEO/FRAME.png``, as `benchmark` writes them.
        commit: Gives the complete file its name.

    Returns:
        ``RESULTS/submission.zip``, which is written atomically.

    Raises:
        DatasetError: If a frame has no mask.
        OutputError: If the file cannot be written.
    """
    path = results / FILE_NAME
    with (
        complete_or_absent(path, commit) as temporary,
        # Stored: PNG files are compressed, and a second time makes them no smaller.
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive,
    ):
        for sequence in dataset:
            # A run on all frames writes five times as many masks; the server takes every fifth.
            for frame in sequence.submitted_frames or sequence.frame_names:
                mask = results / sequence.name / f"{frame}.png"
                if not mask.is_file():
                    raise DatasetError(f"the submission lacks {mask}; run {sequence.name} again")
                name = f"Annotations/{sequence.name}/{frame}.png"
                archive.writestr(zipfile.ZipInfo(name, FILE_DATE), mask.read_bytes())
    return path
