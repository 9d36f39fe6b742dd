"""Ids of projects, uploads, jobs and files: ULIDs, 26 characters that sort by time."""

import re
import secrets
import time

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's base 32: no I, L, O, U."""
PATTERN = r"^[0-9A-Z]{26}$"
_ID = re.compile(PATTERN)


def new_id() -> str:
    """A new ULID: 48 bits of milliseconds, 80 random bits."""
    value = (time.time_ns() // 1_000_000) << 80 | secrets.randbits(80)
    return "".join(ALPHABET[(value >> (5 * place)) & 31] for place in reversed(range(26)))


def is_id(text: object) -> bool:
    """Whether a text can be an id, and so part of a path."""
    return isinstance(text, str) and _ID.fullmatch(text) is not None
