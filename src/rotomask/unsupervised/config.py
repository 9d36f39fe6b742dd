"""Settings of `EmbeddingDiscoverer`; the defaults are the paper's where it states a value."""

from dataclasses import dataclass, field

from rotomask.errors import OptionError
from rotomask.unsupervised.evidence import EvidenceConfig
from rotomask.unsupervised.tracks import Ranking


@dataclass(frozen=True, kw_only=True)
class DiscoveryConfig:
    """Settings of finding moving objects; numbers in brackets are sections of Li et al. 2018."""

    size: int | None = 384
    """Short side at which frames are processed, px; None: their own."""
    window: int = 9
    """Window in which a candidate seed has the least edge value, px of the map (3.2)."""
    seeds: int = 100
    """Number of seeds in a frame (3.2)."""
    background_seeds: int = 10
    """Number of seeds with the lowest objectness that start the background (3.3)."""
    covered: float = 0.5
    """A seed is foreground if more than this fraction of its region is initial foreground (3.4)."""
    low_objectness: float = 0.4
    """Seeds with a lower objectness are background (3.4)."""
    low_saliency: float = 0.05
    """Seeds with a lower motion saliency, relative to the frame's highest, are background (3.4)."""
    ranking: Ranking = "both"
    """The score by which tracks are ranked (table 4)."""
    track_starts: int = 8
    """Number of frames, evenly spaced over the video, whose seeds start tracks. The paper uses the
    first frame only."""
    evidence: EvidenceConfig = field(default_factory=EvidenceConfig)
    """What every object but the best one needs."""
    adapt_every: int | None = 1
    """Interval in frames at which the sets are computed again (table 3); None: only once, in the
    first frame."""
    neighbours: int = 0
    """Number of frames on either side whose sets are used too, if sets are computed for every
    frame."""
    sharpness: float = 15.0
    """Power to which the scores of eq. 15 are raised before they are normalised. With the paper's 1
    they stay near 0.5, which a CRF treats as undecided."""
    still_px: float = 0.5
    """If nothing in a frame moves more than this, px of the working size, motion is ignored."""
    nearness: float = 4.0
    """Weight of position when tracks of several objects are linked: the squared distance of two
    seeds, in units of the frame's short side, times this, is added to their squared embedding
    distance, so that tracks do not jump between similar objects. The paper uses 0."""
    crf: bool = False
    """Refine the masks of every frame with a dense CRF."""

    def __post_init__(self) -> None:
        if self.size is not None and self.size < 32:
            raise OptionError(f"size must be at least 32 px, got {self.size}")
        if self.window < 1 or self.window % 2 == 0:
            raise OptionError(f"window must be odd and at least 1, got {self.window}")
        if self.seeds < 2 or self.background_seeds < 1 or self.track_starts < 1:
            raise OptionError(
                "seeds must be 2 or more, background_seeds and track_starts 1 or more, got "
                f"{self.seeds}, {self.background_seeds} and {self.track_starts}"
            )
        if self.nearness < 0 or self.sharpness <= 0:
            raise OptionError(
                f"nearness must be 0 or more and sharpness above 0, got {self.nearness} and "
                f"{self.sharpness}"
            )
        if self.adapt_every is not None and self.adapt_every < 1:
            raise OptionError(f"adapt_every must be 1 or more, got {self.adapt_every}")
