"""The command line in a process of its own, and parsed without running."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer

from rotomask.cli import app


def run(
    *arguments: str | Path, timeout: float = 120, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run `rotomask` as a user does."""
    command = [sys.executable, "-m", "rotomask", *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=timeout, env=os.environ | environment
    )


def commands() -> dict[str, Any]:
    """Commands by name, as typer has them."""
    group: Any = typer.main.get_command(app)
    return dict(group.commands)


def parse(arguments: Sequence[str]) -> Any:
    """Context of a command whose arguments are parsed; its job does not run.

    Raises:
        rotomask.cli.UsageError: If a user would get an error.
    """
    name, *rest = arguments
    return commands()[name].make_context(name, list(rest))
