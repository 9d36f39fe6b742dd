"""Who may ask the server what: token, host, origin; and the headers of every answer.

Everything that is not known to be right is refused. The page itself and what it is made of are
public within the host check, for the token comes in the address after #, which is never sent.
"""

import asyncio
import contextlib
import hmac
import json
import secrets
import threading
import urllib.parse
from collections.abc import Awaitable, Callable, Iterable
from http.cookies import CookieError, SimpleCookie
from typing import Any

from rotomask.app.refused import RefusedError
from rotomask.app.sessions import Sessions
from rotomask.app.settings import CHUNK_BYTES, JSON_BYTES

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

DRAIN_BYTES, DRAIN_SECONDS = 4 * CHUNK_BYTES, 5.0
SAFE_METHODS = ("GET", "HEAD")
PUBLIC_PATHS = ("/", "/favicon.ico")
STATIC = "/static/"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
    "media-src 'self' blob:; connect-src 'self'; worker-src 'self'; form-action 'none'; "
    "base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; "
    "trusted-types rotomask"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(self), microphone=(self), geolocation=()",
    "x-frame-options": "DENY",
}


class Access:
    """Tokens of one run of the server, which end with it, and the sessions of browsers.

    Args:
        cookie: Name of the cookie: cookies do not tell ports apart.
        sessions: They outlive a run, so that an open page goes on after a new start.
    """

    def __init__(self, cookie: str, sessions: Sessions) -> None:
        self.cookie, self.sessions = cookie, sessions
        self.bearer = secrets.token_urlsafe(32)
        """For scripts, in a header."""
        self._links: set[str] = set()
        self._lock = threading.Lock()
        self.on_link_used: Callable[[], None] = lambda: None

    def new_link(self) -> str:
        """A token that opens one session."""
        token = secrets.token_urlsafe(32)
        with self._lock:
            self._links.add(token)
        return token

    def open_session(self, token: str) -> str:
        """The cookie's value for a token; a link's token is used up.

        Raises:
            RefusedError: If the token is wrong or was used before.
        """
        with self._lock:
            # All are compared in constant time each; a set's lookup would tell by its time how much
            # of a token is right.
            link = next((candidate for candidate in self._links if _same(candidate, token)), None)
            if link is not None:
                self._links.discard(link)
            elif not _same(self.bearer, token):
                raise RefusedError(
                    401,
                    "wrong-token",
                    "This link has been used, or is of an earlier start.",
                    "Open the link that the terminal shows now.",
                )
        session = self.sessions.add()
        if link is not None:
            self.on_link_used()
        return session

    def is_bearer(self, headers: dict[str, str]) -> bool:
        """Whether a request has the scripts' token."""
        kind, _, token = headers.get("authorization", "").partition(" ")
        return kind.lower() == "bearer" and _same(self.bearer, token.strip())

    def has_session(self, headers: dict[str, str]) -> bool:
        """Whether a request has the cookie of an open session."""
        try:
            cookies = SimpleCookie(headers.get("cookie", ""))
        except CookieError:
            return False
        value = cookies[self.cookie].value if self.cookie in cookies else ""
        return self.sessions.has(value)


def _same(expected: str, given: str) -> bool:
    return hmac.compare_digest(expected.encode(), given.encode("utf-8", "replace"))


class Guard:
    """Refuses what may not pass, before anything else sees the request.

    Args:
        app: What is guarded, an ASGI application.
        access: The tokens.
        hosts: Values of the header Host by which the server may be reached.
    """

    def __init__(self, app: Any, access: Access, hosts: Iterable[str]) -> None:
        self.app, self.access = app, access
        self.hosts = frozenset(host.lower() for host in hosts)
        self.origins = frozenset(f"http://{host}" for host in self.hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            return
        send_with_headers = _with_headers(scope, send)
        try:
            # Before any byte of the body is read.
            self._check(scope)
        except RefusedError as error:
            await _drain(scope, receive)
            await send_refusal(error, send_with_headers)
            return
        await self.app(scope, _limited(scope, receive), send_with_headers)

    def _check(self, scope: Scope) -> None:
        headers = _headers(scope)
        method, path = scope["method"], scope["path"]
        self._check_host(headers)
        if method not in (*SAFE_METHODS, "POST", "PATCH", "DELETE"):
            raise RefusedError(405, "method", f"The method {method[:20]} is not used here.")
        is_bearer = self.access.is_bearer(headers)
        # The page itself and its scripts are public; what they fetch is not.
        is_page = method in SAFE_METHODS and (path in PUBLIC_PATHS or path.startswith(STATIC))
        if not is_page:
            self._check_site(headers, method, is_bearer=is_bearer)
            is_login = method == "POST" and path == "/api/session"
            if not is_login and not is_bearer and not self.access.has_session(headers):
                raise RefusedError(
                    401,
                    "no-token",
                    "This browser is not connected to rotomask.",
                    "Open the link that the terminal shows.",
                )
        if method in ("POST", "PATCH"):
            _check_body(headers, path)

    def _check_host(self, headers: dict[str, str]) -> None:
        if headers.get("host", "").lower() not in self.hosts:
            raise RefusedError(
                421,
                "host",
                "The server is not known by this name.",
                "Use the address that the terminal shows, or start it with --name.",
            )

    def _check_site(self, headers: dict[str, str], method: str, *, is_bearer: bool) -> None:
        """Refuse requests that other sites made the browser send."""
        site, origin = headers.get("sec-fetch-site"), headers.get("origin")
        foreign = RefusedError(403, "origin", "The request comes from another site.")
        if site not in (None, "same-origin", "none"):
            raise foreign
        if origin is not None and origin not in self.origins:
            raise foreign
        # A browser always sends Origin with these; a form on another site cannot leave it out.
        # Scripts with the token need none, for no other site knows it.
        if method not in SAFE_METHODS and not is_bearer:
            if origin is None:
                raise foreign
            if origin != f"http://{headers['host'].lower()}":
                raise foreign


def _headers(scope: Scope) -> dict[str, str]:
    """Headers by name; one that came twice counts as both, and so fits nothing."""
    headers: dict[str, str] = {}
    for name, value in scope["headers"]:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        headers[key] = f"{headers[key]}, {text}" if key in headers else text
    return headers


def _check_body(headers: dict[str, str], path: str) -> None:
    """Refuse bodies of another kind, and those that say that they are too large."""
    length = headers.get("content-length", "")
    if length and (not length.isdigit() or int(length) > _most_bytes(path)):
        message = f"The body has more than {_most_bytes(path)} bytes."
        raise RefusedError(413, "too-large", message, "Send smaller parts.")
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    is_empty = "transfer-encoding" not in headers and length in ("", "0")
    expected = "application/octet-stream" if _is_upload(path) else "application/json"
    if not is_empty and kind != expected:
        raise RefusedError(415, "content-type", f"The body must be {expected}.")


async def _drain(scope: Scope, receive: Receive) -> None:
    """Read what is still sent, up to a bound: who is cut off while sending sees no answer."""
    if scope["method"] not in ("POST", "PATCH"):
        return
    received = 0
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(DRAIN_SECONDS):
            while received <= DRAIN_BYTES:
                message = await receive()
                received += len(message.get("body", b""))
                if not message.get("more_body", False):
                    return


def _is_upload(path: str) -> bool:
    parts = path.strip("/").split("/")
    return len(parts) == 3 and parts[:2] == ["api", "uploads"]


def _most_bytes(path: str) -> int:
    """How long the body of a request may be."""
    return CHUNK_BYTES if _is_upload(path) else JSON_BYTES


def _limited(scope: Scope, receive: Receive) -> Receive:
    """The body of a request, which ends where it becomes too large."""
    most, received = _most_bytes(scope["path"]), 0

    async def limited() -> dict[str, Any]:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > most:
            raise RefusedError(413, "too-large", f"The body has more than {most} bytes.")
        return message

    return limited


def _with_headers(scope: Scope, send: Send) -> Send:
    """Answers with the headers that all have."""

    async def answer(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            # Pictures of frames set their own caching; whatever does not is not cached at all.
            given = {name.lower() for name, _ in message.get("headers", [])}
            added = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
            if b"cache-control" not in given:
                added.append((b"cache-control", b"private, no-store"))
            message["headers"] = [*message.get("headers", []), *added]
        await send(message)

    return answer


async def send_refusal(error: RefusedError, send: Send) -> None:
    """Answer with a refusal."""
    body = json.dumps(error.body).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": error.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def host_names(host: str, port: int, names: Iterable[str] = ()) -> tuple[str, ...]:
    """Values of the header Host for a server on an address.

    Example:
        >>> host_names("127.0.0.1", 8000)
        ('127.0.0.1:8000', 'localhost:8000', '[::1]:8000')
    """
    hosts = ["127.0.0.1", "localhost", "[::1]"]
    for name in (host, *names):
        bracketed = f"[{name}]" if ":" in name and not name.startswith("[") else name
        if bracketed not in hosts and bracketed not in ("0.0.0.0", "[::]"):
            hosts.append(bracketed)
    return tuple(f"{name}:{port}" for name in hosts) + (tuple(hosts) if port == 80 else ())


def disposition(name: str) -> str:
    """The header that makes a browser save a file under a name, whatever is in it."""
    # The plain name for old browsers, the quoted one for all others (RFC 6266).
    safe = "".join(c if (c.isalnum() and c.isascii()) or c in "-_. " else "_" for c in name)
    quoted = urllib.parse.quote(name, safe="")
    return f"attachment; filename=\"{safe.strip('. ') or 'file'}\"; filename*=UTF-8''{quoted}"
