"""What `mkdocs build` does beside its plugins; mkdocs.yml names this file.

Pages at the root of the repository (CHANGELOG.md, SECURITY.md ...) become pages of the site, and
their links follow. Links of other pages to files outside docs/ follow as well, so that every page
is right both on the site and where the repository is browsed.
"""

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
PAGES = {
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "LICENCES.md": "licences.md",
    "SECURITY.md": "security.md",
}
"""Page of the repository's root -> its place on the site."""
COPIED = {
    "LICENSE": "LICENSE.txt",
    "examples/cut_a_file.py": "examples/cut_a_file.py",
    "examples/notebook.ipynb": "examples/notebook.ipynb",
    "examples/research.ipynb": "examples/research.ipynb",
    "src/rotomask/assets/demo/NOTICE": "davis-notice.txt",
}
"""File that the site hands out as it is -> its place on the site."""
MOVED = PAGES | COPIED | {"README.md": "index.md", "examples": "guide/notebooks.md"}
LINK = re.compile(r"(?<=\]\()(?![a-z]+:|#)([^)\s#]+)")


def on_files(files: Files, config: Any) -> Files:
    """Add the pages of the repository's root, and the files that are handed out."""
    for source, place in PAGES.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        files.append(File.generated(config, place, content=_relinked(text, source, place)))
    for source, place in COPIED.items():
        files.append(File.generated(config, place, abs_src_path=str(ROOT / source)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """A page with its links to files outside docs/ pointing at their place on the site."""
    place = page.file.src_uri
    return markdown if place in PAGES.values() else _relinked(markdown, f"docs/{place}", place)


def _relinked(text: str, source: str, place: str) -> str:
    """The links of a page, written for its place in the repository, for its place on the site."""

    def moved(match: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), match[1]))
        if target.startswith("docs/"):
            target = target.removeprefix("docs/")
        elif target in MOVED:
            target = MOVED[target]
        else:
            raise PluginError(f"{source} links to {match[1]}, which is not on the site")
        return posixpath.relpath(target, posixpath.dirname(place) or ".")

    return LINK.sub(moved, text)
