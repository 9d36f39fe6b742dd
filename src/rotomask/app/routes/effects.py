"""Effects, the virtual camera, stills: what is shown before a file is made."""

import base64
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response

from rotomask.app.app import App
from rotomask.app.refused import RefusedError
from rotomask.app.routes.bodies import PathBody, PreviewBody
from rotomask.app.security import disposition


def effect_routes(app: App) -> APIRouter:
    """The routes of effects."""
    router = APIRouter(tags=["effects"])

    @router.get("/api/effects")
    def effects() -> dict[str, Any]:
        """The effects with their settings."""
        return {"effects": app.effects()}

    @router.post("/api/projects/{project}/preview", response_class=Response)
    def preview(project: str, body: PreviewBody) -> Response:
        """One frame with an effect."""
        message = {
            **_masks(app, project, body.frame),
            "do": "preview",
            "effect": body.effect,
            "settings": body.settings,
            "media": app.media_settings(project, body.effect, body.settings),
            "frame": body.frame,
            "width": body.width,
        }
        return Response(base64.b64decode(app.view(message)["data"]), media_type="image/webp")

    @router.post("/api/projects/{project}/path")
    def path(project: str, body: PathBody) -> dict[str, Any]:
        """The windows of a stabilised video, and how steady it is."""
        reply = app.view({**_masks(app, project, 0), "do": "path", "params": body.model_dump()})
        return {name: reply[name] for name in ("boxes", "jitter", "size")}

    @router.get("/api/projects/{project}/still", response_class=Response)
    def still(
        project: str,
        frame: Annotated[int, Query(ge=0)],
        kind: Annotated[Literal["png", "webp"], Query(alias="format")] = "png",
    ) -> Response:
        """The objects of one frame on transparency, to be saved."""
        message = {**_masks(app, project, frame), "do": "still", "frame": frame, "format": kind}
        name = f"{app.projects.require(project)['name']} {frame:05d}.{kind}"
        return Response(
            base64.b64decode(app.view(message)["data"]),
            media_type=f"image/{kind}",
            headers={"Content-Disposition": disposition(name)},
        )

    return router


def _masks(app: App, project: str, frame: int) -> dict[str, Any]:
    row = app.projects.require(project)
    if not frame < row["frame_count"]:
        raise RefusedError(400, "frame", f"The video has frames 0 to {row['frame_count'] - 1}.")
    message = app.projects.masks_message(project)
    if not message["masks"]:
        raise RefusedError(409, "no-masks", "There are no masks yet.", "Mark an object first.")
    return message
