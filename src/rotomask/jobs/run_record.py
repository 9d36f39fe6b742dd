"""The record of a benchmark run, ``run.json``: its settings, seconds and peak memory."""

import math
import platform
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import Any

from rotomask import __version__
from rotomask.errors import OutputError
from rotomask.files import load_json
from rotomask.jobs.folder import JobFolder
from rotomask.jobs.manifest import FORMAT

RECORD = "run.json"


@dataclass(frozen=True, kw_only=True)
class SequenceTiming:
    """Time that a model took for a sequence."""

    frames: int
    """Frames that were segmented: the given ones do not count."""
    seconds: float
    """From reading the first frame to the last mask on disk."""


class RunRecord:
    """``run.json``: settings, and the timing of every finished sequence."""

    def __init__(self, folder: JobFolder, settings: dict[str, Any]) -> None:
        """Read what an earlier run recorded.

        Raises:
            OutputError: If the record is damaged.
        """
        self.folder, self.settings = folder, settings
        self.timings: dict[str, SequenceTiming] = {}
        self.peak_mib = 0.0
        file = folder.root / RECORD
        if file.is_file():
            try:
                stored = load_json(file)
                self.peak_mib = float(stored["peak_mib"])
                self.timings = {k: SequenceTiming(**v) for k, v in stored["timings"].items()}
            except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
                raise OutputError(
                    f"{file} is damaged; choose another --out, or --overwrite to start over"
                ) from error

    def finish(self, name: str, timing: SequenceTiming) -> None:
        """Note a finished sequence."""
        self.timings[name] = timing
        # Of all runs that the folder was resumed by, since each counts from its own start.
        self.peak_mib = max(self.peak_mib, _peak_mib())
        content = {
            "format": FORMAT,
            "settings": self.settings,
            "peak_mib": self.peak_mib,
            "timings": {k: vars(v) for k, v in self.timings.items()},
        }
        self.folder.write_json(RECORD, content)

    def summary(self, names: Sequence[str]) -> dict[str, Any]:
        """Times and settings of some sequences, all of them finished."""
        timings = {name: self.timings[name] for name in names}
        # The mean over frames, not over sequences: long ones count for more.
        frames = sum(t.frames for t in timings.values())
        seconds = sum(t.seconds for t in timings.values())
        return {
            **self.settings,
            "frames": frames,
            "seconds_per_frame": seconds / frames if frames else None,
            "frames_per_second": frames / seconds if seconds else None,
            "seconds_per_frame_by_sequence": {
                k: t.seconds / t.frames if t.frames else None for k, t in timings.items()
            },
            "peak_memory_mib": self.peak_mib,
            "versions": _versions(),
        }


def _peak_mib() -> float:
    """The process's largest resident memory so far; NaN where the system does not tell."""
    try:
        import resource
    except ImportError:  # Windows
        return math.nan
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # ru_maxrss is in bytes on macOS, in KiB on Linux.
    return peak / 2**20 if sys.platform == "darwin" else peak / 1024


def _versions() -> dict[str, str]:
    names = ("torch", "numpy", "opencv-python-headless", "av")
    versions = {name: metadata.version(name) for name in names}
    return {"rotomask": __version__, "python": platform.python_version(), **versions}
