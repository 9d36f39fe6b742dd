"""Where to look next."""

from typing import Any

from rotomask.app.document import Document
from rotomask.jobs.doubt import least_confident

COUNT = 12


def doubtful(document: Document) -> list[dict[str, Any]]:
    """Frames that most need a look, the least confident first, apart from each other."""
    values = {
        index: row.confidence
        for index, row in document.frames.items()
        if row.confidence is not None and not row.is_reference
    }
    fixed = [index for index, row in document.frames.items() if row.is_reference]
    indices = least_confident(values, fixed, COUNT, max(1, document.count // 20))
    return [{"frame": index, "confidence": values[index]} for index in indices]
