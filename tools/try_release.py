"""Install a release in an empty environment and run it there, away from the repository.

    python tools/try_release.py --url https://HOST/OWNER/rotomask

Builds the files (tools/build_release.py: sdist, wheels from it, twine check), makes a virtual
environment, and lets pip install both wheels with their dependencies from the package index. Then
`pip check`, `rotomask --version` and `rotomask demo` run in a folder of their own. PyTorch alone is
not downloaded: its files are those of this environment, unless `--download-torch` is given.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).parents[1]
LEAST_BYTES = 10_000
"""Of the demonstration's overlay."""


def run(*command: object, folder: Path) -> str:
    """Output of a command in a folder, without the repository on Python's path; it must succeed."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    process = subprocess.run(
        [str(part) for part in command],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if process.returncode:
        sys.exit(f"{' '.join(str(part) for part in command)}\n{process.stdout[-3000:]}")
    return process.stdout


def link_or_copy(source: str, target: str) -> None:
    """A second name of a file; where the file system cannot, a copy."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def lend(name: str, site: Path) -> None:
    """Put the files of a package of this environment into another's site-packages."""
    package = metadata.distribution(name)
    for top in sorted({path.parts[0] for path in package.files or ()} - {".."}):
        source = Path(str(package.locate_file(top)))
        if source.is_dir():
            shutil.copytree(source, site / top, copy_function=link_or_copy)
        else:
            link_or_copy(str(source), str(site / top))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--url", default="https://example.org/rotomask", help="for links")
    parser.add_argument("--download-torch", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        build = [sys.executable, ROOT / "tools/build_release.py"]
        print(run(*build, "--url", arguments.url, "--out", folder / "dist", folder=ROOT), end="")
        run(sys.executable, "-m", "venv", folder / "venv", folder=folder)
        python = folder / "venv" / "bin" / "python"
        (site,) = (folder / "venv").glob("lib/python*/site-packages")
        if not arguments.download_torch:
            lend("torch", site)
        wheels = sorted((folder / "dist").glob("*.whl"))
        install = [python, "-m", "pip", "install", "--no-compile", "-c", ROOT / "constraints.txt"]
        log = run(*install, *wheels, folder=folder)
        print(log.splitlines()[-1])
        print(run(python, "-m", "pip", "check", folder=folder), end="")
        command = folder / "venv" / "bin" / "rotomask"
        print(run(command, "--version", folder=folder), end="")
        print(run(command, "demo", "--out", "demo", "--quiet", folder=folder), end="")
        if (folder / "demo" / "overlay.mp4").stat().st_size < LEAST_BYTES:
            sys.exit("rotomask demo wrote no video")
        home = run(python, "-c", "import rotomask; print(rotomask.__file__)", folder=folder)
        if not home.startswith(str(site)):
            sys.exit(f"rotomask was imported from {home}")


if __name__ == "__main__":
    main()
