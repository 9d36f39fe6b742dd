"""The queue."""

from typing import Annotated, Any

from fastapi import APIRouter, Header

from rotomask.app.app import App
from rotomask.app.jobs_queue import ENDED
from rotomask.app.refused import RefusedError
from rotomask.app.routes.bodies import EffectBody, JobBody, JobChange

Key = Annotated[str | None, Header(max_length=200)]


def job_routes(app: App) -> APIRouter:
    """The routes of jobs."""
    router = APIRouter(tags=["jobs"])

    @router.get("/api/jobs")
    def list_jobs() -> dict[str, Any]:
        """Jobs that wait or run, in order, then those that ended last."""
        return {"jobs": app.jobs.listed()}

    @router.post("/api/projects/{project}/jobs", status_code=202)
    def add_job(project: str, body: JobBody, idempotency_key: Key = None) -> dict[str, Any]:
        """Queue a job; the same key gives the job that was queued first."""
        params = {
            name: value
            for name, value in body.model_dump(by_alias=True, exclude={"kind"}).items()
            if value is not None
        }
        app.check_disk()
        if isinstance(body, EffectBody):
            params["media"] = app.media_settings(project, body.effect, body.settings)
        with app.database.transaction():
            row = app.projects.require(project)
            if row["state"] != "ready":
                raise RefusedError(409, "importing", "The video is not imported yet.", "Wait.")
            _check(app, project, body.kind, params)
            job = app.jobs.add(project, body.kind, params, idempotency_key)
        app.supervisor.wake()
        return job

    @router.patch("/api/jobs/{job}")
    def change_job(job: str, body: JobChange) -> dict[str, Any]:
        """Pause, resume, cancel or move a job."""
        with app.database.transaction():
            row = app.jobs.require(job)
            if body.state is not None and body.state != row["state"]:
                if row["state"] in ENDED and not (
                    row["state"] == "failed" and body.state == "queued"
                ):
                    raise RefusedError(409, "ended", "The job has ended.")
                running = row["state"] == "running" and body.state == "queued"
                if not running:
                    app.jobs.update(job, state=body.state, error=None, tries=0)
                if row["kind"] == "import" and body.state == "queued":
                    app.projects.update(row["project"], state="importing", error=None)
            if body.position is not None:
                app.jobs.update(job, position=body.position)
                app.jobs.tell(job)
            public = app.jobs.public(job)
        app.supervisor.wake()
        return public

    return router


def _check(app: App, project: str, kind: str, params: dict[str, Any]) -> None:
    """Refuse a job that cannot be done, at once."""
    document = app.projects.document(project)
    if kind == "cut" and not document.objects:
        raise RefusedError(
            409, "no-marks", "Nothing is marked yet.", "Mark an object in a frame first."
        )
    if kind in ("export", "effect", "stabilise") and not document.frames:
        raise RefusedError(409, "no-masks", "There are no masks yet.", "Cut the video first.")
