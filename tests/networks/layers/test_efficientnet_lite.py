"""Blocks of the light encoder, computed in bands of rows."""

import pytest
import torch

from rotomask.networks.layers import efficientnet_lite
from rotomask.networks.layers.efficientnet_lite import EfficientNetLite0, InvertedResidual


@pytest.mark.parametrize("height", [17, 32, 47])
@pytest.mark.parametrize(
    ("expansion", "kernel", "stride", "c_out"),
    [(1, 3, 1, 8), (6, 3, 2, 12), (6, 5, 2, 12), (6, 3, 1, 8), (6, 5, 1, 8)],
)
def test_a_block_in_bands_gives_what_it_gives_whole(
    monkeypatch, expansion, kernel, stride, c_out, height
):
    torch.manual_seed(0)
    block = InvertedResidual(8, c_out, expansion, kernel, stride).eval()
    x = torch.randn(2, 8, height, 20)
    whole = block.body(x) + (x if block.has_identity else 0)
    row = 2 * 8 * expansion * 20 * 4
    for rows in (1, 3, 8):
        monkeypatch.setattr(efficientnet_lite, "BAND_BYTES", rows * stride * row)
        with torch.inference_mode():
            assert block._rows_at_once(x) == (None if height <= 2 * rows * stride else rows)
            torch.testing.assert_close(block(x), whole, rtol=1e-5, atol=1e-5)


def test_bytes_are_normalized_to_the_same_in_bfloat16():
    values = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
    exact = EfficientNetLite0.normalize(values)
    assert exact.dtype == torch.float32
    with torch.autocast("cpu", torch.bfloat16):
        rounded = EfficientNetLite0.normalize(values)
    assert rounded.dtype == torch.bfloat16
    assert torch.equal(rounded.float(), exact)


def test_features_of_a_frame_do_not_depend_on_the_bands(monkeypatch):
    torch.manual_seed(0)
    encoder = EfficientNetLite0(with_stride32=True).eval()
    image = torch.rand(1, 3, 96, 160).contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        whole = encoder(image)
        monkeypatch.setattr(efficientnet_lite, "BAND_BYTES", 1 << 16)
        for ours, expected in zip(encoder(image), whole, strict=True):
            torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-5)
    with torch.enable_grad():  # whole in training, where everything is kept anyway
        for block in encoder.modules():
            if isinstance(block, InvertedResidual):
                assert block._rows_at_once(image) is None
