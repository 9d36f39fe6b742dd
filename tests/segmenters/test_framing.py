"""Frames as tensors."""

import warnings

import numpy as np
import torch

from rotomask.segmenters.framing import Framing


def test_a_frame_becomes_a_padded_tensor_without_a_warning_or_shared_memory():
    framing = Framing(size=(30, 41), working_size=(30, 41), stride=16, device=torch.device("cpu"))
    frame = np.random.default_rng(0).integers(0, 256, (30, 41, 3)).astype(np.uint8)
    for is_writable in (True, False):
        frame.flags.writeable = is_writable
        torch.set_warn_always(True)  # PyTorch warns once in a process otherwise
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                image = framing.image(frame)
        finally:
            torch.set_warn_always(False)
        assert image.shape == (1, 3, 32, 48)
        assert image.is_contiguous(memory_format=torch.channels_last)
        expected = np.zeros((32, 48, 3), np.uint8)
        expected[1:31, 3:44] = frame
        np.testing.assert_array_equal(image[0].permute(1, 2, 0).numpy(), expected)
    frame.flags.writeable = True
    frame[:] = 0
    assert image.max() > 230
