"""A network as ONNX files, to run without rotomask and PyTorch: other languages, the browser."""

import contextlib
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from rotomask.catalog import find, load_network, names, segmenter_role
from rotomask.errors import OptionError, lists_keywords
from rotomask.jobs.fingerprints import weights_fingerprints
from rotomask.jobs.folder import JobFolder, JobRequest, claim
from rotomask.networks.stm_lite import STMLite
from rotomask.networks.stm_lite_parts import (
    EncoderPart,
    Part,
    ProbabilityPart,
    ReaderPart,
    ValueEncoderPart,
)
from rotomask.segmenters.refinements import Refinements

OPSET = 17
EXAMPLE_SIZE = (96, 128)
"""Height and width at which the parts are traced; the files take any multiples of 16."""
FILES = ("encoder.onnx", "value_encoder.onnx", "reader.onnx", "decoder.onnx")


@dataclass(frozen=True)
class _Exported:
    """What a file is made of."""

    part: Part
    inputs: dict[str, Tensor]
    outputs: tuple[str, ...]


@lists_keywords
def export_model(
    name: str,
    out: str | Path,
    *,
    weights: Path | str | None = None,
    objects: int = 1,
    overwrite: bool = False,
) -> dict[str, Path]:
    """Write a network's encoder, value encoder, memory reader and decoder as ONNX files.

    `examples/onnx_clip.py` runs a clip with them, by onnxruntime alone.

    Args:
        name: A model of the catalogue whose network is stm-lite's.
        out: Folder to write to.
        weights: A checkpoint to use in place of the shipped one.
        objects: Objects that the value encoder and the decoder take at once.
        overwrite: Whether to replace another job's output.

    Returns:
        Stem of each file -> its path.

    Raises:
        OptionError: If the network cannot be exported.
        WeightsError: If the weights are missing or another network's.
        OutputError: If the folder cannot be written, or holds another job.
    """
    if objects < 1:
        raise OptionError(f"the files are for 1 object or more, got {objects}")
    able = [model for model in names("segmenter") if segmenter_role(model).exports_parts]
    role = find(name).segmenter
    if role is None or not role.exports_parts:
        raise OptionError(f"{name} cannot be exported to ONNX; {', '.join(able)} can")
    network = load_network(name, weights)
    assert isinstance(network, STMLite)
    if network.similarity != "l2":  # the part that reads the memory has no other
        raise OptionError(f"{weights} compares keys by {network.similarity}; ONNX has l2 only")
    network.eval().requires_grad_(False)
    path = None if weights is None else Path(weights)
    settings = {
        "model": name,
        "weights": weights_fingerprints((name,), path, Refinements()),
        "objects": objects,
    }
    inputs = [] if path is None else [path]
    request = JobRequest(command="export-model", settings=settings, replaced=FILES, inputs=inputs)
    with claim(out, request, overwrite=overwrite) as folder:
        for file, exported in zip(FILES, _parts(network, objects), strict=True):
            _write(folder, file, exported)
    return {Path(file).stem: Path(out) / file for file in FILES}


def _parts(network: STMLite, objects: int) -> Iterator[_Exported]:
    """The parts in the order of `FILES`, with inputs of the example's size."""
    height, width = EXAMPLE_SIZE
    image, masks = torch.zeros(1, 3, height, width), torch.zeros(objects, height, width)
    encoder = EncoderPart(network)
    # 1×Ck×H/16×W/16 and the features from stride 4 on.
    key, *levels = encoder(image)
    names = [f"features{stride}" for stride in (4, 8, 16, 32)][: len(levels)]
    features = dict(zip(names, levels, strict=True))
    yield _Exported(encoder, {"image": image}, ("key", *names))
    # The value encoder joins the mask to strides 4 to 16; the decoder takes stride 32 as well,
    # where the network has it.
    shallow = {name: features[name] for name in names[:3]}
    value_encoder = ValueEncoderPart(network)
    value = value_encoder(*shallow.values(), masks)
    yield _Exported(value_encoder, {**shallow, "masks": masks}, ("value",))
    # C×(h·w): how many positions the memory has changes from frame to frame.
    memory = {"memory_key": key.flatten(2), "memory_value": value.flatten(2)}
    yield _Exported(ReaderPart(network), {"key": key, **memory}, ("readout",))
    given = {"readout": value, "previous_masks": masks, **features}
    yield _Exported(ProbabilityPart(network), given, ("probabilities",))


AXES = {
    "image": {2: "height", 3: "width"},
    "masks": {1: "height", 2: "width"},
    "previous_masks": {1: "height", 2: "width"},
    "probabilities": {1: "height", 2: "width"},
    "memory_key": {2: "positions"},
    "memory_value": {2: "positions"},
}
"""Axes whose length is free; of every other tensor the last two are."""


def _write(folder: JobFolder, file: str, exported: _Exported) -> None:
    names = [*exported.inputs, *exported.outputs]
    axes = {name: AXES.get(name, {2: f"{name}_height", 3: f"{name}_width"}) for name in names}
    with folder.write(file) as temporary, _deprecated():
        torch.onnx.export(
            exported.part,
            tuple(exported.inputs.values()),
            str(temporary),
            input_names=list(exported.inputs),
            output_names=list(exported.outputs),
            dynamic_axes=axes,
            opset_version=OPSET,
            dynamo=False,
        )


@contextlib.contextmanager
def _deprecated() -> Iterator[None]:
    """Without the warnings of an exporter that PyTorch would like to replace.

    The new one needs onnxscript, and fixes the numbers of a repeated axis.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
