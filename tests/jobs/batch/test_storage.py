"""Remote files: a real S3 server and a real web server on loopback."""

import functools
import http.server
import threading

import boto3
import pytest

import rotomask
from rotomask.errors import InputError, RemoteError
from rotomask.jobs.batch import storage
from rotomask.jobs.batch.storage import Store

from ..batch.clips import results, write_clip


@pytest.fixture(scope="module")
def s3(tmp_path_factory):
    """A client of an S3 server; what is run reads its address from the environment."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    address = f"http://{host}:{port}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", address)
        patch.setenv("AWS_ACCESS_KEY_ID", "test")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patch.setenv("AWS_CONFIG_FILE", str(tmp_path_factory.mktemp("aws") / "none"))
        client = boto3.client("s3")
        client.create_bucket(Bucket="clips")
        yield client
    server.stop()


def put(client, folder, prefix):
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            key = f"{prefix}/{path.relative_to(folder).as_posix()}"
            client.upload_file(str(path), "clips", key)


def download(client, prefix, folder):
    listed = client.list_objects_v2(Bucket="clips", Prefix=prefix)["Contents"]
    for entry in listed:
        target = folder / entry["Key"].removeprefix(prefix).lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        client.download_file("clips", entry["Key"], str(target))


@pytest.mark.slow
def test_s3_in_and_out(s3, tmp_path):
    """A manifest, videos and masks on S3; the results there are those of `cut`."""
    rows = [write_clip(tmp_path / "in", seed, frames=3) for seed in range(2)]
    put(s3, tmp_path / "in", "in")
    text = "video,mask,size,device,format\n"
    text += "clip0,clip0.png,64,cpu,mattes\nclip1,clip1.png,64,cpu,mattes\n"
    s3.put_object(Bucket="clips", Key="in/list.csv", Body=text.encode())
    options = {"workers": 2, "scratch": tmp_path / "scratch"}
    result = rotomask.batch("s3://clips/in/list.csv", "s3://clips/out", **options)
    assert [o.state for o in result.outcomes] == ["finished", "finished"]
    download(s3, "out", tmp_path / "out")
    for number, row in enumerate(rows):
        rotomask.cut(
            row["video"], row["mask"], tmp_path / "alone" / f"clip{number}", size=64, device="cpu",
            formats=("mattes",),
        )  # fmt: skip
        made = results(tmp_path / "out" / f"clip{number}")
        made.pop("review.png", None)
        assert made == results(tmp_path / "alone" / f"clip{number}")
    assert (tmp_path / "out" / "summary.html").exists()
    scratch = [p for p in (tmp_path / "scratch").rglob("*") if p.suffix == ".png"]
    assert scratch == []  # nothing is kept twice

    before = s3.head_object(Bucket="clips", Key="out/clip0/masks/00000.png")["LastModified"]
    again = rotomask.batch("s3://clips/in/list.csv", "s3://clips/out", **options)
    assert [o.state for o in again.outcomes] == ["before", "before"]
    key = "out/clip0/masks/00000.png"
    assert s3.head_object(Bucket="clips", Key=key)["LastModified"] == before


def test_pattern_on_s3(s3):
    for name in ("p/a.mp4", "p/a.png", "p/b 2.mp4", "p/b 2.png"):
        s3.put_object(Bucket="clips", Key=name, Body=b"x")
    found = storage.match("s3://clips/p/*.mp4")
    assert found == ["s3://clips/p/a.mp4", "s3://clips/p/b 2.mp4"]
    assert storage.siblings("s3://clips/p") == {"a.mp4", "a.png", "b 2.mp4", "b 2.png"}


def test_stamps_change_with_the_content(s3, tmp_path):
    s3.put_object(Bucket="clips", Key="stamp", Body=b"one")
    first = storage.stamp("s3://clips/stamp")
    s3.put_object(Bucket="clips", Key="stamp", Body=b"two")
    assert storage.stamp("s3://clips/stamp") != first
    file = tmp_path / "file"
    file.write_bytes(b"one")
    local = storage.stamp(str(file))
    file.write_bytes(b"three")
    assert storage.stamp(str(file)) != local


def test_faults_of_s3(s3, tmp_path, monkeypatch):
    with pytest.raises(InputError, match="does not exist"):
        storage.fetch("s3://clips/nothing.mp4", tmp_path)
    with pytest.raises((InputError, RemoteError)):
        storage.read_bytes("s3://no-such-bucket/list.csv")


def test_http_in(tmp_path):
    row = write_clip(tmp_path / "site", 3, frames=2)
    picture = sorted((tmp_path / "site" / "clip3").iterdir())[0]
    handler = functools.partial(_Quiet, directory=str(tmp_path / "site"))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        address = f"http://127.0.0.1:{server.server_address[1]}"
        got = storage.fetch(f"{address}/clip3/{picture.name}", tmp_path / "got")
        assert got.read_bytes() == picture.read_bytes()
        assert storage.read_bytes(f"{address}/clip3.png")[:4] == b"\x89PNG"
        with pytest.raises(InputError, match="does not exist"):
            storage.fetch(f"{address}/none.mp4", tmp_path / "got")
    finally:
        server.shutdown()
        server.server_close()
    assert row["options"]


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.mark.parametrize(
    "location",
    ["ftp://host/a.mp4", "github://a:b@c/d", "s3://b/a.zip::file://x", "zip://a::s3://b"],
)
def test_other_protocols_are_refused(location, tmp_path):
    with pytest.raises(InputError, match="not supported"):
        storage.read_bytes(location)


def test_an_unreachable_server_may_be_tried_again(tmp_path):
    with pytest.raises(RemoteError):
        storage.read_bytes("http://127.0.0.1:9/list.csv")


def test_a_web_server_cannot_be_written(tmp_path):
    with pytest.raises(InputError, match="cannot be written"):
        Store.at("https://example.org/out", tmp_path)
