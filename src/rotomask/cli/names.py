"""Names that help texts list, from the tables that hold them, without importing what they name."""

import ast
from collections.abc import Callable
from functools import cache, partial
from importlib import resources


@cache
def _table(module: str, name: str) -> ast.Dict:
    """A dictionary that is written out in a module of rotomask, as a syntax tree.

    Importing the module would load torch, PyAV or OpenCV: one to three seconds for a help text.

    Args:
        module: Path in the package, such as ``export/exporting.py``.
        name: The dictionary's name.
    """
    source = resources.files("rotomask").joinpath(module).read_text(encoding="utf-8")
    # Exactly one, or the unpacking fails: a table that was moved is noticed by the tests of help
    # texts.
    (table,) = (
        statement.value
        for statement in ast.parse(source).body
        if isinstance(statement, ast.AnnAssign) and ast.unparse(statement.target) == name
    )
    assert isinstance(table, ast.Dict)
    return table


def _keys(module: str, name: str) -> tuple[str, ...]:
    """Names that a table has."""
    return tuple(ast.literal_eval(key) for key in _table(module, name).keys if key is not None)


def _entries(role: str) -> tuple[str, ...]:
    """Names of the catalogue's entries that have a role: ``role=`` is an argument of the entry."""
    table = _table("catalog/table.py", "CATALOG")
    return tuple(
        ast.literal_eval(key)
        for key, entry in zip(table.keys, table.values, strict=True)
        if key is not None
        and isinstance(entry, ast.Call)
        and role in [argument.arg for argument in entry.keywords]
    )


def _directions() -> dict[str, str]:
    directions: dict[str, str] = ast.literal_eval(_table("segmenters/follow.py", "DIRECTIONS"))
    return directions


def _effects() -> dict[str, str]:
    """Name and description of every effect."""
    table = _table("effects/registry.py", "EFFECTS")
    return {
        ast.literal_eval(key): ast.literal_eval(argument.value)
        for key, entry in zip(table.keys, table.values, strict=True)
        if key is not None and isinstance(entry, ast.Call)
        for argument in entry.keywords
        if argument.arg == "description"
    }


def _refinements() -> dict[str, str]:
    from rotomask.segmenters.refinements import REFINEMENTS

    return {refinement.example: refinement.help for refinement in REFINEMENTS.values()}


def _qualities() -> tuple[str, ...]:
    from rotomask.jobs.quality import QUALITIES

    return tuple(f"{name} ({quality.help})" for name, quality in QUALITIES.items())


NAMES: dict[str, Callable[[], tuple[str, ...]]] = {
    "benchmarks": partial(_keys, "evaluation/benchmarks.py", "BENCHMARKS"),
    "conversions": partial(_keys, "conversion/formats.py", "FORMATS"),
    "detectors": partial(_entries, "detector"),
    "discoverers": partial(_entries, "discoverer"),
    "edge_models": partial(_entries, "edges"),
    "estimators": partial(_entries, "flow"),
    "fields": partial(_keys, "refine/field_windows.py", "TUNED"),
    "formats": partial(_keys, "export/exporting.py", "FORMATS"),
    "markers": partial(_entries, "interactive"),
    "models": partial(_entries, "segmenter"),
    "qualities": _qualities,
}
"""What ``{formats}`` and the like stand for in a help text."""

DESCRIPTIONS: dict[str, Callable[[], dict[str, str]]] = {
    "Effects": _effects,
    "Directions": _directions,
    "Refinements": _refinements,
}
"""Sections of a help that say what each name means."""
