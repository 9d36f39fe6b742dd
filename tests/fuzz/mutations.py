"""Damage to files and values, from a seed."""

import json
import math
from typing import Any

import numpy as np

Random = np.random.Generator

NASTY: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2**31, 2**63, 10**30, -(10**9), 0.5, -0.0, 1e-320, 1e308),
    *(math.nan, math.inf, -math.inf, "", "a", "0", "nan", "../../x", "/etc/passwd", "\x00", "\n"),
    *("\ud800", "é" * 300, [], {}, [[]], [None], [1, 2, 3, 4], [math.inf] * 6, {"a": 1}, [1e9] * 8),
)
"""Values that stand where another type, range or size is expected."""

WORDS = (
    *("", " ", ",", "0", "1", "-1", "2", "15", "16", "17", "nan", "inf", "-inf", "1e309", "1e-9"),
    *(
        "99999999999999999999",
        "0.5",
        "a",
        "a,b",
        "none",
        "all",
        "auto",
        "é",
        "\n",
        "a\nb",
        "=",
        ":",
    ),
    *("1,2", "1,,2", "-5", "3.7", "0x10", "1_000", "٣", "/dev/null", "/dev/full", "/", ".", ".."),
    *("missing.png", "x" * 300, "a:b", "file:///etc/passwd", "http://127.0.0.1:1/x", "%05d.png"),
    *("[1]", "{}", "*", "?", "~", "$HOME", "--", "-", "\udcff", "True", "None", "1;2", "1 2"),
)
"""Words on a command line."""


def damage_bytes(data: bytes, rng: Random) -> bytes:
    """Bytes with one to four changes: flipped bits, cuts, zeros, copies, insertions."""
    for _ in range(int(rng.integers(1, 5))):
        data = _damage_once(data, rng)
    return data


def _damage_once(data: bytes, rng: Random) -> bytes:
    size = len(data)
    if size == 0:
        return rng.bytes(int(rng.integers(1, 40)))
    # Headers decide most: half of the changes are in the first part of the file.
    reach = size if rng.random() < 0.5 else min(size, 256)
    at = int(rng.integers(reach))
    length = min(size - at, int(2 ** rng.uniform(0, 10)))
    kind = rng.integers(9)
    if kind == 0:
        return data[:at]
    if kind == 1:
        return data[:at] + bytes(length) + data[at + length :]
    if kind == 2:
        return data[:at] + rng.bytes(length) + data[at + length :]
    if kind == 3:
        return data[:at] + data[at + length :]
    if kind == 4:
        return data[:at] + data[at : at + length] * int(rng.integers(2, 5)) + data[at + length :]
    if kind == 5:
        return data[:at] + rng.bytes(length) + data[at:]
    if kind == 6:
        return data[:at] + b"\xff" * min(length, 8) + data[at + min(length, 8) :]
    if kind == 7:  # a 32-bit number becomes a large or small one
        value = int(rng.choice([0, 1, 0x7FFFFFFF, 0xFFFFFFFF, 0xFFFF, 60000]))
        big, little = value.to_bytes(4, "big"), value.to_bytes(4, "little")
        return data[:at] + (big if rng.random() < 0.5 else little) + data[at + 4 :]
    return data[:at] + bytes([data[at] ^ 1 << int(rng.integers(8))]) + data[at + 1 :]


def damage_json(content: Any, rng: Random) -> Any:
    """A value with one to three of its parts replaced, removed, doubled or nested."""
    content = json.loads(json.dumps(content))
    for _ in range(int(rng.integers(1, 4))):
        content = _damage_part(content, rng)
    return content


def _damage_part(content: Any, rng: Random) -> Any:
    places = list(_places(content))
    if not places or rng.random() < 0.03:
        return _nasty(rng)
    parent, key = places[int(rng.integers(len(places)))]
    kind = rng.random()
    if kind < 0.6:
        parent[key] = _nasty(rng)
    elif kind < 0.75:
        del parent[key]
    elif kind < 0.85 and isinstance(parent, list):
        parent.insert(key, parent[key])
    elif kind < 0.95:
        parent[key] = [parent[key]]
    else:
        for _ in range(200):
            parent[key] = {"a": parent[key]} if rng.random() < 0.5 else [parent[key]]
    return content


def _places(content: Any) -> Any:
    """Pairs of a container and a key, of all values but the whole."""
    stack = [content]
    while stack:
        here = stack.pop()
        keys = (
            list(here)
            if isinstance(here, dict)
            else range(len(here))
            if isinstance(here, list)
            else ()
        )
        for key in keys:
            yield here, key
            stack.append(here[key])


def _nasty(rng: Random) -> Any:
    return NASTY[int(rng.integers(len(NASTY)))]


def json_text(content: Any) -> bytes:
    """The value as a file would have it; half surrogates and NaN stay."""
    return json.dumps(content).encode("utf-8", "surrogatepass")


def damage_json_file(data: bytes, rng: Random) -> bytes:
    """A JSON file whose values are damaged, or whose text is."""
    kind = rng.random()
    if kind < 0.3:
        return damage_bytes(data, rng)
    if kind < 0.32:  # deeper than a parser's recursion
        return b"[" * 100_000 + b"]" * 100_000
    try:
        content = json.loads(data)
    except (ValueError, RecursionError):  # damaged before
        return damage_bytes(data, rng)
    return json_text(damage_json(content, rng))
