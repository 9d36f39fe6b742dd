"""The files of the page: what the Content-Security-Policy needs, and what is vendored."""

import hashlib
import re
from pathlib import Path

import rotomask

STATIC = Path(rotomask.__file__).parent / "app" / "static"
OWN = [p for p in sorted(STATIC.rglob("*.js")) if "vendor" not in p.parts]


def test_vendored_files_are_the_ones_that_were_reviewed() -> None:
    vendor = STATIC / "vendor"
    lines = [line.split() for line in (vendor / "VERSIONS").read_text().splitlines()]
    listed = {words[1]: words[0] for words in lines if words and len(words[0]) == 64}
    assert set(listed) == {path.name for path in vendor.glob("*.js")}
    for name, digest in listed.items():
        assert hashlib.sha256((vendor / name).read_bytes()).hexdigest() == digest, name


def test_the_page_has_no_inline_script_or_style() -> None:
    page = (STATIC / "index.html").read_text()
    assert re.findall(r"<script(?![^>]*\bsrc=)", page) == []
    assert "<style" not in page
    assert re.findall(r"\s(?:style|on[a-z]+)=", page) == []


def test_modules_build_no_code_or_markup_from_text() -> None:
    for path in OWN:
        text = path.read_text()
        for word in ("innerHTML", "dangerouslySetInnerHTML", "eval(", "new Function", "outerHTML"):
            assert word not in text, (path.name, word)


def test_every_import_names_a_file_that_is_there() -> None:
    for path in sorted(STATIC.rglob("*.js")):
        for name in re.findall(r"""\b(?:from|import) ?['"]([^'" ]+)['"]""", path.read_text()):
            assert name.startswith("."), (path.name, name)
            assert (path.parent / name).is_file(), (path.name, name)


def test_every_icon_that_is_used_is_in_the_sprite() -> None:
    symbols = set(re.findall(r'<symbol id="([^"]+)"', (STATIC / "icons.svg").read_text()))
    used = {
        name
        for path in OWN
        for name in re.findall(
            r"""(?:\bicon=|<\$\{Icon\} name=)["']([a-z-]+)["']""", path.read_text()
        )
    }
    assert used
    assert used <= symbols


def test_pages_have_no_text_outside_the_file_of_texts() -> None:
    for path in OWN:
        if path.name == "texts.js":
            continue
        found = re.findall(r">\s*([A-Z][a-z]+(?: [a-z]+)+)\s*<", path.read_text())
        assert found == [], (path.name, found)
