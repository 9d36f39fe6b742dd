"""Start of a process of the app: its bounds first, then what it runs.

python -m rotomask.app.processes worker ARGUMENT ...
"""

import importlib
import sys

from rotomask.app.processes.bounds import leave_network, lower_priority
from rotomask.threads import share_heap

NICE = {"marker": 0, "viewer": 2, "worker": 4}
"""Somebody waits for the answer to a click. A job must not starve beside other programs, though: 4
is two fifths of an ordinary program's share (`sched(7)`)."""


def main(name: str, arguments: list[str]) -> None:
    """Run a process until the server ends.

    Args:
        name: A module of this package.
        arguments: For its `main`.
    """
    leave_network()  # before numpy and torch, which start threads
    share_heap()
    lower_priority(NICE[name])
    importlib.import_module(f"rotomask.app.processes.{name}").main(arguments)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
