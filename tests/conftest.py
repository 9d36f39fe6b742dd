"""What holds for all tests: one thread a process, and no time limit on generated examples."""

import os

from hypothesis import settings

# Small frames gain nothing from more threads, and a busy machine loses much. Before torch is
# imported, and for subprocesses.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Hypothesis fails an example that takes over 200 ms, as any may on a busy machine.
settings.register_profile("rotomask", deadline=None)
settings.load_profile("rotomask")
