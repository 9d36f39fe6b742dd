"""The prompts of a video: a list, in the order in which they were given, with undo."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from rotomask.prompts.kinds import Prompt


@dataclass(frozen=True)
class PlacedPrompt:
    """A prompt and the frame it is on."""

    prompt: Prompt
    frame: int = 0


@dataclass(frozen=True)
class Prompts:
    """An immutable list of prompts on the frames of a video. The masks are a function of it.

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
        """The given prompts, all on one frame."""
        return cls(tuple(PlacedPrompt(prompt, frame) for prompt in prompts))

    def add(self, prompt: Prompt, frame: int = 0) -> Prompts:
        """A list with one more prompt at its end."""
        return Prompts((*self.entries, PlacedPrompt(prompt, frame)))

    def undo(self, count: int = 1) -> Prompts:
        """A list without its last prompts; an empty list stays empty."""
        return Prompts(self.entries[: max(0, len(self.entries) - count)])

    def at(self, frame: int) -> tuple[Prompt, ...]:
        """The prompts on a frame, in the order in which they were given."""
        return tuple(entry.prompt for entry in self.entries if entry.frame == frame)

    def without(self, object_id: int) -> Prompts:
        """A list without the prompts of an object."""
        kept = (entry for entry in self.entries if entry.prompt.object_id != object_id)
        return Prompts(tuple(kept))

    @property
    def frames(self) -> tuple[int, ...]:
        """Numbers of the frames with prompts, rising."""
        return tuple(sorted({entry.frame for entry in self.entries}))

    @property
    def object_ids(self) -> tuple[int, ...]:
        """Ids of the objects with prompts, rising."""
        return tuple(sorted({entry.prompt.object_id for entry in self.entries}))
