"""Commands about networks and their weights: training, averaging, the list of models."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from rotomask.cli.command import grouped
from rotomask.cli.extras import require
from rotomask.cli.options import Messages, Overwrite, Weights
from rotomask.cli.terminal import job, print_outputs, resumable
from rotomask.cli.values import output_path, read_folders, read_names
from rotomask.errors import OptionError

HeldOut = Annotated[
    str | None,
    typer.Option(
        metavar="NAMES",
        help="Videos to validate on and not train on: names separated by commas, or a file "
        "with one a line.  [default: the recipe's, and 150 of YouTube-VOS]",
    ),
]


@dataclass(frozen=True, kw_only=True)
class TrainingRuntime:
    """What training runs on."""

    section = "Running"
    accelerator: Annotated[str, typer.Option(metavar="NAME", help="auto, cpu, cuda or mps.")] = (
        "auto"
    )
    devices: Annotated[
        int, typer.Option(metavar="N", help="Processes on each machine, one per GPU.")
    ] = 1
    nodes: Annotated[
        int, typer.Option(metavar="N", help="Machines, on each of which the command is started.")
    ] = 1
    precision: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="float32, bfloat16, or auto: bfloat16 where it is faster."
        ),
    ] = "auto"
    workers: Annotated[
        int, typer.Option(metavar="N", help="Processes that load data, per training process.")
    ] = 1
    threads: Annotated[
        int | None, typer.Option(metavar="N", help="CPU threads.  [default: all cores]")
    ] = None


@dataclass(frozen=True, kw_only=True)
class TrainingRun:
    """Folder and start of a run."""

    out: Annotated[
        Path,
        typer.Option("--out", "-o", metavar="DIR", parser=output_path, help="Folder of the run."),
    ]
    resume: Annotated[
        bool, typer.Option("--resume", help="Resume the interrupted run in the folder.")
    ] = False
    overwrite: Overwrite = False
    initial: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Weights to start from: of the same network, of a smaller one of its kind, or a "
            "ResNet-50 of torchvision or timm.",
        ),
    ] = None


@grouped
def train(
    recipe: Annotated[
        str,
        typer.Argument(
            metavar="RECIPE", help="Such as stm-lite; an unknown name lists all recipes."
        ),
    ],
    data: Annotated[
        list[str],
        typer.Option(
            metavar="NAME=PATH",
            help="Training data; several separated by commas, or the option repeated. Images with "
            "masks: stills, duts (folders) or coco (a .json). Videos with masks: videos, davis.",
        ),
    ],
    run: TrainingRun,
    runtime: TrainingRuntime,
    messages: Messages,
    held_out: HeldOut = None,
) -> None:
    """Train a network on your images and videos.

    Writes DIR/weights.safetensors, checkpoints, losses.csv, validation.csv and TensorBoard events.
    """
    safe = resumable(run.out, "steps up to the last checkpoint", "add --resume to continue")
    with job(safe, messages):
        require("lightning_fabric", "tensorboardX")
        import torch

        from rotomask.jobs.train import TrainOptions
        from rotomask.jobs.train import train as run_training
        from rotomask.training.display import training_bar
        from rotomask.training.hardware import choose_hardware
        from rotomask.training.run import is_first_process

        quiet = messages.quiet or not is_first_process()
        if runtime.threads is not None:
            if runtime.threads < 1:
                raise OptionError(f"training needs at least 1 thread, got {runtime.threads}")
            torch.set_num_threads(runtime.threads)
        hardware = choose_hardware(
            runtime.accelerator,
            runtime.devices,
            runtime.precision,
            runtime.workers,
            runtime.nodes,
        )
        with training_bar(quiet=quiet) as on_step:
            options = TrainOptions(
                resume=run.resume,
                initial=run.initial,
                held_out=read_names(held_out),
                hardware=hardware,
                overwrite=run.overwrite,
            )
            weights = run_training(recipe, read_folders(data), run.out, options, on_step=on_step)
    if not quiet:
        print_outputs({"weights": weights})


def average(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="Checkpoints of one run, two or more.")
    ],
    out: Annotated[
        Path,
        typer.Option(
            *("--out", "-o"),
            metavar="FILE",
            parser=output_path,
            help="The .safetensors file to write.",
        ),
    ],
) -> None:
    """Average the weights of several checkpoints.

    Scores vary from one checkpoint to the next; those of the average vary less.
    """
    from rotomask.networks.averaging import average_weights

    print_outputs({"weights": average_weights(files, out)})


def models(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="Show all there is to know of one.")
    ] = None,
) -> None:
    """List models by what they are for, with quality and speed; or describe one."""
    from rotomask.catalog import CATALOG, JOBS, find

    if name is not None:
        find(name)
        _describe(name)
        return
    for group, (title, taken) in JOBS.items():
        print(f"{title}{f' (take {taken})' if taken else ''}")
        for entry_name, entry in CATALOG.items():
            if entry.job == group:
                mark = "*" if entry_name == taken else " "
                print(f" {mark} {entry_name:20} {entry.quality:32} {entry.speed}".rstrip())
                print(f"       {entry.summary}")
        print()
    print("J&F on ten sequences of DAVIS-2016 val; times on one or two CPU cores at 854x480, see")
    print("docs/results.md. `rotomask models NAME` tells on what a model was trained.")


def export_model(
    name: Annotated[str, typer.Argument(metavar="NAME", help="stm-lite.")],
    onnx: Annotated[
        Path,
        typer.Option(
            metavar="DIR",
            parser=output_path,
            help="Folder for encoder.onnx, value_encoder.onnx, reader.onnx and decoder.onnx.",
        ),
    ],
    weights: Weights = None,
    objects: Annotated[
        int, typer.Option(metavar="N", help="Objects that the files take at once.")
    ] = 1,
    overwrite: Overwrite = False,
) -> None:
    """Write a network as ONNX files, for other languages and the browser.

    examples/onnx_clip.py runs a clip with them by onnxruntime alone.
    """
    from rotomask.jobs.export_model import export_model as export

    print_outputs(export(name, onnx, weights=weights, objects=objects, overwrite=overwrite))


def _describe(name: str) -> None:
    """Print an entry with its card."""
    from rotomask.catalog import CATALOG, model_card

    entry = CATALOG[name]
    print(f"{name}\n    {entry.summary}")
    for key, text in (("quality", entry.quality), ("speed", entry.speed)):
        if text:
            print(f"    {key}: {text}")
    for key, text in model_card(name).get("summary", {}).items():
        print(f"    {key}: {text}")
    if entry.network is not None and entry.weights is None:
        print("    weights: not shipped; give them with --weights FILE")
