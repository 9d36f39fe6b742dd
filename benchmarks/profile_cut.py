"""Time of each stage of `rotomask cut` per frame, and the arithmetic of the network beside it.

    python -m benchmarks.profile_cut                                   all cases
    python -m benchmarks.profile_cut --objects 1 --heights 480 --threads 1 --precision float32
    python -m benchmarks.profile_cut --json FILE

The demo clip is cut by the real job, with a mask, an overlay and mattes, while timers sit around
the functions of `STAGES`. A stage's time is its own, without the stages that it calls. The clock is
the processor time of the calling thread with one thread, which other processes on the machine
disturb little, and wall time with more. Then five more frames are segmented while PyTorch counts
the floating-point operations of the network, and the rate is compared with the best of a matrix
product and a convolution measured here.
"""

import argparse
import functools
import importlib
import json
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode, conv_flop_count

from rotomask.jobs.cut import CutOptions, cut
from rotomask.jobs.demo import demo_folder
from rotomask.jobs.loading import load_model
from rotomask.masks import read_mask
from rotomask.networks.precision import choose_runtime
from rotomask.video import VideoWriter, h264, open_video

STAGES: dict[str, tuple[str, ...]] = {
    "decode": ("rotomask.video.video_file:VideoFile.frames",),
    "resize": (
        "rotomask.segmenters.framing:Framing.image",
        "rotomask.segmenters.framing:Framing.masks",
    ),
    "encoder": ("rotomask.networks.stm_lite:STMLite.encode_frame",),
    "memory read": ("rotomask.segmenters.space_time:read_joined",),
    "value encoder": ("rotomask.networks.stm_lite:STMLite.encode_value",),
    "decoder": ("rotomask.networks.stm_lite:STMLite.decode",),
    "aggregation": ("rotomask.segmenters.space_time:aggregate",),
    "upsampling": ("rotomask.segmenters.framing:Framing.output",),
    "argmax": ("rotomask.segmenters.base:Segmenter.labels",),
    "confidence": ("rotomask.jobs.confidence:ConfidenceRecorder.record",),
    "state": ("rotomask.jobs.snapshots:Snapshots.save",),
    "matte": ("rotomask.jobs.mask_files:MaskFiles.write",),
    "mask PNG": ("rotomask.jobs.mask_files:write_mask",),
    "overlay": ("rotomask.export.videos:OverlayVideo.picture",),
    "encode": ("rotomask.video.writer:VideoWriter.write",),
}
"""Stage -> the functions that it is made of, MODULE:NAME. Those inside others come last."""
NETWORK = ("encoder", "memory read", "value encoder", "decoder")
"""Stages whose arithmetic is counted."""
COUNTED = 5
"""Frames in which it is: as many as there are between two that are remembered."""


@dataclass
class Timers:
    """Seconds of each stage, measured around real calls in any number of threads."""

    clock: Callable[[], float]
    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    flop: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    counts_flop: bool = False
    _local: threading.local = field(default_factory=threading.local)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the time inside to a stage, less that of the stages within."""
        outer: list[float] = self._local.__dict__.setdefault("inner", [])
        outer.append(0.0)
        began = self.clock()
        try:
            yield
        finally:
            spent = self.clock() - began
            self.seconds[name] += spent - outer.pop()
            if outer:
                outer[-1] += spent

    def around(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, timed; of a generator each of its steps is."""

        @functools.wraps(function)
        def timed(*arguments: Any, **keywords: Any) -> Any:
            if self.counts_flop and name in NETWORK:
                mapping: dict[Any, Callable[..., int]] = {
                    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: attention_flop
                }
                if hasattr(torch.ops.mkldnn, "_convolution_pointwise"):
                    mapping[torch.ops.mkldnn._convolution_pointwise] = convolution_flop
                with FlopCounterMode(display=False, custom_mapping=mapping) as counter:
                    result = function(*arguments, **keywords)
                self.flop[name] += counter.get_total_flops()
                return result
            with self.stage(name):
                result = function(*arguments, **keywords)
            return self._steps(name, result) if isinstance(result, Iterator) else result

        return timed

    def _steps(self, name: str, steps: Iterator[Any]) -> Iterator[Any]:
        end = object()
        while True:
            with self.stage(name):
                step = next(steps, end)
            if step is end:
                return
            yield step

    @contextmanager
    def attached(self) -> Iterator[None]:
        """Put the timers around every function of `STAGES`."""
        with ExitStack() as stack:
            for name, functions in STAGES.items():
                for path in functions:
                    module, _, dotted = path.partition(":")
                    *classes, attribute = dotted.split(".")
                    owner: Any = importlib.import_module(module)
                    for part in classes:
                        owner = getattr(owner, part)
                    timed = self.around(name, getattr(owner, attribute))
                    stack.enter_context(mock.patch.object(owner, attribute, timed))
            yield


@dataclass(frozen=True, kw_only=True)
class Case:
    """What is cut, and how."""

    height: int
    objects: int
    threads: int
    precision: str
    size: int | None = 480
    frames: int = 30

    def __str__(self) -> str:
        return (
            f"{self.height}p, {self.objects} object(s), {self.threads} thread(s), {self.precision}"
        )


def convolution_flop(
    x_shape: Sequence[int], weight_shape: Sequence[int], *_: Any, out_shape: Any, **__: Any
) -> int:
    """Arithmetic of a convolution with its activation, which PyTorch's counter does not know."""
    return int(conv_flop_count(list(x_shape), list(weight_shape), list(out_shape)))


def attention_flop(
    query: tuple[int, ...], key: tuple[int, ...], value: tuple[int, ...], *_: Any, **__: Any
) -> int:
    """Operations of fused attention, from shapes B×heads×positions×channels."""
    batch, heads, positions, width = query
    return 2 * batch * heads * positions * key[2] * (width + value[3])


def clip_of(height: int, folder: Path) -> tuple[Path, np.ndarray[Any, Any]]:
    """The demo clip at some height, and its first mask."""
    path, mask = demo_folder() / "clip.mp4", read_mask(demo_folder() / "first_mask.png").labels
    video = open_video(path)
    if video.size[0] == height:
        return path, mask
    width = round(video.size[1] * height / video.size[0] / 2) * 2
    larger = folder / f"clip-{height}.mp4"
    if not larger.exists():
        with VideoWriter(larger, (height, width), 24, h264(20)) as writer:
            for frame in video.frames():
                image = cv2.resize(frame.image, (width, height), interpolation=cv2.INTER_CUBIC)
                writer.write(np.asarray(image, np.uint8))
    return larger, cv2.resize(mask, (width, height), interpolation=cv2.INTER_NEAREST)


def in_pieces(mask: np.ndarray[Any, Any], objects: int) -> np.ndarray[Any, Any]:
    """The object cut into upright stripes; what is in them does not change the time."""
    stripes = np.arange(mask.shape[1]) * objects // mask.shape[1]
    columns = np.nonzero((mask == 1).any(0))[0]
    if objects > 1:
        spread = np.interp(np.arange(mask.shape[1]), columns, np.linspace(0, objects, len(columns)))
        stripes = np.minimum(spread.astype(int), objects - 1)
    return np.where(mask == 1, 1 + stripes, mask) if objects > 1 else mask


def measure(case: Case, folder: Path) -> dict[str, Any]:
    """Milliseconds a frame of every stage, whole, and GFLOP a frame of the network's."""
    torch.set_num_threads(case.threads)
    cv2.setNumThreads(case.threads)
    clip, mask = clip_of(case.height, folder)
    mask = in_pieces(mask, case.objects)
    timers = Timers(time.thread_time if case.threads == 1 else time.perf_counter)
    segmenter = load_model("stm-lite", device="cpu", precision=case.precision, size=case.size)
    options = CutOptions(precision=case.precision, size=case.size, formats=("overlay", "mattes"))
    with tempfile.TemporaryDirectory(dir=folder) as out, timers.attached():
        warm_up = open_video(clip)[:3]
        segmenter.start(warm_up[0], mask)
        segmenter.step(warm_up[1])
        timers.seconds.clear()
        began, began_wall = time.process_time(), time.perf_counter()
        result = cut(clip, mask, out, options, segmenter=segmenter, stop=case.frames)
        whole_cpu = time.process_time() - began
        whole_wall = time.perf_counter() - began_wall
        # The memory is now as full as it gets in a clip of this length. One of these frames is
        # remembered, so that the mean holds the value encoder's share too.
        timers.counts_flop = True
        for _ in range(COUNTED):
            segmenter.step(warm_up[2])
    frames = result.frames
    return {
        "case": str(case),
        "ms": {name: 1e3 * timers.seconds[name] / frames for name in STAGES},
        "gflop": {name: timers.flop[name] / COUNTED / 1e9 for name in NETWORK},
        "whole_cpu_ms": 1e3 * whole_cpu / frames,
        "whole_wall_ms": 1e3 * whole_wall / frames,
    }


def peak_gflops(precision: str, threads: int, repeats: int = 8) -> float:
    """GFLOP/s of the faster of a matrix product and a 3×3 convolution, the best of some runs."""
    torch.set_num_threads(threads)
    clock = time.thread_time if threads == 1 else time.perf_counter
    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    a = torch.randn(1024, 1024, dtype=dtype)
    x = torch.randn(1, 128, 60, 108, dtype=dtype).contiguous(memory_format=torch.channels_last)
    weight = torch.randn(128, 128, 3, 3, dtype=dtype).contiguous(memory_format=torch.channels_last)
    tasks: list[tuple[float, Callable[[], object]]] = [
        (2 * 1024**3, lambda: a @ a),
        (2 * 9 * 128 * 128 * 60 * 108, lambda: F.conv2d(x, weight, padding=1)),
    ]
    best = 0.0
    with torch.inference_mode():
        for flop, run in tasks:
            for _ in range(repeats):
                began = clock()
                run()
                best = max(best, flop / (clock() - began) / 1e9)
    return best


def table(found: dict[str, Any], peak: float) -> str:
    """The figures of a case as a Markdown table."""
    lines = [
        f"{found['case']}: {found['whole_wall_ms']:.0f} ms a frame on the clock, "
        f"{found['whole_cpu_ms']:.0f} ms of processor time; peak {peak:.0f} GFLOP/s",
        "",
        "| stage | ms a frame | share | GFLOP | of the peak |",
        "|---|---|---|---|---|",
    ]
    total = sum(found["ms"].values())
    for name, ms in found["ms"].items():
        gflop = found["gflop"].get(name, 0.0)
        arithmetic = f"{gflop:.1f} | {gflop / ms / peak * 1e5:.0f} %" if gflop else "| "
        lines.append(f"| {name} | {ms:.1f} | {ms / total * 100:.0f} % | {arithmetic} |")
    return "\n".join([*lines, f"| sum | {total:.1f} | | {sum(found['gflop'].values()):.1f} | |"])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--objects", type=int, nargs="+", default=[1, 3])
    parser.add_argument("--heights", type=int, nargs="+", default=[480, 1080], metavar="PX")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--precision", nargs="+", default=["float32", "bfloat16"])
    parser.add_argument("--size", type=int, default=480, help="processing size; 0: the video's")
    parser.add_argument("--frames", type=int, default=30)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    if min(arguments.frames, *arguments.objects, *arguments.threads) < 1:
        sys.exit("give 1 or more frames, objects and threads")
    results = []
    with tempfile.TemporaryDirectory() as scratch:
        for precision in arguments.precision:
            choose_runtime("cpu", precision)  # an unknown one ends the run here
            for threads in arguments.threads:
                peak = peak_gflops(precision, threads)
                for height in arguments.heights:
                    for objects in arguments.objects:
                        case = Case(
                            height=height,
                            objects=objects,
                            threads=threads,
                            precision=precision,
                            size=arguments.size or None,
                            frames=arguments.frames,
                        )
                        found = {**measure(case, Path(scratch)), "peak_gflops": peak}
                        results.append(found)
                        print(table(found, peak), end="\n\n", flush=True)
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
