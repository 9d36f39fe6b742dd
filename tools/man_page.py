"""The manual page, made from the help texts: `make man` writes build/rotomask.1.

python tools/man_page.py --out build/rotomask.1
man -l build/rotomask.1
"""

import argparse
import re
from pathlib import Path
from typing import Any

import typer

import rotomask
from rotomask.cli import app
from rotomask.cli.command import Command

EXIT_STATUS = (
    ("0", "The whole job was done."),
    ("2", "An error of the command or its files; one line on standard error says what to do."),
    ("130", "Interrupted; the same command resumes."),
)


def escaped(text: str) -> str:
    """Text for roff: hyphens that can be copied, no line that reads as a request."""
    lines = text.replace("\\", "\\e").replace("-", "\\-").splitlines()
    return "\n".join("\\&" + line if line[:1] in (".", "'") else line for line in lines)


def paragraph(text: str) -> str:
    r"""A help text; paragraphs that begin with \b keep their lines."""
    parts = []
    for part in text.strip().split("\n\n"):
        if part.startswith("\b"):
            parts.append(f".nf\n{escaped(part.lstrip(chr(8)).strip())}\n.fi")
        else:
            parts.append(escaped(" ".join(part.split())))
    return "\n.PP\n".join(parts)


def command_section(name: str, command: Any) -> list[str]:
    """Lines of one command: usage, what it does, its arguments and options by section."""
    context = command.make_context(name, [], resilient_parsing=True)
    usage = " ".join(command.collect_usage_pieces(context))
    lines = [f'.SS "rotomask {name}"', f".B rotomask {name}", escaped(usage), ".PP"]
    lines.append(paragraph(command.help or ""))
    sections = command.sections(context) if isinstance(command, Command) else {}
    for title, rows in sections.items():
        lines += [".PP", f".I {escaped(title)}"]
        for term, text in rows:
            plain = re.sub(r"\s+", " ", text.replace("\b", "")).strip()
            lines += [".TP", f".B {escaped(term)}", escaped(plain)]
    return lines


def man_page() -> str:
    """The whole page, in roff."""
    group: Any = typer.main.get_command(app)
    lines = [
        f'.TH ROTOMASK 1 "" "rotomask {rotomask.__version__}" "User Commands"',
        ".SH NAME",
        "rotomask \\- cut objects out of video",
        ".SH SYNOPSIS",
        ".B rotomask",
        "COMMAND [OPTIONS] ...",
        ".SH DESCRIPTION",
        escaped(group.help),
        ".SH COMMANDS",
    ]
    for name, command in group.commands.items():
        lines += command_section(name, command)
        if not isinstance(command, Command):  # a group
            context = typer.Context(command, info_name=name)
            for inner in command.list_commands(context):
                lines += command_section(f"{name} {inner}", command.get_command(context, inner))
    lines.append(".SH EXIT STATUS")
    for status, meaning in EXIT_STATUS:
        lines += [".TP", f".B {status}", escaped(meaning)]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("build/rotomask.1"))
    args = parser.parse_args()
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(man_page(), encoding="utf-8")


if __name__ == "__main__":
    main()
