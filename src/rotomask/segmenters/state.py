"""What a segmenter remembers of a video, as plain data that a resumed job gives back.

A resumed job that only sees the finished masks (`Segmenter.observe`) has hard masks where the job
that was not stopped had probabilities, and ends slightly differently. With the state it ends the
same, to the byte.

Networks, detectors and functions are not part of the state: they are those of the segmenter that it
is given to, whose networks must have the same weights. Nothing that is read can run code: only
numbers, text, tensors, and objects of rotomask's own classes are made, without calling them.
"""

import importlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from rotomask.detection.detector import Detector
from rotomask.errors import RotomaskError
from rotomask.segmenters.base import Segmenter

KEEP = "keep"
PLAIN = (type(None), bool, int, float, str)


class StateError(RotomaskError):
    """A state that cannot be taken, or is not this segmenter's."""


def state_of(segmenter: Segmenter) -> dict[str, Any]:
    """The state as nested dictionaries and lists of tensors, numbers and text.

    Raises:
        StateError: If the segmenter holds something that is neither plain nor its own part, such as
            a network for each object.
    """
    return {"segmenter": {k: _encode(v, is_part=True) for k, v in vars(segmenter).items()}}


def restore(segmenter: Segmenter, state: Any) -> None:
    """Give a state to a segmenter that was made like the one it was taken from.

    Raises:
        StateError: If it is of another kind of segmenter, another network, or damaged.
    """
    try:
        fields = {
            name: _decode(value, vars(segmenter).get(name))
            for name, value in state["segmenter"].items()
        }
    except StateError:
        raise
    except (AttributeError, ImportError, KeyError, TypeError, ValueError) as error:
        raise StateError(f"the stored state is damaged ({error})") from error
    vars(segmenter).update(fields)


def _encode(value: Any, *, is_part: bool = False) -> Any:
    """One value; only attributes of segmenters may stay what they are (`KEEP`)."""
    if isinstance(value, (*PLAIN, Tensor)):
        return value
    if isinstance(value, Segmenter):
        return state_of(value)
    if isinstance(value, np.ndarray):
        return {"array": torch.from_numpy(np.array(value))}
    if isinstance(value, torch.device):
        return {"device": str(value)}
    if isinstance(value, dict):
        return {"dict": [[_encode(k), _encode(v)] for k, v in value.items()]}
    if isinstance(value, tuple) and not hasattr(value, "_fields"):
        return {"tuple": [_encode(v, is_part=is_part) for v in value]}
    if isinstance(value, list | set | frozenset):
        return {type(value).__name__: [_encode(v) for v in value]}
    if isinstance(value, nn.Module) and is_part:
        return {KEEP: _checksum(value)}
    if isinstance(value, Detector) and is_part:
        return {KEEP: None}
    is_own = type(value).__module__.startswith("rotomask.") and not isinstance(value, nn.Module)
    if is_own and not callable(value):
        return _encode_object(value)
    if is_part:
        return {KEEP: None}
    raise StateError(f"a {type(value).__name__} is not plain")


def _encode_object(value: Any) -> Any:
    name = f"{type(value).__module__}:{type(value).__qualname__}"
    fields = value._asdict() if hasattr(value, "_fields") else vars(value)
    return {"object": name, "fields": {k: _encode(v) for k, v in fields.items()}}


def _decode(stored: Any, fresh: Any) -> Any:
    """A value; `fresh` is the attribute of the segmenter that it is given to."""
    if isinstance(stored, (*PLAIN, Tensor)):
        return stored
    (kind, content), *rest = stored.items()
    if kind == KEEP:
        if content is not None and content != _checksum(fresh):
            raise StateError("the stored state is that of a network with other weights")
        return fresh
    if kind == "segmenter":
        restore(fresh, stored)
        return fresh
    if kind == "array":
        return content.numpy()
    if kind == "device":
        return torch.device(content)
    if kind == "dict":
        return {_decode(k, None): _decode(v, None) for k, v in content}
    if kind == "tuple":
        parts = fresh if isinstance(fresh, tuple) and len(fresh) == len(content) else ()
        parts = parts or (None,) * len(content)
        return tuple(_decode(v, part) for v, part in zip(content, parts, strict=True))
    if kind in ("list", "set", "frozenset"):
        values = [_decode(v, None) for v in content]
        return {"list": list, "set": set, "frozenset": frozenset}[kind](values)
    assert kind == "object"
    return _decode_object(content, dict(rest)["fields"])


def _decode_object(name: str, fields: Mapping[str, Any]) -> Any:
    module, _, qualified = name.partition(":")
    if not module.startswith("rotomask.") or "." in qualified:
        raise StateError(f"the stored state names a foreign class {name!r}")
    kind = getattr(importlib.import_module(module), qualified)
    if not isinstance(kind, type) or issubclass(kind, nn.Module | Segmenter):
        raise StateError(f"the stored state names {name!r}, which holds no state")
    values = {key: _decode(value, None) for key, value in fields.items()}
    if issubclass(kind, tuple):
        return kind(**values)
    made = object.__new__(kind)
    vars(made).update(values)
    return made


def _checksum(network: nn.Module) -> float:
    """A number that other weights change."""
    with torch.no_grad():
        sums = [p.double().abs().sum() for p in network.parameters()]
    return float(torch.stack(sums).cpu().sum()) if sums else 0.0
