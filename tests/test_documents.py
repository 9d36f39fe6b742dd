"""Every `rotomask ...` in the documentation is a command that the command line takes."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from rotomask import catalog
from rotomask.cli.options import read_formats
from rotomask.export import FORMATS
from rotomask.segmenters.refinements import parse_refinements
from tests.cli.running import commands, parse

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    [
        ROOT / "README.md",
        ROOT / "CHANGELOG.md",
        ROOT / "CONTRIBUTING.md",
        *ROOT.glob("docs/**/*.md"),
    ]
)


def whole_commands(text: str) -> Iterator[str]:
    """Commands of code blocks, fenced or indented, without prompt and with continued lines."""
    text = re.sub(r"\\\n\s*", " ", text)
    for line in text.splitlines():
        match = re.match(r"(?:    )?(?:\$ )?(rotomask .*)", line)
        if match is not None:
            yield match[1]


def mentioned_commands(text: str) -> Iterator[str]:
    """Commands in running text, which may leave required arguments out."""
    for code in re.findall(r"(?<!`)`(rotomask\s[^`]+)`", text):
        yield " ".join(code.split())


def check(command: str, *, whole: bool) -> None:
    words = shlex.split(command, comments=True)[1:]
    if words[-1] == "--help" or words[0].startswith("-"):
        assert words[0] in {"--help", "--version", *commands()}
        return
    try:
        context = parse(words)
    except Exception as error:
        if not whole and type(error).__name__ == "MissingParameter":
            return
        raise AssertionError(f"{command}\n{error}") from error
    values = context.params
    given = {word.partition("=")[0] for word in words if word.startswith("--")}
    hidden = {o for p in commands()[words[0]].params for o in p.opts if p.hidden}
    assert not given & hidden, f"{command}\nuses an old spelling"
    if "refine" in values:
        parse_refinements(values["refine"] or [], values["boxes"])
    if words[0] in ("cut", "benchmark", "edges"):
        assert all(name in catalog.CATALOG for name in values["model"].split("+")), command
    if words[0] in ("cut", "export"):
        formats = values.get("formats") or values.get("output_format")
        assert set(read_formats(formats)) <= set(FORMATS), command


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_of_a_page_are_taken(page):
    text = page.read_text()
    for command in whole_commands(text):
        check(command, whole=True)
    for command in mentioned_commands(text):
        check(command, whole=False)


def test_the_check_sees_the_commands_and_what_is_wrong():
    readme = (ROOT / "README.md").read_text()
    assert len(list(whole_commands(readme))) > 15
    assert list(whole_commands("    rotomask cut a \\\n        --end 3   # short\n"))
    with pytest.raises(AssertionError, match="No such option"):
        check("rotomask cut a.mp4 --colour red", whole=False)
    with pytest.raises(AssertionError, match="old spelling"):
        check("rotomask cut a.mp4 --flip", whole=True)
    with pytest.raises(AssertionError, match="Missing"):
        check("rotomask evaluate davis2016", whole=True)
