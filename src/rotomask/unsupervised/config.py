"""The settings of the method, with the paper's values where it states them."""

from dataclasses import dataclass

from rotomask.errors import OptionError
from rotomask.unsupervised.tracks import Ranking


@dataclass(frozen=True, kw_only=True)
class DiscoveryConfig:
    """How a moving object is found; sections of Li et al. 2018 in brackets."""

    size: int | None = 384
    """Short side at which frames are looked at, px; None: their own."""
    window: int = 9
    """Side of the window in which a candidate is the least edge, px of the map (3.2)."""
    seeds: int = 100
    """Seeds of a frame (3.2)."""
    background_seeds: int = 10
    """Seeds of the lowest objectness that begin the background (3.3)."""
    covered: float = 0.5
    """Share of a region in the initial foreground from which its seed is foreground (3.4)."""
    low_objectness: float = 0.4
    """Seeds below it are background (3.4)."""
    low_saliency: float = 0.05
    """Seeds that move less than this part of the fastest are background (3.4)."""
    ranking: Ranking = "both"
    """What tracks are ranked by (table 4)."""
    track_starts: int = 8
    """Frames, evenly over the video, whose seeds begin tracks; the paper takes the first alone."""
    least_share: float = 0.1
    """Of further objects, the least score as a part of the best one's."""
    adapt_every: int | None = 1
    """Frames after which the sets are made anew (table 3); None: those of the first frame stay."""
    neighbours: int = 0
    """Frames to either side whose sets are used as well, where sets are made for every frame."""
    sharpness: float = 15.0
    """Power to which the shares of eq. 15 are raised: they stay near a half otherwise, and a CRF
    takes them for no opinion. The paper has 1."""
    still_px: float = 0.5
    """Where nothing moves more than this, px of the working size, objectness alone counts."""
    nearness: float = 4.0
    """Where several objects are looked for: how much the distance of two seeds, in parts of the
    frame's short side and squared, adds to their squared distance in embedding where tracks are
    linked, so that these do not jump between things that look alike. The paper has 0."""
    crf: bool = False
    """Refine the masks of every frame by a dense CRF."""

    def __post_init__(self) -> None:
        if self.size is not None and self.size < 32:
            raise OptionError(f"the processing size must be at least 32 px, got {self.size}")
        if self.window < 1 or self.window % 2 == 0:
            raise OptionError(f"the candidate window must be odd, got {self.window}")
        if self.seeds < 2 or self.background_seeds < 1 or self.track_starts < 1:
            raise OptionError("seeds must be 2 or more, background_seeds and track_starts 1")
        if self.nearness < 0 or self.sharpness <= 0:
            raise OptionError(
                f"nearness must be 0 or more and sharpness above 0, got {self.nearness} and "
                f"{self.sharpness}"
            )
        if self.adapt_every is not None and self.adapt_every < 1:
            raise OptionError(f"adapt_every must be 1 or more, got {self.adapt_every}")
