"""The methods that need no annotation by name, as `catalog` has the segmenters."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from rotomask.catalog import load_network
from rotomask.errors import OptionError
from rotomask.networks.embedding import EmbeddingNet
from rotomask.networks.precision import choose_runtime
from rotomask.refine.dense_crf import dense_crf
from rotomask.segmenters.refinements import Refinements, load_segmenter
from rotomask.unsupervised.base import Discoverer
from rotomask.unsupervised.config import DiscoveryConfig
from rotomask.unsupervised.discovery import EmbeddingDiscoverer
from rotomask.unsupervised.flow_saliency import FlowSaliencyDiscoverer
from rotomask.unsupervised.propagation import PropagatingDiscoverer

DEFAULT_DISCOVERER = "embedding+stm-lite"


@dataclass(frozen=True, kw_only=True)
class DiscovererOptions:
    """What a discoverer is made from."""

    weights: Path | None = None
    """Of the embedding network, in place of the shipped ones."""
    device: str = "auto"
    precision: str = "auto"
    config: DiscoveryConfig = field(default_factory=DiscoveryConfig)
    crf: bool = True
    """Whether a dense CRF refines what is found (not what motion alone gives)."""
    refinements: Refinements = field(default_factory=Refinements)
    """Of the segmenter that follows what was found; of motion alone, a dense CRF."""


@dataclass(frozen=True)
class DiscovererEntry:
    """One line of the catalogue."""

    summary: str
    build: Callable[[DiscovererOptions], Discoverer]


def _embedding(options: DiscovererOptions) -> Discoverer:
    _check_unrefined(options)
    network = load_network("embedding", options.weights)
    assert isinstance(network, EmbeddingNet)
    runtime = choose_runtime(options.device, options.precision)
    refine = dense_crf if options.crf else None
    return EmbeddingDiscoverer(network, options.config, runtime, refine=refine)


def _propagated(options: DiscovererOptions) -> Discoverer:
    found = _embedding(replace(options, refinements=Refinements()))
    where = {"device": options.device, "precision": options.precision}
    return PropagatingDiscoverer(found, load_segmenter("stm-lite", options.refinements, **where))


def _flow_saliency(options: DiscovererOptions) -> Discoverer:
    _check_unrefined(options)
    return FlowSaliencyDiscoverer(
        size=options.config.size,
        still_px=options.config.still_px,
        refine=dense_crf if options.refinements.crf else None,
    )


DISCOVERERS: dict[str, DiscovererEntry] = {
    "embedding": DiscovererEntry(
        "instance embeddings find what moves (Li et al. 2018), every frame by itself", _embedding
    ),
    "embedding+stm-lite": DiscovererEntry(
        "instance embeddings find it where it is clearest, stm-lite follows it", _propagated
    ),
    "flow-saliency": DiscovererEntry(
        "what moves unlike the camera: the baseline from optical flow alone", _flow_saliency
    ),
}


def load_discoverer(
    name: str = DEFAULT_DISCOVERER, options: DiscovererOptions | None = None, **changes: object
) -> Discoverer:
    """A discoverer, ready to `discover`.

    Args:
        name: A name of `DISCOVERERS`.
        options: What it is made from; or give its fields as keywords.
        **changes: Fields of `DiscovererOptions`.

    Raises:
        OptionError: If the name, device or precision is unknown.
        WeightsError: If the weights are missing or not the network's.
    """
    if name not in DISCOVERERS:
        raise OptionError(
            f"{name!r} needs a mask to start from; without one there are {', '.join(DISCOVERERS)}"
        )
    chosen = replace(options or DiscovererOptions(), **changes)  # type: ignore[arg-type]
    return DISCOVERERS[name].build(chosen)


def _check_unrefined(options: DiscovererOptions) -> None:
    """Without a segmenter that follows, a dense CRF is all that can be added."""
    if replace(options.refinements, crf=False) != Refinements():
        raise OptionError(
            f"only a segmenter that follows a mask can be refined{options.refinements}; give "
            "--mask, or use embedding+stm-lite"
        )
