"""How version 0.1 described its jobs, so that its folders are resumed or refused clearly."""

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from rotomask.segmenters.refinements import Refinements


def refinements_text(refinements: Refinements) -> str:
    """What version 0.1 put behind the model's name."""
    parts = [f"with {name}" for name in refinements.ensemble_with]
    if refinements.online_steps:
        parts.append(f"online {refinements.online_steps} steps")
    if refinements.online_seconds is not None:
        parts.append(f"online {refinements.online_seconds:g} s")
    parts += ["flip"] * refinements.flip
    if refinements.scales is not None:
        parts.append(f"scales {','.join(f'{scale:g}' for scale in refinements.scales)}")
    if refinements.boxes is not None:
        parts.append(f"boxes of {'none' if refinements.boxes == 'tracked' else refinements.boxes}")
    parts += ["components"] * refinements.components + ["crf"] * refinements.crf
    return "".join(f" + {part}" for part in parts)


def file_text(file: Path | None) -> str | None:
    """A checkpoint's path as version 0.1 wrote it."""
    return None if file is None else str(file)


def found_annotations(root: Path) -> Mapping[str, Any] | None:
    """The annotation that version 0.1 found in a video that nobody marked, by frame number."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        stored = json.loads((root / "found" / "found.json").read_text(encoding="utf-8"))
        return {str(int(stored["frame"])): str(stored["digest"])}
    return None
