"""The command line: one function a command, each a few lines over the public API.

What a command needs is imported inside it, so that `rotomask --help` answers at once.
"""

import contextlib
import logging
import os
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rotomask import __version__
from rotomask.errors import OptionError, RotomaskError

if TYPE_CHECKING:
    from rotomask.cutting import CutResult, OnProgress
    from rotomask.evaluation import EvaluationResult
    from rotomask.models.base import Segmenter
    from rotomask.models.discoverer import Discoverer
    from rotomask.models.refinements import Refinements

EXIT_USER_ERROR = 2
EXIT_INTERRUPTED = 130

app = typer.Typer(
    name="rotomask",
    help="Cut objects out of video: mark them in one frame, get exact masks for all.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode=None,
)

VideoPath = Annotated[Path, typer.Argument(help="A video file, or a folder of frames.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Say more of what is done.")]
Out = Annotated[Path | None, typer.Option("--out", "-o", help="Folder for the results.")]
Model = Annotated[str, typer.Option(help="A model of `rotomask models`.")]
Weights = Annotated[Path | None, typer.Option(help="Checkpoint to use in place of the shipped.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]
Precision = Annotated[str, typer.Option(help="auto, float32 or bfloat16.")]
LookFrom = Annotated[int, typer.Option(help="First frame to look at.")]
LookTo = Annotated[int | None, typer.Option(help="Last frame to look at.")]
Size = Annotated[
    int,
    typer.Option(
        help="Short side in pixels at which frames are processed; larger ones are reduced to it. "
        "0: the video's own. Results always have the video's size."
    ),
]
Flip = Annotated[
    bool, typer.Option("--flip", help="Average with the mirror image's masks; twice the time.")
]
Scales = Annotated[
    str | None,
    typer.Option(help="Average over these factors of the size, such as 0.75,1 (rgmp has three)."),
]
EnsembleWith = Annotated[
    list[str] | None,
    typer.Option(metavar="MODEL[:FILE]", help="Average with another model; may be given again."),
]
OnlineSteps = Annotated[
    int,
    typer.Option(
        help="Learn from the first mask before the video, so many steps; 40 take some seconds."
    ),
]
OnlineSeconds = Annotated[
    float | None,
    typer.Option(
        "--online-seconds",
        "--seconds",
        help="Learn from the first mask for so long at most. One-shot models always learn.",
    ),
]
DetectorName = Annotated[
    str | None,
    typer.Option(
        "--detector",
        help="Keep what the boxes of a detector vouch for: detector-lite (ours), FILE.onnx, "
        "torchvision:NAME; none: the box that is tracked from the first mask.",
    ),
]
Components = Annotated[
    bool,
    typer.Option("--components", help="Keep weak parts only where they touch strong ones."),
]
Crf = Annotated[bool, typer.Option("--crf", help="Refine outlines by a dense CRF.")]
Sequences = Annotated[
    str | None, typer.Option(help="Only these sequences, with commas between: blackswan,dog.")
]
Benchmark = Annotated[
    str,
    typer.Argument(
        metavar="BENCHMARK",
        help="davis2016, davis2017, davis2017-unsupervised, youtube-vos, fbms, segtrack-v2, "
        "jumpcut or folders.",
    ),
]
Root = Annotated[Path, typer.Option(help="The data set, in its official layout.")]
Split = Annotated[str | None, typer.Option(help="Part of the data set; default: what papers use.")]
Html = Annotated[Path | None, typer.Option(help="Write a page with charts and worst frames.")]
Csv = Annotated[Path | None, typer.Option(help="Folder for CSV in the official layout.")]
Latex = Annotated[Path | None, typer.Option(help="Write the tables for a paper.")]
Json = Annotated[Path | None, typer.Option("--json", help="Write all figures to this file.")]


def main() -> None:
    """Run the command line; a user error is one line on stderr and exit status 2."""
    try:
        app()
    except RotomaskError as error:
        print(f"rotomask: error: {error}", file=sys.stderr)
        sys.exit(EXIT_USER_ERROR)
    except BrokenPipeError:
        # The reader of our output went away (`| head`): nothing is left to say.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        print(f"rotomask {__version__}")
        raise typer.Exit


@app.command()
def cut(
    video: VideoPath,
    mask: Annotated[
        list[Path] | None,
        typer.Option(
            "--mask",
            "-m",
            help="Mask of a frame: an image in any common format, or a folder with one file an "
            "object. Give it again, each with its --at, for objects that come later and for "
            "corrections. Without any, what moves is found where it is clearest, and followed.",
        ),
    ] = None,
    at: Annotated[
        list[int] | None,
        typer.Option(help="Frame number, from 0, of the --mask in the same place."),
    ] = None,
    out: Out = None,
    model: Model = "stm-lite",
    weights: Weights = None,
    start: Annotated[int, typer.Option(help="First frame to cut.")] = 0,
    end: Annotated[int | None, typer.Option(help="Last frame to cut.")] = None,
    objects: Annotated[
        int, typer.Option(help="Most objects to find where no --mask is given.")
    ] = 1,
    direction: Annotated[
        str,
        typer.Option(
            help="both: from the first annotated frame to the end and back to the start; forward; "
            "backward: from the last annotated frame to the start."
        ),
    ] = "both",
    output_format: Annotated[
        str,
        typer.Option(
            "--format",
            "-f",
            help="What to make beside the masks, with commas between: overlay, webm and prores "
            "(transparent), rgba, mattes, coco, youtube-vis, polygons, contact-sheet; or none.",
        ),
    ] = "overlay",
    size: Size = 480,
    flip: Flip = False,
    scales: Scales = None,
    ensemble_with: EnsembleWith = None,
    online_steps: OnlineSteps = 0,
    online_seconds: OnlineSeconds = None,
    detector: DetectorName = None,
    components: Components = False,
    crf: Crf = False,
    device: Device = "auto",
    precision: Precision = "auto",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Begin anew in a folder that holds another job.")
    ] = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Cut objects out of a video, given their mask in one frame or more, or none at all.

    Writes OUT/masks/NAME.png, one indexed PNG a frame, and OUT/overlay.mp4. A job that was
    stopped is gone on with by the same command.
    """
    from rotomask.cutting import CutOptions
    from rotomask.cutting import cut as run

    _set_up_logging(quiet=quiet, verbose=verbose)
    options = CutOptions(
        model=model,
        weights=weights,
        refinements=_refinements(
            scales,
            flip=flip,
            ensemble_with=tuple(ensemble_with or ()),
            online_steps=online_steps,
            online_seconds=online_seconds,
            detector=detector,
            components=components,
            crf=crf,
        ),
        start=start,
        stop=None if end is None else end + 1,
        size=size or None,
        device=device,
        precision=precision,
        direction=direction,  # type: ignore[arg-type]
        formats=_formats(output_format),
        overwrite=overwrite,
        objects=objects,
    )
    masks = _pair(mask or [], at, start)
    folder = out or Path(f"{video.resolve().stem}-cut")
    with _interruptible(f"finished frames are in {folder}; the same command goes on from there"):
        with _progress(quiet) as on_progress:
            result = run(video, masks, folder, options, on_progress=on_progress)
        if not quiet:
            _print_result(result)


@app.command()
def propose(
    video: VideoPath,
    out: Out = None,
    objects: Annotated[int, typer.Option(help="Most objects to propose.")] = 6,
    weights: Weights = None,
    start: LookFrom = 0,
    end: LookTo = None,
    device: Device = "auto",
    precision: Precision = "auto",
    quiet: Quiet = False,
) -> None:
    """Find the objects of a video: a contact sheet, and a mask of each to give to cut.

    Writes OUT/proposals.png and OUT/proposal-N.png, the best first.
    """
    from rotomask.discovering import propose as run
    from rotomask.models.discoverers import load_discoverer

    _set_up_logging(quiet=quiet, verbose=False)
    folder = out or Path(f"{video.resolve().stem}-proposals")
    discoverer = load_discoverer("embedding", weights=weights, device=device, precision=precision)
    with _interruptible("nothing was written"):
        with _progress(quiet) as on_progress:
            found = run(
                video,
                folder,
                objects=objects,
                start=start,
                stop=None if end is None else end + 1,
                discoverer=discoverer,
                on_progress=on_progress,
            )
        if not quiet:
            for file in found.files:
                print(
                    f"object {file.object_id}  score {file.score:.2f}  "
                    f"--mask {file.mask} --at {file.frame_index}"
                )
            print(f"{'sheet':14} {found.sheet}")


@app.command()
def detect(
    video: VideoPath,
    out: Out = None,
    detector: Annotated[
        str, typer.Option(help="detector-lite (ours), FILE.onnx, or torchvision:NAME.")
    ] = "detector-lite",
    score: Annotated[float, typer.Option(help="Leave out boxes with a lower score.")] = 0.3,
    start: LookFrom = 0,
    end: LookTo = None,
    device: Device = "auto",
    precision: Precision = "auto",
    quiet: Quiet = False,
) -> None:
    """Find the boxes of a video's objects, frame by frame.

    Writes OUT/boxes.json, as COCO has annotations, and OUT/boxes.jpg, some frames with their boxes.
    """
    from rotomask.detecting import detect as run
    from rotomask.detection import load_detector

    _set_up_logging(quiet=quiet, verbose=False)
    with _interruptible("nothing was written"):
        loaded = load_detector(detector, device=device, precision=precision)
        with _progress(quiet) as on_progress:
            result = run(
                video,
                out or Path(f"{video.resolve().stem}-boxes"),
                detector=loaded,
                least_score=score,
                start=start,
                stop=None if end is None else end + 1,
                on_progress=on_progress,
            )
        if not quiet:
            print(f"{result.count} boxes in {result.frames} frames")
            print(f"{'boxes':14} {result.boxes}")
            print(f"{'sheet':14} {result.sheet}")


@app.command()
def flow(
    video: VideoPath,
    out: Out = None,
    estimator: Annotated[
        str,
        typer.Option(
            help="dis (dense inverse search), flow-lite (a small network), dis+flow-lite."
        ),
    ] = "dis",
    weights: Weights = None,
    output_format: Annotated[
        str, typer.Option("--format", "-f", help="flo (Middlebury files), png (colour pictures).")
    ] = "flo,png",
    longest: Annotated[
        float | None,
        typer.Option(help="Pixels of motion at full colour; default: each picture's own."),
    ] = None,
    start: Annotated[int, typer.Option(help="First frame.")] = 0,
    end: Annotated[int | None, typer.Option(help="Last frame.")] = None,
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """Estimate the optical flow from each frame to the next.

    Writes OUT/flo/NAME.flo and OUT/png/NAME.png for every frame but the last. What was stopped is
    gone on with by the same command.
    """
    from rotomask.motion.video_flow import FlowOptions, write_video_flow

    options = FlowOptions(
        estimator=estimator,
        weights=weights,
        formats=_formats(output_format),
        longest_px=longest,
        start=start,
        stop=None if end is None else end + 1,
        device=device,
    )
    folder = out or Path(f"{video.resolve().stem}-flow")
    with _interruptible(f"finished pairs are in {folder}; the same command goes on from there"):
        with _progress(quiet, unit="pairs") as on_progress:
            result = write_video_flow(video, folder, options, on_progress=on_progress)
        if not quiet:
            print(f"{result.pairs} pairs of frames, {result.estimated} estimated now")
            print(f"{'flow':14} {result.folder}")


@app.command()
def edges(
    video: VideoPath,
    out: Out = None,
    model: Annotated[
        str, typer.Option(help="edges-lite, or edges-flow-lite, which sees optical flow too.")
    ] = "edges-lite",
    motion: Annotated[
        bool, typer.Option("--motion", help="Also edges of motion, and both kinds merged.")
    ] = False,
    thin: Annotated[bool, typer.Option("--thin", help="Only the ridges of the edges.")] = False,
    bits: Annotated[int, typer.Option(help="Of a pixel: 8 or 16.")] = 8,
    estimator: Annotated[
        str,
        typer.Option(help="Of the flow, as for `rotomask flow`: dis, flow-lite, dis+flow-lite."),
    ] = "dis",
    weights: Weights = None,
    size: Size = 480,
    device: Device = "auto",
    precision: Precision = "auto",
    quiet: Quiet = False,
) -> None:
    """Write the outlines of the objects in every frame as grey pictures.

    Makes OUT/edges/NAME.png; with --motion also OUT/motion and OUT/merged. A job that was stopped
    is gone on with by the same command.
    """
    from rotomask.edging import EdgeOptions, write_edges

    options = EdgeOptions(
        model=model,
        weights=weights,
        motion=motion,
        thin=thin,
        bits=bits,
        estimator=estimator,
        size=size or None,
        device=device,
        precision=precision,
    )
    folder = out or Path(f"{video.resolve().stem}-edges")
    with _interruptible(f"finished frames are in {folder}; the same command goes on from there"):
        with _progress(quiet) as on_progress:
            result = write_edges(video, folder, options, on_progress=on_progress)
        if not quiet:
            for path in result.folders:
                print(f"{path.name:14} {path}")


@app.command()
def export(
    video: Annotated[Path, typer.Argument(help="The video that was cut.")],
    folder: Annotated[Path, typer.Argument(help="The output folder of `rotomask cut`.")],
    output_format: Annotated[
        str, typer.Option("--format", "-f", help="As for cut, with commas between.")
    ] = "overlay",
    quiet: Quiet = False,
) -> None:
    """Make other formats of a finished cut, or of any folder with masks/NAME.png."""
    from rotomask.export import export as run
    from rotomask.video import open_video

    with _interruptible("no half-written file was left"), _progress(quiet) as on_progress:
        report = None if on_progress is None else partial(on_progress, "export")
        outputs = run(open_video(video), folder, _formats(output_format), on_progress=report)
    if not quiet:
        for name, path in outputs.items():
            print(f"{name:14} {path}")


@app.command()
def refine(
    video: Annotated[Path, typer.Argument(help="The video that was cut.")],
    folder: Annotated[Path, typer.Argument(help="The output folder of `rotomask cut`.")],
    field: Annotated[
        str,
        typer.Option(help="How the random field is solved: graph-cut (hard) or mean-field (soft)."),
    ] = "mean-field",
    out: Out = None,
    size: Annotated[int, typer.Option(help="Short side at which it is solved, pixels.")] = 192,
    window: Annotated[int, typer.Option(help="Frames that are solved together.")] = 5,
    quiet: Quiet = False,
) -> None:
    """Refine a finished cut by a random field over space and time.

    Writes OUT/masks and OUT/mattes, from which `rotomask export` makes other formats. A cut with
    mattes (`--format mattes`) tells the field more than masks alone.
    """
    from rotomask.refine.field_windows import FieldWindowConfig, tuned_field
    from rotomask.refining import refine_cut

    config = FieldWindowConfig(field=tuned_field(field), size=size, window=window)
    target = out or Path(f"{folder.resolve()}-refined")
    with _interruptible(f"finished frames are in {target}"):
        with _progress(quiet) as on_progress:
            result = refine_cut(video, folder, target, config, on_progress=on_progress)
        if not quiet:
            print(f"{result.frames} frames, {100 * result.changed:.2f} % of the pixels changed")
            print(f"{'masks':14} {result.folder / 'masks'}")


@app.command()
def demo(
    out: Out = None,
    device: Device = "auto",
    precision: Precision = "auto",
    quiet: Quiet = False,
) -> None:
    """Cut the object out of a shipped real clip, and score it against the ground truth."""
    from rotomask.demo import run_demo

    folder = out or Path("rotomask-demo")
    with _interruptible(f"finished frames are in {folder}"):
        with _progress(quiet) as on_progress:
            result = run_demo(folder, device=device, precision=precision, on_progress=on_progress)
        if not quiet:
            _print_result(result.cut)
            print(f"{'region J':14} {result.region_similarity:.3f}")
            print(f"{'boundary F':14} {result.boundary_accuracy:.3f}")


@app.command()
def benchmark(
    name: Benchmark,
    root: Root,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for masks and run.json.")],
    model: Model = "stm-lite",
    weights: Weights = None,
    split: Split = None,
    sequences: Sequences = None,
    size: Size = 480,
    flip: Flip = False,
    scales: Scales = None,
    ensemble_with: EnsembleWith = None,
    online_steps: OnlineSteps = 0,
    online_seconds: OnlineSeconds = None,
    detector: DetectorName = None,
    components: Components = False,
    crf: Crf = False,
    objects: Annotated[
        int, typer.Option(help="Most objects a model without annotation looks for.")
    ] = 1,
    with_masks: Annotated[
        bool,
        typer.Option(
            "--with-masks",
            help="Give the benchmark's masks to a model that could do without (embedding).",
        ),
    ] = False,
    device: Device = "auto",
    precision: Precision = "auto",
    json_file: Json = None,
    html: Html = None,
    csv: Csv = None,
    latex: Latex = None,
    quiet: Quiet = False,
) -> None:
    """Run a model over a benchmark, then score it: J, F, seconds per frame, peak memory."""
    from rotomask.benchmarking import run_benchmark
    from rotomask.evaluation import get_benchmark, open_benchmark
    from rotomask.evaluation.reports import save_reports
    from rotomask.models.discoverers import DISCOVERERS, load_discoverer
    from rotomask.models.refinements import load_segmenter

    refinements = _refinements(
        scales,
        flip=flip,
        ensemble_with=tuple(ensemble_with or ()),
        online_steps=online_steps,
        online_seconds=online_seconds,
        detector=detector,
        components=components,
        crf=crf,
    )
    run: dict[str, Any] = {"size": size or None, "device": device, "precision": precision}
    if size and get_benchmark(name).rescaled:
        run["enlarge"] = True
    segmenter: Segmenter | Discoverer
    if model in DISCOVERERS and not with_masks:
        segmenter = load_discoverer(
            model, weights=weights, device=device, precision=precision, refinements=refinements
        )
    else:
        segmenter = load_segmenter(model, refinements, weights=weights, **run)
    settings = {"model": f"{model}{refinements}", "weights": str(weights or "shipped"), **run}
    settings |= {"objects": objects, "with_masks": with_masks}
    with _interruptible(f"finished sequences are in {out}; the same command goes on from there"):
        with _progress(quiet) as on_progress:
            result = run_benchmark(
                name,
                root,
                out,
                segmenter,
                settings=settings,
                objects=objects,
                split=split,
                sequences=_names(sequences),
                on_progress=on_progress,
            )
        scored = bool(result.figures)
        save_reports(
            result,
            json=json_file,
            html=html if scored else None,
            csv=csv if scored else None,
            latex=latex if scored else None,
            dataset=open_benchmark(name, root, split) if html and scored else None,
            results=out,
        )
        if not quiet:
            if scored:
                _print_evaluation(result)
            else:
                print(f"{result.notes[0]}; the masks are in {out}")
            if "submission" in result.run:
                print(f"{'submission':14} {result.run['submission']}")
            print(
                f"{result.run['seconds_per_frame']:.3f} s a frame "
                f"({result.run['frames_per_second']:.1f} frames/s), "
                f"peak memory {result.run['peak_memory_mib']:.0f} MiB"
            )


@app.command()
def evaluate(
    name: Benchmark,
    root: Root,
    results: Annotated[Path, typer.Option(help="Masks: RESULTS/SEQUENCE/FRAME.png.")],
    split: Split = None,
    sequences: Sequences = None,
    json_file: Json = None,
    html: Html = None,
    csv: Csv = None,
    latex: Latex = None,
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="Count a missing mask as an empty one.")
    ] = False,
    processes: Annotated[
        int | None, typer.Option(help="Processes to share the work; default: the cores.")
    ] = None,
    by_object: Annotated[
        bool, typer.Option("--by-object", help="A row for each object, not each sequence.")
    ] = False,
    stability: Annotated[
        bool, typer.Option("--stability", help="Measure temporal stability T too; it is slow.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Score masks that exist."""
    from rotomask.evaluation import TrackProtocol, evaluate_results, open_benchmark
    from rotomask.evaluation.reports import save_reports

    measures = ("J", "F", "T") if stability else ("J", "F")
    dataset = open_benchmark(name, root, split)
    if sequences is not None:
        dataset = dataset.select(_names(sequences) or [])
    with _interruptible("nothing was written"):
        with _progress(quiet, unit="sequences") as on_progress:
            result = evaluate_results(
                dataset,
                results,
                protocol=TrackProtocol(measures=measures) if stability else None,
                on_missing="empty" if allow_missing else "error",
                processes=processes,
                on_progress=None if on_progress is None else partial(on_progress, "score"),
            )
        save_reports(
            result,
            json=json_file,
            html=html,
            csv=csv,
            latex=latex,
            dataset=dataset,
            results=results,
        )
        if not quiet:
            _print_evaluation(result, by_object=by_object)


@app.command()
def compare(
    a: Annotated[Path, typer.Argument(help="Figures that evaluate or benchmark --json wrote.")],
    b: Annotated[Path, typer.Argument(help="Others, on the same benchmark.")],
    figure: Annotated[
        str | None, typer.Option(help="What to compare, such as J_mean; default: the headline.")
    ] = None,
) -> None:
    """Say whether result set B differs from A by more than noise."""
    from rotomask.evaluation.comparison import compare as run

    comparison = run(a, b, figure=figure)
    print(comparison)
    for note in comparison.notes:
        print(f"note: {note}")


@app.command()
def train(
    recipe: Annotated[
        str, typer.Argument(help="A recipe, such as stm-lite; an unknown name lists them all.")
    ],
    data: Annotated[
        list[str],
        typer.Option(
            help="NAME=PATH, several with commas or the option again. Images with masks: stills, "
            "duts (a folder of both) or coco (a .json). Videos with masks: videos or davis."
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the run.")],
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run there.")] = False,
    initial: Annotated[
        Path | None,
        typer.Option(
            help="Weights to start from: of the same network, of a smaller one of its kind, or a "
            "ResNet-50 of torchvision or timm."
        ),
    ] = None,
    accelerator: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    devices: Annotated[int, typer.Option(help="Processes: one a GPU.")] = 1,
    precision: Annotated[
        str, typer.Option(help="bfloat16, float32, or auto: bfloat16 where it is faster.")
    ] = "auto",
    workers: Annotated[int, typer.Option(help="Loader processes.")] = 1,
    threads: Annotated[int | None, typer.Option(help="CPU threads; default: all cores.")] = None,
    quiet: Quiet = False,
) -> None:
    """Train a recipe; a stopped run goes on with --resume."""
    import torch

    from rotomask.training.display import training_bar
    from rotomask.training.loop import choose_hardware
    from rotomask.training.run import is_first_process
    from rotomask.training.run import train as run

    quiet = quiet or not is_first_process()
    if threads is not None:
        torch.set_num_threads(threads)
    hardware = choose_hardware(accelerator, devices, precision, workers)
    folders = _folders(data)
    message = f"the last checkpoint is in {out}; the same command with --resume goes on"
    with _interruptible(message):
        with training_bar(quiet=quiet) as on_step:
            weights = run(
                recipe,
                folders,
                out,
                resume=resume,
                initial=initial,
                hardware=hardware,
                on_step=on_step,
            )
        if not quiet:
            print(f"{'weights':14} {weights}")


@app.command()
def average(
    files: Annotated[list[Path], typer.Argument(help="Checkpoints of one run, two or more.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The .safetensors file to write.")],
) -> None:
    """Average the weights of checkpoints: scores vary less than from one to the next."""
    from rotomask.models.averaging import average_weights

    print(f"{'weights':14} {average_weights(files, out)}")


def _folders(data: list[str]) -> dict[str, Path]:
    """NAME=PATH,NAME=PATH -> name -> path; a comma before no NAME= is part of the path."""
    import re

    folders = {}
    for text in data:
        for part in re.split(r",(?=[a-z0-9-]+=)", text):
            name, found, folder = part.partition("=")
            if not found:
                raise OptionError(f"--data takes NAME=PATH, such as davis=DAVIS, got {part!r}")
            folders[name] = Path(folder)
    return folders


@app.command()
def models() -> None:
    """List the models: what they are, what they were trained on, how good they are."""
    from rotomask.detection.catalog import DEFAULT_DETECTOR, shipped_detector
    from rotomask.models.catalog import MODELS, model_card
    from rotomask.models.checkpoints import read_metadata
    from rotomask.models.discoverers import DISCOVERERS
    from rotomask.models.frame_models import FRAME_MODELS, frame_model_card
    from rotomask.motion.estimators import ESTIMATORS

    for name, model in MODELS.items():
        card = model_card(name)
        print(f"{name}\n    {model.summary}")
        for key, text in card.get("summary", {}).items():
            print(f"    {key}: {text}")
        if not model.shipped:
            print("    weights: not shipped; give them with --weights FILE")
    for name, estimator in ESTIMATORS.items():
        print(f"{name}\n    {estimator.summary}; optical flow, for rotomask flow")
    for name, discoverer in DISCOVERERS.items():
        if name not in MODELS:
            print(f"{name}\n    {discoverer.summary}; takes no mask")
    for name, frame_model in FRAME_MODELS.items():
        print(f"{name}\n    {frame_model.summary}")
        for key, text in frame_model_card(name).get("summary", {}).items():
            print(f"    {key}: {text}")
    print(f"{DEFAULT_DETECTOR}\n    boxes of objects of any kind: for detect, and as --detector")
    for key, text in read_metadata(shipped_detector()).get("summary", {}).items():
        print(f"    {key}: {text}")


def _print_evaluation(result: "EvaluationResult", *, by_object: bool = False) -> None:
    from rich.console import Console

    from rotomask.evaluation.reports import result_tables

    # A file or pipe has no width of its own; what rich takes for it cuts the last column off.
    width = None if sys.stdout.isatty() else 100
    Console(width=width).print(result_tables(result, by_object=by_object))


def _names(text: str | None) -> list[str] | None:
    return None if text is None else [name.strip() for name in text.split(",") if name.strip()]


def _refinements(scales: str | None, **chosen: Any) -> "Refinements":
    from rotomask.models.refinements import Refinements

    try:
        factors = None if scales is None else tuple(float(part) for part in scales.split(","))
    except ValueError as error:
        raise OptionError(f"--scales takes numbers with commas between, got {scales!r}") from error
    return Refinements(scales=factors, **chosen)


def _formats(text: str) -> tuple[str, ...]:
    names = tuple(part.strip() for part in text.split(",") if part.strip())
    return tuple(n for n in names if n not in ("none", "masks"))


def _pair(masks: list[Path], at: list[int] | None, start: int) -> dict[int, Path] | None:
    """Frame number -> mask file; None without a mask."""
    if not masks and not at:
        return None
    if not at and len(masks) == 1:
        return {start: masks[0]}
    if len(at or []) != len(masks):
        raise OptionError(
            f"got {len(masks)} --mask and {len(at or [])} --at; give each mask its frame number"
        )
    assert at is not None
    if len(set(at)) != len(at):
        raise OptionError("two masks are given for the same frame; a mask may hold many objects")
    return dict(zip(at, masks, strict=True))


def _print_result(result: "CutResult") -> None:
    if result.frames_segmented:
        rate = result.frames_segmented / result.seconds
        print(f"{result.frames} frames; {result.frames_segmented} segmented, {rate:.1f} a second")
    else:
        print(f"{result.frames} frames; none was left to segment")
    for name, path in result.outputs.items():
        print(f"{name:14} {path}")


def _set_up_logging(*, quiet: bool, verbose: bool) -> None:
    """The library logs; the command prints it: notes by default, details with --verbose."""
    level = logging.WARNING if quiet else logging.DEBUG if verbose else logging.INFO
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger = logging.getLogger("rotomask")
    logger.handlers[:] = [handler]
    logger.setLevel(level)


@contextlib.contextmanager
def _interruptible(message: str) -> Iterator[None]:
    """Ctrl-C says what is safe, and ends with the status that shells expect."""
    try:
        yield
    except KeyboardInterrupt:
        print(f"\nstopped: {message}", file=sys.stderr)
        raise typer.Exit(EXIT_INTERRUPTED) from None


@contextlib.contextmanager
def _progress(quiet: bool, unit: str = "frames") -> Iterator["OnProgress | None"]:
    """A bar a stage, with frames a second; nothing when quiet."""
    if quiet:
        yield None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TaskID,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description:7}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    bars = Progress(*columns, console=Console(stderr=True))
    tasks: dict[str, TaskID] = {}

    def on_progress(stage: str, done: int, total: int | None) -> None:
        if stage not in tasks:
            bars.start()  # not before: an error at the start is one line, without a bar
            tasks[stage] = bars.add_task(stage, total=total, completed=done, rate="")
        task = bars.tasks[tasks[stage]]
        speed = task.finished_speed or task.speed
        rate = f"{speed:5.1f} {unit}/s" if speed and stage != "learn" else ""
        bars.update(tasks[stage], completed=done, total=total, rate=rate)

    try:
        yield on_progress
    finally:
        if tasks:
            bars.stop()
