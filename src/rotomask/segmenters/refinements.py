"""Settings of the test-time refinements, and their spelling on the command line.

They are composed into a segmenter by `jobs.loading.load_model`.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rotomask.errors import OptionError

if TYPE_CHECKING:  # segmenters import torch, which would slow down a help text
    from rotomask.segmenters.base import Segmenter

LARGEST_SCALE = 4.0
"""Largest factor of the processing size: memory grows with its square."""

LISTS = ("ensemble_with", "further")
"""Fields of `Refinements` to which every repetition adds."""

TRACKED = "tracked"
"""Boxes without a detector: an object's box is tracked from its first mask."""


@dataclass(frozen=True, kw_only=True)
class Refinements:
    """Refinements of a model at test time.

    Plain data: ``dataclasses.asdict`` identifies a job; ``str`` is only for display.
    """

    flip: bool = False
    """Average with the segmentation of the mirror image."""
    scales: tuple[float, ...] | None = None
    """Average over these factors of the processing size; None: the model's own, which is one scale
    for all but RGMP."""
    ensemble_with: tuple[str, ...] = ()
    """Average with these models: ``NAME``, or ``NAME:FILE`` with a checkpoint."""
    online_steps: int = 0
    """Steps of training on the reference frame (`training.online`); 0: the model's own, which is
    none for all but one-shot networks."""
    online_seconds: float | None = None
    """Time limit of these steps; without a number of steps, as many as fit."""
    online_where_possible: int = 0
    """Steps of training on the reference frame where the model can, in PyTorch and without focus;
    elsewhere none. Without effect where steps or seconds are given."""
    boxes: str | None = None
    """Filter the masks by boxes (`segmenters.box_filtered`): ``tracked``, or a detector that
    `load_detector` takes. None: the model's own, which is no filter for all but oneshot-boxes."""
    components: bool = False
    """Drop weak regions that touch no strong one (`refine.components`)."""
    crf: bool = False
    """Refine each frame's masks by a dense CRF (`refine.dense_crf`)."""
    further: tuple[str, ...] = ()
    """Other entries of `REFINEMENTS` that wrap the segmenter, in this order."""

    def __post_init__(self) -> None:
        seconds = self.online_seconds
        least = min(self.online_steps, self.online_where_possible)
        if least < 0 or (seconds is not None and not 0 < seconds < math.inf):
            raise OptionError(
                f"online learning takes steps or seconds above 0, got {least} steps and {seconds} "
                "seconds"
            )
        unknown = [name for name in self.further if name not in REFINEMENTS]
        if unknown:
            raise _unknown(unknown[0])
        if self.scales is None:
            return
        if not self.scales or not all(0 < scale <= LARGEST_SCALE for scale in self.scales):
            raise OptionError(
                f"scales must be above 0 and at most {LARGEST_SCALE:g}, such as 0.75,1, got "
                f"{_listed(self.scales)}"
            )
        if len(set(self.scales)) < len(self.scales):
            raise OptionError(f"each scale counts once, got {_listed(self.scales)}")

    @property
    def learns_online(self) -> bool:
        """True if the network is to be trained on the reference frame, and must be able to."""
        return self.online_steps > 0 or self.online_seconds is not None

    @property
    def wrappers(self) -> tuple[str, ...]:
        """Entries of `REFINEMENTS` that wrap the segmenter after box filtering, in their order."""
        switches = {"components": self.components, "crf": self.crf}
        return (*(name for name, is_on in switches.items() if is_on), *self.further)

    def __str__(self) -> str:
        """Suffix for the model's name, such as `` + flip + crf``; empty without refinements."""
        parts = [f"with {name}" for name in self.ensemble_with]
        parts += [f"online {self.online_steps} steps"] * (self.online_steps > 0)
        if self.online_seconds is not None:
            parts.append(f"online {self.online_seconds:g} s")
        if self.online_where_possible and not self.learns_online:
            parts.append(f"online {self.online_where_possible} steps where possible")
        parts += ["flip"] * self.flip
        parts += [f"scales {_listed(self.scales)}"] if self.scales is not None else []
        parts += [f"boxes {self.boxes}"] if self.boxes is not None else []
        parts += self.wrappers
        return "".join(f" + {part}" for part in parts)


@dataclass(frozen=True)
class Refinement:
    """One refinement: its spelling, ``NAME`` or ``NAME=VALUE``, and what it does."""

    example: str
    """Example of its spelling, with a value if it takes one."""
    help: str
    """One line on its effect, and on its scores and time with stm-lite on ten sequences of
    DAVIS-2016 val (docs/papers/test-time.md)."""
    parse: Callable[[str | None], dict[str, Any]] | None = None
    """Fields of `Refinements` from the text after ``=``, or from None without ``=``. By default it
    takes no value and is one of `Refinements.further`."""
    wrap: Callable[["Segmenter"], "Segmenter"] | None = None
    """The segmenter, refined; None: `jobs.loading` composes it when it loads the networks."""


def parse_refinements(specs: Sequence[str], boxes: str | None = None) -> Refinements:
    """Refinements from the texts of a command line.

    Args:
        specs: Such as ``flip``, ``scales=0.75,1``, ``ensemble=rgmp-lite``, ``online=40``,
            ``online=20s``, ``components``, ``crf``. ``ensemble`` may be repeated; ``online`` may be
            given once with steps and once with seconds.
        boxes: As `Refinements.boxes`.

    Raises:
        OptionError: If a name is unknown, a value is missing, or one is given twice.

    Example:
        >>> parse_refinements(["flip", "scales=0.75,1", "online=20s"]).scales
        (0.75, 1.0)
    """
    settings: dict[str, Any] = {"boxes": boxes}
    for spec in specs:
        name, equals, value = (text.strip() for text in spec.partition("="))
        if name not in REFINEMENTS:
            raise _unknown(name)
        parse = REFINEMENTS[name].parse or _switch(name, "further", (name,))
        for field, setting in parse(value if equals else None).items():
            is_repeated = field in settings and field not in LISTS
            if is_repeated or name in settings.get("further", ()):
                raise OptionError(f"the refinement {name} is given twice; give it once")
            settings[field] = settings.get(field, ()) + setting if field in LISTS else setting
    return Refinements(**settings)


def _unknown(name: str) -> OptionError:
    return OptionError(f"unknown refinement {name!r}; known: {', '.join(REFINEMENTS)}")


def _switch(name: str, field: str, setting: Any = True) -> Callable[[str | None], dict[str, Any]]:
    """Parser of a refinement without a value, which sets this field."""

    def parse(value: str | None) -> dict[str, Any]:
        if value is not None:
            raise OptionError(f"the refinement {name} takes no value, got {name}={value}")
        return {field: setting}

    return parse


def _filter_components(segmenter: "Segmenter") -> "Segmenter":
    from rotomask.refine import filter_components
    from rotomask.segmenters.wrappers import Refined

    return Refined(segmenter, filter_components)


def _refine_by_crf(segmenter: "Segmenter") -> "Segmenter":
    from rotomask.refine import dense_crf
    from rotomask.segmenters.wrappers import Refined

    return Refined(segmenter, dense_crf)


def _parse_scales(value: str | None) -> dict[str, Any]:
    try:
        return {"scales": tuple(float(part) for part in (value or "").split(","))}
    except ValueError as error:
        raise OptionError(
            f"scales takes numbers with commas between, such as scales=0.75,1, got {value!r}"
        ) from error


def _parse_ensemble(value: str | None) -> dict[str, Any]:
    if not value:
        raise OptionError(
            "ensemble takes a model, such as ensemble=rgmp-lite or ensemble=NAME:FILE"
        )
    return {"ensemble_with": (value,)}


def _parse_online(value: str | None) -> dict[str, Any]:
    text = value or ""
    try:
        if text.endswith("s"):
            return {"online_seconds": float(text.removesuffix("s"))}
        steps = int(text)
    except ValueError as error:
        raise OptionError(
            f"online takes steps or seconds, such as online=40 or online=20s, got {value!r}"
        ) from error
    if steps < 1:
        raise OptionError(f"online takes 1 step or more, got {steps}")
    return {"online_steps": steps}


REFINEMENTS: dict[str, Refinement] = {
    "flip": Refinement(
        "flip",
        "average with the segmentation of the mirror image (stm-lite: J&F +0.005, 2 times the "
        "time)",
        _switch("flip", "flip"),
    ),
    "scales": Refinement(
        "scales=0.75,1",
        "average over these factors of --size (stm-lite: J +0.007, F -0.007, 1.6 times the time)",
        _parse_scales,
    ),
    "ensemble": Refinement(
        "ensemble=NAME[:FILE]",
        "average with another model, with a checkpoint if given; may be repeated (stm-lite with "
        "rgmp-lite: J&F -0.010, 2.4 times the time)",
        _parse_ensemble,
    ),
    "online": Refinement(
        "online=40",
        "learn from the annotated frame first, for so many steps, or so long as in online=20s "
        "(stm-lite: J&F +0.001, with flip +0.010; 2.3 and 3.2 times the time of 70 frames)",
        _parse_online,
    ),
    "components": Refinement(
        "components",
        "drop weak regions that touch no strong one (stm-lite: J&F -0.003)",
        _switch("components", "components"),
        _filter_components,
    ),
    "crf": Refinement(
        "crf",
        "refine outlines by a dense CRF (stm-lite: J&F -0.007, 2.8 times the time)",
        _switch("crf", "crf"),
        _refine_by_crf,
    ),
}
"""Refinements of `parse_refinements` by name; boxes have an option of their own."""


def _listed(scales: tuple[float, ...]) -> str:
    return ",".join(f"{scale:g}" for scale in scales) or "none"
