"""Flow estimators by name, as the command line has them; Python code may use the classes."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from rotomask.errors import OptionError
from rotomask.flow.learned_flow import LearnedFlow
from rotomask.flow.optical_flow import DISFlow, OpticalFlow
from rotomask.networks.checkpoints import load_into, read_metadata
from rotomask.networks.flow_lite import FlowLite, FlowLiteConfig
from rotomask.networks.precision import Runtime, choose_runtime

DEFAULT_ESTIMATOR = "dis"


@dataclass(frozen=True)
class EstimatorEntry:
    """One line of the catalogue."""

    summary: str
    build: Callable[[Path | None, Runtime], OpticalFlow]
    """From weights in place of the shipped ones, and where it runs."""


def _dis(weights: Path | None, runtime: Runtime) -> OpticalFlow:
    if weights is not None:
        raise OptionError("dis learns nothing and takes no weights; use --estimator flow-lite")
    return DISFlow()


def _flow_lite(weights: Path | None, runtime: Runtime) -> OpticalFlow:
    return LearnedFlow(load_flow_network(weights), runtime)


def _started(weights: Path | None, runtime: Runtime) -> OpticalFlow:
    return LearnedFlow(load_flow_network(weights), runtime, start=DISFlow())


ESTIMATORS: dict[str, EstimatorEntry] = {
    "dis": EstimatorEntry("dense inverse search (Kroeger et al. 2016) of OpenCV", _dis),
    "flow-lite": EstimatorEntry(
        "a small network: pyramid, warping, local correlation (after Sun et al. 2018)", _flow_lite
    ),
    "dis+flow-lite": EstimatorEntry("DIS, made better by flow-lite's fine levels", _started),
}


def load_flow(
    name: str = DEFAULT_ESTIMATOR,
    *,
    weights: Path | None = None,
    device: str = "auto",
    precision: str = "float32",
) -> OpticalFlow:
    """A flow estimator, ready to `estimate`.

    Args:
        name: A name of `ESTIMATORS`.
        weights: A checkpoint in place of the shipped one.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``; DIS runs on the CPU.
        precision: ``float32``, ``bfloat16`` or ``auto``. Fractions of a pixel want float32.

    Raises:
        OptionError: If a name is unknown, the device is not there, or DIS is given weights.
        WeightsError: If the weights are missing or not the network's.
    """
    if name not in ESTIMATORS:
        raise OptionError(f"unknown flow estimator {name!r}; known: {', '.join(ESTIMATORS)}")
    return ESTIMATORS[name].build(weights, choose_runtime(device, precision))


def flow_lite_weights() -> Path:
    """The weights of flow-lite in the package."""
    return Path(str(resources.files("rotomask") / "weights" / "flow-lite.safetensors"))


def load_flow_network(weights: Path | None = None) -> FlowLite:
    """The network with the shipped weights, or with a run's.

    Raises:
        WeightsError: If they are missing or not the network's.
    """
    path = weights or flow_lite_weights()
    stored = read_metadata(path) if path.suffix == ".safetensors" else {}
    network = FlowLite(FlowLiteConfig(**stored.get("config", {})))
    load_into(network, path)
    return network
