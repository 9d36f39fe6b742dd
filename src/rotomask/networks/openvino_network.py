"""stm-lite computed by OpenVINO instead of PyTorch: the extra ``rotomask[openvino]``.

The encoder, the value encoder and the decoder are compiled one by one when they are first needed,
each for frames of any size and any number of objects; what was converted once is in the user's
cache. Memory is read by PyTorch.
"""

import contextlib
import functools
import hashlib
import os
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from rotomask.errors import OptionError
from rotomask.networks.int8 import Ranges, quantised
from rotomask.networks.layers.aggregation import masks_of_others
from rotomask.networks.layers.efficientnet_lite import Pyramid
from rotomask.networks.layers.memory import Similarity
from rotomask.networks.layers.pixels import unit_floats
from rotomask.networks.precision import Runtime
from rotomask.networks.stm_lite import FrameFeatures, STMLite
from rotomask.networks.stm_lite_parts import (
    DecoderPart,
    EncoderPart,
    Part,
    ValueEncoderPart,
)

FORMAT = 2
"""To be raised when this module makes other networks of the same weights: the cache is by it."""


class OpenVINONetwork(nn.Module):
    """`STMLite` behind the same three functions, computed by OpenVINO on the CPU.

    Args:
        network: Network with its weights.
        runtime: Its precision is that of the layers that are not int8, and of the memory.
        ranges: Ranges of the convolutions that compute in int8; None: all compute in float.

    Raises:
        OptionError: If OpenVINO is not installed, or the device is not the CPU.
    """

    stride = STMLite.stride

    def __init__(self, network: STMLite, runtime: Runtime, ranges: Ranges | None = None) -> None:
        super().__init__()
        check_openvino(runtime)
        self.network = network
        self._precision = runtime.precision
        self._stored = torch.bfloat16 if runtime.precision == "bfloat16" else torch.float32
        # In a tuple: a module would be registered, with a second set of parameters.
        self._computed: tuple[STMLite] = (network,)
        if ranges is not None:
            self._computed = (quantised(network, ranges),)  # type: ignore[assignment]
        self._digest = _digest(network, ranges)
        self._compiled: dict[tuple[type[Part], int], Any] = {}

    @property
    def similarity(self) -> Similarity:
        """Similarity of keys; see `memory_read`."""
        return self.network.similarity

    def encode_frame(self, image: Tensor) -> FrameFeatures:
        """As `STMLite.encode_frame`, of one image 1×3×H×W."""
        key, *levels = self._run(EncoderPart, (unit_floats(image),))
        # A network with a context branch gives one level more than the pyramid has.
        context = levels.pop() if len(levels) > len(Pyramid._fields) else None
        return FrameFeatures(key.to(self._stored), Pyramid(*levels), context)

    def encode_value(
        self, image: Tensor, features: FrameFeatures, masks: Tensor
    ) -> tuple[Tensor, Tensor]:
        """As `STMLite.encode_value`, of one image and masks O×H×W."""
        (value,) = self._run(ValueEncoderPart, (*features.pyramid, masks))
        return features.key, value.to(self._stored)

    def crop(self, features: FrameFeatures, rows: slice, columns: slice) -> FrameFeatures:
        """As `STMLite.crop`."""
        return self.network.crop(features, rows, columns)

    def decode(
        self,
        readout: Tensor,
        features: FrameFeatures,
        guidance: Tensor,
        others: Tensor | None = None,
    ) -> Tensor:
        """As `STMLite.decode`, of one image, readout O×Cv×h×w and guidance O×H×W."""
        if self.network.config.others_guidance:
            if others is None:
                others = masks_of_others(guidance)
            guidance = torch.stack([guidance, others], 1)
        context = () if features.context is None else (features.context,)
        (logits,) = self._run(DecoderPart, (readout, guidance, *features.pyramid, *context))
        return logits

    def _run(self, part: type[Part], inputs: Sequence[Tensor]) -> list[Tensor]:
        """Outputs of a part of the network."""
        threads = torch.get_num_threads()
        # Compiled for a number of threads: beside a segmenter that works ahead it changes within a
        # job.
        request = self._compiled.get((part, threads))
        if request is None:
            computed = part(self._computed[0])
            request = _compile(computed, self._precision, self._digest, threads)
            self._compiled[part, threads] = request
        results = request.infer([x.float().contiguous().numpy() for x in inputs])
        # Copies: the next call writes into the same memory.
        return [torch.from_numpy(array.copy()) for array in results.to_tuple()]


def check_openvino(runtime: Runtime) -> None:
    """Check that OpenVINO can be used.

    Raises:
        OptionError: If it is not installed, or the device is not the CPU.
    """
    if runtime.device.type != "cpu":
        raise OptionError(f"OpenVINO runs on the CPU, not on {runtime.device}; use --device cpu")
    try:
        import openvino  # noqa: F401
    except ImportError as error:
        raise OptionError(
            "OpenVINO is not installed; install it with: pip install 'rotomask[openvino]'"
        ) from error


def _converted(part: Part, digest: str) -> Path:
    """The part in OpenVINO's own format, which is made once and then found in the user's cache.

    It takes frames of any size and any number of objects.
    """
    import openvino

    text = f"{openvino.__version__} {type(part).__name__} {digest}"
    name = hashlib.sha256(text.encode()).hexdigest()[:24]
    path = cache_folder() / f"{name}.xml"
    if path.exists():
        return path
    # Not in the segmenter's context: OpenVINO selects the precision by itself.
    with torch.inference_mode(False), torch.no_grad(), torch.autocast("cpu", enabled=False):
        with warnings.catch_warnings():
            # Deprecated for torch.export, which takes longer.
            warnings.simplefilter("ignore", DeprecationWarning)
            warnings.simplefilter("ignore", torch.jit.TracerWarning)  # type: ignore[attr-defined]
            examples = part.example()
            traced = torch.jit.trace(part, examples, check_trace=False)
        # -1 for height, width and objects: one conversion serves frames of any size.
        shapes = [_free_shape(x, k in part.per_object) for k, x in enumerate(examples)]
        converted = openvino.convert_model(traced, input=shapes)
    with tempfile.TemporaryDirectory(dir=path.parent) as scratch:
        openvino.save_model(converted, Path(scratch) / path.name, compress_to_fp16=False)
        # The weights first: where the .xml is, both are complete.
        for suffix in (".bin", ".xml"):
            (Path(scratch) / name).with_suffix(suffix).replace(path.with_suffix(suffix))
    return path


def _free_shape(example: Tensor, is_per_object: bool) -> list[int]:
    """Shape of an input, -1 where the size is the frame's or the number of objects."""
    channels = example.shape[1:-2]
    return [-1 if is_per_object else len(example), *channels, -1, -1]


def cache_folder() -> Path:
    """Folder of converted networks, which is made: ``rotomask`` in the user's cache.

    ``XDG_CACHE_HOME`` names another cache. If it cannot be written, a temporary folder of this
    process takes its place.
    """
    home = os.environ.get("XDG_CACHE_HOME")
    with contextlib.suppress(OSError, RuntimeError):
        folder = (Path(home) if home else Path.home() / ".cache") / "rotomask" / "openvino"
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK):
            return folder
    return Path(_temporary_folder().name)


@functools.cache
def _temporary_folder() -> "tempfile.TemporaryDirectory[str]":
    return tempfile.TemporaryDirectory(prefix="rotomask-")


def _digest(network: nn.Module, ranges: Ranges | None) -> str:
    """Digest of the weights and of what is made of them."""
    made_of = (FORMAT, vars(network).get("config"), sorted((ranges or {}).items()))
    digest = hashlib.sha256(repr(made_of).encode())
    for name, value in network.state_dict().items():
        digest.update(name.encode() + value.contiguous().numpy().tobytes())
    return digest.hexdigest()


def _compile(part: Part, precision: str, digest: str, threads: int) -> Any:
    """An inference request of a part."""
    import openvino

    path = _converted(part, digest)
    settings = {
        "INFERENCE_PRECISION_HINT": "bf16" if precision == "bfloat16" else "f32",
        "INFERENCE_NUM_THREADS": threads,
        "PERFORMANCE_HINT": "LATENCY",
        "ENABLE_CPU_PINNING": False,
        "CACHE_DIR": str(path.parent),
    }
    return openvino.Core().compile_model(path, "CPU", settings).create_infer_request()
