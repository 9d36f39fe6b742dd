"""Test-time refinements as the command line names them, and the segmenter that has them all."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

from rotomask.errors import OptionError
from rotomask.segmenters.base import Segmenter

UNLIMITED = 10_000
"""Steps of online learning where only time ends it."""


@dataclass(frozen=True, kw_only=True)
class Refinements:
    """What is done beyond running one network once over the video."""

    flip: bool = False
    """Average with the mirror image's answers."""
    scales: tuple[float, ...] | None = None
    """Average over these factors of the processing size; None: as suits the model, which is one for
    all but RGMP."""
    ensemble_with: tuple[str, ...] = ()
    """Average with these models: ``NAME``, or ``NAME:FILE`` with a checkpoint."""
    online_steps: int = 0
    """Optimiser steps of learning from the reference frame (`training.online`); 0: as suits the
    model, which is none for all but one-shot networks."""
    online_seconds: float | None = None
    """Most time for them; with it and no steps, as many as fit."""
    detector: str | None = None
    """Filter each answer by boxes (`segmenters.box_filtered`) of this detector, as `load_detector`
    takes it; None: as suits the model, which is not at all for all but oneshot-boxes."""
    components: bool = False
    """Drop what is nowhere strong, keep what is weak beside it (`refine.components`)."""
    crf: bool = False
    """Refine each answer by a dense CRF (`refine.dense_crf`)."""

    def __post_init__(self) -> None:
        if self.online_steps < 0 or (self.online_seconds is not None and self.online_seconds <= 0):
            raise OptionError(
                f"online learning takes steps or seconds above 0, got {self.online_steps} steps "
                f"and {self.online_seconds} seconds"
            )
        if self.scales is None:
            return
        if not self.scales or min(self.scales) <= 0:
            raise OptionError(f"scales must be above 0, such as 0.75,1, got {_listed(self.scales)}")
        if len(set(self.scales)) < len(self.scales):
            raise OptionError(f"each scale counts once, got {_listed(self.scales)}")

    def __str__(self) -> str:
        """Empty without any; else to be put behind the model's name."""
        parts = [f"with {name}" for name in self.ensemble_with]
        parts += [f"online {self.online_steps} steps"] * (self.online_steps > 0)
        if self.online_seconds is not None:
            parts.append(f"online {self.online_seconds:g} s")
        parts += ["flip"] * self.flip
        parts += [f"scales {_listed(self.scales)}"] if self.scales is not None else []
        parts += [f"boxes of {self.detector}"] if self.detector is not None else []
        parts += ["components"] * self.components + ["crf"] * self.crf
        return "".join(f" + {part}" for part in parts)


def load_segmenter(
    model: str,
    refinements: Refinements | None = None,
    *,
    weights: Path | str | None = None,
    device: str = "auto",
    precision: str = "auto",
    **settings: Any,
) -> Segmenter:
    """A model of the catalogue, refined.

    Args:
        model: A name of the catalogue.
        refinements: What is done beyond running it once.
        weights: A checkpoint of this model to use in place of the shipped one.
        device: As for `load_model`.
        precision: As for `load_model`.
        **settings: As for `load_model`, for every model of the ensemble.

    Raises:
        OptionError: If a name or number is not among the possible ones.
        WeightsError: If there are no weights, or they are not the model's.
    """
    from rotomask.refine import dense_crf, filter_components
    from rotomask.segmenters.wrappers import Ensemble, Flipped, MultiScale, Refined

    chosen = refinements or Refinements()

    members: list[Segmenter] = []
    for name, file in [(model, weights), *map(_name_and_file, chosen.ensemble_with)]:
        load = partial(
            _load, chosen, name, weights=file, device=device, precision=precision, **settings
        )
        if chosen.scales is None:
            members.append(load())
        elif has_own_scales(name):
            members.append(load(scales=chosen.scales))
        else:
            members.append(MultiScale(partial(_at_scale, load), chosen.scales))
    segmenter = members[0] if len(members) == 1 else Ensemble(members)
    if chosen.flip:
        segmenter = Flipped(segmenter)
    if chosen.detector is not None and not has_own_detector(model):
        from rotomask.detection import load_detector
        from rotomask.refine.box_filters import FOLLOWING, BoxFilterConfig
        from rotomask.segmenters.box_filtered import BoxFiltered

        detector = load_detector(chosen.detector, device=device, precision=precision)
        config = BoxFilterConfig() if learns_itself(model) else FOLLOWING
        segmenter = BoxFiltered(segmenter, detector, config)
    if chosen.components:
        segmenter = Refined(segmenter, filter_components)
    if chosen.crf:
        segmenter = Refined(segmenter, dense_crf)
    return segmenter


def _load(refinements: Refinements, name: str, **settings: Any) -> Segmenter:
    """One network at one scale, which may learn online."""
    from rotomask.catalog import load_model

    if refinements.detector is not None and has_own_detector(name):
        settings["detector"] = refinements.detector
    if learns_itself(name):
        if refinements.online_steps:
            settings["iterations"] = refinements.online_steps
        return load_model(name, seconds=refinements.online_seconds, **settings)
    segmenter = load_model(name, **settings)
    if not refinements.online_steps and refinements.online_seconds is None:
        return segmenter
    from rotomask.training.online import OnlineConfig, OnlineLearned

    steps = refinements.online_steps or UNLIMITED
    return OnlineLearned(segmenter, OnlineConfig(steps=steps, seconds=refinements.online_seconds))


def has_own_scales(model: str) -> bool:
    """Whether a model averages over scales itself, before it goes on to the next frame (RGMP)."""
    return _has_setting(model, "scales")


def learns_itself(model: str) -> bool:
    """Whether a model learns from the first mask anyway (one-shot networks)."""
    return _has_setting(model, "iterations")


def has_own_detector(model: str) -> bool:
    """Whether a model is filtered by boxes anyway (oneshot-boxes)."""
    return _has_setting(model, "detector")


def _has_setting(model: str, name: str) -> bool:
    from rotomask.catalog import find_model

    return any(field.name == name for field in fields(find_model(model).config))


def _at_scale(load: Callable[..., Segmenter], scale: float) -> Segmenter:
    return load(scale=scale)


def _name_and_file(text: str) -> tuple[str, str | None]:
    """NAME or NAME:FILE."""
    name, _, file = text.partition(":")
    return name, file or None


def _listed(scales: tuple[float, ...]) -> str:
    return ",".join(f"{scale:g}" for scale in scales) or "none"
