"""What a batch is made of: videos, the tasks that workers get, and what becomes of them."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from rotomask.jobs.batch.storage import stamp
from rotomask.jobs.cut import CutOptions

RESULTS = "0.1.0"
"""The version since which the same inputs and options give the same masks. A later one here makes
batches cut videos again that an earlier version finished."""


@dataclass(frozen=True, kw_only=True)
class Item:
    """One video of a batch."""

    name: str
    """Its folder, relative to the batch's."""
    video: str
    """Location of a video file or a folder of frames."""
    masks: tuple[tuple[int, str], ...] = ()
    """Frame number and location of each reference mask."""
    prompts: str | None = None
    """Location of a JSON file of prompts, or the JSON itself."""
    options: CutOptions
    frames: int | None = None
    """How many frames it has, if the manifest says so."""
    parts: tuple[str, ...] = ()
    """Folders, relative to the batch's, in which its passes were cut one by one."""

    @property
    def is_part(self) -> bool:
        """Whether it is one pass of a video that was split."""
        return self.name.startswith(PARTS)

    @property
    def marked(self) -> str:
        """How the objects are marked, in words."""
        return "mask" if self.masks else "prompts" if self.prompts else "none: found"

    def identity(self) -> str:
        """A hash of the inputs, as far as they can be told without reading them, and the options.

        Raises:
            InputError: If an input is missing.
            RemoteError: If remote storage fails.
        """
        locations = [self.video, *(location for _, location in self.masks)]
        if self.prompts is not None and not self.prompts.startswith("{"):
            locations.append(self.prompts)
        if self.options.weights is not None:
            locations.append(str(self.options.weights))
        plain = asdict(replace(self.options, overwrite=False))
        del plain["threads"]  # they do not change the masks
        content = {
            "stamps": [[location, stamp(location)] for location in locations],
            "masks": self.masks,
            "prompts": self.prompts,
            "options": {key: str(value) for key, value in plain.items()},
            "version": RESULTS,
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:32]


PARTS = ".rotomask/parts/"
"""Where the passes of videos that are split are cut."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """Videos that one worker cuts one after the other."""

    items: tuple[Item, ...]
    frames: int
    """How many there are, about."""
    attempt: int = 0
    """How often it was tried before."""
    due: float = 0.0
    """Time before which it is not started, s, monotonic."""


State = Literal["finished", "before", "damaged", "failed"]
"""``finished``: now; ``before``: by an earlier run of the batch; ``damaged``: cut up to where the
video is damaged; ``failed``: see the error."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of a video."""

    name: str
    state: State
    frames: int = 0
    """Frames with a mask."""
    frames_segmented: int = 0
    seconds: float = 0.0
    """Time from its first input to its last output."""
    cpu_seconds: float = 0.0
    error: str | None = None
    is_passing: bool = False
    """Whether another attempt may succeed."""
    attempts: int = 1
    worker: str = ""
    """Machine and process."""
    confidence: float | None = None
    """The mean of the tenth of its frames that are least sure, 0 to 1 (`jobs.review`)."""
    doubtful: tuple[tuple[int, float], ...] = ()
    """The frames that most need a look, with their confidence."""
    uncertain: tuple[str, ...] = ()
    """Which objects are uncertain from where to where, and why, in words (`jobs.confidence`)."""

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Outcome":
        """The outcome that a receipt speaks of; raises TypeError or KeyError if it is damaged."""
        values = {key: content[key] for key in cls.__dataclass_fields__ if key in content}
        values["doubtful"] = tuple((int(i), float(c)) for i, c in values.get("doubtful", ()))
        values["uncertain"] = tuple(map(str, values.get("uncertain", ())))
        return cls(**values)
