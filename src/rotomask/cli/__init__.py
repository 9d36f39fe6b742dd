"""The command line: one function per command, each a few lines over the public API.

A command imports what it needs when it runs, so that `rotomask --help` is instant. The modules:
`command` (option groups, help), `options` (options that commands share), `values` (their texts),
`names` (lists in help texts), `terminal` (progress, results), `extras` (optional packages); `cut`,
`video`, `mark`, `batch`, `corrections`, `effects`, `measure`, `learn`, `serve` and `completion`
hold the commands.
"""

import errno
import io
import os
import sys
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from rotomask import __version__
from rotomask.cli import learn, measure, video
from rotomask.cli.batch import BatchCommand, batch
from rotomask.cli.command import Command
from rotomask.cli.completion import answer_the_shell, completion
from rotomask.cli.convert import convert
from rotomask.cli.corrections import review
from rotomask.cli.cut import CutCommand, cut
from rotomask.cli.effects import effect_app, stabilise
from rotomask.cli.extras import EXTRAS
from rotomask.cli.mark import PromptCommand, mark
from rotomask.cli.serve import serve
from rotomask.errors import RotomaskError
from rotomask.memory import is_out_of_memory, is_short
from rotomask.threads import share_heap, wait_passively

EXIT_USER_ERROR = 2

NO_MEMORY = (
    "not enough memory; process smaller frames (--size 360), cut fewer objects at once, or raise "
    "the limit (ulimit -v, or -u for threads)"
)

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
    convert,
    video.refine,
    review,
    stabilise,
    video.demo,
):
    app.command(cls=Command)(function)
app.add_typer(effect_app, name="effect")
app.command(cls=Command, name="app")(serve)
app.command(cls=measure.BenchmarkCommand)(measure.benchmark)
for function in (
    measure.evaluate,
    measure.compare,
    learn.train,
    learn.average,
    learn.models,
    learn.export_model,
):
    app.command(cls=Command)(function)
app.command(cls=Command)(completion)


def main() -> None:
    """Run the command line; a user error is one line on stderr and exit status 2."""
    _print_any_path()
    answer_the_shell()
    wait_passively()  # before a command imports torch
    share_heap()
    try:
        status = app(prog_name="rotomask", standalone_mode=False)
        # Here, where a full disk can still be told; at exit Python would only print a warning.
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader of our output went away (`| head`): nothing is left to say.
        _discard_output()
        sys.exit(1)
    except Exception as error:
        message = _explain(error)
        if message is None:
            raise
        _fail(message)
    sys.exit(status)


def _explain(error: Exception) -> str | None:
    """What a user is told of an error; None for an error of the program's own."""
    if isinstance(error, UsageError):
        command = "rotomask" if error.ctx is None else error.ctx.command_path
        return f"{error.format_message().rstrip('.')}; see `{command} --help`"
    if isinstance(error, MemoryError) or is_out_of_memory(error):
        return NO_MEMORY
    if isinstance(error, RotomaskError):
        return str(error)
    if isinstance(error, ModuleNotFoundError):
        module = (error.name or "").partition(".")[0]
        if module not in EXTRAS:
            return None
        extra = EXTRAS[module]
        return f"{module} is not installed; install it with: pip install 'rotomask[{extra}]'"
    if isinstance(error, OSError) and error.strerror:
        return _system_fault(error)
    return NO_MEMORY if is_short() else None


def _system_fault(error: OSError) -> str:
    """The operating system's refusal, with what it was about."""
    try:
        Path.cwd()
    except OSError:
        return "the working folder does not exist any more; change to another one"
    if error.errno == errno.ENOSPC and error.filename is None:
        _discard_output()  # Python would try to write it once more
        return "standard output cannot be written: no space left"
    named = "" if error.filename is None else f"{error.filename}: "
    return f"{named}{error.strerror}"


def _print_any_path() -> None:
    """Let standard output escape what its encoding lacks, such as a letter of a path in ASCII."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def _discard_output() -> None:
    """Send what is still to be printed nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _fail(message: str) -> NoReturn:
    """Print one line and exit; line breaks, as of a path, are escaped."""
    line = message.replace("\r", "\\r").replace("\n", "\\n")
    print(f"rotomask: error: {line}", file=sys.stderr)
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
