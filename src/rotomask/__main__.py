"""`python -m rotomask` is the `rotomask` command."""

from rotomask.cli import main

main()
