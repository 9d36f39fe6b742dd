"""The `rotomask` command, also as `python -m rotomask`."""

import sys

COMPUTING = frozenset({"benchmark", "cut", "demo", "mark", "propose"})
"""Commands that load PyTorch whatever their options are."""


def main() -> None:
    """Run the command line, while PyTorch's library is loaded; see `rotomask.cli.main`.

    A command that succeeded with PyTorch ends without taking its modules apart.
    """
    command, *options = sys.argv[1:] or [""]
    try:
        if command in COMPUTING and options and "--help" not in options:
            from rotomask.threads import load_torch_ahead, share_heap, wait_passively

            wait_passively()
            share_heap()
            load_torch_ahead()
        from rotomask.cli import main as run
    except MemoryError:
        sys.stderr.write("rotomask: error: not enough memory to start; raise ulimit -v\n")
        sys.exit(2)
    try:
        run()
    except SystemExit as ended:
        if not ended.code and "torch" in sys.modules:
            from rotomask.threads import end_at_once

            end_at_once()
        raise


if __name__ == "__main__":
    main()
