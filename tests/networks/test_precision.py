"""The runtime: weights in the type that computes, and a process that was forked."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from rotomask import load_model
from rotomask.catalog import load_network
from rotomask.networks.precision import Runtime
from rotomask.segmenters.space_time import SpaceTimeSegmenter

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


def test_weights_that_are_held_in_bfloat16_give_the_same_bits():
    frames = np.random.default_rng(0).integers(0, 255, (3, 96, 128, 3)).astype(np.uint8)
    mask = np.zeros((96, 128), int)
    mask[30:70, 40:80] = 1
    runtime = Runtime(torch.device("cpu"), "bfloat16")
    outputs, sizes = [], []
    for hold in (True, False):
        network = load_network("stm-lite")
        if hold:
            runtime.hold_weights(network)
        segmenter = SpaceTimeSegmenter(network, None, runtime)
        segmenter.start(frames[0], mask)
        outputs.append([segmenter.step(frame) for frame in frames[1:]])
        sizes.append(sum(p.numel() * p.element_size() for p in network.parameters()))
    np.testing.assert_array_equal(outputs[0], outputs[1])
    assert sizes[0] < 0.51 * sizes[1]


def test_a_network_that_will_learn_keeps_its_weights_in_float32():
    held = {"held": {}, "online": {"online": 2}, "references": {"learn_references": True}}
    types = {}
    for name, settings in held.items():
        segmenter = load_model("stm-lite", precision="bfloat16", device="cpu", **settings)
        while not hasattr(segmenter, "network"):  # inside of wrappers
            segmenter = segmenter.segmenter
        types[name] = segmenter.network.key_projection.weight.dtype
    assert types == {
        "held": torch.bfloat16,
        "online": torch.float32,
        "references": torch.float32,
    }
