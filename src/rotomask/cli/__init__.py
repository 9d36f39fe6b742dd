"""The command line: one function a command, each a few lines over the public API.

What a command needs is imported inside it, so that `rotomask --help` answers at once.
"""

import os
import sys
from typing import Annotated

import typer

from rotomask import __version__
from rotomask.cli import learn, measure, video
from rotomask.errors import RotomaskError

EXIT_USER_ERROR = 2

app = typer.Typer(
    name="rotomask",
    help="Cut objects out of video: mark them in one frame, get exact masks for all.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode=None,
)

for command in (
    video.cut,
    video.propose,
    video.detect,
    video.flow,
    video.edges,
    video.export,
    video.refine,
    video.demo,
    measure.benchmark,
    measure.evaluate,
    measure.compare,
    learn.train,
    learn.average,
    learn.models,
):
    app.command()(command)


def main() -> None:
    """Run the command line; a user error is one line on stderr and exit status 2."""
    try:
        app()
    except RotomaskError as error:
        print(f"rotomask: error: {error}", file=sys.stderr)
        sys.exit(EXIT_USER_ERROR)
    except BrokenPipeError:
        # The reader of our output went away (`| head`): nothing is left to say.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        print(f"rotomask {__version__}")
        raise typer.Exit
