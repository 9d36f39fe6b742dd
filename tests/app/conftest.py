"""A server that the tests of this folder share, and a clip in it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.app.serving import Server, serving
from tests.clips import write_clip

pytest.importorskip("fastapi", reason="the app's server needs rotomask[app]")

SIZE = (96, 128)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with nothing in it but what the tests put there."""
    folder = tmp_path_factory.mktemp("app")
    (folder / "films").mkdir()
    write_clip(folder / "films" / "short.mp4", frames=6, size=SIZE)
    with serving(folder / "data", "--allow", str(folder / "films")) as started:
        yield started


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A clip of twelve frames with sound."""
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    return write_clip(path, frames=12, size=SIZE, sound="aac").read_bytes()


@pytest.fixture
def project(server: Server, clip: bytes) -> str:
    """An imported clip with one object that is not marked yet."""
    number = str(server.upload(clip)["id"])
    assert server.imported(number)["state"] == "ready"
    server.post(f"/api/projects/{number}/objects", {"name": "block"})
    return number


@pytest.fixture
def films(server: Server) -> Path:
    return server.data.parent / "films"
