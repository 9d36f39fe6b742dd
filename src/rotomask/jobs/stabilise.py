"""A video seen by a virtual camera that follows the objects of a finished cut."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rotomask.effects.camera import open_camera
from rotomask.effects.camera_path import CameraPath, CameraSettings
from rotomask.jobs.notebook import shows_bars
from rotomask.jobs.progress import OnProgress
from rotomask.jobs.rendering import (
    Rendering,
    RenderingOptions,
    cut_frames,
    render,
    render_still,
    separated,
)
from rotomask.video import Video, open_video


@dataclass(frozen=True, kw_only=True)
class StabiliseOptions(RenderingOptions):
    """How the camera moves, and what of it is written; it follows the objects together."""

    camera: CameraSettings = field(default_factory=CameraSettings)
    """Framing, zoom, strength and smoothness; they may also be given as keywords."""


@dataclass(frozen=True, kw_only=True)
class StabiliseResult:
    """What `stabilise` wrote, and how steady the object is."""

    out: Path
    frames: int
    path: CameraPath
    """The camera's windows; `jitter_before` and `jitter_after` are measured on them."""


@shows_bars
def stabilise(
    video: str | Path | Video,
    folder: str | Path,
    out: str | Path,
    options: StabiliseOptions | None = None,
    *,
    on_progress: OnProgress | None = None,
    **changes: object,
) -> StabiliseResult:
    """Render a video as a camera sees it that follows the objects of a finished cut.

    The picture is always inside the video's frames: no border shows.

    Args:
        video: The video that was cut.
        folder: Output folder of `cut` or `refine`, or any folder with ``masks/NAME.png``.
        out: File to write, as for `effect`.
        options: How; or give its fields as keywords.
        on_progress: Receives the stage ``stabilise``.
        **changes: Fields of `StabiliseOptions` and of `CameraSettings`.

    Raises:
        InputError: If the video, a mask or a setting cannot be used.
        OutputError: If the output cannot be written, or exists.

    Example:
        >>> stabilise("clip.mp4", "clip-cut", "steady.mp4", framing="9:16")  # doctest: +SKIP
    """
    settings = _options(options or StabiliseOptions(), changes)
    opened = video if isinstance(video, Video) else open_video(video)
    root = Path(folder)
    frames = cut_frames(opened, root, settings.start, settings.stop)
    values = settings.camera.to_json()
    view = open_camera(opened, root, values, objects=settings.objects, frames=frames)
    work = Rendering(
        command="stabilise",
        settings={
            "camera": values,
            "objects": None if settings.objects is None else list(settings.objects),
        },
        video=opened,
        cut=root,
        frames=frames,
        picture=view.picture,
        time_s=lambda index: view.scene.frame(index).time_s,
        out=Path(out),
        overwrite=settings.overwrite,
        on_progress=on_progress,
    )
    if settings.at is not None:
        return StabiliseResult(out=render_still(work, settings.at), frames=1, path=view.path)
    return StabiliseResult(out=render(work), frames=len(frames), path=view.path)


def _options(options: StabiliseOptions, changes: Mapping[str, object]) -> StabiliseOptions:
    """Options with changes, of which those that are no option are settings of the camera.

    Raises:
        OptionError: If a name is neither.
    """
    own = [option.name for option in CameraSettings.options()]
    values, camera = separated(options, own, changes, "stabilise")
    values["camera"] = values["camera"].changed(camera)
    return StabiliseOptions(**values)
