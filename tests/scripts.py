"""Running the commands in benchmarks/, studies/ and tools/, and small data sets for them."""

import itertools
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import cv2

from rotomask.data.training.synthetic import moving_shapes
from rotomask.masks import write_mask

ROOT = Path(__file__).parents[1]


def run_script(module: str, *arguments: object, timeout_s: float = 550) -> str:
    """Output of `python -m MODULE ARGUMENTS`, such as studies.edges; it must succeed."""
    command = [sys.executable, "-m", module, *arguments]
    process = subprocess.run(
        [str(part) for part in command], cwd=ROOT, capture_output=True, text=True, timeout=timeout_s
    )
    assert process.returncode == 0, process.stderr
    return process.stdout


def read_table(printed: str) -> list[list[str]]:
    """Cells of the first Markdown table that a command printed, without its header."""
    lines = printed[printed.index("|") :].splitlines()
    rows = itertools.takewhile(lambda line: line.startswith("|"), lines)
    return [[cell.strip() for cell in row.split("|")[1:-1]] for row in rows][2:]


def write_davis(root: Path, names: Sequence[str], frames: int) -> Path:
    """A data set of such videos in the layout of DAVIS."""
    for number, name in enumerate(names):
        write_video(root, name, seed=50 + number, frames=frames)
    return root


def write_stills(root: Path, names: Iterable[object], size: tuple[int, int] = (96, 128)) -> Path:
    """Shapes as images and masks in the layout of DUTS; the n-th image is of seed n."""
    for part in ("images", "masks"):
        (root / part).mkdir(parents=True)
    for seed, name in enumerate(names):
        frames, labels = moving_shapes(seed, frames=1, size=size)
        cv2.imwrite(str(root / "images" / f"{name}.png"), frames[0][..., ::-1])
        cv2.imwrite(str(root / "masks" / f"{name}.png"), labels[0] * 255)
    return root


def write_video(
    root: Path, name: str, seed: int, frames: int, size: tuple[int, int] = (64, 80)
) -> None:
    """Moving shapes as a sequence of a data set in the layout of DAVIS."""
    pictures, labels = moving_shapes(seed, frames=frames, size=size)
    (root / "JPEGImages" / "480p" / name).mkdir(parents=True)
    for t, (frame, mask) in enumerate(zip(pictures, labels, strict=True)):
        picture = root / "JPEGImages" / "480p" / name / f"{t:05d}.png"
        cv2.imwrite(str(picture), frame[..., ::-1])
        write_mask(root / "Annotations" / "480p" / name / f"{t:05d}.png", mask.astype(int))
