"""Deprecated: `rotomask.catalog.load_flow`; goes when its users have moved."""

from pathlib import Path

from rotomask.catalog import CATALOG, DEFAULT_FLOW, load_flow, shipped_weights

DEFAULT_ESTIMATOR = DEFAULT_FLOW
ESTIMATORS = {name: entry for name, entry in CATALOG.items() if entry.flow is not None}

__all__ = ["DEFAULT_ESTIMATOR", "ESTIMATORS", "flow_lite_weights", "load_flow"]


def flow_lite_weights() -> Path:
    """The weights of flow-lite in the package."""
    return Path(str(shipped_weights("flow-lite")))
