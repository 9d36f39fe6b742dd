"""The command line: one function per command, each a few lines over the public API.

A command imports what it needs when it runs, so that `rotomask --help` is instant. The modules:
`command` (option groups, help), `options` (options that commands share), `names` (lists in help
texts), `terminal` (progress, results), `extras` (optional packages); `cut`, `video`,
`mark`, `batch`, `corrections`, `effects`, `measure`, `learn` and `serve` hold the commands.
"""

import os
import sys
from typing import Annotated, Any, NoReturn

import typer

from rotomask import __version__
from rotomask.cli import learn, measure, video
from rotomask.cli.batch import BatchCommand, batch
from rotomask.cli.command import Command
from rotomask.cli.corrections import review
from rotomask.cli.cut import CutCommand, cut
from rotomask.cli.effects import effect_app, stabilise
from rotomask.cli.extras import EXTRAS
from rotomask.cli.mark import PromptCommand, mark
from rotomask.cli.serve import serve
from rotomask.errors import RotomaskError

EXIT_USER_ERROR = 2

UsageError: Any = typer.BadParameter.__base__
"""Base of errors in the arguments themselves. typer exports only this subclass."""

app = typer.Typer(
    name="rotomask",
    help="Cut objects out of video: mark them in one frame, get exact masks for all.",
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode=None,
    context_settings={"max_content_width": 100},
)

app.command(cls=CutCommand)(cut)
app.command(cls=PromptCommand)(mark)
app.command(cls=BatchCommand)(batch)
for function in (
    video.propose,
    video.detect,
    video.flow,
    video.edges,
    video.export,
    video.refine,
    review,
    stabilise,
    video.demo,
):
    app.command(cls=Command)(function)
app.add_typer(effect_app, name="effect")
app.command(cls=Command, name="app")(serve)
app.command(cls=measure.BenchmarkCommand)(measure.benchmark)
for function in (measure.evaluate, measure.compare, learn.train, learn.average, learn.models):
    app.command(cls=Command)(function)


def main() -> None:
    """Run the command line; a user error is one line on stderr and exit status 2."""
    try:
        status = app(prog_name="rotomask", standalone_mode=False)
        sys.stdout.flush()
    except RotomaskError as error:
        _fail(str(error))
    except UsageError as error:
        command = "rotomask" if error.ctx is None else error.ctx.command_path
        _fail(f"{error.format_message().rstrip('.')}; see `{command} --help`")
    except ModuleNotFoundError as error:
        module = (error.name or "").partition(".")[0]
        if module not in EXTRAS:
            raise
        _fail(
            f"{module} is not installed; install it with: pip install 'rotomask[{EXTRAS[module]}]'"
        )
    except BrokenPipeError:
        # The reader of our output went away (`| head`): nothing is left to say.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    sys.exit(status)


def _fail(message: str) -> NoReturn:
    """Print one line and exit."""
    print(f"rotomask: error: {message}", file=sys.stderr)
    sys.exit(EXIT_USER_ERROR)


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        print(f"rotomask {__version__}")
    elif context.invoked_subcommand is None:
        print(context.get_help())
        raise typer.Exit(EXIT_USER_ERROR)
