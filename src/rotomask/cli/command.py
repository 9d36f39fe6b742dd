"""Commands whose options come in groups: dataclasses in the signature, sections in the help."""

import inspect
import re
import sys
import textwrap
from collections.abc import Callable
from copy import copy
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import partial, wraps
from typing import Annotated, Any, get_args, get_type_hints

from typer.core import TyperCommand

from rotomask.cli.names import DESCRIPTIONS, NAMES
from rotomask.memory import is_short

LIBRARY_BYTES = 512 << 20
"""Address space that loading NumPy and PyTorch takes at least."""

MOST_NAME_COLUMNS = 30
"""Width of the left column at most, as click has it."""


class Command(TyperCommand):
    """A command whose help has a section for each group of options.

    In help texts ``{formats}`` stands for the names that `names.NAMES` gives for it, separated by
    commas; they are looked up when the help is printed. `described` are keys of
    `names.DESCRIPTIONS`, each a section of names with what they mean.
    """

    described: tuple[str, ...] = ()

    def invoke(self, ctx: Any) -> Any:
        """Run the command.

        Raises:
            MemoryError: If there is none to load the libraries, which would end the process.
        """
        # Under a limit of memory the loader would end the process without a word.
        if "torch" not in sys.modules and is_short(LIBRARY_BYTES):
            raise MemoryError
        return super().invoke(ctx)

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Arguments as VIDEO; typer writes {VIDEO}."""
        return [piece.strip("{}") for piece in super().collect_usage_pieces(ctx)]

    def shell_complete(self, ctx: Any, incomplete: str) -> list[Any]:
        """Options that the shell offers, with the names that their help texts stand for."""
        items = super().shell_complete(ctx, incomplete)
        for item in items:
            item.help = None if item.help is None else _with_names(item.help)
        return items

    def sections(self, ctx: Any) -> dict[str, list[tuple[str, str]]]:
        """What the help lists: arguments, then every group of options, then the described names."""
        sections: dict[str, list[tuple[str, str]]] = {"Arguments": [], "Options": []}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is None:  # a hidden option
                continue
            name, text = record[0], _with_names(record[1])
            section = getattr(parameter, "rich_help_panel", None) or "Options"
            if parameter.param_type_name == "argument":
                section, name = "Arguments", name.partition(" ")[0]  # without the type
            sections.setdefault(section, []).append((name, text))
        for title in self.described:
            sections[title] = list(DESCRIPTIONS[title]().items())
        return {title: rows for title, rows in sections.items() if rows}

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the sections."""
        for title, rows in self.sections(ctx).items():
            with formatter.section(title):
                formatter.write_dl(_wrapped(rows, formatter.width))


def _wrapped(rows: list[tuple[str, str]], width: int) -> list[tuple[str, str]]:
    """Rows of a definition list whose texts are wrapped between words only.

    click would break contact-sheet at its hyphen, which then reads as two names.
    """
    width -= min(max(len(name) for name, _ in rows), MOST_NAME_COLUMNS) + 4
    unbroken = partial(textwrap.fill, width=width, break_on_hyphens=False)
    return [(name, "\b\n" + unbroken(text)) for name, text in rows]  # \b: wrapped already


def _with_names(text: str) -> str:
    return re.sub(r"\{(\w+)\}", lambda match: ", ".join(NAMES[match[1]]()), text)


def grouped(function: Callable[..., None]) -> Callable[..., None]:
    """Command whose parameters of a dataclass type are replaced by the fields of the dataclass.

    typer makes options of a function's parameters. Here a group of options that several commands
    share is a dataclass whose fields are annotated as typer's parameters are; the function gets an
    instance of it. A class attribute ``section`` names the group's section in the help.
    """
    hints = get_type_hints(function, include_extras=True)
    groups: dict[str, type] = {}
    options: list[inspect.Parameter] = []
    for name, parameter in inspect.signature(function).parameters.items():
        if is_dataclass(hints[name]):
            groups[name] = hints[name]
            options += [_option(field, hints[name]) for field in fields(hints[name])]
        else:
            keyword = inspect.Parameter.KEYWORD_ONLY
            # Keyword-only, so that required ones may come after those with a default.
            options.append(parameter.replace(kind=keyword, annotation=hints[name]))

    @wraps(function)
    def command(**values: Any) -> None:
        for name, group in groups.items():
            values[name] = group(**{field.name: values.pop(field.name) for field in fields(group)})
        function(**values)

    command.__signature__ = inspect.Signature(options)  # type: ignore[attr-defined]
    command.__annotations__ = {option.name: option.annotation for option in options}
    return command


def _option(field: Field[Any], group: type) -> inspect.Parameter:
    """A field of a group as a parameter of a command."""
    kind, *metadata = get_args(get_type_hints(group, include_extras=True)[field.name])
    # Copies, because an option such as `Weights` is shared by groups of different sections.
    options = [copy(option) for option in metadata]
    # A group made of others has their sections, unless it has one of its own.
    owner = next(base for base in group.__mro__ if field.name in inspect.get_annotations(base))
    section = vars(group).get("section") or vars(owner).get("section")
    for option in options:
        option.rich_help_panel = section
    return inspect.Parameter(
        field.name,
        inspect.Parameter.KEYWORD_ONLY,
        annotation=Annotated[kind, *options],
        default=inspect.Parameter.empty if field.default is MISSING else field.default,
    )
