"""The order in which people number files."""

import re


def natural_key(name: str) -> tuple[tuple[tuple[int, int, str], ...], str]:
    """Sort key that puts frame2 before frame10: runs of digits compare as numbers.

    Names that differ only in letter case or leading zeros keep a fixed order.

    Example:
        >>> sorted(["frame10", "frame2", "Frame1"], key=natural_key)
        ['Frame1', 'frame2', 'frame10']
    """
    parts = re.findall(r"[0-9]+|[^0-9]+", name.casefold())
    # Numbers (0) before text (1), as in ASCII; the two never compare with each other directly.
    key = tuple((0, int(p), "") if p[0] in "0123456789" else (1, 0, p) for p in parts)
    return key, name


def trailing_number(stem: str) -> int | None:
    """The number at the end of a file's stem (`object_12` -> 12), or None."""
    match = re.search(r"([0-9]+)$", stem)
    return int(match.group(1)) if match else None
