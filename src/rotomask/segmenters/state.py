"""State of a segmenter within a video as plain data, for jobs that resume.

A job that resumes from its finished masks (`Segmenter.observe`) has hard masks where an
uninterrupted job had probabilities, and its later masks differ slightly. With the state they are
the same to the byte.

Networks, detectors and functions are not stored: the segmenter that takes the state has its own,
and its networks must have the same weights. Only what was learned on the video itself is stored.
Reading a state cannot run code: it makes only numbers, text, tensors and objects of rotomask's own
classes, whose constructors are not called.
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
from rotomask.segmenters.online import Learned

KEEP = "keep"
"""Key of a value that is not stored: the segmenter keeps its own. With a checksum for networks."""
PLAIN = (type(None), bool, int, float, str)
"""Types that are stored as they are."""


class StateError(RotomaskError):
    """A segmenter has no plain state, or a state does not fit the segmenter."""


def state_of(segmenter: Segmenter) -> dict[str, Any]:
    """State as nested dictionaries and lists of tensors, numbers and text; `restore` takes it.

    Raises:
        StateError: If the segmenter has an attribute that is neither plain nor kept, such as one
            network per object.
    """
    return {"segmenter": {k: _encode(v, is_part=True) for k, v in vars(segmenter).items()}}


def restore(segmenter: Segmenter, state: Any) -> None:
    """Set the state of a segmenter that was built like the one of `state_of`.

    Raises:
        StateError: If the state is damaged, or of another segmenter or network.
    """
    try:
        stored = state["segmenter"]
        if isinstance(segmenter, Learned):
            learnt = _decode(stored["learnt"], None)
            if learnt is not None:
                segmenter.take_learnt(learnt)
        fields = {name: _decode(value, vars(segmenter).get(name)) for name, value in stored.items()}
    except StateError:
        raise
    except (AttributeError, ImportError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise StateError(f"the stored state is damaged ({error})") from error
    vars(segmenter).update(fields)


def plain_of(value: object) -> Any:
    """An object of rotomask's own as plain data, for `from_plain`.

    Raises:
        StateError: If it holds something that is not plain.
    """
    return _encode(value)


def from_plain(stored: Any) -> Any:
    """The object that `plain_of` was given.

    Raises:
        StateError: If the data is damaged.
    """
    try:
        return _decode(stored, None)
    except StateError:
        raise
    except (AttributeError, ImportError, KeyError, TypeError, ValueError) as error:
        raise StateError(f"the stored state is damaged ({error})") from error


def _encode(value: Any, *, is_part: bool = False) -> Any:
    """A value as plain data; `is_part`: an attribute of a segmenter, which `KEEP` may stand for."""
    if isinstance(value, (*PLAIN, Tensor)):
        return value
    if isinstance(value, Segmenter):
        return state_of(value)
    if isinstance(value, np.ndarray):
        return {"array": torch.from_numpy(np.array(value))}
    if isinstance(value, torch.device):
        return {"device": str(value)}
    if isinstance(value, slice):
        return {"slice": [value.start, value.stop, value.step]}
    if isinstance(value, dict):
        return {"dict": [[_encode(k), _encode(v)] for k, v in value.items()]}
    if isinstance(value, tuple) and not hasattr(value, "_fields"):
        return {"tuple": [_encode(v, is_part=is_part) for v in value]}
    if isinstance(value, list | set | frozenset):
        return {type(value).__name__: [_encode(v) for v in value]}
    if isinstance(value, nn.Module) and is_part:
        # Weights are not stored with every state; their sum tells whether the same ones are there.
        return {KEEP: _checksum(value)}
    if isinstance(value, Detector) and is_part:
        return {KEEP: None}
    # Only classes of ours are named in a state, and only such are made from one: a state file can
    # run no other code.
    is_own = type(value).__module__.startswith("rotomask.") and not isinstance(value, nn.Module)
    if is_own and not callable(value):
        return _encode_object(value)
    if is_part:
        return {KEEP: None}
    raise StateError(f"a {type(value).__name__} cannot be stored as plain data")


def _encode_object(value: Any) -> Any:
    name = f"{type(value).__module__}:{type(value).__qualname__}"
    fields = value._asdict() if hasattr(value, "_fields") else vars(value)
    left_out = getattr(value, "not_stored", ())  # what can be computed again from the rest
    stored = {k: _encode(v) for k, v in fields.items() if k not in left_out}
    return {"object": name, "fields": stored}


def _decode(stored: Any, fresh: Any) -> Any:
    """The value of plain data; `fresh` is the attribute of the segmenter that it replaces."""
    if isinstance(stored, (*PLAIN, Tensor)):
        return stored
    (kind, content), *rest = stored.items()
    if kind == KEEP:
        if content is not None and content != _checksum(fresh):
            raise StateError("the stored state belongs to a network with other weights")
        return fresh
    if kind == "segmenter":
        restore(fresh, stored)
        return fresh
    if kind == "array":
        return content.numpy()
    if kind == "device":
        return torch.device(content)
    if kind == "slice":
        return slice(*content)
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
    # A file may come from anywhere; nested and foreign names are refused.
    if not module.startswith("rotomask.") or "." in qualified:
        raise StateError(f"the stored state names a foreign class {name!r}")
    kind = getattr(importlib.import_module(module), qualified)
    if not isinstance(kind, type) or issubclass(kind, nn.Module | Segmenter):
        raise StateError(f"the stored state names {name!r}, which holds no state")
    values = {key: _decode(value, None) for key, value in fields.items()}
    if issubclass(kind, tuple):
        return kind(**values)
    # Without __init__, which has its own arguments: the attributes are all that a state is.
    made = object.__new__(kind)
    vars(made).update(values)
    return made


def _checksum(network: nn.Module) -> float:
    """Sum of the absolute weights, which differs between networks of different weights."""
    with torch.no_grad():
        sums = [p.double().abs().sum() for p in network.parameters()]
    return float(torch.stack(sums).cpu().sum()) if sums else 0.0
