"""Result masks as the YouTube-VOS server takes them: one zip of indexed PNG files."""

import zipfile
from pathlib import Path

from rotomask.data.benchmarks.sequences import VideoDataset
from rotomask.errors import DatasetError
from rotomask.files import complete_or_absent

FILE_NAME = "submission.zip"
OLDEST = (1980, 1, 1, 0, 0, 0)
"""The zip format's first date: the same masks make the same file."""


def write_submission(dataset: VideoDataset, results: Path) -> Path:
    """Pack the masks of a result folder for the server.

    The layout is ``Annotations/VIDEO/FRAME.png`` with the frames of the 6 fps subset, also where a
    method was given all frames. A PNG is packed as it is.

    Args:
        dataset: YouTube-VOS, of any split.
        results: ``RESULTS/VIDEO/FRAME.png``, as `run_benchmark` writes them.

    Returns:
        ``RESULTS/submission.zip``, complete or absent.

    Raises:
        DatasetError: If a frame has no mask.
        OutputError: If the file cannot be written.
    """
    path = results / FILE_NAME
    with (
        complete_or_absent(path) as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as packed,
    ):
        for sequence in dataset:
            for frame in sequence.answered or sequence.frame_names:
                mask = results / sequence.name / f"{frame}.png"
                if not mask.is_file():
                    raise DatasetError(f"the submission lacks {mask}; run {sequence.name} again")
                name = f"Annotations/{sequence.name}/{frame}.png"
                packed.writestr(zipfile.ZipInfo(name, OLDEST), mask.read_bytes())
    return path
