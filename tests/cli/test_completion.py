"""Completion: shells take the scripts, and what answers them knows commands and options."""

import shutil
import subprocess

import pytest

from tests.cli.running import commands, run


def complete(words: str) -> list[str]:
    """What bash would offer after some words, the last of which is begun."""
    answer = run(
        _ROTOMASK_COMPLETE="complete_bash", COMP_WORDS=words, COMP_CWORD=str(words.count(" "))
    )
    assert answer.returncode == 0, answer.stderr
    return answer.stdout.split()


def test_commands_and_options_are_offered():
    assert set(complete("rotomask c")) == {name for name in commands() if name.startswith("c")}
    assert {"--feather", "--format"} <= set(complete("rotomask cut --f"))
    assert complete("rotomask nothing-like-it --f") == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_takes_its_script(shell, tmp_path):
    script = run("completion", shell)
    assert script.returncode == 0, script.stderr
    assert "_ROTOMASK_COMPLETE" in script.stdout
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} here")
    file = tmp_path / "script"
    file.write_text(script.stdout)
    checked = subprocess.run([shell, "-n", str(file)], capture_output=True, text=True)
    assert (checked.returncode, checked.stderr) == (0, "")


def test_another_shell_is_an_error_of_one_line():
    answer = run("completion", "tcsh")
    assert answer.returncode == 2
    assert "'tcsh' is not one of 'bash', 'zsh', 'fish'" in answer.stderr
    assert len(answer.stderr.splitlines()) == 1
