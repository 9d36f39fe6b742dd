"""Uploads in parts."""

import asyncio
import os
from typing import Any

from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool

from rotomask.app.app import App
from rotomask.app.refused import RefusedError
from rotomask.app.routes.bodies import NewUpload
from rotomask.app.settings import CHUNK_BYTES

SILENT_SECONDS = 60.0
"""Longest pause in the bytes of one part."""


def upload_routes(app: App) -> APIRouter:
    """The routes of uploads."""
    router = APIRouter(tags=["uploads"])
    busy: set[str] = set()

    @router.post("/api/uploads", status_code=201)
    def create_upload(body: NewUpload) -> dict[str, Any]:
        """Begin an upload."""
        upload = app.uploads.create(body.name, body.size)
        return {"id": upload, "offset": 0, "chunk": CHUNK_BYTES}

    @router.head("/api/uploads/{upload}")
    def upload_offset(upload: str) -> Response:
        """How many bytes are there."""
        app.uploads.require(upload)
        return _offset(204, app.uploads.offset(upload))

    @router.patch("/api/uploads/{upload}", status_code=204)
    async def append(upload: str, request: Request) -> Response:
        """Add bytes to the end."""
        row = await run_in_threadpool(app.uploads.require, upload)
        if upload in busy:
            raise RefusedError(409, "busy", "Another part is being sent.", "Wait for it.")
        busy.add(upload)
        try:
            offset = app.uploads.offset(upload)
            if request.headers.get("upload-offset") != str(offset) or row["finished"]:
                refused = RefusedError(409, "offset", f"The upload goes on at byte {offset}.")
                raise RefusedError(409, "offset", str(refused), offset=offset)
            await run_in_threadpool(app.check_disk, row["size"] - offset)
            await _append(app, upload, request, row["size"] - offset)
            return _offset(204, app.uploads.offset(upload))
        finally:
            busy.discard(upload)

    @router.post("/api/uploads/{upload}/finish", status_code=201)
    def finish(upload: str) -> dict[str, Any]:
        """Make a project of the complete upload."""
        project = app.uploads.finish(upload)
        app.supervisor.wake()
        return app.projects.summary(project)

    @router.delete("/api/uploads/{upload}", status_code=204)
    def delete(upload: str) -> Response:
        """Forget an upload."""
        app.uploads.delete(upload)
        return Response(status_code=204)

    return router


async def _append(app: App, upload: str, request: Request, room: int) -> None:
    """Write the bytes of a request as they come; what came before a break stays."""
    with app.uploads.path(upload).open("ab") as file:
        stream = request.stream()
        while True:
            try:
                chunk = await asyncio.wait_for(anext(stream), SILENT_SECONDS)
            except StopAsyncIteration:
                break
            except TimeoutError:
                raise RefusedError(408, "slow", "The bytes stopped coming.") from None
            room -= len(chunk)
            if room >= 0:
                await run_in_threadpool(file.write, chunk)
        file.flush()
        await run_in_threadpool(os.fsync, file.fileno())
    if room < 0:
        raise RefusedError(413, "too-large", "More bytes came than were announced.", "Begin again.")


def _offset(status: int, offset: int) -> Response:
    return Response(status_code=status, headers={"Upload-Offset": str(offset)})
