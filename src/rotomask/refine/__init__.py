"""Refinement of probabilities after any network: dense CRF, components, boxes, random fields."""

from rotomask.refine.components import ComponentsConfig, filter_components, strong_components
from rotomask.refine.dense_crf import DenseCRFConfig, dense_crf

__all__ = [
    "ComponentsConfig",
    "DenseCRFConfig",
    "dense_crf",
    "filter_components",
    "strong_components",
]
