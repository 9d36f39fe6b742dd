"""Prompts of a video: an immutable list in the order given, with undo."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from rotomask.prompts.kinds import Prompt


@dataclass(frozen=True)
class PlacedPrompt:
    """Prompt and the number of its frame."""

    prompt: Prompt
    frame: int = 0


@dataclass(frozen=True)
class Prompts:
    """Immutable list of prompts on the frames of a video, which determines the masks.

    Example:
        >>> from rotomask.prompts import Click
        >>> prompts = Prompts().add(Click(310, 220)).add(Click(40, 40, positive=False))
        >>> len(prompts), len(prompts.undo()), prompts.undo().add(Click(9, 9), frame=7).frames
        (2, 1, (0, 7))
    """

    entries: tuple[PlacedPrompt, ...] = ()

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> Iterator[PlacedPrompt]:
        return iter(self.entries)

    @classmethod
    def on_frame(cls, prompts: Iterable[Prompt], frame: int = 0) -> Prompts:
        """List of prompts that are all on one frame."""
        return cls(tuple(PlacedPrompt(prompt, frame) for prompt in prompts))

    def add(self, prompt: Prompt, frame: int = 0) -> Prompts:
        """List with one more prompt at the end."""
        return Prompts((*self.entries, PlacedPrompt(prompt, frame)))

    def undo(self, count: int = 1) -> Prompts:
        """List without its last `count` prompts; an empty list stays empty."""
        return Prompts(self.entries[: max(0, len(self.entries) - count)])

    def at(self, frame: int) -> tuple[Prompt, ...]:
        """Prompts on a frame, in the order given."""
        return tuple(entry.prompt for entry in self.entries if entry.frame == frame)

    def without(self, object_id: int) -> Prompts:
        """List without the prompts of an object."""
        others = (entry for entry in self.entries if entry.prompt.object_id != object_id)
        return Prompts(tuple(others))

    @property
    def frames(self) -> tuple[int, ...]:
        """Numbers of the frames with prompts, in rising order."""
        return tuple(sorted({entry.frame for entry in self.entries}))

    @property
    def object_ids(self) -> tuple[int, ...]:
        """Ids of the objects with prompts, in rising order."""
        return tuple(sorted({entry.prompt.object_id for entry in self.entries}))
