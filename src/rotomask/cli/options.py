"""Options that several commands share, in groups, and what their texts mean."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import typer

from rotomask.cli.values import output_path, read_list, read_memory
from rotomask.errors import OptionError
from rotomask.jobs.quality import DEFAULT_QUALITY, find_quality
from rotomask.threads import default_threads

if TYPE_CHECKING:
    from rotomask.matting import EdgeControls
    from rotomask.segmenters.refinements import Refinements

VideoPath = Annotated[
    Path, typer.Argument(metavar="VIDEO", help="Video file, or folder of frames.")
]
CutVideo = Annotated[Path, typer.Argument(metavar="VIDEO", help="The video that was cut.")]
CutFolder = Annotated[
    Path, typer.Argument(metavar="FOLDER", help="Output folder of `rotomask cut`.")
]
Weights = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Checkpoint to use instead of the shipped weights."),
]


def out_option(metavar: str, what: str) -> Any:
    """The option ``--out`` of a command that names its output after the video by default."""
    return typer.Option(
        "--out",
        "-o",
        metavar=metavar,
        parser=output_path,
        help=f"{what}.  [default: named after VIDEO]",
    )


Formats = Annotated[
    str,
    typer.Option(
        "--format",
        "-f",
        metavar="NAMES",
        help="Outputs besides the masks, separated by commas: {formats}; or none.",
    ),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Overwrite another job's output.")]
Device = Annotated[str, typer.Option(metavar="NAME", help="auto, cpu, cuda or mps.")]


@dataclass(frozen=True, kw_only=True)
class FollowerOptions:
    """Model that follows objects, and its settings."""

    model: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="{models}; without a mask also {discoverers}, or one of them and one of the "
            "others with + between. `rotomask models` describes them.",
        ),
    ] = "stm-lite"
    weights: Weights = None
    quality: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Size and refinements by name, chosen for stm-lite: {qualities}. --size, --boxes "
            "and --refine change or add to them.",
        ),
    ] = DEFAULT_QUALITY
    size: Annotated[
        int | None,
        typer.Option(
            metavar="PIXELS",
            help="Reduce frames whose short side is longer to this for processing; 0: never. "
            "Outputs always have the video's size. Less than 480 lowers the quality (stm-lite at "
            "320: J&F -0.016).  [default: that of --quality, 480]",
        ),
    ] = None
    focus: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Whether a window around the objects is processed in place of larger frames, with "
            "as many pixels as frames of --size have: always, never, or auto, which is with "
            "--size 0.",
        ),
    ] = "auto"
    enlarge: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Whether smaller frames are enlarged to --size: always, never, or auto, which for "
            "most models is where an object of the mask is small (up to 4 times). auto also lets "
            "stm-lite process small objects at 4/3 of --size.",
        ),
    ] = "auto"
    memory: Annotated[
        str | None,
        typer.Option(
            metavar="FRAMES",
            help="Most frames that a space-time memory model remembers, or all: one in five of the "
            "whole video, as published.  [default: 6 for stm-lite, all for stm]",
        ),
    ] = None
    merge: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="How the probabilities of several objects are merged: soft, winner-take-all or "
            "naive (RGMP, Oh et al. 2018, sec. 3.3).  [default: soft]",
        ),
    ] = None
    backend: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="What computes stm-lite: torch, or openvino or openvino-int8, which are faster "
            "and need rotomask[openvino].",
        ),
    ] = "torch"
    objects: Annotated[
        int, typer.Option(metavar="N", help="Find up to N objects if there is no mask.")
    ] = 1

    @property
    def processing_size(self) -> int | None:
        """The size asked for or that of the quality, px; None: the video's own.

        Raises:
            OptionError: If the quality is unknown.
        """
        return find_quality(self.quality).size if self.size is None else self.size or None

    def settings(self) -> dict[str, Any]:
        """The fields of `jobs.cut.CutOptions` and `jobs.benchmark.BenchmarkOptions` that these are.

        Raises:
            OptionError: If the number of memory frames cannot be read.
        """
        return {
            "model": self.model,
            "weights": self.weights,
            "size": self.processing_size,
            "focus": self.focus,
            "enlarge": self.enlarge,
            "memory": read_memory(self.memory),
            "merge": self.merge,
            "backend": self.backend,
            "objects": self.objects,
        }


@dataclass(frozen=True, kw_only=True)
class Output:
    """Where a job writes."""

    out: Annotated[Path | None, out_option("DIR", "Output folder")] = None
    overwrite: Overwrite = False

    def folder(self, video: Path, suffix: str) -> Path:
        """The output folder; by default the video's name with a suffix, in the working folder."""
        return self.out or Path(f"{video.resolve().stem}-{suffix}")


@dataclass(frozen=True, kw_only=True)
class Range:
    """Frames of a video."""

    start: Annotated[int, typer.Option(metavar="FRAME", help="First frame, from 0.")] = 0
    end: Annotated[
        int | None, typer.Option(metavar="FRAME", help="Last frame.  [default: the video's]")
    ] = None

    @property
    def stop(self) -> int | None:
        """One past the last frame; None: to the end."""
        return None if self.end is None else self.end + 1

    def settings(self) -> dict[str, Any]:
        """The range as jobs take it."""
        return {"start": self.start, "stop": self.stop}


@dataclass(frozen=True, kw_only=True)
class Edges:
    """Edges of cut-outs: webm, prores, rgba, exr."""

    section: ClassVar = "Edges of cut-outs (webm, prores, rgba, exr)"
    feather: Annotated[
        float, typer.Option(metavar="PX", help="Soften the edge over this width.")
    ] = 0.0
    choke: Annotated[
        float, typer.Option(metavar="PX", help="Move the edge inwards; negative: outwards.")
    ] = 0.0
    despill: Annotated[
        bool, typer.Option("--despill", help="Remove the background's colour from the edge.")
    ] = False
    matting: Annotated[
        bool,
        typer.Option("--matting", help="Let the edge follow the picture: hair, motion blur."),
    ] = False

    def controls(self) -> "EdgeControls":
        """The settings of `rotomask.matting`.

        Raises:
            OptionError: If a width is out of range.
        """
        from rotomask.matting import EdgeControls

        return EdgeControls(
            feather_px=self.feather,
            choke_px=self.choke,
            despill=self.despill,
            matting=self.matting,
        )


@dataclass(frozen=True, kw_only=True)
class Hardware:
    """Device and precision of networks."""

    section: ClassVar = "Running"
    device: Device = "auto"
    precision: Annotated[str, typer.Option(metavar="NAME", help="auto, float32 or bfloat16.")] = (
        "auto"
    )


@dataclass(frozen=True, kw_only=True)
class Runtime(Hardware):
    """What a job runs on."""

    threads: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="Threads that compute.  [default: the cores at hand, at most 8]"
        ),
    ] = None

    def settings(self) -> dict[str, Any]:
        """Device, precision and threads as jobs take them."""
        threads = default_threads() if self.threads is None else self.threads
        return {"device": self.device, "precision": self.precision, "threads": threads}


@dataclass(frozen=True, kw_only=True)
class Messages:
    """Amount of messages."""

    section: ClassVar = "Running"
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print only warnings and errors.")
    ] = False
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Print more details.")] = False


@dataclass(frozen=True, kw_only=True)
class OldSpellings:
    """Options of version 0.1 that `Refining` replaces. They still work, with a warning."""

    flip: Annotated[bool, typer.Option("--flip", hidden=True)] = False
    scales: Annotated[str | None, typer.Option(hidden=True)] = None
    ensemble_with: Annotated[list[str] | None, typer.Option(hidden=True)] = None
    online_steps: Annotated[int, typer.Option(hidden=True)] = 0
    online_seconds: Annotated[float | None, typer.Option(hidden=True)] = None
    seconds: Annotated[float | None, typer.Option(hidden=True)] = None
    detector: Annotated[str | None, typer.Option(hidden=True)] = None
    components: Annotated[bool, typer.Option("--components", hidden=True)] = False
    crf: Annotated[bool, typer.Option("--crf", hidden=True)] = False

    def respelled(self) -> dict[str, str]:
        """Old spelling -> new one, of the options that were given."""
        new = {f"--{name}": f"--refine {name}" for name in ("flip", "components", "crf")}
        given = {old: text for old, text in new.items() if getattr(self, old[2:])}
        if self.scales is not None:
            given[f"--scales {self.scales}"] = f"--refine scales={self.scales}"
        for model in self.ensemble_with or ():
            given[f"--ensemble-with {model}"] = f"--refine ensemble={model}"
        if self.online_steps:
            given[f"--online-steps {self.online_steps}"] = f"--refine online={self.online_steps}"
        for name in ("online_seconds", "seconds"):
            if (value := getattr(self, name)) is not None:
                given[f"--{name.replace('_', '-')} {value:g}"] = f"--refine online={value:g}s"
        if self.detector is not None:
            boxes = "tracked" if self.detector == "none" else self.detector
            given[f"--detector {self.detector}"] = f"--boxes {boxes}"
        return given


@dataclass(frozen=True, kw_only=True)
class Refining(OldSpellings):
    """What is done beyond running one network once over the video."""

    section: ClassVar = "Refinement"
    boxes: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Keep only regions inside boxes. tracked: the box around each object in the "
            "frame before, no detector needed (stm-lite: J +0.004, F -0.007, 1.05 times the time; "
            "for look-alikes); or the boxes of a detector: detector-lite (+0.009, 1.6 times the "
            "time), a .onnx or .safetensors FILE, torchvision:NAME.",
        ),
    ] = None
    refine: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME[=VALUE]",
            help="Refine the masks, as listed below; may be repeated. Gains and losses are on "
            "DAVIS-2016 val.",
        ),
    ] = None

    def refinements(self, quality: str) -> "Refinements":
        """Refinements of a quality, and of new and old spellings; warns of old ones.

        Raises:
            OptionError: If a name is unknown or a value cannot be read.
        """
        boxes, specs = self.boxes, list(self.refine or ())
        for old, new in self.respelled().items():
            print(f"rotomask: warning: {old} is deprecated; use {new}", file=sys.stderr)
            option, value = new.split(" ", 1)
            if option == "--refine":
                specs.append(value)
            elif boxes is None:
                boxes = value
            else:
                raise OptionError(f"got both --boxes {boxes} and {old}; leave {old} out")
        return find_quality(quality).refinements(specs, boxes)


@dataclass(frozen=True, kw_only=True)
class BenchmarkData:
    """A benchmark and which of its videos."""

    benchmark: Annotated[str, typer.Argument(metavar="BENCHMARK", help="{benchmarks}.")]
    root: Annotated[Path, typer.Option(metavar="DIR", help="The data set, in its official layout.")]
    split: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Split of the data set.  [default: the papers']"),
    ] = None
    sequences: Annotated[
        str | None,
        typer.Option(metavar="NAMES", help="Only these, separated by commas: blackswan,dog."),
    ] = None

    @property
    def sequence_names(self) -> tuple[str, ...] | None:
        """Names of the selected sequences; None: all.

        Raises:
            OptionError: If there are only commas.
        """
        if self.sequences is None:
            return None
        names = read_list(self.sequences)
        if not names:
            raise OptionError(
                f"--sequences takes names, such as blackswan,dog, got {self.sequences!r}"
            )
        return names


@dataclass(frozen=True, kw_only=True)
class Reports:
    """Files for scores."""

    section: ClassVar = "Reports"
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write all scores to this file.")
    ] = None
    html: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write a page with charts and the worst frames."),
    ] = None
    csv: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write CSV files in the official layout.")
    ] = None
    latex: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write tables for a paper.")
    ] = None

    def files(self) -> dict[str, Any]:
        """The files as jobs take them."""
        return {"json": self.json_file, "html": self.html, "csv": self.csv, "latex": self.latex}
