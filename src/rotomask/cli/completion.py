"""The command that prints a shell's completion script, and what answers the script."""

import os
from typing import Annotated, Literal

import typer

from rotomask.cli.command import grouped

VARIABLE = "_ROTOMASK_COMPLETE"
"""Set by the script while it asks for completions."""


@grouped
def completion(
    shell: Annotated[
        Literal["bash", "zsh", "fish"], typer.Argument(metavar="SHELL", help="bash, zsh or fish.")
    ],
) -> None:
    r"""Print a script that lets the shell complete commands and options.

    \b
    bash: rotomask completion bash > ~/.local/share/bash-completion/completions/rotomask
    zsh:  rotomask completion zsh > ~/.zfunc/_rotomask, with ~/.zfunc in fpath
    fish: rotomask completion fish > ~/.config/fish/completions/rotomask.fish
    """
    from typer._completion_shared import get_completion_script

    print(get_completion_script(prog_name="rotomask", complete_var=VARIABLE, shell=shell))


def answer_the_shell() -> None:
    """Let typer answer if a completion script asks; typer's own classes know its questions."""
    if VARIABLE in os.environ:
        from typer._completion_classes import completion_init

        completion_init()
