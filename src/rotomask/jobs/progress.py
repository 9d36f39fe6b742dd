"""Progress of a job, as reported to its caller."""

from collections.abc import Callable

OnProgress = Callable[[str, int, int | None], None]
"""Called with the stage (``find``, ``learn``, ``cut``, ``export``, ...), the frames done and the
frames in all, None where that is unknown."""
