"""Kills at random moments: what is lost, and whether the result is that of a job never stopped.

    python -m tests.fuzz.kills 1000                  from seed 0, or after what the log has
    python -m tests.fuzz.kills --seed 4711 --keep    one series again, its folder kept

A series is one job in one folder, killed one to three times with SIGKILL and then run to its end by
the same command. After every kill each result is there as a whole or not at all, and what was there
before still is; inputs are untouched. At the end every result equals, byte for byte, that of a job
that was not disturbed.
"""

import argparse
import contextlib
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rotomask.app.document import Document, FrameRow
from rotomask.app.processes.mask_store import MaskStore
from rotomask.app.processes.worker import Worker as AppWorker
from rotomask.files import complete_or_absent, content_digest
from rotomask.jobs import snapshots
from rotomask.jobs.manifest import PRIVATE
from rotomask.masks import read_mask
from rotomask.networks.osvos import OSVOS, OSVOSConfig
from rotomask.networks.rgmp import RGMP, RGMPConfig
from rotomask.networks.stm import STM, STMConfig
from tests.fuzz.cases import RECORDS
from tests.fuzz.forked import Outcome, fork, run_command, warm_up
from tests.fuzz.library_jobs import run_batch, run_training
from tests.fuzz.material import FRAMES, QUICK, Material

APP_EXPORT = {"formats": ["overlay", "rgba", "webm"]}
Content = Mapping[str, object]
"""Relative path of a result -> what must be the same."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """A job that is killed: in a folder with its inputs, writing to ``out`` there."""

    arguments: tuple[str, ...] = ()
    work: Callable[[Path], int] | None = None
    """In place of a command; takes the folder."""
    inputs: tuple[str, ...]
    """Names in the material, and the names that they get."""
    begins_with: str | None = None
    """A finished job that ``out`` is a copy of at the beginning."""
    seconds: float = 120.0


def _cut(*options: str, model: str = "stm-lite") -> Job:
    words = ("cut", "clip.mp4", "--mask", "mask.png", "--at", "2", "--out", "out", *QUICK)
    return Job(
        arguments=(*words, "--model", model, *options),
        inputs=("h264.mp4:clip.mp4", "mask.png:mask.png"),
    )


@dataclass
class _Project:
    """A project of the app as its server sees it: which jobs are done, and what the worker said.

    What it was told is stored line by line, as the server stores it in its database.
    """

    folder: Path
    done: set[str] = field(default_factory=set)
    masks: dict[int, str] = field(default_factory=dict)
    """Digest of each frame's mask."""

    @property
    def _log(self) -> Path:
        return self.folder / PRIVATE / "said.jsonl"

    def read(self) -> None:
        """Take in what was stored; the kill may have torn the last line."""
        text = self._log.read_text() if self._log.exists() else ""
        for line in text.splitlines():
            with contextlib.suppress(json.JSONDecodeError):
                self._take(json.loads(line))

    def hear(self, message: dict[str, Any]) -> None:
        """Store what the worker says."""
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with self._log.open("a+b") as file:
            if file.tell() and self._log.read_bytes()[-1:] != b"\n":
                file.write(b"\n")
            file.write(json.dumps(message).encode() + b"\n")
        self._take(message)

    def _take(self, message: dict[str, Any]) -> None:
        event = message.get("event")
        if event == "mask":
            self.masks[message["frame"]] = message["digest"]
        elif event == "done":
            self.done.add(message["job"])
        elif event == "failed":
            raise RuntimeError(message["message"])
        elif event == "file" and (source := self.folder / "work" / message["path"]).exists():
            (self.folder / "files").mkdir(exist_ok=True)
            source.replace(self.folder / "files" / message["name"])


def _app(folder: Path) -> int:
    """A project of the app: the worker imports a video, cuts it from a marked frame, exports."""
    project = _Project(folder / "out")
    (project.folder / "masks").mkdir(parents=True, exist_ok=True)
    for left in (project.folder / "masks").glob("*.part"):
        left.unlink()  # as the server does when it starts
    with complete_or_absent(project.folder / "media") as temporary:
        shutil.copy(folder / "clip.mp4", temporary)
    marked, _ = MaskStore(project.folder / "masks").write(read_mask(folder / "mask.png").labels)
    project.read()
    project.masks.setdefault(0, marked)
    worker = AppWorker("stm-lite", project.hear)
    limits = {"seconds": 60, "pixels": 1 << 20, "frames": 100}
    common = {"folder": str(project.folder), "count": FRAMES, "digest": "x", "media": {}}
    frame = FrameRow(digest=marked, labels=(1, 2), source="key", reference=marked, covers=(1, 2))
    cut = {"plan": Document({0: frame}, (1, 2), FRAMES).plan(range(FRAMES))}
    jobs = {"import": {"limits": limits}, "cut": {"quality": "fast"}, "export": APP_EXPORT}
    for kind, params in jobs.items():
        if kind not in project.done:
            masks = {"masks": project.masks, "live": [1, 2]} if kind == "export" else {}
            more = cut if kind == "cut" else {}
            worker.run({"job": kind, "kind": kind, "params": params, **common, **masks, **more})
    shutil.rmtree(project.folder / "work", ignore_errors=True)
    return 0


def _published(model: str) -> Job:
    """A cut by a published network with random weights."""
    cut = _cut("--format", "none", "--weights", "weights.pth", model=model)
    return replace(cut, inputs=(*cut.inputs, f"{model}.pth:weights.pth"))


def _write_published(folder: Path) -> None:
    """Random weights of the published networks, the same in every run."""
    torch.manual_seed(3)
    networks = {"stm": STM(STMConfig()), "rgmp": RGMP(RGMPConfig()), "osvos": OSVOS(OSVOSConfig())}
    for name, network in networks.items():
        torch.save(network.state_dict(), folder / f"{name}.pth")


CLIP = ("h264.mp4:clip.mp4",)
JOBS: dict[str, Job] = {
    "cut": _cut("--format", "overlay,rgba,mattes,coco"),
    "cut, rgmp-lite": _cut("--format", "none", model="rgmp-lite"),
    "cut, embedding": _cut("--format", "mattes", model="embedding"),
    "cut, refined": _cut("--format", "none", "--refine", "flip", "--boxes", "tracked"),
    "cut, oneshot": _cut("--format", "none", "--refine", "online=3", model="oneshot"),
    "cut, online": _cut("--format", "mattes", "--refine", "online=2"),
    "cut, stm": _published("stm"),
    "cut, rgmp": _published("rgmp"),
    "cut, osvos": replace(
        _published("osvos"), arguments=(*_published("osvos").arguments, "--refine", "online=2")
    ),
    "cut, frames": Job(
        arguments=(
            *("cut", "frames", "--mask", "mask.png", "--at", "2", "--out", "out", *QUICK),
            *("--format", "overlay,webm,youtube-vis,contact-sheet"),
        ),
        inputs=("frames", "mask.png"),
    ),
    "batch": Job(
        work=run_batch, inputs=("h264.mp4:clip.mp4", "frames", "vp9.webm", "mask.png:mask.png")
    ),
    "app worker": Job(work=_app, inputs=("h264.mp4:clip.mp4", "mask.png:mask.png")),
    "convert": Job(
        arguments=("convert", "cut", "out", "--to", "labelme", "-q"), inputs=("jobs/cut:cut",)
    ),
    "effect": Job(
        arguments=("effect", "sticker", "clip.mp4", "cut", "--out", "out", "-q"),
        inputs=(*CLIP, "jobs/cut:cut"),
    ),
    "cut, unmarked": Job(
        arguments=("cut", "clip.mp4", "--out", "out", *QUICK, "--format", "none"), inputs=CLIP
    ),
    "cut --overwrite": Job(
        arguments=(
            *("cut", "clip.mp4", "--mask", "mask.png", "--out", "out", *QUICK, "--overwrite"),
            *("--format", "mattes"),
        ),
        inputs=("h264.mp4:clip.mp4", "mask.png:mask.png"),
        begins_with="cut",
    ),
    "correct": Job(
        arguments=(
            *("cut", "clip.mp4", "--continue", "out", "--at", "2", "--point", "36,8", "--quiet"),
            *("--size", "32", "--format", "overlay", "--marker", "grabcut"),
        ),
        inputs=CLIP,
        begins_with="cut",
    ),
    "export": Job(
        arguments=("export", "clip.mp4", "out", "-f", "overlay,webm,rgba,youtube-vis", "-q"),
        inputs=CLIP,
        begins_with="cut",
    ),
    "refine": Job(
        arguments=("refine", "clip.mp4", "cut", "--out", "out", "--field", "mean-field", "-q"),
        inputs=(*CLIP, "jobs/cut:cut"),
    ),
    "flow": Job(
        arguments=("flow", "clip.mp4", "--out", "out", "--estimator", "dis+flow-lite", "-q"),
        inputs=CLIP,
    ),
    "edges": Job(
        arguments=("edges", "clip.mp4", "--out", "out", "--size", "32", "--motion", "-q"),
        inputs=CLIP,
    ),
    "propose": Job(arguments=("propose", "clip.mp4", "--out", "out", "-q"), inputs=CLIP),
    "detect": Job(arguments=("detect", "clip.mp4", "--out", "out", "-q"), inputs=CLIP),
    "train": Job(work=run_training, inputs=("training:data",)),
    "benchmark": Job(
        arguments=(
            *("benchmark", "davis2017", "--root", "davis2017", "--out", "out", "--quiet"),
            *("--size", "32", "--enlarge", "never"),
        ),
        inputs=("davis2017:davis2017",),
    ),
}
"""Jobs by name."""


@dataclass(frozen=True)
class Series:
    """What became of a job that was killed."""

    seed: int
    job: str
    kills: int
    fault: str | None
    seconds: float


class KillCampaign:
    """Material, the undisturbed result of every job, and how long it took."""

    def __init__(self, folder: Path, jobs: Mapping[str, Job] = JOBS) -> None:
        from tests.training.tiny import write_data

        self.folder, self.jobs = folder, jobs
        self.material = Material(folder / "material")
        self.material.write()
        _write_published(self.material.root)
        write_data(self.material.root / "training")
        warm_up(self.material.finished_jobs())
        self.whole: dict[str, Content] = {}
        self.start: dict[str, Content] = {}
        self.seconds: dict[str, float] = {}

    def _run_undisturbed(self, name: str) -> None:
        results = []
        for attempt in ("first", "second"):
            folder = self._prepare(name, f"{name}-{attempt}")
            self.start[name] = _results(folder / "out")
            outcome = self._finish(name, folder)
            if outcome.status != 0:
                raise RuntimeError(f"{name}: status {outcome.status}: {outcome.errors}")
            results.append(_results(folder / "out"))
            self.seconds[name] = outcome.seconds
            shutil.rmtree(folder)
        if results[0] != results[1]:
            raise RuntimeError(f"two undisturbed runs of {name} differ: {_difference(*results)}")
        self.whole[name] = results[0]

    def _prepare(self, name: str, folder_name: str) -> Path:
        folder = self.folder / folder_name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        job = self.jobs[name]
        for given in job.inputs:
            source, _, target = given.partition(":")
            path = self.material.root / source
            copy = shutil.copytree if path.is_dir() else shutil.copy
            copy(path, folder / (target or path.name))
        if job.begins_with is not None:
            shutil.copytree(self.material.root / "jobs" / job.begins_with, folder / "out")
        return folder

    def _finish(self, name: str, folder: Path, kill_after: float | None = None) -> Outcome:
        job = self.jobs[name]

        def work() -> int:
            return run_command(job.arguments) if job.work is None else job.work(folder)

        return fork(work, folder, seconds=job.seconds, kill_after=kill_after)

    def run(self, seed: int) -> Series:
        """One series of kills."""
        rng = np.random.default_rng([15, seed])
        name = list(self.jobs)[seed % len(self.jobs)]
        if name not in self.whole:
            self._run_undisturbed(name)
        # States are stored after every frame, or only after the first one, as in a short job.
        snapshots.LEAST_SECONDS = float(rng.choice([0.0, 5.0]))
        snapshots.MOST_COST = 1e9 if snapshots.LEAST_SECONDS == 0 else 1 / 30
        began = time.perf_counter()
        folder = self._prepare(name, f"series-{seed}")
        inputs, kills, fault = _inputs(folder), 0, None
        there = set(self.start[name])
        for _ in range(int(rng.integers(1, 4))):
            moment = float(rng.uniform(0, 1.1)) * self.seconds[name]
            outcome = self._finish(name, folder, kill_after=moment)
            if not outcome.signal:
                break  # it was faster than last time
            kills += 1
            now = _results(folder / "out")
            fault = fault or self._lost(name, there, now)
            there = set(now)
        outcome = self._finish(name, folder)
        self.seconds[name] += 0.3 * (
            min(outcome.seconds, 2 * self.seconds[name]) - self.seconds[name]
        )
        if fault is None and outcome.status != 0:
            fault = f"status {outcome.status}: {(outcome.errors.splitlines() or [''])[-1]}"
        if fault is None:
            fault = _difference(self.whole[name], _results(folder / "out"))
        if fault is None and _inputs(folder) != inputs:
            fault = "an input was changed"
        left = [path.name for path in folder.rglob("*.part")]
        if fault is None and left:
            fault = f"{left[0]} was left"
        return Series(seed, name, kills, fault, round(time.perf_counter() - began, 3))

    def clear(self, seed: int) -> None:
        """Delete the folder of a series."""
        shutil.rmtree(self.folder / f"series-{seed}", ignore_errors=True)

    def _lost(self, name: str, there: set[str], now: Content) -> str | None:
        """What a kill spoiled: a result that is neither whole nor absent, or one that is gone."""
        if "--overwrite" not in self.jobs[name].arguments:
            for relative in sorted(there - set(now)):
                if relative.startswith("corrections/0"):
                    continue  # backups of a correction that is taken back go when all are restored
                return f"after a kill, {relative} is gone"
        for relative, content in now.items():
            # A line a step; a log with the state of a correction that is under way.
            is_growing = relative.endswith((".csv", "corrections/log.json"))
            sound = (self.whole[name].get(relative), self.start[name].get(relative))
            if not is_growing and content not in sound:
                return f"after a kill, {relative} is neither whole nor absent"
        return None


def _results(out: Path) -> Content:
    """Content of a job's results: what depends on the time or the folder's history is left out."""
    found: dict[str, object] = {}
    for path in sorted(out.rglob("*")):
        relative = path.relative_to(out)
        # The app deletes its work when a job is done.
        is_private = relative.parts[0] in ("tensorboard", "work") or ".rotomask" in relative.parts
        is_private = is_private or path.name in (*RECORDS, "summary.json", "summary.html")
        if path.is_dir() or is_private or path.name.endswith((".part", "checkpoint.pt")):
            continue
        if path.name == "losses.csv":  # with seconds in its later columns
            found[str(relative)] = [line.split(",")[:3] for line in path.read_text().splitlines()]
        else:
            found[str(relative)] = content_digest(path)
    return found


def _inputs(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): content_digest(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.relative_to(folder).parts[0] not in ("out", ".stdout", ".stderr")
    }


def _difference(whole: Content, torn: Content) -> str | None:
    for relative in sorted({*whole, *torn}):
        if relative not in torn:
            return f"{relative} is missing"
        if relative not in whole:
            return f"{relative} is one too many"
        if whole[relative] != torn[relative]:
            return f"{relative} differs from that of a job that was not stopped"
    return None


def table(series: list[Series]) -> str:
    """Kills by job, as a Markdown table."""
    rows = ["| job | series | kills | wrong | s a series |", "|---|---:|---:|---:|---:|"]
    for name in [*JOBS, "all"]:
        mine = [s for s in series if name in (s.job, "all")]
        if mine:
            wrong = sum(s.fault is not None for s in mine)
            mean = sum(s.seconds for s in mine) / len(mine)
            rows.append(
                f"| {name} | {len(mine)} | {sum(s.kills for s in mine)} | {wrong} | {mean:.2f} |"
            )
    return "\n".join(rows)


def main() -> int:
    """Run series until there were so many kills; status 1 if one is wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("count", nargs="?", type=int, default=1, help="kills in all")
    parser.add_argument("--seed", type=int, help="run only the series of this seed")
    parser.add_argument("--log", type=Path, help="one line of JSON a series; what is there is done")
    parser.add_argument("--keep", type=Path, help="keep the folders of wrong series here")
    parser.add_argument("--seconds", type=float, default=1e9, help="stop after so long")
    options = parser.parse_args()
    series: list[Series] = []
    if options.log is not None and options.log.exists():
        series = [Series(**json.loads(line)) for line in options.log.read_text().splitlines()]
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="kill-") as scratch:
        campaign = KillCampaign(options.keep or Path(scratch))
        seed = (
            options.seed
            if options.seed is not None
            else 1 + max((s.seed for s in series), default=-1)
        )
        while time.monotonic() - began < options.seconds:
            if options.seed is None and sum(s.kills for s in series) >= options.count:
                break
            one = campaign.run(seed)
            series.append(one)
            if options.log is not None:
                with options.log.open("a") as file:
                    file.write(json.dumps(vars(one)) + "\n")
            if one.fault is not None:
                print(f"{one.job} {seed}: {one.fault}", flush=True)
            if options.keep is None or one.fault is None:
                campaign.clear(seed)
            if options.seed is not None:
                break
            seed += 1
    print(table(series))
    return int(any(s.fault is not None for s in series))


if __name__ == "__main__":
    sys.exit(main())
