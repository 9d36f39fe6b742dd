"""Tables within docs/results.md, each between two marks, so that a command can update its own."""

import subprocess
from datetime import date
from pathlib import Path

RESULTS = Path(__file__).parents[1] / "docs" / "results.md"


def write_block(name: str, text: str, page: Path = RESULTS) -> None:
    """Replace the block between the marks of this name, or add it at the end."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    block = f"{begin}\n{text.strip()}\n{end}"
    content = page.read_text() if page.is_file() else "# Results\n"
    before, mark, rest = content.partition(begin)
    if mark:
        content = before + block + rest.partition(end)[2]
    else:
        content = f"{content.rstrip()}\n\n{block}\n"
    page.write_text(content)


def markdown_table(header: list[str], rows: list[list[str]]) -> str:
    """A table in Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def measured_with(root: Path = RESULTS.parents[1]) -> str:
    """A sentence with today's date and the commit of the code, for the text above a table."""
    ask = ["git", "-C", str(root), "describe", "--always", "--dirty", "--exclude=*"]
    answer = subprocess.run(ask, capture_output=True, text=True)
    commit = f", commit {answer.stdout.strip()}" if answer.returncode == 0 else ""
    return f"Measured on {date.today().isoformat()}{commit}."
