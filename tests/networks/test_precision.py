"""The runtime in a process that was forked."""

import os
import subprocess
import sys

import pytest

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
