"""The folder protocol alone: claims, kills and overwrites in any order lose nobody's file."""

import gc
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from rotomask.errors import OutputError
from rotomask.jobs.folder import JobRequest, check_inputs, claim
from rotomask.jobs.journal import Journal

ADDED = ("masks/a.png", "masks/b.png")
REPLACED = ("overlay.mp4",)
PATHS = (*ADDED, *REPLACED, "job.json", "notes.txt", "masks/c.png", "flow.json")


def _request(size: int, inputs: tuple[Path, ...] = ()) -> JobRequest:
    return JobRequest(
        command="cut", settings={"size": size}, added=ADDED, replaced=REPLACED, inputs=inputs
    )


def _work(root: Path, size: int, *, overwrite: bool = False) -> None:
    """A job that writes what its size says."""
    with claim(root, _request(size), overwrite=overwrite) as folder:
        for path in (*ADDED, *REPLACED):
            if path in REPLACED or not folder.is_finished(path):
                with folder.write(path) as temporary:
                    temporary.write_text(f"{path} of job {size}")


def _in_child(work: Callable[[], None]) -> int:
    """Exit status of a forked process: 0 done, 2 refused, negative if it was killed."""
    child = os.fork()
    if child == 0:
        gc.disable()  # it would take apart what threads of the parent use
        status = 1
        try:
            work()
            status = 0
        except OutputError:
            status = 2
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _killed_after(operations: int) -> None:
    """Have this process killed before one of its next renames, records or deletions."""
    left = [operations]

    def counted(original):
        def call(*arguments, **keywords):
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left[0] -= 1
            return original(*arguments, **keywords)

        return call

    Path.replace = counted(Path.replace)  # type: ignore[method-assign]
    Path.unlink = counted(Path.unlink)  # type: ignore[method-assign]
    Journal.record = counted(Journal.record)  # type: ignore[method-assign]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills forked processes")
class Folders(RuleBasedStateMachine):
    """A folder in which jobs are run and killed, and a user writes and deletes files."""

    @initialize(data=st.data())
    def begin(self, data: st.DataObject) -> None:
        import tempfile

        self.root = Path(tempfile.mkdtemp()) / "out"
        self.own: dict[str, str] = {}

    @rule(path=st.sampled_from(PATHS), number=st.integers(0, 99))
    def a_user_writes(self, path: str, number: int) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"my own {number}")
        self.own[path] = file.read_text()

    @rule(path=st.sampled_from(PATHS))
    def a_user_deletes(self, path: str) -> None:
        (self.root / path).unlink(missing_ok=True)
        self.own.pop(path, None)

    @rule(size=st.integers(1, 2), overwrite=st.booleans())
    def a_job_runs(self, size: int, overwrite: bool) -> None:
        status = _in_child(lambda: _work(self.root, size, overwrite=overwrite))
        assert status in (0, 2)
        if status == 0:
            for path in {*ADDED, *REPLACED} - set(self.own):
                assert (self.root / path).read_text() == f"{path} of job {size}"
            assert not [path for path in REPLACED if path in self.own], "it was in the way"

    @rule(size=st.integers(1, 2), overwrite=st.booleans(), operations=st.integers(0, 12))
    def a_job_is_killed(self, size: int, overwrite: bool, operations: int) -> None:
        def work() -> None:
            _killed_after(operations)
            _work(self.root, size, overwrite=overwrite)

        assert _in_child(work) in (0, 2, -signal.SIGKILL)

    @invariant()
    def nothing_of_the_user_is_lost(self) -> None:
        for path, content in getattr(self, "own", {}).items():
            assert (self.root / path).read_text() == content


Folders.TestCase.settings = settings(
    max_examples=20,
    stateful_step_count=12,
    suppress_health_check=[HealthCheck.too_slow],
)
TestFolders = Folders.TestCase


def test_a_killed_job_is_resumed_and_an_overwritten_one_leaves_nothing(tmp_path):
    for operations in range(9):
        root = tmp_path / str(operations)

        def work(root: Path = root, operations: int = operations) -> None:
            _killed_after(operations)
            _work(root, 1)

        assert _in_child(work) == -signal.SIGKILL
        _work(root, 1)
        assert {p: (root / p).read_text() for p in ADDED} == {p: f"{p} of job 1" for p in ADDED}
        with pytest.raises(OutputError, match=r"another job.*size 1 there, 2 here.*--overwrite"):
            _work(root, 2)
        _work(root, 2, overwrite=True)
        files = {p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file()}
        assert files == {*ADDED, *REPLACED, "job.json", ".rotomask/files", ".rotomask/lock"}
        assert (root / ADDED[0]).read_text() == f"{ADDED[0]} of job 2"


def test_the_manifest_is_readable_and_says_what_the_job_is(tmp_path):
    with claim(tmp_path / "out", _request(1)) as folder:
        folder.note(frames=[0, 3])
        with folder.write(ADDED[0]) as temporary:
            temporary.write_text("x")
        assert json.loads((tmp_path / "out/job.json").read_text())["state"] == "unfinished"
    manifest = json.loads((tmp_path / "out/job.json").read_text())
    assert manifest["state"] == "finished"
    assert manifest["command"] == "cut"
    assert manifest["settings"] == {"size": 1}
    assert manifest["notes"] == {"frames": [0, 3]}
    assert manifest["identity"] == _request(1).identity != _request(2).identity


def test_a_copied_folder_is_still_ours(tmp_path):
    _work(tmp_path / "out", 1)
    copy = tmp_path / "copy"
    for file in (p for p in (tmp_path / "out").rglob("*") if p.is_file()):
        target = copy / file.relative_to(tmp_path / "out")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(file.read_bytes())  # with another time
    _work(copy, 1)
    _work(copy, 2, overwrite=True)
    assert (copy / ADDED[0]).read_text() == f"{ADDED[0]} of job 2"


def test_without_its_record_a_folder_is_resumed_but_not_emptied(tmp_path):
    _work(tmp_path, 1)
    (tmp_path / ".rotomask" / "files").unlink()
    (tmp_path / "overlay.mp4").unlink()
    _work(tmp_path, 1)
    with pytest.raises(OutputError, match=r"masks.a.png was not written by rotomask"):
        _work(tmp_path, 2, overwrite=True)


def test_files_of_a_job_whose_manifest_is_gone_are_not_taken_for_another_jobs(tmp_path):
    _work(tmp_path, 1)
    (tmp_path / "job.json").unlink()
    for size in (1, 2):
        with pytest.raises(OutputError, match=r"job whose job.json is missing"):
            _work(tmp_path, size)
    _work(tmp_path, 2, overwrite=True)
    assert (tmp_path / ADDED[1]).read_text() == f"{ADDED[1]} of job 2"


def test_an_overwrite_that_is_killed_leaves_a_folder_that_says_what_it_holds(tmp_path, monkeypatch):
    _work(tmp_path, 1)
    unlink = Path.unlink
    deleted: list[Path] = []

    def unlink_one(path: Path, *arguments, **keywords):
        if deleted:
            raise KeyboardInterrupt
        deleted.append(path)
        unlink(path, *arguments, **keywords)

    monkeypatch.setattr(Path, "unlink", unlink_one)
    with pytest.raises(KeyboardInterrupt):
        _work(tmp_path, 2, overwrite=True)
    monkeypatch.undo()
    assert deleted
    with pytest.raises(OutputError, match="another job"):
        _work(tmp_path, 2)
    _work(tmp_path, 1)
    assert (tmp_path / ADDED[1]).read_text() == f"{ADDED[1]} of job 1"


def test_two_claims_at_once_are_refused_and_a_dead_one_does_not_block(tmp_path):
    root = tmp_path / "out"
    with claim(root, _request(1)):
        assert _in_child(lambda: _work(root, 1)) == 2
        with pytest.raises(OutputError, match="another rotomask process is writing"):
            _work(root, 1)

    def killed_while_it_holds() -> None:
        with claim(root, _request(1)) as folder:
            with folder.write(ADDED[0]) as temporary:
                temporary.write_text(f"{ADDED[0]} of job 1")
            os.kill(os.getpid(), signal.SIGKILL)

    assert _in_child(killed_while_it_holds) == -signal.SIGKILL
    _work(root, 1)


def test_a_job_that_fails_before_it_wrote_anything_leaves_nothing(tmp_path):
    root = tmp_path / "deep" / "out"
    with pytest.raises(ValueError, match="before"), claim(root, _request(1)):
        raise ValueError("before any file")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(KeyboardInterrupt), claim(tmp_path, _request(1)):
        raise KeyboardInterrupt
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize(
    "content",
    [
        *("", "[]", "{", "null", '"x"', "\x00", "[" * 10**5),
        *('{"format": 2}', '{"format": 2, "settings": {}, "notes": {}}'),
    ],
)
@pytest.mark.parametrize("name", ["job.json", ".rotomask/files"])
def test_damaged_records_are_named_and_never_replaced(tmp_path, name, content):
    _work(tmp_path, 1)
    (tmp_path / name).write_text(content)
    if name == "job.json" and content:
        with pytest.raises(OutputError, match=r"job\.json"):
            _work(tmp_path, 1)
        with pytest.raises(OutputError, match=r"job\.json"):
            _work(tmp_path, 1, overwrite=True)
        assert (tmp_path / name).read_text() == content
    elif name == "job.json":
        with pytest.raises(OutputError, match=r"job\.json"):
            _work(tmp_path, 1)
        _work(tmp_path, 1, overwrite=True)
    else:
        with pytest.raises(OutputError, match=r"overlay\.mp4 was not written by rotomask"):
            _work(tmp_path, 1)


def test_a_record_from_elsewhere_reaches_no_file_outside(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    root = tmp_path / "out"
    _work(root, 1)
    stamp = json.loads((root / ".rotomask/files").read_text().splitlines()[0])
    lines = [[path, *stamp[1:]] for path in ("../mine.txt", str(tmp_path / "mine.txt"))]
    lines += [["../mine.txt"], [".."], [""], ["."], [7], []]
    with (root / ".rotomask/files").open("a") as file:
        file.write("".join(json.dumps(line) + "\n" for line in lines))
    _work(root, 2, overwrite=True)
    assert (tmp_path / "mine.txt").read_text() == "mine"


def test_links_and_edited_files_are_not_ours(tmp_path):
    (tmp_path / "mine.mp4").write_text("mine")
    root = tmp_path / "out"
    root.mkdir()
    (root / "overlay.mp4").symlink_to(tmp_path / "mine.mp4")
    with pytest.raises(OutputError, match=r"overlay\.mp4 was not written by rotomask"):
        _work(root, 1, overwrite=True)
    (root / "overlay.mp4").unlink()
    _work(root, 1)
    (root / "masks/a.png").write_text("retouched")
    with pytest.raises(OutputError, match=r"a\.png was not written by rotomask, or was changed"):
        _work(root, 1, overwrite=True)
    _work(root, 1)
    assert (root / "masks/a.png").read_text() == "retouched"


def test_inputs_among_the_outputs_are_refused(tmp_path):
    root = tmp_path / "out"
    (root / "masks").mkdir(parents=True)
    (tmp_path / "link").symlink_to(root / "masks")
    for given in (root / "masks", root / "masks/a.png", root / "overlay.mp4", tmp_path / "link"):
        with pytest.raises(OutputError, match="lies among the outputs"):
            check_inputs(root, [*ADDED, *REPLACED], [given])
        with (
            pytest.raises(OutputError, match="lies among the outputs"),
            claim(root, _request(1, (given,))),
        ):
            pass
    check_inputs(root, [*ADDED, *REPLACED], [root, root / "frames", tmp_path / "overlay.mp4"])
    with pytest.raises(OutputError, match="lies among the outputs"):
        check_inputs(root, ["boxes.jpg"], [root])  # a picture more among the frames that are read


def test_overwrite_refuses_to_delete_what_is_read(tmp_path):
    _work(tmp_path, 1)
    (tmp_path / "masks/a.png").rename(tmp_path / "mask.png")
    request = JobRequest(
        command="flow", settings={}, added=["flo/a.flo"], inputs=[tmp_path / "masks"]
    )
    with (
        pytest.raises(OutputError, match="--overwrite would delete"),
        claim(tmp_path, request, overwrite=True),
    ):
        pass
    with pytest.raises(OutputError, match="output of `rotomask cut`"), claim(tmp_path, request):
        pass
    assert (tmp_path / "masks/b.png").is_file()


def test_of_many_settings_that_differ_a_few_are_named(tmp_path):
    def request(value: int) -> JobRequest:
        settings = {f"input{number}": value for number in range(300)}
        return JobRequest(command="convert", settings=settings, replaced=REPLACED)

    with claim(tmp_path, request(1)) as folder, folder.write(REPLACED[0]) as temporary:
        temporary.write_text("converted")
    wanted = r"input4 1 there, 2 here; and 295 more\)"
    with pytest.raises(OutputError, match=wanted) as error, claim(tmp_path, request(2)):
        pass
    assert len(str(error.value)) < 400
