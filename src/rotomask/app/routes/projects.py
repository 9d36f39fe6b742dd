"""Projects and their objects."""

import json
import time
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Response

from rotomask.app.app import App
from rotomask.app.doubt import doubtful
from rotomask.app.projects import UI_BYTES
from rotomask.app.refused import RefusedError, not_found
from rotomask.app.routes.bodies import NewObject, NewProject, ObjectChange, ProjectChange

EXAMPLE = Path(__file__).parents[2] / "assets" / "demo" / "clip.mp4"


def project_routes(app: App) -> APIRouter:
    """The routes of projects."""
    router = APIRouter(tags=["projects"])

    @router.get("/api/projects")
    def list_projects() -> dict[str, Any]:
        """All projects, the last opened first."""
        return {"projects": app.projects.listed()}

    @router.post("/api/projects", status_code=201)
    def create_project(body: NewProject) -> dict[str, Any]:
        """A project of the example, or of a file beneath an allowed folder."""
        if body.example == (body.path is not None):
            raise RefusedError(400, "body", "Give either example or path.")
        app.check_disk()
        source = EXAMPLE if body.path is None else _allowed(app, body.path)
        name = "Example: dog" if body.path is None else source.name
        project = app.uploads.open_file(source.resolve(), name)
        app.supervisor.wake()
        return app.projects.summary(project)

    @router.get("/api/projects/{project}")
    def get_project(project: str) -> dict[str, Any]:
        """A project with everything about it."""
        with app.database.transaction():
            app.projects.require(project)
            app.database.run("UPDATE project SET opened = ? WHERE id = ?", time.time(), project)
            return whole_project(app, project)

    @router.patch("/api/projects/{project}")
    def change_project(project: str, body: ProjectChange) -> dict[str, Any]:
        """Rename a project, or store the view."""
        with app.database.transaction():
            app.projects.require(project)
            if body.ui is not None:
                text = json.dumps(body.ui)
                if len(text) > UI_BYTES:
                    raise RefusedError(413, "too-large", f"ui has more than {UI_BYTES} bytes.")
                app.database.run("UPDATE project SET ui = ? WHERE id = ?", text, project)
            if body.name is not None:
                app.projects.update(project, name=body.name)
            summary = app.projects.summary(project)
        frame = (body.ui or {}).get("frame")
        if isinstance(frame, int) and 0 <= frame < summary["frame_count"]:
            app.prepare(project, frame)
        return summary

    @router.delete("/api/projects/{project}", status_code=204)
    def delete_project(project: str) -> Response:
        """Delete a project with its files and jobs."""
        app.delete_project(project)
        return Response(status_code=204)

    @router.get("/api/projects/{project}/doubt")
    def get_doubt(project: str) -> dict[str, Any]:
        """Frames that most need a look."""
        document = app.projects.document(project)
        return {"frames": doubtful(document)}

    return router


def object_routes(app: App) -> APIRouter:
    """The routes of objects."""
    router = APIRouter(tags=["objects"])

    @router.post("/api/projects/{project}/objects", status_code=201)
    def add_object(project: str, body: NewObject) -> dict[str, Any]:
        """Add an object."""
        with app.database.transaction():
            app.projects.require(project)
            return app.projects.add_object(project, body.name, body.colour)

    @router.patch("/api/projects/{project}/objects/{label}")
    def change_object(project: str, label: int, body: ObjectChange) -> dict[str, Any]:
        """Rename, colour, hide or lock an object."""
        values = {k: v for k, v in body.model_dump().items() if v is not None}
        with app.database.transaction():
            app.projects.require(project)
            if not values:
                return app.projects.require_object(project, label)
            return app.projects.change_object(project, label, **values)

    @router.delete("/api/projects/{project}/objects/{label}", status_code=204)
    def delete_object(project: str, label: int) -> Response:
        """Delete an object; undo brings it back."""
        app.projects.require(project)
        app.edit(project, lambda: app.projects.change_object(project, label, deleted=1))
        return Response(status_code=204)

    return router


def whole_project(app: App, project: str) -> dict[str, Any]:
    """The project as `GET /api/projects/P` answers it."""
    row = app.projects.require(project)
    return {
        **app.projects.summary(project),
        "objects": app.projects.objects(project),
        "frames": app.projects.document(project).states(),
        "marks": app.projects.marks(project),
        "jobs": app.jobs.listed(project),
        "files": app.projects.files(project),
        "ui": json.loads(row["ui"]),
    }


def _allowed(app: App, text: str) -> Path:
    """A file beneath an allowed folder; links and everything outside are as if they were not."""
    relative = Path(text)
    if "\x00" not in text and not relative.is_absolute() and ".." not in relative.parts:
        for folder in app.settings.allowed:
            root = folder.resolve()
            path = root / relative
            if path.resolve() == path and path.is_file():
                return path
    raise not_found("file in the folders that can be opened")
