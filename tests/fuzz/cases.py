"""Commands on damaged or odd inputs, from a seed: a generator for every kind of input."""

import json
import os
import pickle
import re
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from tests.fuzz.library_jobs import open_app_data, run_batch, run_training
from tests.fuzz.material import CLIPS, COMMANDS, QUICK, SIZE, Material
from tests.fuzz.mutations import (
    NASTY,
    WORDS,
    Random,
    damage_bytes,
    damage_json_file,
    json_text,
)

RECORDS = ("job.json", "run.json", "submission.zip", "scores.json")
"""Files of a job that may differ between two runs of it."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """A command, and what must hold when it ends with 0."""

    arguments: tuple[str, ...] = ()
    work: Callable[[], int] | None = None
    """What runs in place of a command, such as a function of the library; returns a status."""
    check: Callable[[], None] | None = None
    writes: tuple[str, ...] = ("out",)
    """Names in the case's folder that the command may write; all else must stay as it is."""
    keeps: tuple[str, ...] = ()
    """Files of the user among what the command may write, which must stay as they are, too."""


TABLE = "confidence.csv"
"""Table that a cut makes of one of its records."""

Generator = Callable[[Random, Material, Path], Case]


def _pick(rng: Random, choices: Any) -> Any:
    choices = list(choices)
    return choices[int(rng.integers(len(choices)))]


def video(rng: Random, material: Material, folder: Path) -> Case:
    """A damaged video file, in one of several commands."""
    name = _pick(rng, CLIPS)
    data = damage_bytes(material.bytes(name), rng)
    suffix = Path(name).suffix if rng.random() < 0.8 else _pick(rng, [".mp4", ".gif", "", ".m3u8"])
    clip = folder / f"clip{suffix}"
    clip.write_bytes(data)
    return _on_video(rng, material, folder, clip)


def _on_video(rng: Random, material: Material, folder: Path, clip: Path) -> Case:
    command = _pick(rng, ["cut"] * 4 + ["flow", "edges", "detect", "mark"])
    words: tuple[str, ...]
    (folder / "mask.png").write_bytes(material.bytes("mask.png"))
    out = folder / "out"
    if command == "cut":
        formats = _pick(
            rng, ["none", "overlay", "rgba,mattes", "overlay,youtube-vis,contact-sheet"]
        )
        words = ("cut", str(clip), "--mask", str(folder / "mask.png"), *QUICK, "--format", formats)
        if rng.random() < 0.1:  # it costs a second
            words = (*words, "--sandbox")
        return Case(
            arguments=(*words, "--out", str(out)),
            check=lambda: _check_cut(clip, out),
        )
    if command == "mark":
        words = ("mark", str(clip), "--point", "12,10", "--at", _pick(rng, ["0", "2"]))
        return Case(arguments=(*words, "--out", str(folder / "out" / "m.png"), "--quiet"))
    extra = ("--size", "32") if command == "edges" else ()
    return Case(arguments=(command, str(clip), "--out", str(out), "--quiet", *extra))


def _check_cut(clip: Path, out: Path) -> None:
    """Every frame has a mask of its size, and nothing else has one."""
    from rotomask.masks import read_labels
    from rotomask.video import open_video

    opened = open_video(clip)
    frames = {frame.name: frame.image.shape[:2] for frame in opened.frames()}
    masks = {path.stem for path in (out / "masks").iterdir()}
    assert masks == set(frames), f"masks of {sorted(masks)}, frames {sorted(frames)}"
    for name, size in frames.items():
        assert read_labels(out / "masks" / f"{name}.png").shape == size


def images(rng: Random, material: Material, folder: Path) -> Case:
    """A folder of frames, of which some are damaged, odd or oddly named."""
    frames = folder / _pick(rng, ["frames", "a:b", "new\nline", "ünï", "-v", "%05d", "x" * 200])
    shutil.copytree(material.root / "frames", frames)
    for _ in range(int(rng.integers(1, 4))):
        path = _pick(rng, sorted(frames.iterdir()))
        _spoil_image(path, rng)
        if not any(frames.iterdir()):
            break
    case = _on_video(rng, material, folder, frames)
    arguments = list(case.arguments)
    if arguments[0] == "cut" and rng.random() < 0.3:
        arguments.append("--skip-damaged")
    arguments[1] = str(frames)
    return Case(arguments=tuple(arguments))


def _spoil_image(path: Path, rng: Random) -> None:
    kind = int(rng.integers(10))
    if path.is_symlink() or not path.exists():
        path.unlink(missing_ok=True)
        path.write_bytes(rng.bytes(20))
    if path.is_dir() or kind == 9:
        new = path.with_name(_pick(rng, ["new\nline.png", "é.png", "a:b.png", "2.png", "x.txt"]))
        if not new.exists():
            path.rename(new)
    elif kind < 4:
        path.write_bytes(damage_bytes(path.read_bytes(), rng))
    elif kind == 4:
        path.write_bytes(b"")
    elif kind == 5:
        path.unlink()
        path.mkdir()
    elif kind == 6:
        path.unlink()
        path.symlink_to(_pick(rng, ["/nowhere", path.name, "/dev/null", "."]))
    else:
        _odd_image(path, rng)


def _odd_image(path: Path, rng: Random) -> None:
    """An image of another mode, size, type or orientation under the same name."""
    size = _pick(rng, [SIZE, SIZE, SIZE[::-1], (1, 1), (7, 300)])
    pixels = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
    image = Image.fromarray(pixels).convert(_pick(rng, ["RGB", "L", "P", "RGBA", "1", "CMYK"]))
    kind = _pick(rng, ["PNG", "JPEG", "TIFF", "BMP", "GIF", "WEBP"])
    how: dict[str, Any] = {}
    if rng.random() < 0.4 and kind in ("PNG", "JPEG", "TIFF", "WEBP"):
        exif = Image.Exif()
        exif[0x0112] = int(rng.integers(0, 10))
        how["exif"] = exif
    if kind in ("JPEG", "WEBP") or (image.mode == "CMYK" and kind != "TIFF"):
        image = image.convert("RGB")
    if rng.random() < 0.2 and kind in ("GIF", "TIFF", "WEBP", "PNG"):
        how |= {"save_all": True, "append_images": [image]}
    image.save(path, format=kind, **how)


def masks(rng: Random, material: Material, folder: Path) -> Case:
    """A mask that is damaged, or sound in one of many forms and then read exactly."""
    frames = folder / "frames"
    shutil.copytree(material.root / "frames", frames)
    mask, expected = folder / "mask.png", None
    kind = int(rng.integers(4))
    if kind == 0:
        mask.write_bytes(damage_bytes(material.bytes("mask.png"), rng))
    elif kind == 1:
        mask.write_bytes(material.bytes("mask.png"))
        _odd_image(mask, rng)
    elif kind == 2:
        mask, expected = _mask_of_known_labels(rng, material, folder)
    else:
        mask = _mask_folder(rng, material, folder)
    out = folder / "out"
    at = _pick(rng, ["0", "0", "0", "2", "9", "-1"])
    words = ("cut", str(frames), "--mask", str(mask), "--at", at, "--out", str(out), *QUICK)
    name = f"{int(at):02d}.png"
    check = None
    if expected is not None:
        check = lambda: _check_mask(out / "masks" / name, expected)  # noqa: E731
    return Case(arguments=(*words, "--format", "none"), check=check)


def _check_mask(path: Path, expected: np.ndarray) -> None:
    from rotomask.masks import read_labels

    labels = read_labels(path)
    assert np.array_equal(labels, expected), f"ids {np.unique(labels)}, not {np.unique(expected)}"


def _mask_of_known_labels(rng: Random, material: Material, folder: Path) -> tuple[Path, np.ndarray]:
    labels = material.labels
    kind = int(rng.integers(5))
    if kind == 0:  # indexed
        first, second = (int(k) for k in rng.choice(np.arange(1, 255), 2, replace=False))
        labels = np.where(labels == 1, first, np.where(labels == 2, second, 0))
        image = Image.fromarray(labels.astype(np.uint8)).convert("P")
        image = Image.frombytes("P", SIZE[::-1], labels.astype(np.uint8).tobytes())
        image.putpalette(rng.integers(0, 256, 768, dtype=np.uint8).tobytes())
    elif kind == 1:  # black and white
        labels = (labels > 0).astype(np.int32)
        image = Image.fromarray(labels.astype(bool))
    elif kind == 2:  # grey 0 and 255
        labels = (labels > 0).astype(np.int32)
        image = Image.fromarray((labels * 255).astype(np.uint8))
    elif kind == 3:  # upright only by its EXIF orientation
        image = Image.frombytes("P", SIZE[::-1], labels.astype(np.uint8).tobytes())
        image.putpalette(material_palette())
        exif = Image.Exif()
        exif[0x0112] = 3
        turned = image.transpose(Image.Transpose.ROTATE_180)
        turned.save(folder / "mask.png", exif=exif)
        return folder / "mask.png", labels
    else:  # small numbers in 16 bits
        image = Image.fromarray(labels.astype(np.uint16))
    image.save(folder / "mask.png")
    return folder / "mask.png", labels


def material_palette() -> bytes:
    """Colours of an indexed mask."""
    from rotomask.masks import davis_palette

    return davis_palette().tobytes()


def _mask_folder(rng: Random, material: Material, folder: Path) -> Path:
    """A folder with an image an object, with odd names and contents."""
    masks = folder / "objects"
    masks.mkdir()
    names = ["1.png", "2.png", "object_3.png", "2024-01-05.png", "a.png", "99999999999.png"]
    names += ["-1.png", "0.png", "01.png", "x.txt", "1e5.png", "65536.png", "٣.png"]
    for name in rng.choice(names, int(rng.integers(0, 4)), replace=False):
        path = masks / str(name)
        Image.fromarray(((material.labels == 1) * 255).astype(np.uint8)).save(path, format="PNG")
        if rng.random() < 0.3:
            _spoil_image(path, rng)
    return masks


def weights(rng: Random, material: Material, folder: Path) -> Case:
    """Weights that are damaged, of other kinds, not finite, or malicious."""
    command = _pick(rng, ["cut", "flow", "flow", "edges", "edges"])
    suffix = _pick(rng, [".safetensors", ".safetensors", ".pth", ".pt", ".bin"])
    path = folder / f"mine{suffix}"
    _write_weights(path, command, rng, material)
    clip = folder / "frames"
    shutil.copytree(material.root / "frames", clip)
    out = folder / "out"
    extra: tuple[str, ...] = ()
    if command == "cut":
        (folder / "mask.png").write_bytes(material.bytes("mask.png"))
        model = _pick(rng, ["stm-lite"] * 4 + ["rgmp-lite", "stm", "oneshot", "osvos", "rgmp"])
        extra = ("--mask", str(folder / "mask.png"), "--format", "none", "--model", model, *QUICK)
    elif command == "flow":
        extra = ("--estimator", "flow-lite", "--quiet")
    else:
        extra = ("--size", "32", "--quiet")
    return Case(arguments=(command, str(clip), "--weights", str(path), "--out", str(out), *extra))


class _Command:
    """What a malicious pickle runs."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch '{self.path}'",)


def _write_weights(path: Path, command: str, rng: Random, material: Material) -> None:
    source, kind = material.weights[command], int(rng.integers(9))
    data = material.bytes(source)
    length = int.from_bytes(data[:8], "little")
    if kind == 0:  # damage anywhere
        path.write_bytes(damage_bytes(data, rng))
    elif kind == 1:  # damage in the header
        header = damage_bytes(data[8 : 8 + length], rng)
        path.write_bytes(len(header).to_bytes(8, "little") + header + data[8 + length :])
    elif kind in (2, 3):  # another config, names or shapes
        header = json.loads(data[8 : 8 + length])
        meta = header.get("__metadata__", {})
        name = _pick(rng, [*meta] * 3 + [*header])
        if name in meta:
            meta[name] = _damaged_metadata(meta[name], rng)
        else:
            header[name] = _pick(rng, NASTY)
        text = json_text(header)
        path.write_bytes(len(text).to_bytes(8, "little") + text + data[8 + length :])
    elif kind == 4:  # values that are not finite
        state = load_file(source)
        name = _pick(rng, sorted(state))
        state[name] = state[name].clone().fill_(_pick(rng, [float("nan"), float("inf")]))
        save_file(state, path)
    elif kind == 5:  # a checkpoint of PyTorch, then damaged
        torch.save(dict(load_file(source)), path)
        if rng.random() < 0.7:
            path.write_bytes(damage_bytes(path.read_bytes(), rng))
    elif kind == 6:
        torch.save(
            _pick(rng, [{"model": 3}, [1, 2], {"a": torch.zeros(2)}, {}, torch.ones(3)]), path
        )
    elif kind == 7:
        path.write_bytes(pickle.dumps({"state_dict": _Command(path.parent / "stolen")}))
    else:
        path.write_bytes(
            _pick(rng, [b"", b"x" * 9, b"\x80\x02}", os.urandom(0), data[: length + 8]])
        )


def _damaged_metadata(text: str, rng: Random) -> str:
    try:
        return damage_json_file(text.encode(), rng).decode("utf-8", "replace")
    except ValueError:
        return str(_pick(rng, NASTY)).encode("utf-8", "replace").decode()


def records(rng: Random, material: Material, folder: Path) -> Case:
    """A finished or half-finished job whose records are damaged; its results must not change."""
    name = _pick(rng, ["cut"] * 6 + [*COMMANDS])
    material.give_inputs(name, folder)
    out, whole = folder / "out", material.root / "jobs" / name
    shutil.copytree(whole, out)
    results = sorted(
        path
        for path in out.rglob("*")
        if path.is_file() and ".rotomask" not in path.parts and path.name not in RECORDS
    )
    for path in results:
        if rng.random() < 0.3:
            path.unlink()
    stored = [*(out / ".rotomask").iterdir(), *(out / r for r in RECORDS[:2] if (out / r).exists())]
    stored += [path for path in (out / "found" / "found.json",) if path.exists()]
    for _ in range(int(rng.integers(1, 3))):
        _damage_record(_pick(rng, sorted(stored)), rng)
    words = _here(material, name, folder, out)
    return Case(
        arguments=words,
        check=lambda: _check_same_results(whole, out),
        writes=("out", "scores.json"),
    )


def _here(material: Material, name: str, folder: Path, out: Path) -> tuple[str, ...]:
    return material.command(name, folder, out)


def _damage_record(path: Path, rng: Random) -> None:
    kind = rng.random()
    if not path.exists():
        return
    if kind < 0.15:
        path.unlink()
    elif kind < 0.25:
        path.write_bytes(b"")
    elif path.suffix == ".json" and kind < 0.8:
        path.write_bytes(damage_json_file(path.read_bytes(), rng))
    else:
        path.write_bytes(damage_bytes(path.read_bytes(), rng))


def _check_same_results(whole: Path, out: Path) -> None:
    """Every result of the undisturbed job is there, and is the same to the byte."""
    for path in sorted(whole.rglob("*")):
        relative = path.relative_to(whole)
        if path.is_dir() or relative.parts[0] == ".rotomask" or path.name in (*RECORDS, TABLE):
            continue
        assert (out / relative).is_file(), f"{relative} is missing"
        assert (out / relative).read_bytes() == path.read_bytes(), f"{relative} differs"


def data_sets(rng: Random, material: Material, folder: Path) -> Case:
    """A benchmark of which files are damaged, missing or odd, scored or run."""
    name = _pick(rng, ["davis2017", "youtube-vos", "fbms"])
    root, results = folder / name, folder / "results"
    shutil.copytree(material.root / name, root)
    shutil.copytree(material.root / "results" / name, results)
    for _ in range(int(rng.integers(1, 3))):
        files = sorted(p for p in [*root.rglob("*"), *results.rglob("*")] if p.is_file())
        path = _pick(rng, files)
        if path.suffix == ".json" and rng.random() < 0.7:
            path.write_bytes(damage_json_file(path.read_bytes(), rng))
        elif path.suffix in (".txt", ".dat") and rng.random() < 0.7:
            lines = path.read_text().splitlines()
            lines[int(rng.integers(len(lines)))] = str(_pick(rng, WORDS)).replace("\udcff", "?")
            path.write_text("\n".join(lines))
        else:
            _spoil_image(path, rng)
    split = ("--split", "valid") if name == "youtube-vos" else ()
    words = (name, "--root", str(root), *split, "--quiet", "--json", str(folder / "scores.json"))
    if rng.random() < 0.3 and name != "fbms":
        words = ("benchmark", *words, "--out", str(folder / "out"), "--size", "32")
        words = (*words, "--enlarge", "never")
    else:
        words = ("evaluate", *words, "--results", str(results), "--processes", "1")
        if rng.random() < 0.3:
            words = (*words, "--allow-missing")
    return Case(arguments=words, writes=("out", "scores.json"))


def json_files(rng: Random, material: Material, folder: Path) -> Case:
    """Prompts, scores, proposals and annotations in JSON, damaged."""
    kind = _pick(rng, ["prompts", "prompts", "scores", "proposals", "confidence"])
    clip = folder / "clip.mp4"
    clip.write_bytes(material.bytes("h264.mp4"))
    if kind == "prompts":
        path = folder / "prompts.json"
        path.write_bytes(damage_json_file(material.bytes("prompts.json"), rng))
        words = ("mark", str(clip), "--scribbles", str(path), "--out", str(folder / "out/m.png"))
        return Case(arguments=(*words, "--marker", "grabcut", "--quiet"))
    if kind == "scores":
        scores = material.bytes("inputs/benchmark/scores.json")
        (folder / "a.json").write_bytes(damage_json_file(scores, rng))
        (folder / "b.json").write_bytes(scores)
        names = [str(folder / f"{name}.json") for name in ("ab" if rng.random() < 0.5 else "ba")]
        return Case(arguments=("compare", *names))
    if kind == "proposals":
        shutil.copytree(material.root / "jobs/propose", folder / "proposals")
        path = folder / "proposals/proposals.json"
        path.write_bytes(damage_json_file(path.read_bytes(), rng))
        words = ("cut", str(clip), "--proposals", str(path.parent), "--out", str(folder / "out"))
        return Case(arguments=(*words, "--format", "none", *QUICK))
    shutil.copytree(material.root / "jobs/cut", folder / "out")
    path = folder / "out/.rotomask/confidence.jsonl"
    lines = path.read_bytes().splitlines()
    for number in range(len(lines)):
        if rng.random() < 0.6:
            lines[number] = damage_json_file(lines[number], rng).replace(b"\n", b" ")
    path.write_bytes(b"\n".join(lines))
    return Case(arguments=("review", str(clip), str(folder / "out")))


NUMBERS = ("-1", "0", "1", "2", "3", "16", "32", "nan", "inf", "-inf", "1e-9", "0.5", "7", "100")
OPTIONS: dict[str, dict[str, tuple[str, ...]]] = {
    "cut": {
        "--at": NUMBERS,
        "--start": NUMBERS,
        "--end": NUMBERS,
        "--size": (*NUMBERS, "15"),
        "--enlarge": ("auto", "always", "never"),
        "--memory": (*NUMBERS, "all"),
        "--merge": ("soft", "winner-take-all", "naive"),
        "--direction": ("both", "forward", "backward"),
        "--objects": NUMBERS,
        "--format": ("none", "overlay", "webm", "prores", "rgba,mattes", "coco,polygons", "all"),
        "--model": ("stm-lite", "rgmp-lite", "embedding", "flow-saliency", "embedding+stm-lite"),
        "--boxes": ("tracked", "detector-lite", "none", "x.onnx", "torchvision:x"),
        "--refine": (
            *("flip", "scales=0.5,1", "scales=nan", "scales=100", "online=1", "online=nan"),
            *("components", "crf", "ensemble=rgmp-lite", "ensemble=x:y", "online=-1s"),
        ),
        "--skip-damaged": (),
        "--sandbox": (),
        "--device": ("cpu", "cuda", "mps", "cuda:9"),
        "--precision": ("auto", "float32", "bfloat16"),
        "--overwrite": (),
        "--undo": (),
        "--afresh": (),
        "--learn": (),
    },
    "mark": {
        "--at": NUMBERS,
        "--object": NUMBERS,
        "--marker": ("click-lite", "grabcut", "click-lite-learning"),
        "--preview": (),
        "--device": ("cpu", "cuda"),
    },
    "flow": {
        "--estimator": ("dis", "flow-lite", "dis+flow-lite"),
        "--format": ("flo", "png", "flo,png"),
        "--longest": NUMBERS,
        "--start": NUMBERS,
        "--end": NUMBERS,
        "--precision": ("float32", "bfloat16"),
    },
    "edges": {
        "--model": ("edges-lite", "edges-flow-lite"),
        "--motion": (),
        "--thin": (),
        "--bits": ("8", "16", "12"),
        "--estimator": ("dis", "flow-lite"),
        "--size": NUMBERS,
        "--start": NUMBERS,
        "--end": NUMBERS,
    },
    "detect": {
        "--detector": ("detector-lite", "torchvision:x", "x.onnx"),
        "--score": NUMBERS,
        "--start": NUMBERS,
        "--end": NUMBERS,
    },
    "propose": {"--objects": NUMBERS, "--start": NUMBERS, "--end": NUMBERS},
    "export": {
        "--format": ("overlay", "webm", "prores", "rgba,mattes", "coco,youtube-vis", "polygons"),
        "--start": NUMBERS,
        "--end": NUMBERS,
        "--partial": (),
        "--overwrite": (),
    },
    "refine": {
        "--field": ("graph-cut", "mean-field", "policy"),
        "--size": NUMBERS,
        "--window": NUMBERS,
        "--overwrite": (),
    },
    "review": {"--count": NUMBERS},
    "evaluate": {
        "--split": ("val", "train", "trian"),
        "--sequences": ("one", "one,two", "x", ","),
        "--processes": ("1", "0", "-1"),
        "--by-object": (),
        "--stability": (),
        "--allow-missing": (),
    },
    "train": {
        "--devices": NUMBERS,
        "--workers": ("0", "-1"),
        "--threads": NUMBERS,
        "--accelerator": ("cpu", "cuda", "x"),
        "--precision": ("float32", "x"),
        "--resume": (),
        "--initial": ("missing.pth",),
    },
    "average": {},
    "models": {},
    "convert": {
        "--to": (*("masks", "coco", "yolo", "cvat"), "x"),
        "--from": ("masks", "coco", "yolo", "x"),
        "--video": ("one", "clip"),
        "--size": ("48x32", "32x48", "0x0", "99999x99999", "x"),
        "--overwrite": (),
    },
    "effect": {
        "--objects": ("1", "2", "1,2", "3", "0", "x"),
        "--start": NUMBERS,
        "--end": NUMBERS,
        "--at": NUMBERS,
        "--still": (),
        "--overwrite": (),
        "--out": (
            "out.mp4",
            "out.webm",
            "out.mov",
            "out.gif",
            "out.webp",
            "out",
            "out.png",
            "out.x",
        ),
    },
    "stabilise": {
        "--framing": ("1:1", "16:9", "9:16", "source", "20x20", "0:1", "99999x2", "x", "nan:1"),
        "--zoom": NUMBERS,
        "--strength": NUMBERS,
        "--smoothness": NUMBERS,
        "--objects": ("1", "2", "1,2", "3", "0", "x"),
        "--start": NUMBERS,
        "--end": NUMBERS,
        "--at": NUMBERS,
        "--still": (),
        "--overwrite": (),
        "--out": ("out.mp4", "out.gif", "out.webp", "out", "out.png", "out.x"),
    },
    "compare": {"--figure": ("J_mean", "x")},
}
"""Options by command, with values that are right for some; without values it is a switch."""


EFFECTS = (
    *("blur-background", "grey-background", "new-background", "outline", "anonymise", "erase"),
    *("echo", "clones", "sticker", "slow-motion"),
)


def options(rng: Random, material: Material, folder: Path) -> Case:
    """A command with one to three odd options, or odd paths."""
    command = _pick(rng, ["cut"] * 5 + ["mark"] * 2 + [*OPTIONS])
    words = _sound_arguments(command, material, folder)
    if command == "effect":
        words[1] = _pick(rng, EFFECTS)
    for _ in range(int(rng.integers(1, 4))):
        if rng.random() < 0.12 and len(words) > 1:
            words[int(rng.integers(1, len(words)))] = str(_pick(rng, WORDS))
        elif OPTIONS[command]:
            name = _pick(rng, OPTIONS[command])
            words.append(name)
            values = OPTIONS[command][name]
            if values:
                words.append(str(_pick(rng, values if rng.random() < 0.7 else WORDS)))
    return Case(
        arguments=tuple(words),
        writes=_may_write(words, folder),
    )


def _may_write(words: list[str], folder: Path) -> tuple[str, ...]:
    """Names that the command may write: where odd words took the place of --out, any of them."""
    if "out" in words:
        return ("out",)
    named = {word.partition("/")[0] for word in words} - {""}
    return tuple({p.name for p in folder.iterdir()} | named | {"out"})


def _sound_arguments(command: str, material: Material, folder: Path) -> list[str]:
    """Arguments with which a command works, relative to the folder."""
    shutil.copy(material.root / "h264.mp4", folder / "clip.mp4")
    shutil.copy(material.root / "mask.png", folder / "mask.png")
    if command == "cut":
        return ["cut", "clip.mp4", "--mask", "mask.png", "--out", "out", *QUICK]
    if command == "mark":
        return ["mark", "clip.mp4", "--point", "12,10", "--out", "out", "--quiet"]
    if command in ("export", "refine", "review", "convert", "effect", "stabilise"):
        is_apart = command not in ("export", "review")  # another folder is written
        shutil.copytree(material.root / "jobs/cut", folder / ("cut" if is_apart else "out"))
        if command == "convert":
            return ["convert", "cut", "out", "--to", "coco", "--quiet"]
        if command == "effect":
            return ["effect", "outline", "clip.mp4", "cut", "--out", "out", "--quiet"]
        if command == "stabilise":
            return ["stabilise", "clip.mp4", "cut", "--out", "out", "--quiet"]
        if command == "refine":
            return ["refine", "clip.mp4", "cut", "--out", "out", "--field", "mean-field", "--quiet"]
        return [command, "clip.mp4", "out"]
    if command == "evaluate":
        shutil.copytree(material.root / "davis2017", folder / "set")
        shutil.copytree(material.root / "results/davis2017", folder / "results")
        words = ["evaluate", "davis2017", "--root", "set", "--results", "results"]
        return [*words, "--processes", "1"]
    if command == "train":
        return ["train", "none", "--data", "stills=x", "--out", "out"]
    if command == "average":
        return ["average", "a.safetensors", "b.safetensors", "--out", "out"]
    if command == "models":
        return ["models"]
    if command == "compare":
        for name in ("a.json", "b.json"):
            shutil.copy(material.root / "inputs/benchmark/scores.json", folder / name)
        return ["compare", "a.json", "b.json"]
    extra = ["--size", "32"] if command == "edges" else []
    return [command, "clip.mp4", "--out", "out", "--quiet", *extra]


def prompts(rng: Random, material: Material, folder: Path) -> Case:
    """Clicks, boxes, scribbles and polygons anywhere, of any object, on any frame."""
    frames = folder / "frames"
    shutil.copytree(material.root / "frames", frames)
    command = _pick(rng, ["mark", "mark", "cut"])
    out = "out/mask.png" if command == "mark" else "out"
    words = [command, str(frames), "--out", str(folder / out), "--quiet"]
    if command == "cut":
        words += ["--size", "32", "--enlarge", "never", "--format", "none"]
    words += ["--marker", _pick(rng, ["grabcut", "click-lite"])]
    if rng.random() < 0.3:
        words += ["--at", _pick(rng, NUMBERS)]
    for _ in range(int(rng.integers(1, 5))):
        words += _prompt(rng, folder)
    return Case(arguments=tuple(words))


def _prompt(rng: Random, folder: Path) -> list[str]:
    def number() -> str:
        if rng.random() < 0.02:
            return str(_pick(rng, (*NUMBERS, *WORDS))).replace("\n", "")
        value = rng.uniform(-3, 50) if rng.random() < 0.04 else rng.uniform(0, 31)
        return f"{value:.{int(rng.integers(3))}f}"

    kind = _pick(rng, ["--point", "--point", "--box", "--polygon", "--scribbles", "--object"])
    if kind == "--object":
        return ["--object", _pick(rng, ["1", "2", "3", "0", "-1", "255", "70000", "x"])]
    if kind == "--point":
        return [kind, ",".join([number(), number(), *_pick(rng, [[], [], ["-"], ["+"], ["x"]])])]
    if kind == "--box":
        return [kind, ",".join(number() for _ in range(4))]
    pairs = " ".join(f"{number()},{number()}" for _ in range(int(rng.integers(0, 6))))
    if kind == "--polygon":
        return [kind, pairs]
    path = folder / f"strokes{int(rng.integers(1000))}.txt"
    path.write_text(pairs.encode("utf-8", "replace").decode())
    return [kind, str(path)]


ANNOTATIONS = ("coco", "youtube-vis", "cvat", "label-studio", "labelme", "yolo", "davis")


def annotations(rng: Random, material: Material, folder: Path) -> Case:
    """Annotations of another tool's format, damaged and converted to a third one."""
    name, target = _pick(rng, ANNOTATIONS), _pick(rng, ("masks", "masks", *ANNOTATIONS))
    source = folder / _pick(rng, ["in", "in", "a:b", "new\nline", "x" * 200])
    shutil.copytree(material.root / "jobs" / name, source)
    shutil.rmtree(source / ".rotomask")
    (source / "job.json").unlink(missing_ok=True)
    for _ in range(int(rng.integers(1, 3))):
        path = _pick(rng, sorted(p for p in source.rglob("*") if p.is_file()))
        if path.suffix == ".json":
            path.write_bytes(damage_json_file(path.read_bytes(), rng))
        elif path.suffix == ".png":
            _spoil_image(path, rng)
        elif rng.random() < 0.5:
            path.write_bytes(damage_bytes(path.read_bytes(), rng))
        else:
            path.write_text(_other_words(path.read_text(errors="replace"), rng), errors="replace")
    words = ["convert", str(source), str(folder / "out"), "--to", target, "--quiet"]
    if rng.random() < 0.5:
        words += ["--from", name if rng.random() < 0.9 else _pick(rng, ANNOTATIONS)]
    if name == "yolo" or rng.random() < 0.1:
        words += ["--size", "48x32" if rng.random() < 0.8 else _pick(rng, WORDS)]
    return Case(arguments=tuple(words))


def _other_words(text: str, rng: Random) -> str:
    """Text of which one to three words or numbers are others."""
    for _ in range(int(rng.integers(1, 4))):
        found = list(re.finditer(r"[\w.-]+", text))
        if found:
            one = _pick(rng, found)
            text = text[: one.start()] + str(_pick(rng, WORDS)) + text[one.end() :]
    return text


def batch_lists(rng: Random, material: Material, folder: Path) -> Case:
    """A list of a batch's videos, CSV or JSON lines, damaged; it is only read."""
    rows: list[dict[str, Any]] = [
        {"video": "a.mp4", "mask": "a.png"},
        {"video": "b.mp4", "mask": "0=b.png;2=c.png", "out": "day/b", "format": "none"},
        {"video": "https://example.org/c.mp4", "prompts": "p.json", "size": "32", "end": "2"},
    ]
    kind = _pick(rng, ["csv", "jsonl", "jsonl"])
    path = folder / f"list.{kind}"
    if kind == "csv":
        names = list(dict.fromkeys(name for row in rows for name in row))
        lines = [",".join(names), *(",".join(row.get(k, "") for k in names) for row in rows)]
        text = "\n".join(lines)
        if rng.random() < 0.6:
            path.write_text(_other_words(text, rng), errors="replace")
        else:
            path.write_bytes(damage_bytes(text.encode(), rng))
    else:
        rows[1]["mask"] = {"0": "b.png", "2": "c.png"}
        rows[2] |= {"prompts": material.prompts, "options": {"size": 32, "refine": ["flip"]}}
        damaged = [
            damage_json_file(json_text(row), rng) if rng.random() < 0.6 else json_text(row)
            for row in rows
        ]
        path.write_bytes(b"\n".join(damaged))
    return Case(arguments=("(the list)", str(path)), work=lambda: _read_list(path))


def _read_list(path: Path) -> int:
    """Status of reading a batch's list."""
    from rotomask.errors import RotomaskError
    from rotomask.jobs.batch.manifest import read_items
    from rotomask.jobs.cut import CutOptions

    try:
        items = read_items(path, CutOptions())
        assert len({item.name for item in items}) == len(items)
        assert all(".." not in Path(item.name).parts for item in items)
    except RotomaskError as error:
        print(f"rotomask: error: {error}", file=sys.stderr)
        return 2
    return 0


def training_data(rng: Random, material: Material, folder: Path) -> Case:
    """Training data that is damaged; checked before a run starts, so the first batch is enough."""
    kind = _pick(rng, ["coco", "coco", "stills"])
    root = folder / kind
    shutil.copytree(material.root / kind, root)
    files = sorted(p for p in root.rglob("*") if p.is_file())
    for _ in range(int(rng.integers(1, 3))):
        path = root / "all.json" if kind == "coco" and rng.random() < 0.8 else _pick(rng, files)
        if path.suffix == ".json":
            path.write_bytes(damage_json_file(path.read_bytes(), rng))
        elif path.exists():
            _spoil_image(path, rng)
    source = root / "all.json" if kind == "coco" else root
    return Case(arguments=("(all stills of)", str(source)), work=lambda: _read_stills(source))


def _read_stills(source: Path) -> int:
    """Status of reading all stills, as a run does."""
    from rotomask.data.training.stills import find_stills
    from rotomask.errors import RotomaskError

    try:
        stills = find_stills(source)
        for index in range(len(stills)):
            image, labels = stills[index]
            assert image.shape[:2] == labels.shape
    except RotomaskError as error:
        print(f"rotomask: error: {error}", file=sys.stderr)
        return 2
    return 0


USERS_FILES = (
    *("overlay.mp4", "annotations.json", "contact_sheet.png", "cutout.webm", "confidence.csv"),
    *("masks/00000.png", "masks/00002.png", "masks/99999.png", "masks/notes.txt", "mattes/a.png"),
    *("flow/00000.flo", "00001.flo", "edges/00001.png", "rgba/00000.png", "found/found.json"),
    *(
        "proposals.json",
        "detections.json",
        "job.json",
        "notes.txt",
        "deep/er/notes.txt",
        "00000.png",
    ),
    *("Annotations/480p/clip/00000.png", "labels/00000.txt", "annotations.xml", "data.yaml"),
    *("review.png", "0.png", "0-preview.png", "corrections/log.json", "cutout.mov", "summary.html"),
    *("summary.json", "clip/masks/00000.png", "frames/overlay.mp4", "checkpoint.pt", "losses.csv"),
    *("model.safetensors", "recipe.json", "token", "app.sqlite", "projects/film/masks/a.png"),
    *("projects/film/work/a.mov", "uploads/a.mov"),
)
"""Names that a user's own files may have in an output folder; most are those of outputs."""


CORRECTION = ("--at", "2", "--point", "36,8", "--marker", "grabcut", "--format", "overlay,webm")
IN_PLACE: dict[str, tuple[str, ...]] = {
    "export": ("export", "clip.mp4", "out", "-f", "overlay,webm,rgba,youtube-vis,mattes", "-q"),
    "correct": ("cut", "clip.mp4", "--continue", "out", *CORRECTION, *QUICK),
    "review": ("review", "clip.mp4", "out", "-q"),
}
"""Commands that add to the folder of a finished cut."""
LIBRARY: dict[str, tuple[Callable[[Path], int], tuple[str, ...]]] = {
    "batch": (run_batch, ("h264.mp4:clip.mp4", "frames", "vp9.webm", "mask.png")),
    "train": (run_training, ("stills:data/stills",)),
    "app": (open_app_data, ()),
}
"""Jobs that run here without their processes, and their inputs in the material."""


def output_folders(rng: Random, material: Material, folder: Path) -> Case:
    """A job whose output folder holds files of the user, and perhaps this or another job."""
    name = _pick(rng, [*COMMANDS, *IN_PLACE, *LIBRARY, "mark"])
    out = folder / "out"
    if name in COMMANDS:
        material.give_inputs(name, folder)
        words = _here(material, name, folder, out)
    else:
        for given in LIBRARY[name][1] if name in LIBRARY else ("h264.mp4:clip.mp4",):
            source, _, target = given.partition(":")
            path = material.root / source
            copy = shutil.copytree if path.is_dir() else shutil.copy
            (folder / target).parent.mkdir(exist_ok=True)
            copy(path, folder / (target or source))
        marked = ("mark", "clip.mp4", "--point", "12,10", "--preview", "--out", "out/0.png", "-q")
        words = marked if name == "mark" else IN_PLACE.get(name, (f"({name})", "out"))
    if name in IN_PLACE or rng.random() < 0.6:
        other = name if name in COMMANDS and rng.random() < 0.5 else _pick(rng, COMMANDS)
        other = "cut" if name in IN_PLACE else other
        shutil.copytree(material.root / "jobs" / other, out)
    kept = _write_users_files(rng, folder, out)
    if name in COMMANDS and name != "benchmark" and rng.random() < 0.5:
        words = (*words, "--overwrite")
    return Case(
        arguments=words,
        work=partial(LIBRARY[name][0], folder) if name in LIBRARY else None,
        writes=("out", "scores.json"),
        keeps=kept,
    )


def _write_users_files(rng: Random, folder: Path, out: Path) -> tuple[str, ...]:
    """Up to five files of the user in an output folder, and their paths."""
    kept = []
    for relative in rng.choice(USERS_FILES, int(rng.integers(1, 6)), replace=False):
        path = out / str(relative)
        if path.exists() or any(p.is_file() for p in path.parents):
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        if rng.random() < 0.2:
            (folder / "elsewhere").write_bytes(json_text("the user's"))
            path.symlink_to(folder / "elsewhere")
        else:
            path.write_bytes(json_text({"mine": int(rng.integers(1000))}))
        kept.append(f"out/{relative}")
    return tuple(kept)


KINDS: dict[str, Generator] = {
    "video": video,
    "images": images,
    "mask": masks,
    "weights": weights,
    "records": records,
    "data set": data_sets,
    "JSON": json_files,
    "options": options,
    "prompts": prompts,
    "training data": training_data,
    "annotations": annotations,
    "batch list": batch_lists,
    "output folder": output_folders,
}
"""Name of a kind of input -> its generator."""
