"""The scripts of benchmarks/ on small data: their figures, not their speed."""

import json
import re
from pathlib import Path

import pytest

import rotomask
from rotomask.jobs.demo import demo_folder
from tests.scripts import read_table, run_script, write_davis

pytestmark = pytest.mark.slow


def test_the_plain_method_has_the_same_figures(tmp_path):
    davis = write_davis(tmp_path / "davis", ("first", "second"), frames=4)
    masks = davis / "Annotations" / "480p"
    printed = run_script(
        "benchmarks.evaluation_speed", "--root", davis, "--results", masks, "--every", 1
    )
    assert float(printed.partition("largest difference")[2].split()[0]) < 1e-12
    assert "4 frames of 80x64" in printed
    assert "J_mean 1.0000" in printed


def test_memory_of_a_long_video_is_sampled(tmp_path):
    figures = tmp_path / "figures.json"
    run_script("benchmarks.long_video", "--frames", 30, "--json", figures)
    content = json.loads(figures.read_text())
    assert content["frames"] == 30
    assert content["samples"][-1][1] == 30, "masks on disk at the end"
    assert content["peak_mib"] > 50


@pytest.mark.timeout(1200)
def test_every_line_of_the_training_speed_is_printed():
    printed = run_script("benchmarks.training_speed", "--steps", 5, "--batch", 1, timeout_s=900)
    rates = re.findall(r"^(.+?) +([\d.]+) clips/s$", printed, re.MULTILINE)
    assert [name for name, _ in rates] == [
        "float32",
        "+ channels_last",
        "+ bfloat16",
        "+ early encoder stages frozen",
        "+ depthwise layers in float32",
        "whole steps, clips made in between",
        "+ clips made in a loader process",
    ]


def test_speed_of_models_with_and_without_weights_is_printed():
    printed = run_script("benchmarks.model_speed", "stm-lite", "osvos", "--frames", 3)
    assert re.findall(r"^(\S+) +([\d.]+) s a frame$", printed, re.MULTILINE)[0][0] == "stm-lite"
    assert float(printed.split()[-4]) > 0


def test_every_stage_of_a_cut_has_its_time_and_the_network_its_arithmetic(tmp_path):
    figures = tmp_path / "figures.json"
    case = ("--objects", 3, "--heights", 480, "--threads", 1, "--precision", "float32")
    printed = run_script("benchmarks.profile_cut", *case, "--frames", 7, "--json", figures)
    (found,) = json.loads(figures.read_text())
    assert "480p, 3 object(s), 1 thread(s), float32" in printed
    state = found["ms"].pop("state")  # stored every few seconds: seven frames may end before
    assert state >= 0
    assert all(ms > 0 for ms in found["ms"].values()), found["ms"]
    assert all(gflop > 0 for gflop in found["gflop"].values()), found["gflop"]
    assert sum(found["ms"].values()) < 1.05 * found["whole_cpu_ms"]


def test_the_load_test_ends_its_processes_and_prints_every_ratio():
    printed = run_script("benchmarks.load", "--rounds", 1, "--frames", 2, "--load", 1)
    rows = read_table(printed)
    assert [row[0] for row in rows] == ["default", "one-thread"]
    assert all(float(cell) > 0 for row in rows for cell in row[1:])


def test_the_time_to_the_first_frame_is_printed():
    rows = read_table(run_script("benchmarks.start", "--runs", 1))
    assert rows[-1][0] == "rotomask cut, first frame"
    assert all(float(cpu) > 0 for _, _, cpu in rows)


def test_one_command_is_timed_with_the_code_of_several_checkouts():
    source = Path(rotomask.__file__).parents[1]
    demo = demo_folder()
    command = ("cut", demo / "clip.mp4", "--mask", demo / "first_mask.png", "--format", "none")
    sources = ("--source", source, "--source", source)
    rows = read_table(run_script("benchmarks.in_turn", *sources, "--rounds", 1, "--", *command))
    assert [row[0] for row in rows] == [str(source)] * 2
    assert rows[0][-1] == "1.000"
    assert all(float(peak) > 50 for _, _, _, _, peak, _ in rows)


def test_large_input_is_compared_by_time_and_by_quality(tmp_path):
    davis = write_davis(tmp_path / "davis", ("first",), frames=4)
    printed = run_script(
        *("benchmarks.large_input", "--davis", davis, "--sequences", "first"),
        *("--size", 32, "--time", "--heights", 540, "--rounds", 1, "--frames", 3),
    )
    assert "| mean | | | focused, 32 |" in printed
    (row,) = re.findall(r"^\| 540 \|.*\| ([\d.]+) \|$", printed, re.MULTILINE)
    assert float(row) > 0


def test_the_field_near_doubt_is_that_of_the_whole_frame():
    printed = run_script("benchmarks.field_speed", "--frames", 5, "--rounds", 1)
    assert printed.splitlines()[-1].endswith(" 0 labels differ")
