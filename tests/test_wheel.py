"""The wheel holds the package and nothing else of the repository."""

import subprocess
import sys
import zipfile
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
def test_the_wheel_holds_the_package_alone(tmp_path):
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", tmp_path]
    process = subprocess.run(
        [*map(str, command), str(ROOT)], capture_output=True, text=True, timeout=300
    )
    assert process.returncode == 0, process.stdout + process.stderr
    (wheel,) = tmp_path.glob("rotomask-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = {PurePosixPath(name) for name in archive.namelist() if not name.endswith("/")}
    info = {name.parts[0] for name in names} - {"rotomask"}
    assert len(info) == 1, "dist-info alone beside the package"
    assert info.pop().endswith(".dist-info")
    package = ROOT / "src" / "rotomask"
    expected = {
        PurePosixPath("rotomask") / path.relative_to(package)
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    shipped = {name for name in names if name.parts[0] == "rotomask"}
    assert shipped == expected
    assert not any(name.name == "distance-lite.safetensors" for name in shipped)
