"""What a campaign over version 0.1 broke, case by case, each with what must hold.

    python -m tests.fuzz.points                  all cases, as a table
    python -m tests.fuzz.points "B.5 zero-byte"  those whose name begins so

Every case failed on version 0.1. It runs in a forked process (`forked`), on a few tiny inputs;
`test_points` runs all of them once.
"""

import json
import os
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from tests.clips import write_clip
from tests.fuzz.forked import Outcome, fork, run_command, warm_up
from tests.fuzz.material import QUICK, SIZE, Material

Files = dict[str, bytes]
MOST_SECONDS = 40.0
MOST_MIB = 1200


class Desk:
    """A case's folder, with a clip and its mask, in which commands run."""

    def __init__(self, material: Material, folder: Path) -> None:
        self.material, self.folder = material, folder
        for name, copy in (("h264.mp4", "clip.mp4"), ("mask.png", "mask.png")):
            shutil.copy(material.root / name, folder / copy)

    def run(self, *arguments: str | Path, before: Callable[[], Any] | None = None) -> Outcome:
        """Run a command in the folder; `before` is called in its process first."""
        words = [str(a) for a in arguments]

        def work() -> int:
            if before is not None:
                before()
            return run_command(words)

        return self._sound(fork(work, self.folder, seconds=MOST_SECONDS))

    def call(self, work: Callable[[], object]) -> Outcome:
        """Call a function in a process of its own; what it raises is a failure."""

        def run() -> int:
            work()
            return 0

        outcome = self._sound(fork(run, self.folder, seconds=MOST_SECONDS))
        assert outcome.status == 0, outcome.errors
        return outcome

    def _sound(self, outcome: Outcome) -> Outcome:
        assert not outcome.timed_out, f"more than {MOST_SECONDS:.0f} s"
        assert "Traceback" not in outcome.errors, outcome.errors.rstrip().splitlines()[-1]
        assert not outcome.signal, f"signal {outcome.signal}"
        assert outcome.peak_mib < MOST_MIB, f"{outcome.peak_mib} MiB"
        return outcome

    def works(self, *arguments: str | Path, **how: Any) -> Outcome:
        """Run a command that must end with 0."""
        outcome = self.run(*arguments, **how)
        assert outcome.status == 0, f"status {outcome.status}: {outcome.errors}"
        return outcome

    def refused(self, *arguments: str | Path, match: str = "", **how: Any) -> Outcome:
        """Run a command that must end with 2 and one line that says why, and change nothing."""
        before = self.files()
        outcome = self.run(*arguments, **how)
        assert outcome.status == 2, f"status {outcome.status}: {outcome.errors}"
        errors = [line for line in outcome.errors.splitlines() if "rotomask: error: " in line]
        assert len(errors) == 1, outcome.errors
        assert outcome.errors.rstrip("\n").endswith(errors[0]), "the error is more than a line"
        assert match in errors[0], errors[0]
        after = self.files()
        lost = [name for name in before if after.get(name) != before[name]]
        assert not lost, f"{lost[0]} was changed"
        return outcome

    def cut(self, *options: str, out: str = "out", clip: str = "clip.mp4") -> Outcome:
        """Cut a clip with the mask; must work."""
        return self.works(*self.cut_words(*options, out=out, clip=clip))

    def cut_words(self, *options: str, out: str = "out", clip: str = "clip.mp4") -> list[str]:
        """Arguments of a quick cut."""
        if "--format" not in options:
            options = (*options, "--format", "none")
        return ["cut", clip, "--mask", "mask.png", "--out", out, *QUICK, *options]

    def files(self, top: str = ".") -> Files:
        """Contents of all files below a folder but what the harness writes."""
        root = self.folder / top
        return {
            str(p.relative_to(root)): p.read_bytes()
            for p in sorted(root.rglob("*"))
            if p.is_file() and p.name not in (".stdout", ".stderr")
        }

    def frames(self, name: str = "frames") -> Path:
        """A folder of four frames."""
        shutil.copytree(self.material.root / "frames", self.folder / name)
        return self.folder / name

    def clip(self, name: str, **how: Any) -> Path:
        """Another clip than clip.mp4, of the same length and size."""
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        write_clip(path, frames=4, size=SIZE, options={"crf": "45"}, **how)
        return path


Point = Callable[[Desk], None]
POINTS: dict[str, Point] = {}


def point(name: str) -> Callable[[Point], Point]:
    """Register a case under its number in the issue and what it is about."""

    def register(function: Point) -> Point:
        POINTS[name] = function
        return function

    return register


def refused(name: str, *arguments: str, match: str = "", setup: Point | None = None) -> None:
    """Register a command that must be refused in a line."""

    def run(desk: Desk) -> None:
        if setup is not None:
            setup(desk)
        desk.refused(*arguments, match=match)

    POINTS[name] = run


def refused_cut(name: str, *options: str, match: str = "", setup: Point | None = None) -> None:
    """Register a quick cut that must be refused in a line."""
    words = ["cut", "clip.mp4", "--mask", "mask.png", "--out", "out", *QUICK, *options]
    refused(name, *words, match=match, setup=setup)


# A. Data that was lost


@point("A.1 the masks of the job itself as the video, --overwrite")
def _(desk: Desk) -> None:
    desk.cut("--format", "mattes,rgba,overlay", out="job")
    before = desk.files("job")
    for name in ("masks", "mattes", "rgba", "overlay.mp4"):
        words = ["cut", f"job/{name}", "--mask", "mask.png", "--out", "job", "--format"]
        for formats in ("overlay,rgba,mattes", "none"):
            if formats != "none" or name in ("masks", "mattes"):
                desk.refused(*words, formats, "--overwrite", *QUICK)
        assert desk.files("job") == before


@point("A.1 the overlay and the cut-outs of the job itself as the video")
def _(desk: Desk) -> None:
    desk.cut("--format", "overlay,rgba", out="job")
    desk.refused("cut", "job/overlay.mp4", "--mask", "mask.png", "--out", "job", *QUICK)
    desk.refused("cut", "job/rgba", "--mask", "mask.png", "--out", "job", "-f", "rgba", *QUICK)


@point("A.1 --overwrite over masks that no job made")
def _(desk: Desk) -> None:
    for name in ("masks/99999.png", "mattes/sketch.png"):
        (desk.folder / "out" / name).parent.mkdir(parents=True)
        shutil.copy(desk.folder / "mask.png", desk.folder / "out" / name)
    before = desk.files()
    mask = "out/masks/99999.png"
    words = ["cut", "clip.mp4", "--mask", mask, "--out", "out", "--overwrite", *QUICK]
    desk.works(*words, "--format", "none")
    assert before.items() <= desk.files().items(), "a file of the user's was deleted"


@point("A.1 refine over another finished cut")
def _(desk: Desk) -> None:
    desk.cut(out="c1")
    desk.cut("--merge", "naive", out="c2")
    desk.refused("refine", "clip.mp4", "c2", "--out", "c1", "--field", "mean-field", "-q")


@point("A.1 the user's overlay.mp4, annotations.json, contact_sheet.png in --out")
def _(desk: Desk) -> None:
    (desk.folder / "out").mkdir()
    for name in ("overlay.mp4", "annotations.json", "contact_sheet.png"):
        (desk.folder / "out" / name).write_bytes(b"mine")
    for name in ("overlay", "coco", "contact-sheet"):
        desk.refused(*desk.cut_words("--format", name), match="was not written by rotomask")


# B. Wrong without a word


def _mistaken(desk: Desk, other: str) -> None:
    """Another video in the folder of the first: refused."""
    desk.cut()
    desk.refused("cut", other, "--mask", "mask.png", "--out", "out", *QUICK, match="another job")


@point("B.2 A/clip.mp4, then B/clip.mp4, of the same length and size")
def _(desk: Desk) -> None:
    desk.clip("B/clip.mp4")
    _mistaken(desk, "B/clip.mp4")


@point("B.2 clip.mp4, then clip.mov")
def _(desk: Desk) -> None:
    desk.clip("clip.mov")
    _mistaken(desk, "clip.mov")


@point("B.2 a new render under the old name")
def _(desk: Desk) -> None:
    desk.cut()
    desk.clip("clip.mp4")
    desk.refused(*desk.cut_words(), match="another job")


@point("B.2 flow and edges of another video of that name")
def _(desk: Desk) -> None:
    desk.works("flow", "clip.mp4", "--out", "flow", "-q")
    desk.works("edges", "clip.mp4", "--out", "edges", "--size", "32", "-q")
    desk.clip("clip.mp4")
    desk.refused("flow", "clip.mp4", "--out", "flow", "-q", match="another job")
    desk.refused("edges", "clip.mp4", "--out", "edges", "--size", "32", "-q", match="another job")


@point("B.2 changed --weights under the old name")
def _(desk: Desk) -> None:
    state = load_file(desk.material.weights["flow"])
    meta = _metadata(desk.material.bytes(desk.material.weights["flow"]))
    path = desk.folder / "mine.safetensors"
    save_file(state, path, meta)
    words = ["flow", "clip.mp4", "--out", "out", "--estimator", "flow-lite", "--weights", str(path)]
    desk.works(*words, "-q")
    name = max(state, key=lambda k: state[k].numel())
    state[name] = state[name] * 0.9
    save_file(state, path, meta)
    desk.refused(*words, "-q", match="another job")


def _metadata(data: bytes) -> Any:
    """Metadata of the bytes of a .safetensors file."""
    length = int.from_bytes(data[:8], "little")
    return json.loads(data[8 : 8 + length]).get("__metadata__")


@point("B.3 two processes with one --out")
def _(desk: Desk) -> None:
    words = desk.cut_words("--format", "overlay")
    children = []
    for _ in range(2):
        child = os.fork()
        if child == 0:
            os.chdir(desk.folder)
            sys.stderr = open(os.devnull, "w")  # noqa: SIM115, PTH123
            os._exit(run_command(words))
        children.append(child)
    statuses = sorted(os.waitstatus_to_exitcode(os.waitpid(c, 0)[1]) for c in children)
    assert statuses in ([0, 2], [0, 0]), statuses
    if statuses == [0, 0]:  # one after the other: the second had nothing left to do
        desk.works(*words)

    def read() -> None:
        from rotomask.video import open_video

        assert len(list(open_video(desk.folder / "out/overlay.mp4").frames())) == 4

    desk.call(read)


@point("B.5 EXIF orientation of PNG and WebP masks")
def _(desk: Desk) -> None:
    frames = desk.frames()
    labels = (desk.material.labels > 0).astype(np.uint8) * 255
    exif = Image.Exif()
    exif[0x0112] = 3
    for kind in ("png", "webp"):
        path = desk.folder / f"turned.{kind}"
        how: dict[str, Any] = {"lossless": True} if kind == "webp" else {}
        Image.fromarray(labels[::-1, ::-1]).convert("RGB").save(path, exif=exif, **how)
        out = f"out-{kind}"
        desk.works("cut", frames, "--mask", path, "--out", out, *QUICK, "--format", "none")
        read = np.array(Image.open(desk.folder / out / "masks/00.png"))
        assert np.array_equal(read > 0, labels > 0), kind


@point("B.5 TIFF frames and masks with a quarter turn")
def _(desk: Desk) -> None:
    frames = desk.folder / "turned"
    frames.mkdir()
    exif = Image.Exif()
    exif[0x0112] = 6
    for path in sorted((desk.material.root / "frames").iterdir()):
        stored = np.rot90(np.array(Image.open(path).convert("RGB")))
        Image.fromarray(np.ascontiguousarray(stored)).save(frames / f"{path.stem}.tif", exif=exif)
    stored = np.rot90(np.uint8(desk.material.labels > 0) * 255)
    Image.fromarray(np.ascontiguousarray(stored)).save(desk.folder / "turned.tif", exif=exif)
    words = ["cut", str(frames), "--out", "out", *QUICK, "--format", "none"]
    desk.works(*words, "--mask", "turned.tif")
    read = np.array(Image.open(desk.folder / "out/masks/00.png"))
    assert np.array_equal(read > 0, desk.material.labels > 0)


@point("B.5 the array that step returns is the segmenter's memory")
def _(desk: Desk) -> None:
    def step() -> None:
        segmenter, frames, labels = _segmenter(desk)
        other, _, _ = _segmenter(desk)
        for one in (segmenter, other):
            one.start(frames[0], labels)
        for frame in frames[1:]:
            mine, its = segmenter.step(frame), other.step(frame)
            assert np.array_equal(mine, its)
            mine[:] = 0

    desk.call(step)


def _segmenter(desk: Desk) -> tuple[Any, list[Any], Any]:
    import rotomask

    paths = sorted((desk.material.root / "frames").iterdir())
    frames = [np.array(Image.open(path).convert("RGB")) for path in paths]
    return rotomask.load_model("stm-lite", size=32), frames, desk.material.labels


@point("B.5 --overwrite leaves outputs of the job before")
def _(desk: Desk) -> None:
    desk.cut("--format", "overlay,rgba,coco")
    desk.cut("--overwrite", "--end", "1")
    there = {name for name in desk.files("out") if not name.startswith(".rotomask")}
    there.discard("confidence.csv")
    assert there == {"job.json", "masks/00000.png", "masks/00001.png"}, there


@point("B.5 animated PNG, WebP, GIF and multi-page TIFF as a mask and as a frame")
def _(desk: Desk) -> None:
    pictures = [Image.fromarray(np.uint8(desk.material.labels == k) * 255) for k in (1, 2)]
    for suffix in ("png", "webp", "gif", "tif"):
        path = desk.folder / f"many.{suffix}"
        pictures[0].convert("RGB").save(
            path, save_all=True, append_images=[pictures[1].convert("RGB")]
        )
        desk.refused("cut", "clip.mp4", "--mask", path, "--out", "out", *QUICK)
        frames = desk.folder / f"as-{suffix}"
        frames.mkdir()
        for t in range(2):
            shutil.copy(path, frames / f"{t}.{suffix}")
        desk.refused("cut", frames, "--mask", "mask.png", "--out", "out", *QUICK)


refused("B.5 edges --size -5", "edges", "clip.mp4", "--out", "out", "--size", "-5", "-q")


@point("B.5 benchmark --size 1")
def _(desk: Desk) -> None:
    shutil.copytree(desk.material.root / "davis2017", desk.folder / "set")
    words = ["benchmark", "davis2017", "--root", "set", "--out", "out", "--size", "1", "-q"]
    desk.refused(*words, match="16")


@point("B.5 weights that are NaN")
def _(desk: Desk) -> None:
    for command in ("flow", "edges", "cut"):
        state = load_file(desk.material.weights[command])
        meta = _metadata(desk.material.bytes(desk.material.weights[command]))
        state = {
            k: torch.full_like(v, torch.nan) if v.is_floating_point() else v
            for k, v in state.items()
        }
        path = desk.folder / f"{command}.safetensors"
        save_file(state, path, meta)
        extra = {"flow": ["--estimator", "flow-lite"], "cut": ["--mask", "mask.png"]}
        desk.refused(
            command, "clip.mp4", "--out", "out", "--weights", path, *extra.get(command, []), "-q"
        )


@point("B.5 --split trian")
def _(desk: Desk) -> None:
    for name in ("davis2017", "youtube-vos", "fbms"):
        shutil.copytree(desk.material.root / name, desk.folder / name)
        shutil.copytree(desk.material.root / "results" / name, desk.folder / f"r-{name}")
        words = [
            "evaluate",
            name,
            "--root",
            name,
            "--results",
            f"r-{name}",
            "--processes",
            "1",
            "-q",
        ]
        desk.refused(*words, "--split", "trian", match="trian")


@point("B.5 > /dev/full")
def _(desk: Desk) -> None:
    def full() -> None:
        os.dup2(os.open("/dev/full", os.O_WRONLY), 1)

    for words in (["models"], desk.cut_words()[:-4], ["--version"]):
        outcome = desk.run(*[w for w in words if w != "--quiet"], before=full)
        assert outcome.status not in (0, None), words


@point("B.5 train --resume without a checkpoint")
def _(desk: Desk) -> None:
    shutil.copytree(desk.material.root / "stills", desk.folder / "stills")
    words = ["train", "embedding", "--data", "stills=stills", "--out", "out", "--resume"]
    desk.refused(*words, "--workers", "0", match="no run to resume")


def _coco(desk: Desk, change: Callable[[dict[str, Any]], None]) -> Path:
    shutil.copytree(desk.material.root / "coco", desk.folder / "coco")
    path = desk.folder / "coco/all.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    return path


def _coco_refused(name: str, change: Callable[[dict[str, Any]], None]) -> None:
    def run(desk: Desk) -> None:
        path = _coco(desk, change)
        words = ["train", "edges-lite", "--data", f"coco={path}", "--out", "out", "--workers", "0"]
        desk.refused(*words, match=path.name)

    POINTS[name] = run


def _first(content: dict[str, Any], **fields: Any) -> None:
    content["annotations"][0] |= fields


_coco_refused(
    "B.5 run lengths of another sum than the image",
    lambda c: _first(c, segmentation={"size": [*SIZE], "counts": [10, 5, 9000]}),
)


@point("B.5 Infinity in JSON output")
def _(desk: Desk) -> None:
    """A score of nothing, as of a data set whose frames are all empty."""
    shutil.copytree(desk.material.root / "davis2017", desk.folder / "set")
    shutil.copytree(desk.material.root / "results/davis2017", desk.folder / "results")
    words = ["evaluate", "davis2017", "--root", "set", "--results", "results", "--processes", "1"]
    desk.works(*words, "--stability", "--json", "scores.json", "-q")
    _strict(desk.folder / "scores.json")
    desk.works(
        "benchmark", "davis2017", "--root", "set", "--out", "out", *QUICK, "--json", "b.json"
    )
    _strict(desk.folder / "b.json")


def _strict(path: Path) -> None:
    def refuse(name: str) -> None:
        raise AssertionError(f"{name} in {path.name}")

    json.loads(path.read_text(), parse_constant=refuse)


@point("B.5 zero-byte .flo")
def _(desk: Desk) -> None:
    desk.works("flow", "clip.mp4", "--out", "out", "-q")
    path = desk.folder / "out/flo/00001.flo"
    whole = path.read_bytes()
    path.write_bytes(b"")
    desk.works("flow", "clip.mp4", "--out", "out", "-q")
    assert path.read_bytes() == whole


@point("B.5 a 16-bit mask written by rotomask whose one id is 65535")
def _(desk: Desk) -> None:
    def check() -> None:
        from rotomask.masks import read_mask, write_mask

        labels = np.where(desk.material.labels > 0, 65535, 0).astype(np.int32)
        write_mask(desk.folder / "ids.png", labels)
        assert read_mask(desk.folder / "ids.png").object_ids == (65535,)

    desk.call(check)


# C. Hangs, and memory that runs away

for number in (float("inf"), 1e9):
    _coco_refused(
        f"C.6 a COCO polygon with {number}",
        lambda c, number=number: _first(c, segmentation=[[0, 0, number, 9, 9, 9]]),  # type: ignore[misc]
    )

refused_cut("C.6 --seconds nan", "--model", "oneshot", "--seconds", "nan")
refused_cut("C.6 online=nans", "--model", "oneshot", "--refine", "online=nans")
refused_cut("C.6 --scales 100", "--scales", "100")
refused_cut("C.6 a size of a million", "--size", "1000000", "--enlarge", "always")


@point("C.6 an ONNX detector that declares 60000x60000")
def _(desk: Desk) -> None:
    import onnx

    image = onnx.helper.make_tensor_value_info("images", 1, [1, 3, 60000, 60000])
    out = onnx.helper.make_tensor_value_info("out", 1, None)
    node = onnx.helper.make_node("GlobalAveragePool", ["images"], ["out"])
    graph = onnx.helper.make_graph([node], "g", [image], [out])
    opset = onnx.helper.make_opsetid("", 15)
    model = onnx.helper.make_model(graph, opset_imports=[opset], ir_version=8)
    onnx.save(model, desk.folder / "large.onnx")
    desk.refused("detect", "clip.mp4", "--out", "out", "--detector", "large.onnx", "-q")


@point("C.6 a fork after use")
def _(desk: Desk) -> None:
    def work() -> None:
        segmenter, frames, labels = _segmenter(desk)
        torch.set_num_threads(2)
        large = [np.kron(f, np.ones((6, 6, 1), np.uint8)) for f in frames]
        mask = np.kron(labels, np.ones((6, 6), np.int32))
        segmenter.start(large[0], mask)
        segmenter.step(large[1])
        child = os.fork()
        if child == 0:
            segmenter.step(large[2])
            os._exit(0)
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                assert status == 0
                return
            time.sleep(0.05)
        os.kill(child, 9)
        raise AssertionError("the child hangs")

    desk.call(work)


# D. Tracebacks


def _damaged_record(name: str, command: tuple[str, ...], record: str) -> None:
    def run(desk: Desk) -> None:
        for content in (b"", b"[]", b"{}", b"nonsense", b'{"settings": 3}', b"\xff\xfe"):
            shutil.rmtree(desk.folder / "out", ignore_errors=True)
            desk.works(*command)
            (desk.folder / "out" / record).write_bytes(content)
            outcome = desk.run(*command)
            assert outcome.status in (0, 2), outcome.errors
            if outcome.status == 2:
                assert outcome.errors.count("rotomask: error: ") == 1, outcome.errors

    POINTS[name] = run


_quick_cut = ("cut", "clip.mp4", "--mask", "mask.png", "--out", "out", *QUICK, "-f", "none")
_damaged_record("D.7 damaged job.json", _quick_cut, "job.json")
_flow = ("flow", "clip.mp4", "--out", "out", "-q")
_damaged_record("D.7 damaged record of flow", _flow, "job.json")
_edges = ("edges", "clip.mp4", "--out", "out", "--size", "32", "-q")
_damaged_record("D.7 damaged record of edges", _edges, "job.json")
_unmarked = ("cut", "clip.mp4", "--out", "out", *QUICK, "-f", "none")
_damaged_record("D.7 damaged found.json", _unmarked, "found/found.json")


def _benchmark_words(desk: Desk) -> list[str]:
    if not (desk.folder / "set").exists():
        shutil.copytree(desk.material.root / "davis2017", desk.folder / "set")
    return ["benchmark", "davis2017", "--root", "set", "--out", "out", *QUICK]


@point("D.7 damaged run.json")
def _(desk: Desk) -> None:
    words = _benchmark_words(desk)
    desk.works(*words)
    for content in (b"", b"[]", b"{}", b'{"timings": 3}', b"\xff"):
        (desk.folder / "out/run.json").write_bytes(content)
        assert desk.run(*words).status in (0, 2)


def _train_words(desk: Desk) -> Callable[..., int]:
    """A run of three steps by the library, with errors as the command line has them."""
    from tests.training.tiny import write_data

    data = write_data(desk.folder / "data")

    def train(**options: Any) -> int:
        from dataclasses import replace

        from rotomask.errors import RotomaskError
        from rotomask.jobs.train import train as run
        from tests.training.tiny import CPU, TINY

        recipe = replace(TINY, stages=(replace(TINY.stages[0], steps=2, batch=1),))
        message = ""
        try:
            run(recipe, data, desk.folder / "out", hardware=CPU, **options)
        except RotomaskError as error:
            message = str(error)
        assert "\n" not in message
        return 2 if message else 0

    return train


@point("D.7 damaged recipe.json, losses.csv, checkpoint.pt of a run")
def _(desk: Desk) -> None:
    train = _train_words(desk)
    desk.call(lambda: train())
    whole = desk.files("out")
    kinds = [b"", b"nonsense", b"PK\x03\x04", b"\x80\x02}q\x00.", b"\x00" * 64, b"[]"]
    checkpoint = whole["checkpoint.pt"]
    kinds += [checkpoint[:100], checkpoint[: len(checkpoint) // 2], checkpoint[:-30]]
    saved = desk.folder / "saved.pt"
    stored: tuple[Any, ...] = ({"step": 1}, [1, 2])
    for given in stored:
        torch.save(given, saved)
        kinds.append(saved.read_bytes())
    cases = [("checkpoint.pt", content) for content in kinds]
    cases += [
        ("recipe.json", b""),
        ("recipe.json", b"[]"),
        ("losses.csv", b""),
        ("losses.csv", b"\xff,\n"),
    ]
    for name, content in cases:
        (desk.folder / "out" / name).write_bytes(content)
        desk.call(partial(_in_two, train, name))
        (desk.folder / "out" / name).write_bytes(whole[name])


def _in_two(train: Callable[..., int], name: str) -> None:
    assert train(resume=True) in (0, 2), name


def _training_picture(name: str, spoil: Callable[[Path], object], which: str) -> None:
    def run(desk: Desk) -> None:
        shutil.copytree(desk.material.root / "stills", desk.folder / "stills")
        spoil(desk.folder / "stills" / which)
        words = ["train", "edges-lite", "--data", "stills=stills", "--out", "out", "--workers", "0"]
        desk.refused(*words, match=Path(which).stem)

    POINTS[name] = run


_training_picture(
    "D.7 a training picture that is none", lambda p: p.write_bytes(b"no"), "images/1.png"
)
_training_picture("D.7 an empty training mask file", lambda p: p.write_bytes(b""), "masks/2.png")
_coco_refused("D.7 a COCO polygon of one point", lambda c: _first(c, segmentation=[[3, 4]]))
_coco_refused("D.7 a COCO polygon of words", lambda c: _first(c, segmentation=[["a"] * 6]))
_coco_refused("D.7 a COCO image without a size", lambda c: c["images"][0].pop("height"))


@point("D.7 a mask image above 179 megapixels")
def _(desk: Desk) -> None:
    Image.new("1", (20000, 9500)).save(desk.folder / "huge.png")
    desk.refused(
        "cut", "clip.mp4", "--mask", "huge.png", "--out", "out", *QUICK, match="megapixels"
    )


@point("D.7 a mask folder with names of dates")
def _(desk: Desk) -> None:
    folder = desk.folder / "masks"
    folder.mkdir()
    for k, name in ((1, "scan_20240501.png"), (2, "scan_20240502.png")):
        Image.fromarray(np.uint8(desk.material.labels == k) * 255).save(folder / name)
    desk.works("cut", "clip.mp4", "--mask", "masks", "--out", "out", *QUICK, "--format", "none")


@point("D.7 names over 255 characters")
def _(desk: Desk) -> None:
    name = "x" * 300
    desk.refused("cut", f"{name}.mp4", "--mask", "mask.png", "--out", "out", *QUICK)
    desk.refused("cut", "clip.mp4", "--mask", f"{name}.png", "--out", "out", *QUICK)
    desk.refused("cut", "clip.mp4", "--mask", "mask.png", "--out", name, *QUICK)
    desk.refused("cut", "clip.mp4", "--mask", "mask.png", "--out", "out", "--weights", name, *QUICK)


refused("D.7 propose --start past the end", "propose", "clip.mp4", "--out", "out", "--start", "9")
refused_cut("D.7 --scales nan", "--scales", "nan")
refused_cut("D.7 --scales inf", "--scales", "inf")
refused(
    "D.7 train --threads 0",
    *("train", "edges-lite", "--data", "stills=x", "--out", "out", "--threads", "0"),
    match="thread",
)


@point("D.7 --sequences ,")
def _(desk: Desk) -> None:
    desk.refused(*_benchmark_words(desk), "--sequences", ",")


@point("D.7 .safetensors of a newer or foreign config")
def _(desk: Desk) -> None:
    data = desk.material.bytes(desk.material.weights["edges"])
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    path = desk.folder / "mine.safetensors"
    metas: list[Any] = [{}, {"config": "{}"}, {"config": "[]"}, {"config": "3"}, {"format": "pt"}]
    metas += [
        {
            k: v.replace("64", "640000").replace("{", '{"unknown": 1, ')
            for k, v in header["__metadata__"].items()
        }
    ]
    for meta in metas:
        text = json.dumps({**header, "__metadata__": meta}).encode()
        path.write_bytes(len(text).to_bytes(8, "little") + text + data[8 + length :])
        outcome = desk.run(
            "edges", "clip.mp4", "--out", "out", "--weights", path, "-q", "--size", "32"
        )
        assert outcome.status in (0, 2), outcome.errors


def _onnx(desk: Desk, name: str, batch: int, op: str, kind: int, sides: tuple[int, int]) -> str:
    import onnx

    image = onnx.helper.make_tensor_value_info("images", 1, [batch, 3, *sides])
    out = onnx.helper.make_tensor_value_info("out", kind, None)
    attributes: dict[str, Any] = {"to": kind} if op == "Cast" else {}
    node = onnx.helper.make_node(op, ["images"], ["out"], **attributes)
    graph = onnx.helper.make_graph([node], "g", [image], [out])
    opset = onnx.helper.make_opsetid("", 15)
    model = onnx.helper.make_model(graph, opset_imports=[opset], ir_version=8)
    onnx.save(model, desk.folder / name)
    return name


@point("D.7 ONNX with a fixed batch, failing nodes, string outputs")
def _(desk: Desk) -> None:
    files = [
        _onnx(desk, "batch.onnx", 4, "Flatten", 1, (32, 32)),
        _onnx(desk, "text.onnx", 1, "Cast", 8, (32, 32)),
        _onnx(desk, "flat.onnx", 1, "Flatten", 1, (32, 32)),
    ]
    for file in files:
        desk.refused("detect", "clip.mp4", "--out", "out", "--detector", file, "-q")


@point("D.7 stdout that cannot encode a path")
def _(desk: Desk) -> None:
    def ascii_only() -> None:
        sys.stdout = open(1, "w", encoding="ascii", closefd=False)  # noqa: SIM115

    words = [w for w in desk.cut_words(out="größe-映画") if w != "--quiet"]
    desk.works(*words, before=ascii_only)


@point("D.7 | head")
def _(desk: Desk) -> None:
    def closed() -> None:
        reader, writer = os.pipe()
        os.close(reader)
        os.dup2(writer, 1)
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115 - the old one can seek

    outcome = desk.run("models", before=closed)
    assert outcome.status == 1, outcome.status


@point("D.7 a deleted working folder")
def _(desk: Desk) -> None:
    gone = desk.folder / "gone"

    def delete() -> None:
        gone.mkdir()
        os.chdir(gone)
        gone.rmdir()

    for words in (desk.cut_words(), ["cut", str(desk.folder / "clip.mp4"), "--mask", "m.png"]):
        outcome = desk.run(*words, before=delete)
        assert outcome.status == 2, outcome.errors
        assert "rotomask: error: " in outcome.errors


@point("D.7 ulimit -v")
def _(desk: Desk) -> None:
    import resource

    write_clip(desk.folder / "wide.mp4", frames=3, size=(480, 854))
    labels = np.zeros((480, 854), np.uint8)
    labels[150:350, 150:450] = 255
    Image.fromarray(labels).save(desk.folder / "wide.png")
    words = ["cut", "wide.mp4", "--mask", "wide.png", "--out", "out", "-f", "overlay"]
    desk.works(*words, "-q")
    whole = {n: d for n, d in desk.files("out").items() if n.endswith((".png", ".mp4"))}
    successes = 0
    for spare in (0, 5, *range(10, 1000, 15)):

        def limit(spare: int = spare) -> None:
            pages = int(Path("/proc/self/statm").read_text().split()[0])
            space = pages * resource.getpagesize() + (spare << 20)
            resource.setrlimit(resource.RLIMIT_AS, (space, space))

        shutil.rmtree(desk.folder / "out", ignore_errors=True)
        outcome = desk.run(*words, "-q", before=limit)
        if outcome.status == 0:
            assert whole.items() <= desk.files("out").items(), f"another result with {spare} MiB"
            successes += 1
        else:
            said = f"{spare} MiB: {outcome.errors}"
            assert outcome.status == 2, said
            assert "memory" in outcome.errors, said
            assert "damaged" not in outcome.errors, said
        if successes == 3:
            break
    assert successes == 3


@point("D.7 step of a mirrored view, a list, a PIL image, a torch tensor")
def _(desk: Desk) -> None:
    def step() -> None:
        from rotomask.errors import ShapeError

        segmenter, frames, labels = _segmenter(desk)
        segmenter.start(frames[0][..., ::-1], labels[::-1, ::-1][::-1, ::-1])
        segmenter.step(frames[1][:, ::-1])
        for given in (frames[1].tolist(), Image.fromarray(frames[1]), torch.tensor(frames[1])):
            try:
                segmenter.step(given)
            except ShapeError as error:
                assert "\n" not in str(error)  # noqa: PT017
        for given in (labels.tolist(), Image.fromarray(labels), torch.tensor(labels)):
            try:
                segmenter.start(frames[0], given)
            except ShapeError as error:
                assert "\n" not in str(error)  # noqa: PT017

    desk.call(step)


@point("D.7 compare and meta.json with odd JSON")
def _(desk: Desk) -> None:
    scores = desk.material.bytes("inputs/benchmark/scores.json")
    (desk.folder / "good.json").write_bytes(scores)
    deep = b"[" * 100_000 + b"]" * 100_000
    for content in (b"", b"[]", b"{}", b"3", b'{"figures": 1}', b"\xff", deep, b'"\\ud800"'):
        (desk.folder / "odd.json").write_bytes(content)
        desk.refused("compare", "good.json", "odd.json")
    shutil.copytree(desk.material.root / "youtube-vos", desk.folder / "set")
    shutil.copytree(desk.material.root / "results/youtube-vos", desk.folder / "results")
    words = ["evaluate", "youtube-vos", "--root", "set", "--split", "valid", "--results", "results"]
    for content in (b"", b"[]", b'{"videos": 3}', b'{"videos": {"v": {"objects": 3}}}', deep):
        (desk.folder / "set/valid/meta.json").write_bytes(content)
        desk.refused(*words, "--processes", "1", "-q")


# E. Unclear


@point("E.8 a relative name with a colon")
def _(desk: Desk) -> None:
    (desk.folder / "clip.mp4").rename(desk.folder / "Interview: take 2.mp4")
    desk.cut("--format", "overlay", clip="Interview: take 2.mp4")


@point("E.8 damaged sound")
def _(desk: Desk) -> None:
    """The overlay is written without it, and no message blames the output."""
    data = bytearray(desk.material.bytes("sound.mp4"))
    start = data.index(b"mdat")
    video = desk.material.bytes("h264.mp4")
    del video
    path = desk.folder / "sound.mp4"
    spoiled = data[: start + 4] + data[start + 4 :]
    sound = _sound_bytes(desk)
    for begin, size in sound[1:]:
        spoiled[begin : begin + size] = os.urandom(size)
    path.write_bytes(bytes(spoiled))
    outcome = desk.run(*desk.cut_words("--format", "overlay", clip="sound.mp4"))
    assert (desk.folder / "out/overlay.mp4").is_file(), outcome.errors
    assert "cannot write" not in outcome.errors, outcome.errors


def _sound_bytes(desk: Desk) -> list[tuple[int, int]]:
    """Place and size of every packet of sound in sound.mp4."""
    import av

    with av.open(str(desk.material.root / "sound.mp4")) as container:
        packets = container.demux(container.streams.audio[0])
        return [(int(p.pos or 0), p.size) for p in packets if p.size]


@point("E.8 a file with no packet left")
def _(desk: Desk) -> None:
    """Header there, content cut off: the message says that the file is cut off."""
    data = desk.material.bytes("h264.mkv")
    path = desk.folder / "empty.mkv"
    path.write_bytes(data[: data.index(b"\x1f\x43\xb6\x75")])
    desk.refused("cut", path, "--mask", "mask.png", "--out", "out", *QUICK, match="empty.mkv")


@point("E.8 detect and propose find out first that --out cannot be written")
def _(desk: Desk) -> None:
    (desk.folder / "file").write_bytes(b"mine")
    for command in ("detect", "propose"):
        outcome = desk.refused(command, "clip.mp4", "--out", "file/out")
        assert "/4 frames" not in outcome.errors, "found out at the end"


refused('E.8 --out ""', "cut", "clip.mp4", "--mask", "mask.png", "--out", "", *QUICK)


@point("E.8 one damaged image in a folder, --skip-damaged")
def _(desk: Desk) -> None:
    frames = desk.frames()
    (frames / "02.png").write_bytes((frames / "02.png").read_bytes()[:60])
    words = ["cut", str(frames), "--mask", "mask.png", "--out", "out", *QUICK, "--skip-damaged"]
    outcome = desk.run(*words, "--format", "overlay,coco")
    assert outcome.status == 2, outcome.errors
    assert "empty mask: 02;" in outcome.errors, outcome.errors
    masks = {p.name: np.array(Image.open(p)) for p in (desk.folder / "out/masks").iterdir()}
    assert sorted(masks) == ["00.png", "01.png", "02.png", "03.png"]
    assert not masks["02.png"].any()
    assert masks["03.png"].any()
    assert (desk.folder / "out/overlay.mp4").is_file()


@point("E.8 float frames")
def _(desk: Desk) -> None:
    def step() -> None:
        from rotomask.errors import ShapeError

        segmenter, frames, labels = _segmenter(desk)
        with pytest.raises(ShapeError, match=r"255 \*"):
            segmenter.start(frames[0] / 255.0, labels)

    desk.call(step)


@point("E.8 a newline in a path")
def _(desk: Desk) -> None:
    name = "two\nlines"
    shutil.copy(desk.folder / "clip.mp4", desk.folder / f"{name}.mp4")
    desk.cut("--format", "overlay,youtube-vis", clip=f"{name}.mp4", out=f"out {name}")
    desk.refused("cut", f"no {name}.mp4", "--mask", "mask.png", "--out", "out", *QUICK)
    desk.refused("cut", "clip.mp4", "--mask", f"no {name}.png", "--out", "out", *QUICK)


# E.9 Media that open other files or addresses


@point("E.9 a script or playlist called x.mp4")
def _(desk: Desk) -> None:
    secret = desk.folder / "secret.ts"
    shutil.copy(desk.material.root / "mpeg2.ts", secret)
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(0.1)
    address = f"http://127.0.0.1:{listener.getsockname()[1]}/x.ts"
    head = "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n"
    texts = {
        "ffconcat": "ffconcat version 1.0\nfile secret.ts\n",
        "m3u8": f"{head}secret.ts\n#EXT-X-ENDLIST\n",
        "m3u8 with an address": f"{head}{address}\n#EXT-X-ENDLIST\n",
        "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\n"
        "m=video 5004 RTP/AVP 96\n",
        "dash": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011">'
        f"<BaseURL>{address}</BaseURL></MPD>",
    }
    for name, text in texts.items():
        for suffix in (".mp4", ".m3u8", ".mkv"):
            path = desk.folder / f"x{suffix}"
            path.write_text(text)
            outcome = desk.run("cut", path, "--mask", "mask.png", "--out", "out", *QUICK)
            assert outcome.status == 2, f"{name} as {suffix} was opened"
            assert not (desk.folder / "out").exists(), name
    for pattern in ("f%02d.png", "concat:secret.ts", "subfile,,start,0,end,0,,:secret.ts"):
        outcome = desk.run("cut", pattern, "--mask", "mask.png", "--out", "out", *QUICK)
        assert outcome.status == 2, pattern
    try:
        listener.accept()
    except TimeoutError:
        return
    raise AssertionError("an address was asked")


def run_points(prefixes: Sequence[str] = ("",)) -> dict[str, str | None]:
    """What is wrong with each case; None where nothing is."""
    faults: dict[str, str | None] = {}
    with tempfile.TemporaryDirectory(prefix="points-") as scratch:
        material = Material(Path(scratch) / "material")
        material.write()
        warm_up(material.finished_jobs())
        material.weights  # noqa: B018 - made before the first fork
        for number, (name, run) in enumerate(POINTS.items()):
            if not name.startswith(tuple(prefixes)):
                continue
            folder = Path(scratch) / f"case-{number}"
            folder.mkdir()
            try:
                run(Desk(material, folder))
                faults[name] = None
            except Exception as error:
                faults[name] = f"{type(error).__name__}: {error}".strip()
            print(f"{faults[name] or 'ok':.200} | {name}", file=sys.stderr, flush=True)
            shutil.rmtree(folder, ignore_errors=True)
    return faults


def main() -> int:
    """Print a table; with --json all results as JSON."""
    arguments = [a for a in sys.argv[1:] if a != "--json"]
    faults = run_points(arguments or ("",))
    if "--json" in sys.argv:
        print(json.dumps(faults))
        return 0
    for name, fault in faults.items():
        print(f"ok     {name}" if fault is None else f"WRONG  {name}: {fault[:200]}")
    return int(any(faults.values()))


if __name__ == "__main__":
    sys.exit(main())
