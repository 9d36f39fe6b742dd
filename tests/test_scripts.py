"""Every script shows its help, and every command and file that the documentation names exists."""

import ast
import re
import runpy
import sys
from pathlib import Path

import pytest

from rotomask.training.recipes import RECIPES

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
SCRIPTS = sorted(
    path.relative_to(ROOT)
    for folder in ("studies", "benchmarks", "tools")
    for path in (ROOT / folder).glob("*.py")
    if 'if __name__ == "__main__"' in path.read_text()
)
COMMAND = re.compile(r"python(?: -m (?P<module>[\w.]+)| (?P<file>[\w/]+\.py))")
FILE = re.compile(r"(?<![\w/.-])((?:studies|benchmarks|tools|examples|tests|docs|src)/[\w./-]*\w)")
LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)\s#]+)(?:#([^)\s]+))?\)")


def _invocations(path: Path) -> tuple[str, ...]:
    """How a script is run: studies as modules, others also by their path."""
    module = f"python -m {'.'.join(path.with_suffix('').parts)}"
    return (module,) if path.parts[0] == "studies" else (module, f"python {path.as_posix()}")


@pytest.mark.parametrize("path", SCRIPTS, ids=str)
def test_a_script_shows_its_help_and_names_its_command(path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [path.name, "--help"])
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(ROOT / path), run_name="__main__")
    assert end.value.code == 0
    shown = capsys.readouterr().out
    assert any(command in shown for command in _invocations(path)), "the docstring gives it"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_and_files_of_a_page_exist(page):
    text = page.read_text()
    for command in COMMAND.finditer(text):
        if command["module"] and re.match(r"studies\.[a-z]", command["module"]):
            assert Path(command["module"].replace(".", "/") + ".py") in SCRIPTS, command[0]
        if command["file"]:
            assert (ROOT / command["file"]).is_file(), command[0]
    for name in FILE.findall(text):
        assert (ROOT / name).exists() or (ROOT / "src" / "rotomask" / name).exists(), name
    for target, _ in LINK.findall(text):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_within_the_documentation_point_at_headings(page):
    for target, anchor in LINK.findall(page.read_text()):
        if anchor and target.endswith(".md"):
            assert anchor in _anchors(page.parent / target), f"{target}#{anchor}"


def test_recipes_that_the_documentation_trains_exist():
    lines = [line for page in PAGES for line in page.read_text().splitlines()]
    trained = {name for line in lines for name in re.findall(r"rotomask train ([a-z][\w-]+)", line)}
    assert trained
    assert trained <= set(RECIPES)


def _anchors(page: Path) -> set[str]:
    """Anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}


@pytest.mark.parametrize("path", SCRIPTS, ids=str)
def test_options_that_the_documentation_gives_a_script_exist(path):
    pages = [page.read_text() for page in PAGES]
    pages.append(ast.get_docstring(ast.parse((ROOT / path).read_text())) or "")
    known = set(re.findall(r'"(--[\w-]+)"', _sources(path)))
    for text in pages:
        for line in text.replace("\\\n", " ").splitlines():
            for invocation in _invocations(path):
                _, found, options = line.partition(invocation)
                if found and not options[:1].isalnum():
                    # Options after a lone `--` are those of a command that the script runs.
                    words = options.split("`")[0].split(" -- ")[0].split()
                    unknown = {w.partition("=")[0] for w in words if w.startswith("--")} - known
                    assert not unknown, line


def _sources(path: Path) -> str:
    """A script's text with that of the options that it shares."""
    return (ROOT / path).read_text() + (ROOT / "studies" / "scripts.py").read_text()
