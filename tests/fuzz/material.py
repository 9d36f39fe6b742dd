"""Sound inputs of every kind, small, that cases damage."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from rotomask.masks import write_mask
from tests.clips import write_clip, write_folder
from tests.evaluation.small_datasets import (
    moving_labels,
    write_davis2017,
    write_fbms,
    write_indexed,
    write_picture,
    write_results,
    write_youtube_vos,
)

SIZE = (32, 48)
FRAMES = 4
QUICK = ("--size", "32", "--enlarge", "never", "--quiet")
"""Options with which a model takes little time."""

CLIPS = {
    "h264.mp4": {"codec": "libx264"},
    "b-frames.mov": {"codec": "libx264", "options": {"bf": "2"}},
    "sound.mp4": {"codec": "libx264", "sound": "aac"},
    "turned.mp4": {"codec": "libx264", "rotation": 90},
    "h264.mkv": {"codec": "libx264"},
    "vp9.webm": {"codec": "libvpx-vp9"},
    "vp8.webm": {"codec": "libvpx"},
    "mpeg4.avi": {"codec": "mpeg4"},
    "mpeg2.ts": {"codec": "mpeg2video"},
    "ffv1.mkv": {"codec": "ffv1"},
}
"""Names of the clips and how they are encoded."""

COMMANDS: dict[str, tuple[str, ...]] = {
    "cut": ("cut", "CLIP", "--mask", "MASK", "--out", "OUT", *QUICK, "--format", "overlay,coco"),
    "flow": ("flow", "CLIP", "--out", "OUT", "--quiet"),
    "edges": ("edges", "CLIP", "--out", "OUT", "--size", "32", "--quiet"),
    "propose": ("propose", "CLIP", "--out", "OUT", "--objects", "1", "--quiet"),
    "detect": ("detect", "CLIP", "--out", "OUT", "--quiet"),
    "refine": ("refine", "CLIP", "CUT", "--out", "OUT", "--field", "mean-field", "--quiet"),
    **{
        name: ("convert", "CUT", "OUT", "--to", name, "--quiet")
        for name in ("davis", "coco", "youtube-vis", "cvat", "label-studio", "labelme", "yolo")
    },
    "effect": ("effect", "outline", "CLIP", "CUT", "--out", "OUT", "--quiet"),
    "stabilise": ("stabilise", "CLIP", "CUT", "--out", "OUT", "--framing", "1:1", "--quiet"),
    "benchmark": (
        *("benchmark", "davis2017", "--root", "DAVIS", "--out", "OUT", "--size", "32"),
        *("--enlarge", "never", "--quiet", "--json", "SCORES"),
    ),
}
"""A job each; words in capitals stand for paths."""


@dataclass(frozen=True)
class Material:
    """A folder of sound inputs."""

    root: Path
    _bytes: dict[Path, bytes] = field(default_factory=dict)

    def write(self) -> None:
        """Make all inputs but the finished jobs."""
        self.root.mkdir(parents=True, exist_ok=True)
        for name, how in CLIPS.items():
            write_clip(self.root / name, frames=FRAMES, size=SIZE, **how)  # type: ignore[arg-type]
        write_folder(self.root / "frames", [f"{t:02d}.png" for t in range(FRAMES)], SIZE)
        write_mask(self.root / "mask.png", self.labels)
        davis = {"one": moving_labels(1, 3, 1), "two": moving_labels(2, 3, 2)}
        write_davis2017(self.root / "davis2017", davis)
        for name, labels in davis.items():
            write_results(self.root / "results/davis2017", name, labels)
        videos = {"v": moving_labels(3, 3, 2)}
        write_youtube_vos(self.root / "youtube-vos", videos, {"v": ["cat", "dog"]}, split="valid")
        write_results(
            self.root / "results/youtube-vos", "v", videos["v"], ["00000", "00005", "00010"]
        )
        truth = {t: moving_labels(t, 1, 2)[0] for t in (0, 2)}
        write_fbms(self.root / "fbms/Testset", "cats01", truth, 3)
        for t, labels in truth.items():
            write_results(
                self.root / "results/fbms", "cats01", labels[None], [f"cats01_{t + 1:04d}"]
            )
        self._write_training_data()
        (self.root / "prompts.json").write_text(json.dumps(self.prompts))

    def _write_training_data(self) -> None:
        images, annotations = [], []
        for k in range(1, 4):
            write_picture(self.root / f"coco/{k}.png", k, SIZE)
            images.append({"id": k, "file_name": f"{k}.png", "width": SIZE[1], "height": SIZE[0]})
            polygon = [[5.0, 5.0, 30.0, 6.0, 25.0, 25.0, 6.0, 20.0]]
            counts = {"size": [*SIZE], "counts": [200, 8, 24, 8, SIZE[0] * SIZE[1] - 240]}
            for number, segmentation in enumerate((polygon, counts)):
                annotations.append(
                    {
                        "id": 2 * k + number,
                        "image_id": k,
                        "category_id": 1,
                        "iscrowd": 0,
                        "segmentation": segmentation,
                    }
                )
        content = {
            "images": images,
            "annotations": annotations,
            "categories": [{"id": 1, "name": "a"}],
        }
        (self.root / "coco/all.json").write_text(json.dumps(content))
        for k, labels in enumerate(moving_labels(5, 4, 1, SIZE)):
            labels[4:20, 4:20] = 1
            write_picture(self.root / "stills/images" / f"{k}.png", k, SIZE)
            write_indexed(self.root / "stills/masks" / f"{k}.png", labels)

    @property
    def labels(self) -> np.ndarray:
        """Mask of the first frame, two objects."""
        labels = np.zeros(SIZE, np.int32)
        labels[6:18, 8:22] = 1
        labels[12:28, 30:42] = 2
        return labels

    @property
    def prompts(self) -> dict[str, object]:
        """Prompts of every kind."""
        kinds = (
            {"type": "click", "x": 12, "y": 10},
            {"type": "click", "x": 44, "y": 3, "positive": False},
            {"type": "box", "x": 8, "y": 6, "width": 14, "height": 12},
            {"type": "scribble", "points": [[10, 8], [14, 12], [18, 14]], "width": 3},
            {"type": "polygon", "points": [[30, 12], [42, 12], [40, 28]], "object": 2},
        )
        return {"version": 1, "prompts": [{"frame": 0, **kind} for kind in kinds]}

    @cached_property
    def weights(self) -> dict[str, Path]:
        """Small weights files by the command that takes them."""
        shipped = Path(__file__).parents[2] / "src/rotomask/weights"
        files = {"cut": "stm-lite", "flow": "flow-lite", "edges": "edges-lite"}
        for command, name in files.items():
            shutil.copy(shipped / f"{name}.safetensors", self.root / f"{command}.safetensors")
        state = {"module.weight": torch.zeros(3, 3), "epoch": 3}
        torch.save(state, self.root / "cut.pth")
        return {name: self.root / f"{name}.safetensors" for name in files}

    def bytes(self, name: str | Path) -> bytes:
        """Content of a file, which is read once."""
        path = self.root / name
        if path not in self._bytes:
            self._bytes[path] = path.read_bytes()
        return self._bytes[path]

    def command(self, name: str, folder: Path, out: Path) -> tuple[str, ...]:
        """A job of `COMMANDS` on inputs in a folder."""
        places = {
            "CLIP": folder / "clip.mp4",
            "MASK": folder / "mask.png",
            "CUT": folder / "cut",
            "DAVIS": folder / "davis2017",
            "OUT": out,
            "SCORES": folder / "scores.json",
        }
        return tuple(str(places.get(word, word)) for word in COMMANDS[name])

    def give_inputs(self, name: str, folder: Path) -> None:
        """Copy what a job of `COMMANDS` reads into a folder."""
        words = COMMANDS[name]
        if "CLIP" in words:
            shutil.copy(self.root / "h264.mp4", folder / "clip.mp4")
        if "MASK" in words:
            shutil.copy(self.root / "mask.png", folder / "mask.png")
        if "CUT" in words:
            shutil.copytree(self.root / "jobs/cut", folder / "cut")
        if "DAVIS" in words:
            shutil.copytree(self.root / "davis2017", folder / "davis2017")

    def finished_jobs(self) -> Sequence[tuple[str, ...]]:
        """Commands that make the finished jobs, in order; they double as warming up."""
        commands = []
        (self.root / "jobs").mkdir()
        for name in COMMANDS:
            inputs = self.root / "inputs" / name
            inputs.mkdir(parents=True)
            if "CUT" not in COMMANDS[name]:
                self.give_inputs(name, inputs)
            else:
                shutil.copy(self.root / "h264.mp4", inputs / "clip.mp4")
                (inputs / "cut").symlink_to(self.root / "jobs/cut")
            commands.append(self.command(name, inputs, self.root / "jobs" / name))
        return commands


def save_picture(path: Path, pixels: np.ndarray, **how: object) -> None:
    """Write an image."""
    Image.fromarray(pixels).save(path, **how)  # type: ignore[arg-type]
