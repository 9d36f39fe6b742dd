"""Models by name with refinements: the one place where refinements are composed."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from rotomask import catalog
from rotomask.catalog import DEFAULT_DISCOVERER, DEFAULT_MODEL, SegmenterRole, segmenter_role
from rotomask.errors import OptionError
from rotomask.jobs.keywords import take_refinements
from rotomask.jobs.model_settings import Focus, is_focused
from rotomask.segmenters.base import Segmenter
from rotomask.segmenters.box_filtered import BoxFiltered
from rotomask.segmenters.focused import Focused
from rotomask.segmenters.online import OnlineLearned
from rotomask.segmenters.refinements import REFINEMENTS, Refinements
from rotomask.segmenters.space_time import SpaceTimeSegmenter
from rotomask.segmenters.wrappers import Ensemble, Flipped, MultiScale
from rotomask.unsupervised.base import Discoverer
from rotomask.unsupervised.marked_anew import MarkedAnew
from rotomask.unsupervised.propagation import PropagatingDiscoverer

UNLIMITED_STEPS = 10_000
"""Steps of online learning that only time ends."""


def load_model(
    name: str = DEFAULT_MODEL,
    refinements: Refinements | None = None,
    *,
    weights: Path | str | None = None,
    device: str = "auto",
    precision: str = "auto",
    focus: Focus = "auto",
    learn_references: bool = False,
    **settings: Any,
) -> Segmenter:
    """A segmenter with refinements, ready to `start`.

    Args:
        name: A model that follows annotated objects: ``stm-lite``, ``rgmp-lite``, ``oneshot`` ...
        refinements: What is done beyond running it once; `parse_refinements` takes them as text.
        weights: A checkpoint of this model to use in place of the shipped one.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        precision: ``auto``, ``float32`` or ``bfloat16``.
        focus: Process the neighbourhood of the objects in place of larger frames: ``always``,
            ``never``, or ``auto``, where ``size`` is None and the model can.
        learn_references: Learn from all reference frames of a video that are given together, where
            the model can (`training.references`).
        **settings: Refinements by name, such as ``flip=True`` or ``boxes="tracked"``; ``quality``,
            a name of `jobs.quality.QUALITIES`; and fields of the model's config that differ from
            its default, such as ``size=360``, or ``config``, a whole one. They hold for every model
            of an ensemble.

    Raises:
        OptionError: If a name or setting is unknown, or a refinement is not for this model.
        WeightsError: If there are no weights, or they are another network's.

    Example:
        >>> from rotomask import load_model
        >>> load_model("stm-lite", flip=True, size=240).object_ids
        ()
    """
    refinements = take_refinements(refinements or Refinements(), settings)
    where = {"device": device, "precision": precision}
    learns = learn_references or refinements.learns_online or refinements.online_where_possible > 0
    # Settings such as size and memory are for every member; the checkpoint is the first one's.
    members = [
        _one_network(
            model,
            refinements,
            {"weights": file, "focus": focus, "learns": learns, **where, **settings},
        )
        for model, file in [(name, weights), *map(_name_and_file, refinements.ensemble_with)]
    ]
    if learn_references:
        from rotomask.training import references

        members = [references.learn_references(member) for member in members]
    if refinements.flip:
        members = [_flipped(member) for member in members]
    segmenter = members[0] if len(members) == 1 else Ensemble(members)
    role = segmenter_role(name)
    if refinements.boxes is not None and not role.filters_by_boxes:
        boxes = catalog.load_boxes(refinements.boxes, **where)
        segmenter = BoxFiltered(segmenter, boxes, role.box_filter)
    # Components drop regions before a CRF moves their outlines, in whatever order they were given.
    for wrapper in refinements.wrappers:
        wrap = REFINEMENTS[wrapper].wrap
        assert wrap is not None, f"{wrapper} has neither a parser nor a wrapper of its own"
        segmenter = wrap(segmenter)
    return segmenter


def load_discoverer(
    name: str = DEFAULT_DISCOVERER,
    refinements: Refinements | None = None,
    *,
    weights: Path | str | None = None,
    device: str = "auto",
    precision: str = "auto",
    following: Mapping[str, Any] | None = None,
    **settings: Any,
) -> Discoverer:
    """A method without annotation, ready to `discover`.

    Args:
        name: A discoverer (``embedding``, ``flow-saliency``), or ``A+B``: A finds the objects, B
            follows them from the frame in which they are clearest.
        refinements: What B does beyond following; a discoverer alone takes ``crf`` only.
        weights: A checkpoint of B, or of a discoverer alone, to use in place of the shipped one.
        device: As for `load_model`.
        precision: As for `load_model`.
        following: Settings of B, as `load_model` takes them.
        **settings: Fields of the discoverer's config that differ from its default, or ``config``.

    Raises:
        OptionError: If a name or setting is unknown, the model needs a mask, or a refinement is not
            for it.
        WeightsError: If there are no weights, or they are another network's.
    """
    refinements = refinements or Refinements()
    where: dict[str, Any] = {"device": device, "precision": precision}
    finder, follower = catalog.find_then_follow(name)
    if follower == name:
        raise OptionError(
            f"{name!r} needs a mask to start from; without one give "
            f"{', '.join(catalog.names('discoverer'))} or {finder}+{name}"
        )
    if follower is None:
        if replace(refinements, crf=False) != Refinements():
            raise OptionError(
                f"only a segmenter that follows a mask can be refined{refinements}; give --mask, "
                f"or use {name}+{DEFAULT_MODEL}"
            )
        if refinements.crf:
            settings["crf"] = True
        return catalog.load_discoverer(finder, weights=weights, **where, **settings)
    segmenter = load_model(follower, refinements, weights=weights, **where, **(following or {}))
    return PropagatingDiscoverer(load_finder(finder, **where, **settings), segmenter)


def load_finder(
    name: str, *, device: str = "auto", precision: str = "auto", **settings: Any
) -> Discoverer:
    """A discoverer whose objects are to be followed: marked anew, so that outlines are sharp.

    Args:
        name: A discoverer of the catalogue.
        device: As for `load_model`.
        precision: As for `load_model`.
        **settings: As for `load_discoverer`.

    Raises:
        OptionError: If a name or setting is unknown.
        WeightsError: If weights are missing.
    """
    discoverer = catalog.load_discoverer(name, device=device, precision=precision, **settings)
    marker = catalog.load_marker(device=device, precision=precision)
    discoverer.refine = MarkedAnew(marker, discoverer.refine)
    return discoverer


def _one_network(name: str, refinements: Refinements, settings: dict[str, Any]) -> Segmenter:
    """A model of an ensemble, at one scale or several."""
    role = segmenter_role(name)
    load = partial(_at_one_scale, name, role, refinements, settings)
    if refinements.scales is None:
        return load()
    if role.averages_scales:
        return load(scales=refinements.scales)
    return MultiScale(lambda scale: load(scale=scale), refinements.scales)


def _flipped(segmenter: Segmenter) -> Segmenter:
    """Flip testing of each network, so that one that learns online learns once for both images."""
    if isinstance(segmenter, Ensemble):
        return Ensemble([_flipped(member) for member in segmenter.members])
    if isinstance(segmenter, OnlineLearned):
        return segmenter.within(Flipped)
    return Flipped(segmenter)


def _at_one_scale(
    name: str,
    role: SegmenterRole,
    refinements: Refinements,
    settings: dict[str, Any],
    **scale: object,
) -> Segmenter:
    """One network, which may learn from the annotated frame and filter by boxes itself."""
    own = {**settings, **scale}
    focus = own.pop("focus", "auto")
    can_focus = (
        role.focuses and not refinements.learns_online and own.get("backend", "torch") == "torch"
    )
    if focus == "always" and not can_focus:
        able = ", ".join(m for m in catalog.names("segmenter") if segmenter_role(m).focuses)
        raise OptionError(
            f"{name} cannot focus on the objects; {able} can, in PyTorch and without online "
            "learning; leave focus out"
        )
    if role.filters_by_boxes and refinements.boxes is not None:
        own["boxes"] = refinements.boxes
    if role.learns_reference:
        if refinements.online_steps:
            own["iterations"] = refinements.online_steps
        if refinements.online_seconds is not None:
            own["seconds"] = refinements.online_seconds
        return catalog.load_model(name, **own)
    segmenter = catalog.load_model(name, **own)
    if can_focus:
        assert isinstance(segmenter, SpaceTimeSegmenter)
        if is_focused(focus, segmenter.config.size):
            return Focused(segmenter)
    return _learning_online(name, role, segmenter, refinements, own.get("backend", "torch"))


def _learning_online(
    name: str, role: SegmenterRole, segmenter: Segmenter, refinements: Refinements, backend: str
) -> Segmenter:
    """The segmenter, which learns online if the refinements say so, or if it can and they may."""
    steps, seconds = refinements.online_steps, refinements.online_seconds
    if not refinements.learns_online:
        steps = refinements.online_where_possible
        if not steps or backend != "torch" or not role.learns_online:
            return segmenter
    if backend != "torch":
        raise OptionError("a network learns online in PyTorch alone; leave --backend out")
    if not role.learns_online:
        learners = [
            model for model in catalog.names("segmenter") if segmenter_role(model).learns_online
        ]
        raise OptionError(f"{name} cannot learn online; the models that can: {', '.join(learners)}")
    from rotomask.training.online import OnlineConfig, learn_online

    return learn_online(segmenter, OnlineConfig(steps=steps or UNLIMITED_STEPS, seconds=seconds))


def _name_and_file(text: str) -> tuple[str, str | None]:
    """NAME or NAME:FILE."""
    name, _, file = text.partition(":")
    return name, file or None
