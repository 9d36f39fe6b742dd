"""The built site: complete, whole in itself, its links and anchors right."""

import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

import rotomask

ROOT = Path(__file__).parents[1]
GALLERY = ROOT / "docs" / "gallery"
MOST_GALLERY_BYTES = 8_000_000
LOADED = {"script": "src", "img": "src", "video": "src", "source": "src", "iframe": "src"}


class Page(HTMLParser):
    """Anchors, links and loaded files of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        values = {name: value or "" for name, value in attrs}
        self.anchors |= {values[key] for key in ("id", "name") if key in values}
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        if tag == "link" and values.get("rel") not in ("canonical", "prev", "next"):
            self.loaded.append(values["href"])
        if tag in LOADED and LOADED[tag] in values:
            self.loaded.append(values[LOADED[tag]])
        if "data-video" in values:
            self.loaded.append(values["data-video"])


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    pytest.importorskip("mkdocs")
    pytest.importorskip("mkdocstrings")
    out: Path = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", out]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    built = subprocess.run(
        [*map(str, command)], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=500
    )
    assert built.returncode == 0, built.stdout + built.stderr
    return out


@cache
def read(path: Path) -> Page:
    return Page(path.read_text(encoding="utf-8"))


@pytest.mark.slow
def test_every_link_and_anchor_of_the_site_resolves(site):
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > 50
    checked = 0
    for path in pages:
        if path.name == "404.html":  # its links are absolute
            continue
        page = read(path)
        for link in [*page.links, *page.loaded]:
            parts = urlsplit(link)
            if parts.scheme in ("https", "http", "mailto", "data") or parts.netloc:
                assert link not in page.loaded or parts.scheme == "data", f"{path}: loads {link}"
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            assert target.is_file(), f"{path.relative_to(site)} links to {link}"
            if parts.fragment and target.suffix == ".html":
                anchors = read(target).anchors
                assert unquote(parts.fragment) in anchors, f"{path.relative_to(site)}: {link}"
            checked += 1
    assert checked > 2000


@pytest.mark.slow
def test_nothing_of_the_site_comes_from_another_host(site):
    for path in site.rglob("*.css"):
        for address in re.findall(r"url\(([^)]*)\)", path.read_text(encoding="utf-8")):
            assert not re.match(r"[\"']?(https?:)?//", address), f"{path.name}: {address}"
    for path in site.rglob("*.html"):
        assert not re.search(r"@import|fonts\.g|unpkg\.com|cdn", path.read_text(encoding="utf-8"))


@pytest.mark.slow
def test_every_public_name_has_an_entry_in_the_reference(site):
    text = "\n".join(path.read_text(encoding="utf-8") for path in (site / "api").glob("*.html"))
    anchors = set().union(*(read(path).anchors for path in (site / "api").glob("*.html")))
    for name in rotomask.__all__:
        if name != "__version__":
            home, _, renamed = rotomask._HOME[name].partition(":")
            found = any(anchor.endswith(f".{renamed or name}") for anchor in anchors)
            assert found, f"{name} of {home}"
    assert "RotomaskError" in text


@pytest.mark.slow
def test_pages_fit_a_phone_and_a_player_plays(site):
    pytest.importorskip("playwright.sync_api")
    from tests.app.browser.conftest import find_chromium

    chromium = find_chromium()
    if chromium is None:
        pytest.skip("no Chromium")
    # In a thread of its own: the browser tests of the app keep a Playwright open in this one.
    with ThreadPoolExecutor(1) as pool:
        pool.submit(check_pages, chromium, site).result()


def note_address(seen: list[str], request: Any) -> None:
    """Add the address that a page asks for."""
    seen.append(request.url)


def check_pages(chromium: str, site: Path) -> None:
    """No page is wider than the window, a player plays, and nothing comes from elsewhere."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for width, height in ((375, 740), (1366, 850)):
            page = browser.new_page(viewport={"width": width, "height": height})
            seen: list[str] = []
            page.on("request", partial(note_address, seen))
            for name in ("index", "guide/choose", "models/index", "api/cutting", "gallery"):
                page.goto((site / f"{name}.html").as_uri())
                wide = page.evaluate("document.documentElement.scrollWidth")
                assert wide <= width, f"{name} is {wide} px wide on {width}"
            play = page.locator(".compare-play").first
            play.scroll_into_view_if_needed()
            page.wait_for_function(
                "document.querySelector('.compare canvas').width === 480", timeout=60_000
            )
            assert not [url for url in seen if not url.startswith(("file:", "data:", "blob:"))]
            page.close()
        browser.close()


def test_the_gallery_is_small_and_complete():
    page = (ROOT / "docs" / "gallery.md").read_text()
    videos = re.findall(r'data-video="gallery/([\w-]+)\.webm"', page)
    assert len(videos) == len(set(videos)) == 12
    assert {path.stem for path in GALLERY.glob("*.webm")} == set(videos)
    assert {path.stem for path in GALLERY.glob("*.jpg")} == set(videos)
    assert sum(path.stat().st_size for path in GALLERY.iterdir()) < MOST_GALLERY_BYTES


def test_the_gallery_has_the_scores_of_its_script():
    page = (ROOT / "docs" / "gallery.md").read_text()
    scores = json.loads((GALLERY / "scores.json").read_text())
    shown = re.findall(r'gallery/([\w-]+)\.jpg".*\n<figcaption><b>.* J ([\d.]+), F ([\d.]+)', page)
    assert {name: {"J": float(j), "F": float(f)} for name, j, f in shown} == scores


def test_every_page_is_in_the_navigation():
    navigation = (ROOT / "mkdocs.yml").read_text().split("\nnav:")[1]
    named = set(re.findall(r"[\w/-]+\.md", navigation))
    pages = {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")}
    assert pages <= named
