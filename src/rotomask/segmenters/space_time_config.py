"""What the segmenter of space-time memory networks runs: their interface, and its settings."""

from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor

from rotomask.networks.layers.memory import Similarity
from rotomask.segmenters.network_segmenter import ProcessingConfig


class SpaceTimeNetwork(Protocol):
    """Interface of the networks that the segmenter runs; shapes as in `STMLite` and `STM`."""

    stride: int

    @property
    def similarity(self) -> Similarity: ...  # noqa: D102

    def encode_frame(self, image: Tensor) -> Any: ...  # noqa: D102

    def encode_value(  # noqa: D102
        self, image: Tensor, features: Any, masks: Tensor
    ) -> tuple[Tensor, Tensor]: ...

    def crop(self, features: Any, rows: slice, columns: slice) -> Any: ...  # noqa: D102

    def decode(  # noqa: D102
        self, readout: Tensor, features: Any, guidance: Tensor, others: Tensor | None = None
    ) -> Tensor: ...


@dataclass(frozen=True, kw_only=True)
class SpaceTimeConfig(ProcessingConfig):
    """Settings of running a space-time memory network over a video."""

    scale: float = 1.0
    """Factor on the processing size, to test at several scales."""
    memory_every: int = 5
    """Interval at which frames are added to memory."""
    memory_frames: int | None = 6
    """Maximum number of frames in memory, reference frames included, the previous frame not. None:
    no limit, as published; memory and time then grow with the video. 0: with `use_previous`, only
    the previous frame is read; an ablation."""
    use_previous: bool = False
    """Read from the previous frame too, as STM does. Off by default: stm-lite gets the previous
    mask as guidance, and errors in it should not enter the memory as well."""
    thin_beyond: int | None = None
    """Distance from every object, in positions of the keys (16 px), beyond which the memory keeps
    one position in four, which counts for four. None: it keeps all. Only for networks whose
    similarity is l2 and whose objects share a key."""
    top_k: int | None = None
    """Read only from the k most similar memory positions; None: from all."""
    margin: float | None = None
    """Look for an object only in the surroundings of its last mask: the margin on each side of its
    box, as a fraction of the box. One frame in `whole_every`, an object that is not found and one
    that touches the border of its surroundings are decoded in the whole frame. None: always."""
    whole_every: int = 12
    """Interval at which objects are looked for in the whole frame."""
