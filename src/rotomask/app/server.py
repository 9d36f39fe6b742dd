"""The HTTP server: routes behind the guard, static files, events, a page about the API."""

import html
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI, Header, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, StreamingResponse
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException

from rotomask import __version__
from rotomask.app.app import App
from rotomask.app.identifiers import is_id
from rotomask.app.refused import RefusedError, not_found
from rotomask.app.routes.bodies import SessionBody, export_formats
from rotomask.app.routes.effects import effect_routes
from rotomask.app.routes.jobs import job_routes
from rotomask.app.routes.marks import mark_routes, proposal_routes
from rotomask.app.routes.media import mask_routes, media_routes
from rotomask.app.routes.projects import object_routes, project_routes
from rotomask.app.routes.uploads import upload_routes
from rotomask.app.security import Access, Guard

STATIC = Path(__file__).parent / "static"
PLACEHOLDER = "<!doctype html><title>rotomask</title><p>The page is not part of this build.</p>"
HTTP_MESSAGES = {
    "There was an error parsing the body": "The body is no JSON that can be read.",
    "Not Found": "There is nothing at this address.",
}
"""What the framework says -> what we say."""


def create_server(app: App, access: Access, hosts: tuple[str, ...]) -> Guard:
    """The server of an app.

    Args:
        app: What it serves; started and closed with it.
        access: Who may.
        hosts: Values of the header Host that it answers to.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        app.start()
        yield
        app.close()

    api = FastAPI(
        title="rotomask",
        version=__version__,
        description="Projects, marks and jobs of `rotomask app`; examples: docs/guide/app-api.md.",
        # The framework's own pages load scripts from other servers; `api_page` is in their place.
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        lifespan=lifespan,
        redirect_slashes=False,
    )
    _add_errors(api)
    _add_page(api)
    _add_session(api, app, access)
    for routes in (
        project_routes,
        object_routes,
        upload_routes,
        media_routes,
        mask_routes,
        mark_routes,
        proposal_routes,
        job_routes,
        effect_routes,
    ):
        api.include_router(routes(app))
    # Ids become names of folders: what is none must not get as far as a path.
    api.add_middleware(_CheckedIds)
    return Guard(api, access, hosts)


class _CheckedIds:
    """Answers 404 to addresses whose ids cannot be ids, before anything looks for them."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        parts = scope.get("path", "").split("/")
        kinds = ("projects", "uploads", "jobs")
        if len(parts) > 3 and parts[1] == "api" and parts[2] in kinds and not is_id(parts[3]):
            refused = not_found(parts[2].removesuffix("s"))
            await JSONResponse(refused.body, refused.status)(scope, receive, send)
            return
        await self.app(scope, receive, send)


def _add_errors(api: FastAPI) -> None:
    """Errors as docs/app-design.md has them."""

    @api.exception_handler(RefusedError)
    async def refused(_: Request, error: Exception) -> Response:
        assert isinstance(error, RefusedError)
        offset = error.details.get("offset")
        headers = None if offset is None else {"Upload-Offset": str(offset)}
        return JSONResponse(error.body, error.status, headers)

    @api.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        first = error.errors()[0] if error.errors() else {"loc": (), "msg": "invalid"}
        # The first fault alone, cut to length: it repeats what was sent, which may be anything.
        where = ".".join(str(part) for part in first["loc"] if part != "body")
        prefix = f"{where[:100]}: " if where else ""
        message = f"The request is not valid: {prefix}{str(first['msg'])[:200]}."
        body = RefusedError(422, "invalid", message, "The API page lists what is accepted.").body
        return JSONResponse(body, 422)

    @api.exception_handler(HTTPException)
    async def other(_: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        message = HTTP_MESSAGES.get(str(error.detail), str(error.detail))
        body = RefusedError(error.status_code, "http", message).body
        return JSONResponse(body, error.status_code)

    @api.exception_handler(Exception)
    async def unexpected(_: Request, error: Exception) -> Response:
        message = "An error in rotomask; the terminal says more."
        return JSONResponse(RefusedError(500, "bug", message).body, 500)


def _add_page(api: FastAPI) -> None:
    @api.get("/", include_in_schema=False)
    def page() -> Response:
        index = STATIC / "index.html"
        headers = {"Cache-Control": "no-cache"}
        if not index.is_file():
            return HTMLResponse(PLACEHOLDER, headers=headers)
        return FileResponse(index, media_type="text/html", headers=headers)

    class Static(StaticFiles):
        """Files of the page, checked for a newer version at every use."""

        def file_response(self, *args: Any, **kwargs: Any) -> Response:
            response = super().file_response(*args, **kwargs)
            response.headers["Cache-Control"] = "no-cache"
            return response

    if STATIC.is_dir():
        api.mount("/static", Static(directory=STATIC), name="static")


def _add_session(api: FastAPI, app: App, access: Access) -> None:
    @api.post("/api/session", tags=["session"])
    def open_session(body: SessionBody) -> Response:
        """Exchange a token for the cookie."""
        value = access.open_session(body.token)
        response = JSONResponse({"connected": True})
        # No script reads it, and no other site's page sends it.
        response.set_cookie(access.cookie, value, httponly=True, samesite="strict", path="/")
        return response

    @api.get("/api/status", tags=["session"])
    def status() -> dict[str, Any]:
        """Version, limits, free space."""
        limits = app.settings.limits
        return {
            "version": __version__,
            "data_free_bytes": app.free_bytes(),
            "limits": {
                "upload_bytes": limits.upload_bytes,
                "seconds": limits.seconds,
                "pixels": limits.pixels,
                "projects": limits.projects,
            },
            "record_seconds": app.settings.record_seconds,
            "open_dirs": bool(app.settings.allowed),
            "formats": export_formats(),
            "effect_formats": ["mp4", "webm", "mov", "gif", "webp", "png"],
            "max_revision_event": app.events.newest(),
        }

    @api.get("/api/events", tags=["session"], response_class=StreamingResponse)
    async def events(last_event_id: Annotated[str | None, Header()] = None) -> Response:
        """News as server-sent events."""
        last = last_event_id or ""
        # At most 17 digits: SQLite's integers have 64 bits. `isdigit` alone takes digits of other
        # scripts, of which some `int` refuses.
        number = int(last) if last.isascii() and last.isdigit() and len(last) < 18 else None

        def snapshot() -> dict[str, Any]:
            return {"jobs": app.jobs.listed(), "projects": app.projects.listed()}

        stream = app.events.read(number, snapshot)
        # nginx, where there is one in between, would gather events before it passes them on.
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(stream, media_type="text/event-stream", headers=headers)

    @api.get("/api/openapi.json", tags=["session"])
    def openapi() -> dict[str, Any]:
        """This description."""
        return api.openapi()

    @api.get("/api/docs", tags=["session"], response_class=HTMLResponse)
    def docs() -> HTMLResponse:
        """A page that lists the requests."""
        return HTMLResponse(api_page(api.openapi()))


def api_page(description: dict[str, Any]) -> str:
    """The requests of an OpenAPI description as a page without scripts."""
    rows = []
    for path, methods in description["paths"].items():
        for method, about in methods.items():
            text = about.get("description") or about.get("summary", "")
            cells = (method.upper(), path, text)
            rows.append("".join(f"<td>{html.escape(str(cell))}</td>" for cell in cells))
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>rotomask: API</title>'
        '<meta name="viewport" content="width=device-width"><h1>API of rotomask app</h1>'
        "<p>Send <code>Authorization: Bearer TOKEN</code>; the details are in "
        '<a href="/api/openapi.json">openapi.json</a>.</p>'
        f"<table><tr><th>Method<th>Address<th>Answer</tr>{body}</table></html>"
    )
