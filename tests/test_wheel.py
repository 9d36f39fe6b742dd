"""The wheel holds the package and nothing else of the repository.

tools/try_release.py, which CI runs, installs it in an empty environment and runs it there.
"""

import os
import shutil
import subprocess
import sys
import zipfile
from functools import partial
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).parents[1]


LARGEST_MB = 45
OF_THE_PAPERS = ("rgmp-lite", "oneshot")
"""Models whose weights are in the wheel of weights/."""


def build(source: Path, out: Path) -> Path:
    """The wheel of a folder with a pyproject.toml."""
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", out, source]
    process = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=300)
    assert process.returncode == 0, process.stdout + process.stderr
    (wheel,) = out.glob("*.whl")
    return wheel


@pytest.mark.slow
def test_the_second_wheel_has_the_weights_that_the_first_leaves_out(tmp_path):
    wheel = build(ROOT / "weights", tmp_path / "wheels")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    copied = {path.stem for path in (tmp_path / "site/rotomask_weights").glob("*.safetensors")}
    assert copied == set(OF_THE_PAPERS)
    package = tmp_path / "site" / "rotomask"
    shutil.copytree(ROOT / "src" / "rotomask", package, symlinks=True)
    for name in OF_THE_PAPERS:
        (package / "weights" / f"{name}.safetensors").unlink()
    load = "import rotomask; print(type(rotomask.load_model('rgmp-lite')).__name__)"
    run = partial(subprocess.run, capture_output=True, text=True, cwd=tmp_path)
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "site")}
    command = [sys.executable, "-c", load]
    found = run(command, env=environment)
    assert found.stdout.strip() == "ReferenceGuidedSegmenter", found.stderr
    shutil.rmtree(tmp_path / "site" / "rotomask_weights")
    missing = run([sys.executable, "-m", "rotomask", "models", "rgmp-lite"], env=environment)
    assert missing.returncode == 0, missing.stderr
    failed = run(command, env=environment)
    assert "in a package of their own; install it with: pip install" in failed.stderr


@pytest.mark.slow
def test_the_wheel_holds_the_package_alone(tmp_path):
    wheel = build(ROOT, tmp_path)
    assert wheel.stat().st_size <= LARGEST_MB * 1_000_000
    with zipfile.ZipFile(wheel) as archive:
        names = {PurePosixPath(name) for name in archive.namelist() if not name.endswith("/")}
    info = {name.parts[0] for name in names} - {"rotomask"}
    assert len(info) == 1, "dist-info alone beside the package"
    assert info.pop().endswith(".dist-info")
    package = ROOT / "src" / "rotomask"
    expected = {
        PurePosixPath("rotomask") / path.relative_to(package)
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.stem not in OF_THE_PAPERS
    }
    shipped = {name for name in names if name.parts[0] == "rotomask"}
    assert shipped == expected
    assert not any(name.name == "distance-lite.safetensors" for name in shipped)
