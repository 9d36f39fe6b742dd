"""Commands about networks and their weights: training, averaging, the list of models."""

from pathlib import Path
from typing import Annotated

import typer

from rotomask.cli.options import (
    Quiet,
    read_folders,
)
from rotomask.cli.terminal import interruptible


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
    folders = read_folders(data)
    message = f"the last checkpoint is in {out}; the same command with --resume goes on"
    with interruptible(message):
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


def average(
    files: Annotated[list[Path], typer.Argument(help="Checkpoints of one run, two or more.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The .safetensors file to write.")],
) -> None:
    """Average the weights of checkpoints: scores vary less than from one to the next."""
    from rotomask.networks.averaging import average_weights

    print(f"{'weights':14} {average_weights(files, out)}")


def models() -> None:
    """List the models: what they are, what they were trained on, how good they are."""
    from rotomask.catalog import CATALOG, model_card

    for name, entry in CATALOG.items():
        print(f"{name}\n    {entry.summary}")
        for key, text in model_card(name).get("summary", {}).items():
            print(f"    {key}: {text}")
        if entry.network is not None and entry.weights is None:
            print("    weights: not shipped; give them with --weights FILE")
