"""Reports: exact where others read them, whole and self-contained where people do."""

import csv
import io
import re
import shutil
import subprocess
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from rotomask.errors import InputError, OutputError
from rotomask.evaluation import read_result
from rotomask.evaluation.published import PUBLISHED
from rotomask.evaluation.reports import (
    html_page,
    latex_by_object,
    latex_table,
    result_tables,
    save_reports,
)
from rotomask.evaluation.reports.worst_frames import worst_frames
from tests.evaluation.small_results import (
    davis2017_result,
    fbms_result,
    jumpcut_result,
    nothing_scored_result,
)

KINDS = [davis2017_result, fbms_result, jumpcut_result, nothing_scored_result]

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)


class Balanced(HTMLParser):
    """Fails on a tag that is closed in the wrong place; collects addresses and texts."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag, attributes):
        self.addresses += [v for k, v in attributes if k in ("src", "href", "xlink:href")]
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] != ["style"]:
            self.texts.append(data)


def test_csv_has_the_official_columns(tmp_path):
    result, _, _ = davis2017_result(tmp_path)
    files = save_reports(result, csv=tmp_path / "tables")
    assert [f.name for f in files] == ["global_results-val.csv", "per-sequence_results-val.csv"]
    text = files[0].read_text()
    header = "J&F-Mean,J-Mean,J-Recall,J-Decay,F-Mean,F-Recall,F-Decay\n"
    assert text.startswith(header)
    assert re.fullmatch(r"(-?\d\.\d{3},){6}-?\d\.\d{3}\n", text.removeprefix(header))
    rows = list(csv.reader(io.StringIO(files[1].read_text())))
    assert rows[0] == ["Sequence", "J-Mean", "F-Mean"]
    assert [row[0] for row in rows[1:]] == ["three <b>_1", "three <b>_2", "three <b>_3", "one_1"]
    for row, item in zip(rows[1:], [o for s in result.sequences for o in s.objects], strict=True):
        assert row[1:] == [f"{item.figures['J_mean']:.3f}", f"{item.figures['F_mean']:.3f}"]


@pytest.mark.parametrize("kind", KINDS)
def test_json_gives_the_same_result_back(tmp_path, kind):
    result, _, _ = kind(tmp_path)
    save_reports(result, json=tmp_path / "figures.json")
    again = read_result(tmp_path / "figures.json")
    assert again.to_dict() == result.to_dict()
    for one, other in zip(result.sequences, again.sequences, strict=True):
        for item, same in zip(one.objects, other.objects, strict=True):
            for name in item.curves:
                np.testing.assert_array_equal(item.curves[name], same.curves[name])


def test_json_that_is_none_of_ours(tmp_path):
    (tmp_path / "a.json").write_text('{"figures": {}}')
    with pytest.raises(InputError, match=r"a.json is not an evaluation .*--json"):
        read_result(tmp_path / "a.json")
    with pytest.raises(InputError, match=r"cannot read .*nowhere"):
        read_result(tmp_path / "nowhere.json")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("by_object", [False, True])
def test_terminal_table_shows_every_sequence(tmp_path, kind, by_object):
    result, _, _ = kind(tmp_path)
    written = io.StringIO()
    console = Console(file=written, width=160)
    console.print(result_tables(result, by_object=by_object))
    text = written.getvalue()
    for sequence in result.sequences:
        assert sequence.name in text
        for note in sequence.notes:
            assert note in text
    assert "nan" not in text
    if PUBLISHED.get((result.benchmark, result.split)):
        assert "this result" in text


def test_latex(tmp_path):
    first, _, _ = davis2017_result(tmp_path, 1)
    second, _, _ = davis2017_result(tmp_path, 2)
    text = latex_table(first, second)
    assert text.count(r"\\") == 3
    assert text.count("&") == 3 * 7 + 1  # and the one in J&F
    assert text.count(r"\textbf") >= 7
    assert r"$\mathcal{J}$\&$\mathcal{F}$" in text
    rows = latex_by_object(first)
    assert "three <b> 2 & " in rows
    assert rows.count(r"\\") == 5


@pytest.mark.parametrize("kind", KINDS)
def test_html_is_whole_and_needs_nothing_else(tmp_path, kind):
    result, dataset, results = kind(tmp_path)
    page = html_page(result, dataset=dataset, results=results)
    parser = Balanced()
    parser.feed(page)
    assert parser.open == []
    assert all(address.startswith("data:image/jpeg;base64,") for address in parser.addresses)
    assert not re.search(r"https?://|@import|url\(|<script|<link", page)
    for sequence in result.sequences:
        assert sequence.name in parser.texts
    drawn = re.findall(r' (?:d|x|y|width|height)="([^"]*)"', page)
    assert not any("nan" in text.lower() for text in (*parser.texts[1:], *drawn))


def test_html_shows_the_worst_frames_and_published_results(tmp_path):
    result, dataset, results = davis2017_result(tmp_path)
    worst = worst_frames(result)
    values = [sum(item.values.values()) for item in worst]
    assert values == sorted(values)
    lowest = min(
        (item.curves["J"] + item.curves["F"]).min() for s in result.sequences for item in s.objects
    )
    assert values[0] == pytest.approx(lowest)
    page = html_page(result, dataset=dataset, results=results)
    assert page.count("<img") == len(worst) > 1
    assert "<b>three &lt;b&gt;</b>" in page
    assert "SAM 2.1 B+" in page
    assert "ids that the annotation lacks" in page
    assert html_page(result).count("<img") == 0


def test_pictures_without_the_frames_stand_on_grey(tmp_path):
    result, dataset, results = davis2017_result(tmp_path)
    shutil.rmtree(tmp_path / "DAVIS/JPEGImages")
    again = type(dataset)(
        benchmark=dataset.benchmark,
        split=dataset.split,
        root=dataset.root,
        sequences=tuple(type(s)(**{**vars(s), "images": ()}) for s in dataset),
    )
    assert html_page(result, dataset=again, results=results).count("<img") > 1


def test_reports_cannot_be_written_onto_a_file(tmp_path):
    result, _, _ = davis2017_result(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write"):
        save_reports(result, html=tmp_path / "file" / "page.html")


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
def test_a_browser_shows_the_page(tmp_path):
    result, dataset, results = davis2017_result(tmp_path)
    save_reports(result, html=tmp_path / "page.html", dataset=dataset, results=results)
    flags = [
        *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
        *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
        *("--hide-scrollbars", "--window-size=1000,1800", f"--user-data-dir={tmp_path / 'user'}"),
    ]
    shot = tmp_path / "shot.png"
    command = [str(CHROMIUM), *flags, f"--screenshot={shot}", (tmp_path / "page.html").as_uri()]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    with Image.open(shot) as image:
        pixels = np.asarray(image.convert("RGB")).reshape(-1, 3)
    # The bars' colours and the outlines of the worst frames are there.
    for colour in ((47, 111, 237), (240, 160, 32)):
        assert (np.abs(pixels.astype(int) - colour).max(axis=1) < 12).sum() > 500
