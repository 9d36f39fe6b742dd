"""Detectors by name: the shipped one, or the user's own by file or by torchvision's name."""

from importlib import resources
from pathlib import Path

from rotomask.detection.detector import Detector, NoDetector
from rotomask.errors import OptionError, WeightsError
from rotomask.networks.checkpoints import load_into, read_metadata
from rotomask.networks.detector_lite import DetectorLite, DetectorLiteConfig
from rotomask.networks.precision import choose_runtime

DEFAULT_DETECTOR = "detector-lite"
NONE = "none"
TORCHVISION = "torchvision:"


def load_detector(
    name: str = DEFAULT_DETECTOR, *, device: str = "auto", precision: str = "auto"
) -> Detector:
    """A detector, ready to `detect`.

    Args:
        name: ``detector-lite``; a .safetensors file that training it gave; a detector's .onnx file
            (`detection.onnx_file` says which); ``torchvision:NAME``, or ``torchvision:NAME:FILE``
            with a checkpoint, where torchvision is installed; or ``none``, which finds nothing.
        device: As for `load_model`; onnxruntime chooses by itself.
        precision: As for `load_model`.

    Raises:
        OptionError: If the name is unknown, or what it needs is not installed.
        WeightsError: If the file is missing, or not a detector's.
    """
    runtime = choose_runtime(device, precision)
    if name == NONE:
        return NoDetector()
    if name.startswith(TORCHVISION):
        from rotomask.detection.torch_module import load_torchvision

        model, _, file = name.removeprefix(TORCHVISION).partition(":")
        return load_torchvision(model, Path(file) if file else None, runtime)
    if name.lower().endswith(".onnx"):
        from rotomask.detection.onnx_file import OnnxDetector

        return OnnxDetector(name)
    if name != DEFAULT_DETECTOR and not name.endswith(".safetensors"):
        raise OptionError(
            f"unknown detector {name!r}; give {DEFAULT_DETECTOR}, a .onnx or .safetensors file, "
            f"{TORCHVISION}NAME, or {NONE}"
        )
    from rotomask.detection.lite import LiteDetector

    path = shipped_detector() if name == DEFAULT_DETECTOR else Path(name)
    return LiteDetector(load_detector_network(path), runtime=runtime)


def load_detector_network(path: Path) -> DetectorLite:
    """detector-lite with the weights of a file.

    Raises:
        WeightsError: If the file is missing, or of another network.
    """
    stored = read_metadata(path)
    if stored.get("model", DEFAULT_DETECTOR) != DEFAULT_DETECTOR:
        raise WeightsError(f"{path} is of {stored['model']}, not of {DEFAULT_DETECTOR}")
    shape = {k: tuple(v) if isinstance(v, list) else v for k, v in stored.get("config", {}).items()}
    network = DetectorLite(DetectorLiteConfig(**shape))
    load_into(network, path)
    return network


def shipped_detector() -> Path:
    """The weights file in the package."""
    return Path(str(resources.files("rotomask") / "weights" / f"{DEFAULT_DETECTOR}.safetensors"))
