"""Named settings between speed and quality: sizes and refinements that pay for stm-lite.

They were chosen on held-out sequences of DAVIS-2016 train; docs/guide/choose.md has the table.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from rotomask.errors import OptionError
from rotomask.segmenters.refinements import Refinements, parse_refinements


@dataclass(frozen=True, kw_only=True)
class Quality:
    """Settings that a name stands for; each can be replaced by an option of its own."""

    size: int
    """Short side at which frames are processed, px."""
    refine: tuple[str, ...] = ()
    """Refinements, as `parse_refinements` takes them."""
    boxes: str | None = None
    """As `Refinements.boxes`."""
    online: int = 0
    """As `Refinements.online_where_possible`."""
    help: str
    """What it gives and what it costs."""

    def refinements(self, specs: Sequence[str] = (), boxes: str | None = None) -> Refinements:
        """Its refinements and further ones.

        Args:
            specs: Further ones, as `parse_refinements` takes them; its own may be among them.
            boxes: In place of its own.

        Raises:
            OptionError: As `parse_refinements`.
        """
        own = [spec for spec in self.refine if spec not in specs]
        chosen = parse_refinements([*own, *specs], boxes or self.boxes)
        return (
            chosen if chosen.learns_online else replace(chosen, online_where_possible=self.online)
        )


DEFAULT_QUALITY = "good"
QUALITIES = {
    "fast": Quality(size=384, help="384 px: J&F -0.001, look-alikes -0.03, 0.7 times the time"),
    "good": Quality(size=480, help="480 px"),
    "best": Quality(
        size=480,
        refine=("flip",),
        online=80,
        help="480 px, --refine flip and, where the model can, --refine online=80: J&F +0.01, "
        "look-alikes +0.02, 3.2 times the time of 100 frames",
    ),
}
"""Qualities by name, the fastest first."""


def find_quality(name: str) -> Quality:
    """A quality by its name.

    Raises:
        OptionError: If there is none of this name.
    """
    if name not in QUALITIES:
        raise OptionError(f"unknown quality {name!r}; use {', '.join(QUALITIES)}")
    return QUALITIES[name]
