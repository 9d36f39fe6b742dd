"""Options that several scripts share: the DAVIS videos, threads, and where tables are written."""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from rotomask.data.sequences import VideoDataset
from rotomask.evaluation import open_benchmark
from rotomask.render import Pixels
from rotomask.training.video_split import HELD_OUT
from studies.results_page import measured_with, write_block


def script_parser(doc: str | None, *, threads: int = 1) -> argparse.ArgumentParser:
    """A parser that shows the script's docstring as it is written, with `--threads`."""
    parser = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, default=threads, help=f"default: {threads}")
    return parser


def parse(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """The command line's options; PyTorch and OpenCV use as many threads as they say."""
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    cv2.setNumThreads(arguments.threads)
    return arguments


def add_davis(
    parser: argparse.ArgumentParser, *, split: str = "val", required: bool = True
) -> None:
    """Add `--davis`, `--split` and `--sequences`, which `open_davis` reads."""
    parser.add_argument("--davis", type=Path, required=required, help="the DAVIS-2016 folder")
    parser.add_argument(
        "--split",
        default=split,
        help="val, train, or held-out: the sequences of train that are kept apart (stm-lite as "
        f"shipped has seen them); default: {split}",
    )
    parser.add_argument("--sequences", help="only these sequences of the split, comma-separated")


def open_davis(arguments: argparse.Namespace) -> VideoDataset:
    """The sequences of DAVIS-2016 that the options of `add_davis` name."""
    held_out = arguments.split == "held-out"
    split = "train" if held_out else arguments.split
    dataset = open_benchmark("davis2016", arguments.davis, split)
    if arguments.sequences:
        return dataset.select(arguments.sequences.split(","))
    return dataset.select(HELD_OUT) if held_out else dataset


def open_held_out(davis: Path) -> VideoDataset:
    """The sequences of DAVIS-2016 train that were kept apart until stm-lite's last run."""
    return open_benchmark("davis2016", davis, "train").select(HELD_OUT)


def add_write(parser: argparse.ArgumentParser, *, json_file: bool = False) -> None:
    """Add `--write`, and `--json` for scripts that store their figures."""
    if json_file:
        parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--write", action="store_true", help="update the table in docs/results.md")


def add_measure_and_picture(
    parser: argparse.ArgumentParser,
    measure: Callable[[argparse.Namespace], None],
    picture: Callable[[argparse.Namespace], None],
    out: Path,
) -> tuple[argparse.ArgumentParser, argparse.ArgumentParser]:
    """Add the commands ``measure`` and ``picture``, whose functions become `arguments.run`.

    Args:
        parser: Parser of the script.
        measure: Prints a table, with thresholds selected on ``--train``.
        picture: Writes a picture.
        out: Where the picture goes by default.

    Returns:
        The parsers of the two commands, for options of their own.
    """
    commands = parser.add_subparsers(required=True)
    measuring = commands.add_parser("measure")
    measuring.add_argument("--train", type=Path, required=True, help="DAVIS-2016 train")
    measuring.add_argument("--davis", type=Path, required=True, help="videos to measure on")
    add_write(measuring, json_file=True)
    measuring.set_defaults(run=measure)
    picturing = commands.add_parser("picture")
    picturing.add_argument("--davis", type=Path, required=True)
    picturing.add_argument("--out", type=Path, default=out)
    picturing.set_defaults(run=picture)
    return measuring, picturing


def publish(
    arguments: argparse.Namespace, block: str, title: str, text: str, *, command: str | None = None
) -> None:
    """Print a table; with `--write`, also replace the block of docs/results.md that holds it.

    The block says on which day and by which commit it was measured.

    Args:
        arguments: Parsed options, with those of `add_write`.
        block: Name of the block.
        title: Heading of the block.
        text: The table, and the sentences around it.
        command: Command that makes the table, shown below the heading.
    """
    print(text)
    if arguments.write:
        shown = f"    {command}\n\n" if command else ""
        write_block(block, f"## {title}\n\n{shown}{measured_with()}\n\n{text}")


def write_json(arguments: argparse.Namespace, content: Any) -> None:
    """Write the figures to the file of `--json`, if it was given."""
    if arguments.json:
        arguments.json.write_text(json.dumps(content, indent=1))


def save_jpeg(path: Path, picture: Pixels, quality: int = 82) -> None:
    """Write an RGB picture, H×W×3 uint8; its folder is made if there is none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    bgr = np.ascontiguousarray(picture[..., ::-1])
    cv2.imwrite(str(path), bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
