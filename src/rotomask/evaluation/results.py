"""Results of an evaluation: figures of objects, sequences and data sets, and their JSON form."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rotomask.errors import InputError
from rotomask.files import complete_or_absent

Figures = dict[str, float]
"""Name of a figure, such as "J_mean" -> value; NaN if nothing could be scored."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ObjectScore:
    """Scores of one object of a sequence."""

    object_id: int
    figures: Figures
    frames: tuple[str, ...] = ()
    """The scored frames, in order."""
    curves: Mapping[str, npt.NDArray[np.float64]] = field(default_factory=dict)
    """Measure ("J", "F") -> its value in each scored frame, shape (T,)."""
    category: str | None = None
    matched_id: int | None = None
    """Id of the object in the result, for protocols that match objects."""


@dataclass(frozen=True, kw_only=True, eq=False)
class SequenceScore:
    """Scores of one sequence and its objects."""

    name: str
    figures: Figures
    objects: tuple[ObjectScore, ...] = ()
    notes: tuple[str, ...] = ()
    """Remarks on unusual results and how they were scored."""


@dataclass(frozen=True, kw_only=True, eq=False)
class EvaluationResult:
    """Scores of a folder of results on one benchmark."""

    benchmark: str
    split: str
    results: str
    """Name of the results folder."""
    figures: Figures
    """The benchmark's global figures, the main one first."""
    sequences: tuple[SequenceScore, ...]
    notes: tuple[str, ...] = ()
    run: Mapping[str, Any] = field(default_factory=dict)
    """Facts on the run that made the masks: seconds per frame, peak memory, versions."""

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON, with None for NaN and infinity."""
        return {
            "format": 1,
            "benchmark": self.benchmark,
            "split": self.split,
            "results": self.results,
            "figures": _plain(self.figures),
            "sequences": [_sequence_to_dict(s) for s in self.sequences],
            "notes": list(self.notes),
            "run": _finite(dict(self.run)),
        }

    def to_json(self, path: str | Path | None = None) -> str:
        """JSON text with all figures, which is also written to `path` if given.

        Raises:
            OutputError: If the file cannot be written.
        """
        # allow_nan: Python would write NaN, which JSON does not have and browsers refuse.
        text = json.dumps(self.to_dict(), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
        if path is not None:
            with complete_or_absent(Path(path)) as temporary:
                temporary.write_text(text, encoding="utf-8")
        return text

    def sequence(self, name: str) -> SequenceScore:
        """The score of a sequence by its name; KeyError if it is unknown."""
        return {s.name: s for s in self.sequences}[name]


def read_result(path: str | Path) -> EvaluationResult:
    """Read a file written by `EvaluationResult.to_json`.

    Raises:
        InputError: If the file is missing or is not an evaluation.
    """
    try:
        data = json.loads(Path(path).read_text(encoding="utf-8"), parse_constant=_no_constant)
        return EvaluationResult(
            benchmark=str(data["benchmark"]),
            split=str(data["split"]),
            results=str(data["results"]),
            figures=_figures(data["figures"]),
            sequences=tuple(_sequence_from_dict(s) for s in data["sequences"]),
            notes=tuple(data["notes"]),
            run=dict(data["run"]),
        )
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(
            f"{path} is not an evaluation ({error}); give a file written by `evaluate --json`"
        ) from error


def _sequence_to_dict(score: SequenceScore) -> dict[str, Any]:
    return {
        "name": score.name,
        "figures": _plain(score.figures),
        "notes": list(score.notes),
        "objects": [
            {
                "id": item.object_id,
                "category": item.category,
                "matched_id": item.matched_id,
                "figures": _plain(item.figures),
                "frames": list(item.frames),
                "curves": {key: [_null(v) for v in curve] for key, curve in item.curves.items()},
            }
            for item in score.objects
        ],
    }


def _sequence_from_dict(data: Mapping[str, Any]) -> SequenceScore:
    if not isinstance(data["name"], str):
        raise ValueError(f"the name of a sequence is {data['name']!r:.60}")
    return SequenceScore(
        name=data["name"],
        figures=_figures(data["figures"]),
        notes=tuple(data["notes"]),
        objects=tuple(
            ObjectScore(
                object_id=item["id"],
                category=item["category"],
                matched_id=item["matched_id"],
                figures=_figures(item["figures"]),
                frames=tuple(item["frames"]),
                curves={key: np.array(curve, float) for key, curve in item["curves"].items()},
            )
            for item in data["objects"]
        ),
    )


def _plain(figures: Figures) -> dict[str, float | None]:
    return {key: _null(value) for key, value in figures.items()}


def _null(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _finite(value: Any) -> Any:
    """A JSON value with None in place of numbers that JSON does not have."""
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not a number of JSON")


def _figures(data: Mapping[str, float | None]) -> Figures:
    return {key: math.nan if value is None else float(value) for key, value in data.items()}
