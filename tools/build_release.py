"""Build the files of a release: both wheels and the source archive, with absolute links.

    python tools/build_release.py --url https://HOST/OWNER/rotomask --out dist

The README on a package index has no repository beside it: its links and pictures are written out
with the repository's address, in a copy of the checkout. Fails if the wheel is above 45 MB, or if
`twine check --strict` (where twine is installed) finds something.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).parents[1]
LARGEST_MB = 45
PICTURES = (".png", ".jpg", ".webp", ".gif")


def absolute_links(text: str, url: str) -> str:
    """A page of the repository's root with its relative links written out.

    Example:
        >>> absolute_links("![a](docs/a.png) [b](docs/b.md#c) [d](https://e.f)", "https://h/o/r")
        '![a](https://h/o/r/raw/HEAD/docs/a.png) [b](https://h/o/r/blob/HEAD/docs/b.md#c) [d](https://e.f)'
    """

    def written_out(match: re.Match[str]) -> str:
        target = match[1]
        if re.match(r"[a-z]+:|#", target):
            return match[0]
        kind = "raw" if target.endswith(PICTURES) else "blob"
        return f"]({url.rstrip('/')}/{kind}/HEAD/{target})"

    return re.sub(r"\]\(([^)\s]+)\)", written_out, text)


def copy_checkout(folder: Path) -> None:
    """Copy the files that git knows into a folder."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name in listed.stdout.rstrip("\0").split("\0"):
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, target)


def build(source: Path, out: Path, *kinds: str) -> None:
    command = [sys.executable, "-m", "build", "--no-isolation", *kinds, "--outdir", out, source]
    subprocess.run([str(part) for part in command], check=True, stdout=subprocess.DEVNULL)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--url", required=True, help="the repository's address")
    parser.add_argument("--out", type=Path, default=Path("dist"))
    arguments = parser.parse_args()
    out = arguments.out.resolve()
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "rotomask"
        copy_checkout(copy)
        readme = copy / "README.md"
        text = absolute_links(readme.read_text(encoding="utf-8"), arguments.url)
        readme.write_text(text, encoding="utf-8")
        build(copy, out)
        build(copy / "weights", out, "--wheel")
    files = sorted(out.glob("rotomask*"))
    for file in files:
        print(f"{file.stat().st_size / 1e6:6.1f} MB  {file.name}")
    largest = max(f.stat().st_size for f in files if f.suffix == ".whl")
    if largest > LARGEST_MB * 1e6:
        print(f"a wheel is above {LARGEST_MB} MB")
        return 1
    if find_spec("twine") is not None:
        check = [sys.executable, "-m", "twine", "check", "--strict", *map(str, files)]
        return subprocess.run(check).returncode
    return 0


if __name__ == "__main__":
    sys.exit(main())
