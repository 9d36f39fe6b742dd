"""Weights cast beforehand, and the runtime in a process that was forked."""

import os
import subprocess
import sys
from typing import Any

import pytest
import torch

from rotomask.networks.precision import Runtime, with_cast_weights
from rotomask.networks.stm_lite import STMLite, STMLiteConfig

FORK = """
import os
import numpy as np
import rotomask
from rotomask.threads import computing_threads

segmenter = rotomask.load_model("stm-lite", device="cpu", precision="float32")
frame = np.random.default_rng(0).integers(0, 255, (240, 320, 3)).astype(np.uint8)
mask = np.zeros((240, 320), int)
mask[50:150, 50:150] = 1
segmenter.start(frame, mask)
expected = segmenter.step(frame)
child = os.fork()
if child == 0:
    with computing_threads(2):  # as `cut --threads 2` does; there is but one here
        segmenter.start(frame, mask)
    os._exit(0 if np.abs(segmenter.step(frame) - expected).max() < 1e-4 else 3)
print("child ended with", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows has no fork")
def test_a_process_forked_after_use_can_segment():
    environment = {**os.environ, "OMP_NUM_THREADS": "2"}  # with one thread nothing would hang
    process = subprocess.Popen(
        [sys.executable, "-c", FORK],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=300)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, 9)  # the child too, which would wait for ever
        process.communicate()
        pytest.fail("the forked process hangs")
    assert output == "child ended with 0\n"


def test_weights_that_are_cast_beforehand_give_the_same_bits():
    config = STMLiteConfig(context_channels=8, others_guidance=True)
    network = STMLite(config).eval().requires_grad_(False)
    runtime = Runtime(torch.device("cpu"), "bfloat16")
    cast = with_cast_weights(network, runtime)
    image, masks = torch.rand(1, 3, 64, 96), torch.rand(2, 64, 96)
    results = []
    networks: tuple[Any, ...] = (network, cast)
    for one in networks:
        with runtime.inference():
            features = one.encode_frame(image)
            _, value = one.encode_value(image, features, masks)
            results.append((*features.pyramid, value, one.decode(value, features, masks)))
    for before, after in zip(*results, strict=True):
        torch.testing.assert_close(after, before, rtol=0, atol=0)
    # The original can still be trained; in float32 there is nothing to cast.
    assert {p.dtype for p in network.parameters()} == {torch.float32}
    assert {p.dtype for p in cast.parameters()} == {torch.bfloat16}
    assert with_cast_weights(network, Runtime(torch.device("cpu"), "float32")) is network
