"""What the package says of itself, to pip and to a user who installs it."""

import json
import platform
import re
import sys
import tomllib
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml

import rotomask
from tests.cli.running import parse
from tests.scripts import run_script
from tools import python_matrix
from tools.build_release import absolute_links
from tools.try_dockerfile import instructions

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_a_classified_python_is_tried():
    prefix = "Programming Language :: Python :: 3."
    minors = [text.removeprefix(prefix) for text in PROJECT["classifiers"] if prefix in text]
    assert minors
    assert {f"3.{minor}" for minor in minors} <= set(python_matrix.VERSIONS)
    assert PROJECT["requires-python"] == f">={python_matrix.VERSIONS[0]}"


def test_the_running_python_is_found(monkeypatch, tmp_path):
    version = ".".join(platform.python_version_tuple()[:2])
    home = tmp_path / "versions" / f"{version}.99" / "bin"
    home.mkdir(parents=True)
    (home / "python").symlink_to(sys.executable)
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert python_matrix.find_pythons([version]) == {version: str(home / "python")}
    assert python_matrix.find_python("3.99") is None


@pytest.mark.slow
def test_a_python_that_cannot_install_is_reported(tmp_path):
    absent = ["--no-index", "--find-links", str(tmp_path / "nothing")]
    error = python_matrix.try_python("python3", absent, tmp_path)
    assert error is not None
    assert "pip install" in error.splitlines()[0]


def test_constraints_are_plain_versions_that_the_package_accepts():
    """No paths of this machine, no editable installs, no builds of one platform."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pinned = [line for line in lines if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][0-9A-Za-z.]*", line) for line in pinned)
    names = {line.split("==")[0].lower().replace("_", "-") for line in pinned}
    wanted = {re.split(r"[<>=]", text)[0].lower() for text in PROJECT["dependencies"]}
    assert wanted <= names


def test_no_link_of_the_published_readme_is_relative():
    url = "https://example.org/owner/rotomask"
    text = absolute_links((ROOT / "README.md").read_text(), url)
    targets = re.findall(r"\]\(([^)\s]+)\)", text)
    assert targets
    assert all(target.startswith("https://") for target in targets)
    assert f"]({url}/raw/HEAD/docs/images/cut.webp)" in text
    assert f"]({url}/blob/HEAD/docs/guide/index.md)" in text


def test_the_citation_and_the_dockerfile_are_those_of_this_package():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == rotomask.__version__
    assert f"\n## [{rotomask.__version__}]" in (ROOT / "CHANGELOG.md").read_text()
    assert "version" in PROJECT["dynamic"], "it has one source"
    assert citation["license"] == PROJECT["license"]
    dockerfile = (ROOT / "Dockerfile").read_text()
    copied = re.search(r"^COPY (.*) \./$", dockerfile, re.MULTILINE)
    assert copied is not None
    assert all((ROOT / name).is_file() for name in copied[1].split())
    extras = re.findall(r"'\.\[([\w,]+)\]'", dockerfile)[0].split(",")
    assert set(extras) <= set(PROJECT["optional-dependencies"])
    words = json.loads(dockerfile.split("\nCMD ")[1])
    assert parse(words[1:]).params["port"] == 8000


def test_the_dockerfile_is_read_as_docker_reads_it():
    steps = list(instructions((ROOT / "Dockerfile").read_text()))
    names = [name for name, _ in steps]
    assert (names[0], names[-1], names.count("RUN")) == ("FROM", "CMD", 1)
    (run,) = (rest for name, rest in steps if name == "RUN")
    assert "useradd" in run, "continued lines are one instruction"
    assert not any("#" in rest for _, rest in steps)


def test_every_shipped_file_of_others_is_in_the_list_of_licences():
    text = (ROOT / "LICENCES.md").read_text()
    shipped = [path.stem for path in (ROOT / "src/rotomask/weights").glob("*.safetensors")]
    assert shipped
    assert all(f"`{name}`" in text for name in shipped)
    vendored = (ROOT / "src/rotomask/app/static/vendor").glob("LICENSE-*")
    for licence in vendored:
        assert licence.name.removeprefix("LICENSE-") in text


def test_issue_templates_are_forms():
    for path in (ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml"):
        form = yaml.safe_load(path.read_text())
        if path.name != "config.yml":
            assert {"name", "description", "body"} <= set(form)
            assert all({"type"} <= set(part) for part in form["body"])


@pytest.mark.slow
def test_a_release_is_built_with_absolute_links(tmp_path):
    url = "https://example.org/owner/rotomask"
    run_script("tools.build_release", "--url", url, "--out", tmp_path)
    assert len(list(tmp_path.glob("*.whl"))) == 2
    assert len(list(tmp_path.glob("*.tar.gz"))) == 1
    assert find_spec("twine") is not None, "twine checks the files"
    (wheel,) = tmp_path.glob("rotomask-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (n for n in archive.namelist() if n.endswith("/METADATA"))
        metadata = archive.read(name).decode()
    assert f"{url}/raw/HEAD/docs/images/cut.webp" in metadata
    assert "](docs/" not in metadata
