"""Everything that has a name: one table, from a name to what it is, its network and its weights.

The command line and `load_model`, `load_discoverer`, `load_marker`, `load_detector`, `load_flow`
and `load_edge_detector` take these names; Python code may use the classes themselves. A new network
is its own file and an entry in `table.py`.
"""

from rotomask.catalog.entries import (
    JOBS,
    ROLES,
    Entry,
    NoSettings,
    Role,
    RoleName,
    SegmenterRole,
    TrainingStart,
)
from rotomask.catalog.loading import (
    TORCHVISION,
    load_boxes,
    load_detector,
    load_discoverer,
    load_edge_detector,
    load_flow,
    load_marker,
    load_model,
    load_network,
    model_card,
    shipped_weights,
)
from rotomask.catalog.settings import with_settings
from rotomask.catalog.table import (
    CATALOG,
    DEFAULT_DETECTOR,
    DEFAULT_DISCOVERER,
    DEFAULT_EDGE_DETECTOR,
    DEFAULT_FINDER,
    DEFAULT_FLOW,
    DEFAULT_MARKER,
    DEFAULT_MODEL,
    find,
    find_then_follow,
    names,
    needs_no_mask,
    segmenter_role,
)

__all__ = [
    "CATALOG",
    "DEFAULT_DETECTOR",
    "DEFAULT_DISCOVERER",
    "DEFAULT_EDGE_DETECTOR",
    "DEFAULT_FINDER",
    "DEFAULT_FLOW",
    "DEFAULT_MARKER",
    "DEFAULT_MODEL",
    "JOBS",
    "ROLES",
    "TORCHVISION",
    "Entry",
    "NoSettings",
    "Role",
    "RoleName",
    "SegmenterRole",
    "TrainingStart",
    "find",
    "find_then_follow",
    "load_boxes",
    "load_detector",
    "load_discoverer",
    "load_edge_detector",
    "load_flow",
    "load_marker",
    "load_model",
    "load_network",
    "model_card",
    "names",
    "needs_no_mask",
    "segmenter_role",
    "shipped_weights",
    "with_settings",
]
