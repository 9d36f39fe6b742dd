"""Deprecated: `rotomask.load_discoverer`; goes when its users have moved."""

from typing import Any

from rotomask.catalog import CATALOG, DEFAULT_DISCOVERER, find
from rotomask.unsupervised.base import Discoverer

DISCOVERERS = {name: entry for name, entry in CATALOG.items() if entry.discoverer is not None}
DISCOVERERS[DEFAULT_DISCOVERER] = find(DEFAULT_DISCOVERER.partition("+")[0])


def load_discoverer(name: str = DEFAULT_DISCOVERER, **settings: Any) -> Discoverer:
    """A discoverer, ready to `discover`."""
    from rotomask.jobs import loading

    return loading.load_discoverer(name, **settings)
