"""Frames, masks, sound, results."""

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Response
from fastapi.responses import FileResponse

from rotomask.app.app import App
from rotomask.app.identifiers import is_id
from rotomask.app.packs import MOST_FRAMES, MOST_MASKS, masks_tag, pack_frames, pack_masks
from rotomask.app.refused import RefusedError, not_found
from rotomask.app.security import disposition

KEPT = {"Cache-Control": "private, max-age=86400, immutable"}
CHECKED = {"Cache-Control": "private, no-cache"}
TYPES = {"strip": "image/jpeg", "thumb": "image/jpeg"}
From = Annotated[int, Query(ge=0, alias="from")]
To = Annotated[int, Query(ge=0, alias="to")]
Tag = Annotated[str | None, Header()]


def media_routes(app: App) -> APIRouter:
    """The routes of pictures, sound and files."""
    router = APIRouter(tags=["media"])

    @router.get("/api/projects/{project}/frames", response_class=Response)
    def frames(project: str, first: From, last: To) -> Response:
        """A pack of frames, both ends included."""
        row = app.projects.require(project)
        wanted = frame_range(first, last, MOST_FRAMES)
        content = pack_frames(app.projects.folder(project) / "frames", wanted)
        is_complete = row["state"] == "ready"
        headers = KEPT if is_complete else CHECKED
        return Response(content, media_type="application/octet-stream", headers=headers)

    @router.get("/api/projects/{project}/frames/{index}.jpg", response_class=Response)
    def frame(project: str, index: int, w: str | None = None) -> Response:
        """One frame, as stored, of a width, or at its own size (`w=full`)."""
        row = app.projects.require(project)
        folder = app.projects.folder(project)
        if w is None:
            path = folder / "frames" / f"{index:05d}.jpg"
            if index < 0 or not path.is_file():
                raise not_found("frame")
            return FileResponse(path, media_type="image/jpeg", headers=KEPT)
        if not 0 <= index < row["frame_count"]:
            raise not_found("frame")
        if w != "full" and not (w.isascii() and w.isdigit() and 16 <= int(w) <= 8192):
            raise RefusedError(400, "width", "w must be full or a width from 16 to 8192.")
        message = {"do": "frame", "media": media(app, project), "frame": index}
        reply = app.ask(message if w == "full" else {**message, "width": int(w)})
        app.prepare(project, index)
        return Response(base64.b64decode(reply["data"]), media_type="image/jpeg", headers=KEPT)

    @router.get("/api/projects/{project}/{name}.jpg", response_class=Response)
    def picture(project: str, name: str) -> Response:
        """The filmstrip or the thumb."""
        app.projects.require(project)
        path = app.projects.folder(project) / f"{name}.jpg"
        if name not in TYPES or not path.is_file():
            raise not_found("picture")
        return FileResponse(path, media_type=TYPES[name], headers=CHECKED)

    @router.get("/api/projects/{project}/audio", response_class=Response)
    def audio(project: str) -> Response:
        """The sound, as AAC or the source's codec in MP4."""
        app.projects.require(project)
        path = app.projects.folder(project) / "audio.m4a"
        if not path.is_file():
            raise not_found("sound")
        return FileResponse(path, media_type="audio/mp4", headers=CHECKED)

    @router.get("/api/projects/{project}/pts")
    def pts(project: str) -> dict[str, Any]:
        """Times of the frames, seconds from the first."""
        app.projects.require(project)
        path = app.projects.folder(project) / "pts.json"
        if not path.is_file():
            raise not_found("list of times")
        return {"pts": json.loads(path.read_text(encoding="utf-8"))}

    return router


def mask_routes(app: App) -> APIRouter:
    """The routes of masks, and of files made of them."""
    router = APIRouter(tags=["media"])

    @router.get("/api/projects/{project}/masks", response_class=Response)
    def masks(project: str, first: From, last: To, if_none_match: Tag = None) -> Response:
        """A pack of masks, both ends included."""
        row = app.projects.require(project)
        wanted = frame_range(first, last, MOST_MASKS)
        document = app.projects.document(project)
        headers = {**CHECKED, "ETag": masks_tag(document, wanted)}
        if if_none_match == headers["ETag"]:
            return Response(status_code=304, headers=headers)
        folder = app.projects.folder(project) / "masks"
        content = pack_masks(folder, document, (row["width"], row["height"]), wanted)
        return Response(content, media_type="application/octet-stream", headers=headers)

    @router.get("/api/projects/{project}/files/{number}", response_class=Response)
    def file(project: str, number: str) -> Response:
        """A result, to be saved."""
        entry = _file(app, project, number)
        path = app.projects.folder(project) / "files" / number
        headers = {**CHECKED, "Content-Disposition": disposition(entry["name"])}
        return FileResponse(path, media_type="application/octet-stream", headers=headers)

    @router.delete("/api/projects/{project}/files/{number}", status_code=204)
    def delete_file(project: str, number: str) -> Response:
        """Delete a result."""
        with app.database.transaction():
            _file(app, project, number)
            app.projects.delete_file(project, number)
            app.projects.tell(project)
        return Response(status_code=204)

    return router


def _file(app: App, project: str, number: str) -> Mapping[str, Any]:
    app.projects.require(project)
    for entry in app.projects.files(project):
        if is_id(number) and entry["id"] == number:
            return entry
    raise not_found("file")


def media(app: App, project: str) -> str:
    """Path of a project's video, for the marker."""
    path: Path = app.projects.folder(project) / "media"
    return str(path.resolve())


def frame_range(first: int, last: int, most: int) -> range:
    """The frames of a pack.

    Raises:
        RefusedError: If they are too many, or none.
    """
    if not first <= last < first + most:
        raise RefusedError(400, "range", f"Ask for 1 to {most} frames, from and to included.")
    return range(first, last + 1)
