"""Who may ask, and what bad input does: docs/app-design.md, and section by section what others got
wrong (tokens, hosts, origins, paths, playlists, bodies)."""

import json
import socket
from pathlib import Path
from typing import Any

import av
import pytest

from rotomask.app.security import disposition, host_names
from tests.app.serving import Server, serving
from tests.clips import write_clip

UNKNOWN = "0" * 26
JSON = {"Content-Type": "application/json"}


def bearer(server: Server) -> dict[str, str]:
    return {"Authorization": f"Bearer {server.token}"}


def status(
    server: Server,
    method: str,
    path: str,
    body: bytes | None = None,
    headers: dict[str, str] | None = None,
) -> int:
    return server.raw(method, path, body, headers)[0]


@pytest.mark.parametrize(
    "path",
    ["/api/status", "/api/projects", "/api/events", "/api/openapi.json", "/api/docs", "/api/jobs"],
)
def test_nothing_is_told_without_a_token(server: Server, path: str) -> None:
    code, _, body = server.raw("GET", path)
    assert code == 401
    assert b"0.1" not in body
    assert status(server, "GET", path, headers={"Authorization": "Bearer wrong"}) == 401
    assert status(server, "GET", path, headers={"Cookie": "rotomask=wrong"}) == 401


def test_a_link_opens_one_session_only(server: Server) -> None:
    host = f"127.0.0.1:{server.port}"
    token = server.link.split("#token=")[1]
    body = json.dumps({"token": token}).encode()
    own = {**JSON, "Origin": f"http://{host}"}
    assert status(server, "POST", "/api/session", body, JSON) == 403  # no origin
    code, headers, _ = server.raw("POST", "/api/session", body, own)
    assert code == 200
    cookie = headers["set-cookie"]
    assert "httponly" in cookie.lower()
    assert "samesite=strict" in cookie.lower()
    assert str(server.port) in cookie
    session = {"Cookie": cookie.split(";")[0]}
    assert status(server, "GET", "/api/projects", headers=session) == 200
    assert status(server, "POST", "/api/session", body, own) == 401  # used up
    # The cookie alone is not enough for changes: other sites could make the browser send it.
    new = json.dumps({"name": "x", "size": 5}).encode()
    for origin in (None, "null", "http://evil.example", f"https://{host}", "http://127.0.0.1"):
        sent = {**session, **JSON} | ({} if origin is None else {"Origin": origin})
        assert status(server, "POST", "/api/uploads", new, sent) == 403
    for site in ("cross-site", "same-site"):
        sent = {**session, "Sec-Fetch-Site": site}
        assert status(server, "GET", "/api/projects", headers=sent) == 403
    assert status(server, "POST", "/api/uploads", new, {**session, **own}) == 201


def test_a_session_outlives_a_new_start_unless_browsers_are_to_be_forgotten(
    tmp_path: Path,
) -> None:
    data = tmp_path / "data"
    with serving(data) as server:
        body = json.dumps({"token": server.link.split("#token=")[1]}).encode()
        own = {**JSON, "Origin": f"http://127.0.0.1:{server.port}"}
        code, headers, _ = server.raw("POST", "/api/session", body, own)
        assert code == 200
        session = {"Cookie": headers["set-cookie"].split(";")[0]}
        value = session["Cookie"].split("=", 1)[1]
        assert value.encode() not in (data / "app.sqlite").read_bytes()
        first = bearer(server)
        server.kill()
        server.start()
        assert status(server, "GET", "/api/projects", headers=session) == 200
        assert status(server, "GET", "/api/projects", headers=first) == 401
        server.stop()
        server.arguments = ("--forget-browsers",)
        server.start()
        assert status(server, "GET", "/api/projects", headers=session) == 401


@pytest.mark.parametrize(
    "host",
    ["evil.example", "127.0.0.1", "127.0.0.1:1", "localhost.evil.example:{port}", "", "[::1]"],
)
@pytest.mark.parametrize("path", ["/", "/api/projects", "/static/main.js"])
def test_other_names_of_the_server_are_refused(server: Server, host: str, path: str) -> None:
    headers = {**bearer(server), "Host": host.format(port=server.port)}
    assert status(server, "GET", path, headers=headers) == 421


def test_scripts_from_a_foreign_page_are_refused_even_with_the_token(server: Server) -> None:
    sent = {**bearer(server), "Origin": "http://evil.example"}
    code, headers, _ = server.raw("GET", "/api/projects", headers=sent)
    assert code == 403
    assert not [name for name in headers if name.startswith("access-control")]
    preflight = {**sent, "Access-Control-Request-Method": "POST"}
    assert status(server, "OPTIONS", "/api/projects", headers=preflight) == 405


def test_every_answer_has_the_headers(server: Server) -> None:
    for path, headers in (("/", {}), ("/api/projects", bearer(server)), ("/api/none", {})):
        _, found, _ = server.raw("GET", path, headers=headers)
        assert "default-src 'none'" in found["content-security-policy"]
        assert "unsafe" not in found["content-security-policy"]
        assert found["x-content-type-options"] == "nosniff"
        assert found["referrer-policy"] == "no-referrer"
        assert found["cross-origin-resource-policy"] == "same-origin"
        assert "server" not in found


@pytest.mark.parametrize(
    "path",
    [
        "/api/projects/..%2f..%2fapp.sqlite",
        "/api/projects/../../token",
        "/api/projects/{p}/frames/..%2f..%2fmedia.jpg",
        "/api/projects/{p}/files/..%2fmedia",
        "/api/projects/{p}/..%2f..%2ftoken.jpg",
        "/api/projects/{p}/media.jpg",
        "/static/..%2f..%2f..%2f__init__.py",
        "/static/%2e%2e/%2e%2e/cli/__init__.py",
        "/static//etc/passwd",
        "/%00",
        "/api/projects/%00",
        f"/api/uploads/{UNKNOWN}%00",
    ],
)
def test_paths_lead_nowhere(server: Server, project: str, path: str) -> None:
    code, _, body = server.raw("GET", path.format(p=project), headers=bearer(server))
    assert code in (400, 404, 405)
    assert b"SQLite" not in body
    assert b"root:" not in body
    assert server.token.encode() not in body


@pytest.mark.parametrize(
    "path", ["../data/token", "/etc/passwd", "short.mp4/../../data/token", "link.mp4", "a\x00b", ""]
)
def test_only_files_of_allowed_folders_are_opened(server: Server, films: Path, path: str) -> None:
    (films / "link.mp4").unlink(missing_ok=True)
    (films / "link.mp4").symlink_to(server.data / "token")
    assert server.ask("POST", "/api/projects", {"path": path})[0] in (400, 404)


def test_names_are_only_shown(server: Server, clip: bytes) -> None:
    name = '../../<img src=x onerror=alert(1)>\r\nX-Evil: 1".mp4'
    project = server.upload(clip, name)
    assert project["name"] == name
    folder = server.data / "projects" / project["id"]
    assert server.imported(project["id"])["state"] == "ready"
    assert {path.name for path in folder.iterdir()} <= {
        "media",
        "frames",
        "strip.jpg",
        "thumb.jpg",
        "audio.m4a",
        "pts.json",
        "work",
        "masks",
    }
    header = disposition(name)
    assert "\r" not in header
    assert "\n" not in header
    assert header.count('"') == 2


PLAYLISTS = {
    "m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile://{secret}\n#EXT-X-ENDLIST\n",
    "concat": "ffconcat version 1.0\nfile {secret}\n",
    "dash": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><Period>'
    '<AdaptationSet><Representation id="1"><BaseURL>file://{secret}</BaseURL></Representation>'
    "</AdaptationSet></Period></MPD>",
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\n",
    "svg": '<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>',
    "text": "just words\n" * 50,
}


@pytest.mark.parametrize("kind", PLAYLISTS)
def test_playlists_and_texts_are_refused(server: Server, tmp_path: Path, kind: str) -> None:
    secret = write_clip(tmp_path / "secret.ts", frames=4, codec="mpeg2video")
    content = PLAYLISTS[kind].format(secret=secret).encode()
    project = server.imported(server.upload(content, "x.mp4")["id"])
    assert project["state"] == "failed"
    assert project["error"]["message"]
    assert str(tmp_path) not in json.dumps(project)
    assert str(server.data) not in json.dumps(project)
    assert not list((server.data / "projects" / project["id"]).glob("frames/*"))


def test_truncated_and_tiny_videos(server: Server, clip: bytes, tmp_path: Path) -> None:
    for content in (clip[:200], b"\x00" * 5000, clip[: len(clip) // 3]):
        project = server.imported(server.upload(content)["id"])
        assert project["state"] == "failed"
        assert project["error"]["advice"]
    one = write_clip(tmp_path / "one.mp4", frames=1).read_bytes()
    project = server.imported(server.upload(one)["id"])
    assert (project["state"], project["frame_count"]) == ("ready", 1)


@pytest.mark.slow
def test_an_image_that_is_too_large_is_refused_before_it_is_decoded(
    server: Server, tmp_path: Path
) -> None:
    path = tmp_path / "8k.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", 25)
        stream.width, stream.height = 7680, 4320
        stream.pix_fmt = "yuv420p"
        frame = av.VideoFrame(7680, 4320, "yuv420p")
        for plane in frame.planes:
            plane.update(bytes(plane.buffer_size))
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    project = server.imported(server.upload(path.read_bytes())["id"])
    assert project["state"] == "failed"
    assert "7680x4320" in project["error"]["message"]


def test_uploads_beyond_the_limits(server: Server) -> None:
    def new(size: Any) -> tuple[int, dict[str, Any]]:
        return server.ask("POST", "/api/uploads", {"name": "big.mp4", "size": size})

    assert new(0)[0] == 400
    assert new(-5)[0] == 422
    assert new(1e400)[0] == 422
    code, answer = new(5 << 30)
    assert code == 413
    assert "MB" in answer["error"]["message"]
    code, upload = new(3 << 30)  # declared, and cut off
    if code == 507:  # a small disk says so at once
        return
    assert code == 201
    path = f"/api/uploads/{upload['id']}"
    assert server.ask("PATCH", path, b"x" * 1000, Upload_Offset="0")[0] == 204
    code, answer = server.ask("POST", f"{path}/finish", None)
    assert code == 409
    assert "missing" in answer["error"]["message"]
    assert server.ask("PATCH", path, b"x" * (9 << 20), Upload_Offset="1000")[0] == 413
    assert server.ask("DELETE", path)[0] == 204
    assert not (server.data / "uploads" / upload["id"]).exists()


def test_more_bytes_than_announced_are_refused(server: Server) -> None:
    upload = server.post("/api/uploads", {"name": "x", "size": 10})["id"]
    path = f"/api/uploads/{upload}"
    assert server.ask("PATCH", path, b"x" * 11, Upload_Offset="0")[0] == 413
    assert (server.data / "uploads" / upload).stat().st_size <= 10


NONSENSE = [
    b"",
    b"{",
    b"[]",
    b"null",
    b"NaN",
    b'{"name": "x"}',
    b'{"name": "x", "size": "many"}',
    b'{"name": "x", "size": NaN}',
    b'{"name": "", "size": 5}',
    b'{"name": "x", "size": 5, "path": "/etc"}',
    b"[" * 100_000,
    b'{"name": ' * 5000,
    "\N{SNOWMAN}".encode("utf-16"),
    b"\xff\xfe\x00",
]


@pytest.mark.parametrize("body", NONSENSE, ids=lambda body: repr(body[:20]))
def test_nonsense_is_a_clear_message(server: Server, body: bytes) -> None:
    code, _, answer = server.raw("POST", "/api/uploads", body, {**bearer(server), **JSON})
    assert code in (400, 422)
    assert json.loads(answer)["error"]["message"]


def test_bodies_of_another_kind_or_too_large(server: Server, project: str) -> None:
    form = {**bearer(server), "Content-Type": "application/x-www-form-urlencoded"}
    assert status(server, "POST", "/api/uploads", b"name=x&size=5", form) == 415
    assert status(server, "POST", "/api/uploads", b'{"name":"x","size":5}', bearer(server)) == 415
    large = b'{"name": "' + b"x" * (2 << 20) + b'"}'
    code, _, answer = server.raw("POST", "/api/uploads", large, {**bearer(server), **JSON})
    assert code == 413
    assert b"more than" in answer
    ui = {"ui": {"x": "y" * 20_000}}
    assert server.ask("PATCH", f"/api/projects/{project}", ui)[0] == 413


def test_marks_that_cannot_be_meant(server: Server, project: str) -> None:
    path = f"/api/projects/{project}/marks"
    click = {"kind": "click", "x": 5, "y": 5, "positive": True}

    def send(frame: Any, marks: Any, label: Any = 1) -> int:
        body = {"frame": frame, "object": label, "rev": 1, "marks": marks}
        return server.ask("POST", path, body)[0]

    assert send(99, [click]) == 400
    assert send(-1, [click]) == 422
    assert send(0, [click], 9) == 404
    assert send(0, [click], 0) == 422
    assert send(0, []) == 422
    assert send(0, [{**click, "x": 4000}]) == 400
    assert send(0, [{**click, "x": "left"}]) == 422
    assert send(0, [{**click, "kind": "magic"}]) == 422
    assert send(0, [{**click, "positive": False}]) == 400
    assert send(0, [click] * 1000) == 422
    brush = {"kind": "brush", "points": [[1, 1]] * 10_001, "width": 5}
    assert send(0, [brush]) == 422
    assert server.get(f"/api/projects/{project}")["frames"] == []


@pytest.mark.slow
def test_a_thousand_prompts_end_in_a_message(server: Server, project: str) -> None:
    path = f"/api/projects/{project}"
    stroke = {"kind": "brush", "points": [[20, 20], [40, 40]], "width": 5, "positive": True}
    for _ in range(20):
        server.mark(project, 0, 1, *[stroke] * 100)
    rev = server.get(path)["rev"]
    body = {"frame": 0, "object": 1, "rev": rev, "marks": [stroke]}
    code, answer = server.ask("POST", f"{path}/marks", body)
    assert code == 400
    assert "2000" in answer["error"]["message"]


def test_a_slow_or_broken_request_harms_nobody(server: Server) -> None:
    for text in (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 20_000, b"\x16\x03\x01\x02\x00"):
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
            try:
                connection.sendall(text)
                connection.recv(100)
            except OSError:  # it hung up already
                pass
    assert status(server, "GET", "/api/status", headers=bearer(server)) == 200


def test_headers_that_came_twice_fit_nothing(server: Server) -> None:
    own = f"127.0.0.1:{server.port}"
    request = (
        f"GET /api/projects HTTP/1.1\r\nHost: {own}\r\nAuthorization: Bearer {server.token}\r\n"
        f"Authorization: Bearer {server.token}\r\nConnection: close\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(request.encode())
        assert b" 401 " in connection.recv(200).split(b"\r\n")[0]


def test_the_data_folder_is_the_users_alone(server: Server) -> None:
    assert server.data.stat().st_mode & 0o777 == 0o700
    assert (server.data / "token").stat().st_mode & 0o777 == 0o600


@pytest.mark.slow
def test_a_second_server_on_the_same_data_is_refused(server: Server) -> None:
    import subprocess
    import sys

    command = [sys.executable, "-m", "rotomask", "app", "--no-open", "--port", "0"]
    run = subprocess.run(
        [*command, "--data", str(server.data)], capture_output=True, text=True, check=False
    )
    assert run.returncode == 2
    assert "another rotomask app" in run.stderr


def test_names_of_the_server() -> None:
    assert host_names("192.168.1.5", 80)[-1] == "192.168.1.5"
    assert "[fe80::1]:8000" in host_names("fe80::1", 8000)
    assert "0.0.0.0:8000" not in host_names("0.0.0.0", 8000, ["192.168.1.5"])


@pytest.mark.slow
def test_limits_of_projects_length_and_disk(tmp_path: Path, clip: bytes) -> None:
    arguments = ("--max-projects", "1", "--max-seconds", "1")
    with serving(tmp_path / "data", *arguments) as small:
        long = write_clip(tmp_path / "long.mp4", frames=40).read_bytes()
        project = small.imported(small.upload(long)["id"])
        assert project["state"] == "failed"
        assert "1 s" in project["error"]["message"]
        code, answer = small.ask("POST", "/api/uploads", {"name": "x", "size": len(clip)})
        assert code == 409
        assert "limit" in answer["error"]["message"]
    with serving(tmp_path / "full", "--keep-free", str(1 << 40)) as full:
        code, answer = full.ask("POST", "/api/uploads", {"name": "x", "size": len(clip)})
        assert code == 507
        assert "disk" in answer["error"]["message"]
