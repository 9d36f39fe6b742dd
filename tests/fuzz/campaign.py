"""A fuzzing campaign: many damaged inputs, one command each, and a table of what became of them.

    python -m tests.fuzz.campaign 10000                 from seed 0, or after what the log has
    python -m tests.fuzz.campaign --seed 4711 --keep    one case again, its folder kept

A case is wrong if the command prints a traceback, ends with another status than 0 or 2, with 2 and
no single line that says why, is killed by a signal, takes too long or too much memory, changes a
file that it only reads, leaves a half-written file, writes JSON that is none, or ends with 0 and a
result that is not right.
"""

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rotomask.files import content_digest
from tests.fuzz.cases import KINDS, Case
from tests.fuzz.forked import FAILED_CHECK, STDERR, STDOUT, Outcome, fork, run_command, warm_up
from tests.fuzz.material import Material

MOST_MIB = 1500
"""Memory that no command on these tiny inputs may need."""
MOST_SECONDS = 120.0
ERROR = "rotomask: error: "


@dataclass(frozen=True)
class Verdict:
    """What became of a case."""

    seed: int
    kind: str
    status: int | None
    fault: str | None
    """What is wrong; None if nothing is."""
    arguments: tuple[str, ...]
    seconds: float
    peak_mib: int


class Campaign:
    """Material and a folder for cases; the process has everything imported."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.material = Material(folder / "material")
        self.material.write()
        warm_up(self.material.finished_jobs())

    def run(self, seed: int) -> Verdict:
        """Run the case of a seed."""
        rng = np.random.default_rng([14, seed])
        kind = list(KINDS)[seed % len(KINDS)]
        folder = self.folder / f"case-{seed}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        case = KINDS[kind](rng, self.material, folder)
        before, kept = _digests(folder, case.writes), _contents(folder, case.keeps)
        outcome = fork(lambda: _work(case), folder, seconds=MOST_SECONDS)
        fault = _fault(outcome)
        if fault is None and _digests(folder, case.writes) != before:
            fault = "an input was changed"
        if fault is None and _contents(folder, case.keeps) != kept:
            fault = "a file of the user was changed"
        if fault is None and outcome.status == 0:
            fault = _left(folder, case.writes)
        return Verdict(
            seed=seed,
            kind=kind,
            status=outcome.status,
            fault=fault,
            arguments=tuple(a.replace(str(folder), ".") for a in case.arguments),
            seconds=round(outcome.seconds, 3),
            peak_mib=outcome.peak_mib,
        )

    def clear(self, seed: int) -> None:
        """Delete the folder of a case."""
        shutil.rmtree(self.folder / f"case-{seed}", ignore_errors=True)


def _work(case: Case) -> int:
    status = run_command(case.arguments) if case.work is None else case.work()
    if status == 0 and case.check is not None:
        try:
            case.check()
        except Exception as error:
            print(f"check: {type(error).__name__}: {error}", file=sys.stderr)
            return FAILED_CHECK
    return status


def _fault(outcome: Outcome) -> str | None:
    """What is wrong with the way a command ended."""
    lines = outcome.errors.rstrip("\n").splitlines()
    last = lines[-1] if lines else ""
    if outcome.timed_out:
        return f"more than {MOST_SECONDS:.0f} s"
    if "Traceback (most recent call last)" in outcome.errors:
        return f"traceback: {last}"
    if outcome.signal:
        return f"signal {outcome.signal}"
    if outcome.status == FAILED_CHECK:
        return f"wrong result: {last}"
    if outcome.status not in (0, 2):
        return f"status {outcome.status}: {last}"
    if outcome.status == 2 and not last.startswith(ERROR):
        return f"status 2 without a message: {last}"
    if outcome.peak_mib > MOST_MIB:
        return f"{outcome.peak_mib} MiB"
    return None


def _digests(folder: Path, written: tuple[str, ...]) -> dict[str, str]:
    """Content of all files that the command may not write."""
    found: dict[str, str] = {}
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        is_output = relative.parts[0].startswith(written)  # out, and out-preview.png beside it
        if is_output or relative.parts[0] in (STDOUT, STDERR):
            continue
        if path.is_symlink():
            found[str(relative)] = f"-> {path.readlink()}"
        elif path.is_file():
            found[str(relative)] = content_digest(path)
    return found


def _contents(folder: Path, names: tuple[str, ...]) -> dict[str, str]:
    """What is at some paths: a file's digest, where a link leads, or nothing."""
    found = {}
    for name in names:
        path = folder / name
        if path.is_symlink():
            found[name] = f"-> {path.readlink()}"
        else:
            found[name] = content_digest(path) if path.is_file() else "nothing"
    return found


def _left(folder: Path, written: tuple[str, ...]) -> str | None:
    """Half-written files, and JSON that is none."""
    for name in written:
        top = folder / name
        for path in (top, *top.rglob("*")) if top.is_dir() else (top,):
            if path.name.endswith(".part"):
                return f"{path.name} was left"
            if path.suffix == ".json" and path.is_file() and ".rotomask" not in path.parts:
                try:
                    json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse)
                except ValueError as error:
                    return f"{path.name} is no JSON: {error}"
    return None


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def table(verdicts: list[Verdict]) -> str:
    """Cases by kind, as a Markdown table."""
    rows = ["| input | cases | status 0 | status 2 | wrong | s a case | largest MiB |"]
    rows += ["|---|---:|---:|---:|---:|---:|---:|"]
    for kind in [*KINDS, "all"]:
        mine = [v for v in verdicts if kind in (v.kind, "all")]
        if mine:
            wrong = sum(v.fault is not None for v in mine)
            statuses = Counter(v.status for v in mine if v.fault is None)
            mean = sum(v.seconds for v in mine) / len(mine)
            rows.append(
                f"| {kind} | {len(mine)} | {statuses[0]} | {statuses[2]} | {wrong} | {mean:.2f} | "
                f"{max(v.peak_mib for v in mine)} |"
            )
    return "\n".join(rows)


def _logged(log: Path | None) -> Iterator[Verdict]:
    if log is not None and log.exists():
        for line in log.read_text().splitlines():
            entry = json.loads(line)
            yield Verdict(**entry | {"arguments": tuple(entry["arguments"])})


def main() -> int:
    """Run cases; status 1 if one is wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("count", nargs="?", type=int, default=1, help="cases in all")
    parser.add_argument("--seed", type=int, default=0, help="of the first case")
    parser.add_argument("--log", type=Path, help="one line of JSON a case; what is there is done")
    parser.add_argument("--keep", type=Path, help="keep the folders of wrong cases here")
    parser.add_argument("--seconds", type=float, default=1e9, help="stop after so long")
    options = parser.parse_args()
    verdicts = list(_logged(options.log))
    done, began = {v.seed for v in verdicts}, time.monotonic()
    with tempfile.TemporaryDirectory(prefix="fuzz-") as scratch:
        campaign = Campaign(options.keep or Path(scratch))
        for seed in range(options.seed, options.seed + options.count):
            if seed in done or time.monotonic() - began > options.seconds:
                continue
            verdict = campaign.run(seed)
            verdicts.append(verdict)
            if options.log is not None:
                with options.log.open("a") as file:
                    file.write(json.dumps(vars(verdict)) + "\n")
            if verdict.fault is not None:
                print(
                    f"{verdict.kind} {seed}: {verdict.fault}\n    {verdict.arguments}", flush=True
                )
            if options.keep is None or (verdict.fault is None and options.count > 1):
                campaign.clear(seed)
    print(table(verdicts))
    return int(any(v.fault is not None for v in verdicts))


if __name__ == "__main__":
    sys.exit(main())
