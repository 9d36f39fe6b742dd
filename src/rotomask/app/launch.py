"""Starting of the server: the port, the link, the browser."""

import contextlib
import socket
import sys
import threading
import time
import webbrowser
from collections.abc import Callable
from pathlib import Path

import uvicorn

from rotomask.app.app import App
from rotomask.app.database import DATABASE_FILE
from rotomask.app.security import Access, host_names
from rotomask.app.server import create_server
from rotomask.app.sessions import Sessions
from rotomask.app.settings import AppSettings
from rotomask.errors import OptionError, OutputError
from rotomask.files import complete_or_absent, exclusive_lock

LOOPBACK = ("127.0.0.1", "localhost", "::1")
TOKEN_FILE = "token"


def run_app(
    settings: AppSettings, *, opens_browser: bool = True, say: Callable[[str], None] = print
) -> None:
    """Serve the app until it is interrupted.

    Args:
        settings: The app's settings.
        opens_browser: Whether the page is opened, on loopback only.
        say: Prints a line for the user.

    Raises:
        OptionError: If the address cannot be used.
        OutputError: If another server uses the data folder, or it is not the app's.
    """
    claim_data(settings.data)
    with exclusive_lock(settings.data / "lock") as is_ours:
        if not is_ours:
            raise OutputError(
                f"another rotomask app uses {settings.data}; end it, or choose another --data"
            )
        with contextlib.closing(_listen(settings)) as listening:
            port = listening.getsockname()[1]
            _serve(settings, listening, port, opens_browser=opens_browser, say=say)


def claim_data(folder: Path) -> None:
    """Make the app's data folder, or check that it is one: the app deletes what it does not know.

    Raises:
        OutputError: If there are other files.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not (folder / DATABASE_FILE).exists():
        own = {"lock", "uploads", "projects"}
        for path in sorted(folder.iterdir()):
            if path.name == "lost+found" or path.name.startswith("."):
                continue  # of a new volume, and what file managers leave
            is_filled = path.is_dir() and any(path.iterdir())
            if path.name not in own or is_filled:
                raise OutputError(
                    f"{folder} is no data folder of rotomask app: it holds {path.name}, but no "
                    f"{DATABASE_FILE}; choose a new folder with --data"
                )


def _serve(
    settings: AppSettings,
    listening: socket.socket,
    port: int,
    *,
    opens_browser: bool,
    say: Callable[[str], None],
) -> None:
    app = App(settings)
    access = Access(app.cookie_name(port), Sessions(app.database))
    if settings.forgets_browsers:
        access.sessions.end_all()
    with complete_or_absent(settings.data / TOKEN_FILE) as temporary:
        # Before the token is in it, so that nobody else could read it for a moment.
        temporary.touch(mode=0o600)
        temporary.write_text(access.bearer, encoding="ascii")
    names = settings.names or ((_address(settings.host),) if _is_any(settings.host) else ())
    hosts = host_names(settings.host, port, names)
    is_local = settings.host in LOOPBACK
    host = f"127.0.0.1:{port}" if is_local else host_names(settings.host, port, names)[3]

    def tell_link() -> None:
        link = f"http://{host}/#token={access.new_link()}"
        say(f"Open {link}")
        if not is_local:
            say(qr_code(link))

    access.on_link_used = tell_link
    say(f"Data in {settings.data}; for scripts, the token is in {settings.data / TOKEN_FILE}.")
    if not is_local:
        say("Anybody in this network who has the link sees your videos; nothing is encrypted.")
    tell_link()
    server = uvicorn.Server(
        uvicorn.Config(
            create_server(app, access, hosts),
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_keep_alive=30,
            timeout_graceful_shutdown=3,
            limit_concurrency=200,
            h11_max_incomplete_event_size=64 << 10,
            proxy_headers=False,
            ws="none",
        )
    )
    if opens_browser and is_local:
        link = f"http://{host}/#token={access.new_link()}"
        threading.Thread(target=_open_browser, args=(server, link), daemon=True).start()
    server.run(sockets=[listening])


def _open_browser(server: uvicorn.Server, link: str) -> None:
    while not server.started:
        time.sleep(0.05)
    webbrowser.open(link)


def _listen(settings: AppSettings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        # To start again at once after an end. On Windows the option would let two servers share a
        # port.
        if sys.platform != "win32":
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((settings.host, settings.port))
        listening.listen(128)  # who opens the link at once waits; without it the browser is refused
    except OSError as error:
        listening.close()
        raise OptionError(
            f"cannot listen on {settings.host} port {settings.port} ({error.strerror}); choose "
            "another --port, or 0 for any free one"
        ) from error
    return listening


def _is_any(host: str) -> bool:
    return host in ("0.0.0.0", "::", "")


def _address(host: str) -> str:
    """This machine's address in the local network, without sending anything."""
    probe = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    with contextlib.closing(probe):
        try:
            # UDP: connecting sends nothing, it chooses the route. Both addresses are reserved for
            # documentation.
            probe.connect(("2001:db8::1" if ":" in host else "192.0.2.1", 9))
            return str(probe.getsockname()[0])
        except OSError:
            return socket.gethostname()


def qr_code(text: str) -> str:
    """A QR code for the terminal."""
    import io

    import segno

    buffer = io.StringIO()
    segno.make(text, error="l").terminal(out=buffer, compact=True, border=2)
    return buffer.getvalue()
