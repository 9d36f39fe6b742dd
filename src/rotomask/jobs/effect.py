"""Effects on a finished cut: a movie, an animated image, a folder of pictures or a still."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from rotomask.effects.options import is_colour
from rotomask.effects.registry import EffectView, find_effect, open_effect
from rotomask.files import content_digest
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
from rotomask.matting import EdgeControls
from rotomask.video import Video, open_video


@dataclass(frozen=True, kw_only=True)
class EffectOptions(RenderingOptions):
    """What an effect is applied to, and what of it is written."""

    settings: Mapping[str, object] = field(default_factory=dict)
    """The effect's own settings by name; they may also be given as keywords of `effect`."""
    edges: EdgeControls = field(default_factory=lambda: EdgeControls(matting=True))
    """How the objects' edge is softened; by default it follows the picture."""
    resize: int | None = None
    """Width of the output, px; None: the video's."""


@dataclass(frozen=True, kw_only=True)
class EffectResult:
    """What `effect` wrote."""

    out: Path
    """The file, or the folder of PNG files."""
    frames: int


@shows_bars
def effect(
    name: str,
    video: str | Path | Video,
    folder: str | Path,
    out: str | Path,
    options: EffectOptions | None = None,
    *,
    on_progress: OnProgress | None = None,
    **changes: object,
) -> EffectResult:
    """Apply an effect to the objects of a finished cut.

    Args:
        name: A name of `rotomask.effects.EFFECTS`.
        video: The video that was cut.
        folder: Output folder of `cut` or `refine`, or any folder with ``masks/NAME.png``.
        out: File to write: ``.mp4``, ``.webm``, ``.mov``, ``.gif`` or ``.webp``, with the video's
            sound where there is any; an image for a still; without an ending a folder of PNG files,
            which resumes.
        options: How; or give its fields as keywords.
        on_progress: Receives the stage ``effect``.
        **changes: Fields of `EffectOptions`, and settings of the effect.

    Raises:
        InputError: If the video, a mask, the effect or a setting cannot be used.
        OutputError: If the output cannot be written, or exists.

    Example:
        >>> effect("erase", "clip.mp4", "clip-cut", "empty.mp4", margin=2)  # doctest: +SKIP
    """
    work_options = _options(name, options or EffectOptions(), changes)
    opened = video if isinstance(video, Video) else open_video(video)
    root = Path(folder)
    frames = cut_frames(opened, root, work_options.start, work_options.stop)
    view = open_effect(
        name,
        opened,
        root,
        work_options.settings,
        objects=work_options.objects,
        edges=work_options.edges,
        frames=frames,
    )
    media = _media(view)
    work = Rendering(
        command="effect",
        settings={
            "effect": name,
            **view.settings.to_json(),
            "objects": None if work_options.objects is None else list(work_options.objects),
            "edges": asdict(work_options.edges),
            "media": {key: _digest(path) for key, path in media.items()},
        },
        video=opened,
        cut=root,
        frames=frames,
        picture=view.picture,
        time_s=lambda index: view.scene.frame(index).time_s,
        out=Path(out),
        resize=work_options.resize,
        overwrite=work_options.overwrite,
        on_progress=on_progress,
        inputs=list(media.values()),
    )
    if work_options.at is not None:
        return EffectResult(out=render_still(work, work_options.at), frames=1)
    return EffectResult(out=render(work), frames=len(frames))


def _options(name: str, options: EffectOptions, changes: Mapping[str, object]) -> EffectOptions:
    """Options with changes, of which those that are no option are settings of the effect.

    Raises:
        OptionError: If a name is neither.
    """
    own = [option.name for option in find_effect(name).settings.options()]
    values, settings = separated(options, own, changes, name)
    values["settings"] = {**options.settings, **values["settings"], **settings}
    return EffectOptions(**values)


def _media(view: EffectView) -> dict[str, Path]:
    """Files that the settings name, by setting."""
    names = [option.name for option in view.settings.options() if option.kind == "media"]
    values = {name: str(getattr(view.settings, name)) for name in names}
    return {name: Path(value) for name, value in values.items() if not is_colour(value)}


def _digest(path: Path) -> str:
    """A fingerprint of a file; of a folder its name."""
    return content_digest(path) if path.is_file() else str(path.resolve().name)
