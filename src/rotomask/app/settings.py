"""Settings of the app: where data is, who may connect, how much is accepted."""

from dataclasses import dataclass, field
from pathlib import Path

MIB, GIB = 1 << 20, 1 << 30
CHUNK_BYTES = 8 * MIB
"""Largest part of an upload in one request."""
JSON_BYTES = MIB
"""Largest body in JSON."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How much is accepted; what is beyond is refused with a sentence that says the limit."""

    upload_bytes: int = 4 * GIB
    seconds: float = 600.0
    """Longest video."""
    pixels: int = 4096 * 2304
    """Most pixels of a frame: 4K."""
    frames: int = 20_000
    projects: int = 200
    free_bytes: int = GIB
    """Space on the disk that is never used."""
    memory_bytes: int = 10 * GIB
    """Address space of the marker and of the worker."""
    frame_seconds: float = 60.0
    """Longest time without a sign of life of the worker's job."""


@dataclass(frozen=True, kw_only=True)
class AppSettings:
    """Everything that `rotomask app` is started with."""

    data: Path
    host: str = "127.0.0.1"
    port: int = 8000
    """0: any free port."""
    names: tuple[str, ...] = ()
    """Further names by which browsers may reach the server."""
    allowed: tuple[Path, ...] = ()
    """Folders whose videos can be opened in place of an upload."""
    forgets_browsers: bool = False
    """Whether pages that were open before need the link again."""
    record_seconds: float = 10.0
    """Longest recording from the camera."""
    model: str = "stm-lite"
    marker: str = "click-lite"
    limits: Limits = field(default_factory=Limits)
