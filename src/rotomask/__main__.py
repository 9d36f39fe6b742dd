"""The `rotomask` command, also as `python -m rotomask`."""

import sys


def main() -> None:
    """Run the command line; see `rotomask.cli.main`."""
    try:
        from rotomask.cli import main as run
    except MemoryError:
        sys.stderr.write("rotomask: error: not enough memory to start; raise ulimit -v\n")
        sys.exit(2)
    run()


if __name__ == "__main__":
    main()
