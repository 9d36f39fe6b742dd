"""Options of jobs as keywords, with the names that they have on the command line.

A job takes its options whole or as keywords. The dictionary types below tell editors and type
checkers which; they must be written out, as those read the code without running it, and
tests/jobs/test_keywords.py compares them with the options. `takes_options` gives the same list to
`help` and to completion in notebooks.
"""

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, Literal, TypedDict, TypeVar, cast

from rotomask.catalog import with_settings
from rotomask.errors import OptionError
from rotomask.jobs.notebook import shows_bars
from rotomask.jobs.quality import find_quality
from rotomask.matting import EdgeControls
from rotomask.networks.layers.aggregation import Aggregation
from rotomask.networks.precision import Backend
from rotomask.segmenters.follow import Direction
from rotomask.segmenters.refinements import Refinements, parse_refinements
from rotomask.threads import computing_threads

Options = TypeVar("Options")
Function = TypeVar("Function", bound=Callable[..., Any])


class RuntimeKeywords(TypedDict, total=False):
    """What networks run on."""

    device: str
    precision: str
    threads: int | None


class RangeKeywords(TypedDict, total=False):
    """Frames of a video: `start` up to but not including `stop`, or up to `end`, the last one."""

    start: int
    stop: int | None
    end: int | None


class RefinementKeywords(TypedDict, total=False):
    """What is done beyond running the model once; `Refinements` describes each."""

    refinements: Refinements
    refine: str | Sequence[str]
    boxes: str | None
    flip: bool
    scales: Sequence[float] | None
    ensemble: str | Sequence[str]
    online: int
    seconds: float | None
    components: bool
    crf: bool


class ModelKeywords(RuntimeKeywords, RefinementKeywords, total=False):
    """The model that follows objects, and how."""

    quality: Literal["fast", "good", "best"]
    model: str
    weights: str | Path | None
    size: int | None
    focus: Literal["auto", "always", "never"]
    enlarge: Literal["auto", "always", "never"]
    memory: int | Literal["all"] | None
    merge: Aggregation | None
    backend: Backend


class CutKeywords(ModelKeywords, RangeKeywords, total=False):
    """Options of `cut`."""

    direction: Direction
    formats: str | Sequence[str]
    edges: EdgeControls
    overwrite: bool
    objects: int
    skip_damaged: bool
    sandbox: bool
    marker: str


class TrackKeywords(ModelKeywords, RangeKeywords, total=False):
    """Options of `track`."""

    marker: str


class ReportKeywords(TypedDict, total=False):
    """Files that scores are written to."""

    json: str | Path | None
    csv: str | Path | None
    latex: str | Path | None
    html: str | Path | None


class EvaluateKeywords(ReportKeywords, total=False):
    """Options of `evaluate`."""

    split: str | None
    sequences: Sequence[str] | None
    stability: bool
    allow_missing: bool
    processes: int | None


class BenchmarkKeywords(ModelKeywords, ReportKeywords, total=False):
    """Options of `benchmark`."""

    split: str | None
    sequences: Sequence[str] | None
    objects: int
    with_masks: bool
    overwrite: bool


class ProposeKeywords(RuntimeKeywords, RangeKeywords, total=False):
    """Options of `propose`."""

    model: str
    weights: str | Path | None
    objects: int
    overwrite: bool


class DetectKeywords(RuntimeKeywords, RangeKeywords, total=False):
    """Options of `detect`; `score` is the least one."""

    model: str
    score: float
    least_score: float
    overwrite: bool


class FlowKeywords(RuntimeKeywords, RangeKeywords, total=False):
    """Options of `flow`."""

    estimator: str
    weights: str | Path | None
    formats: str | Sequence[str]
    longest: float | None
    longest_px: float | None
    overwrite: bool


class EdgeKeywords(RuntimeKeywords, RangeKeywords, total=False):
    """Options of `edges`."""

    model: str
    weights: str | Path | None
    motion: bool
    thin: bool
    bits: int
    estimator: str
    size: int | None
    overwrite: bool


class ExportKeywords(RangeKeywords, total=False):
    """Options of `export`."""

    formats: str | Sequence[str]
    edges: EdgeControls
    partial: bool
    overwrite: bool


class MarkKeywords(RuntimeKeywords, total=False):
    """Options of `mark`."""

    model: str
    weights: str | Path | None
    preview: bool


class CorrectKeywords(RuntimeKeywords, total=False):
    """Options of `correct`, whose marker is an argument."""

    model: str
    weights: str | Path | None
    size: int | None
    to_the_end: bool
    afresh: bool
    learn: bool


REFINEMENT_FIELDS: dict[str, str] = {
    "flip": "flip",
    "scales": "scales",
    "ensemble": "ensemble_with",
    "online": "online_steps",
    "seconds": "online_seconds",
    "boxes": "boxes",
    "components": "components",
    "crf": "crf",
}
"""Keyword -> the field of `Refinements` that it sets. `refine` takes the command line's texts."""


ALIASES: dict[str, str] = {
    "score": "least_score",
    "longest": "longest_px",
}
"""Keyword as on the command line -> field, where an options class has the field alone."""


def with_keywords(options: Options, keywords: Mapping[str, object], owner: str) -> Options:
    """Options with some fields changed, by their own names or by those of the command line.

    Args:
        options: A dataclass of options.
        keywords: New values. ``end``, the last frame, stands for ``stop``; those of
            `REFINEMENT_FIELDS` and ``refine`` change the field ``refinements``.
        owner: What the message says that the keywords are of.

    Raises:
        OptionError: If a keyword is unknown, or two contradict each other.
    """
    own = {field.name for field in fields(options)}  # type: ignore[arg-type]
    given = dict(keywords)
    # First, so that the rest of the function sees the names of fields alone.
    for alias, name in _aliases(own).items():
        if alias in given:
            if name in given:
                raise OptionError(f"{owner} got both {alias} and {name}; give one of them")
            given[name] = given.pop(alias)
    if given.get("end") is not None and given.get("stop") is not None:
        raise OptionError(f"{owner} got both end and stop; give one of them")
    if "end" in given and "stop" in own:
        end = given.pop("end")
        # `end` is the last frame itself, `stop` the one after it.
        given["stop"] = None if end is None else int(end) + 1  # type: ignore[call-overload]
    if "refinements" in own:
        start = given.pop("refinements", getattr(options, "refinements", Refinements()))
        assert isinstance(start, Refinements)
        given["refinements"] = take_refinements(start, given)  # and what a quality stands for
    for name in ("formats", "sequences"):
        if name in own and given.get(name) is not None:
            given[name] = _names(given[name])
    if "weights" in own and isinstance(given.get("weights"), str):
        given["weights"] = Path(str(given["weights"]))
    unknown = sorted(set(given) - own)
    if unknown:
        raise OptionError(
            f"{owner} has no setting {unknown[0]!r}; it has {', '.join(keyword_names(options))}"
        )
    return with_settings(options, given, owner)


def take_refinements(start: Refinements, keywords: dict[str, object]) -> Refinements:
    """Refinements that keywords say; the keywords are removed from the dictionary.

    A ``quality`` is replaced by its size, unless the keywords have one, and its refinements.

    Raises:
        OptionError: If a text of ``refine`` cannot be read, is given beside other keywords, or a
            quality beside refinements.
    """
    # Taken out one by one: what is left over at the end is unknown, and is named in the error.
    texts = keywords.pop("refine", None)
    given = {name: keywords.pop(name) for name in REFINEMENT_FIELDS if name in keywords}
    specs = () if texts is None else _names(texts)
    # `boxes` alone goes with texts: on the command line it is an option of its own, too.
    if texts is not None and (given.keys() - {"boxes"} or start != Refinements()):
        raise OptionError(
            f"got refine and {', '.join(given) or 'refinements'}; give all as refine, such as "
            "refine=['flip', 'scales=0.75,1']"
        )
    boxes = None if given.get("boxes") is None else str(given["boxes"])
    if "quality" in keywords:
        if start != Refinements():
            raise OptionError("got quality and refinements; give one of them")
        quality = find_quality(str(keywords.pop("quality")))
        # Only where the caller gave no size: a quality is what an expert would have set, and gives
        # way.
        keywords.setdefault("size", quality.size)
        start = quality.refinements(specs, boxes)
    elif texts is not None:
        start = parse_refinements(specs, boxes)
    changes: dict[str, Any] = {REFINEMENT_FIELDS[name]: value for name, value in given.items()}
    if changes.get("scales") is not None:
        changes["scales"] = tuple(changes["scales"])
    if "ensemble_with" in changes:
        changes["ensemble_with"] = _names(changes["ensemble_with"])
    return replace(start, **changes)


def keyword_names(options: object) -> tuple[str, ...]:
    """Every keyword that stands for a field of options: the fields, then the command line's."""
    own = [field.name for field in fields(options)]  # type: ignore[arg-type]
    more = ["end"] if "stop" in own else []
    more += _aliases(set(own))
    if "refinements" in own:
        more += ["refine", *REFINEMENT_FIELDS]
    if {"refinements", "size"} <= {*own}:
        more += ["quality"]
    return (*own, *more)


def takes_options(options: type[Any]) -> Callable[[Function], Function]:
    """Decorator of a job: the keywords of its options appear in its signature, one by one.

    It computes with the threads that its options say. In a notebook a job that reports progress
    shows it as bars, unless `on_progress` is given.

    Args:
        options: The dataclass of options.
    """

    def with_signature(function: Function) -> Function:
        signature = inspect.signature(function)
        defaults = options()
        keywords = [
            inspect.Parameter(
                name, inspect.Parameter.KEYWORD_ONLY, default=getattr(defaults, name, None)
            )
            for name in keyword_names(defaults)
            # Arguments such as `marker` may have an option's name; the signature has each name
            # once.
            if name not in signature.parameters
        ]
        # Without **changes, in whose place the keywords stand by name.
        named = [p for p in signature.parameters.values() if p.kind != p.VAR_KEYWORD]
        parameters = [*named, *keywords]
        is_computing = "threads" in {field.name for field in fields(options)}
        run = _with_threads(function, signature) if is_computing else function
        wrapped = shows_bars(run) if "on_progress" in signature.parameters else run
        wrapped.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        return wrapped

    return with_signature


def _with_threads(function: Function, signature: inspect.Signature) -> Function:
    """A job that computes with as many threads as its keywords or its options say."""

    @functools.wraps(function)
    def run(*arguments: Any, **changes: Any) -> Any:
        # bind_partial: wrong arguments are reported by the call itself, in its own words.
        given = signature.bind_partial(*arguments, **changes).arguments.get("options")
        with computing_threads(changes.get("threads", getattr(given, "threads", None))):
            return function(*arguments, **changes)

    return cast(Function, run)


def _aliases(own: set[str]) -> dict[str, str]:
    """Aliases of options with these fields."""
    return {alias: name for alias, name in ALIASES.items() if name in own and alias not in own}


def _names(value: object) -> tuple[str, ...]:
    """One name by itself, or several."""
    return (value,) if isinstance(value, str) else tuple(value)  # type: ignore[arg-type]
