"""Commands that render pictures of a finished cut: effects, and a camera that follows objects."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from rotomask.cli.command import Command, grouped
from rotomask.cli.names import DESCRIPTIONS
from rotomask.cli.options import CutFolder, CutVideo, Messages
from rotomask.cli.terminal import job, print_outputs
from rotomask.cli.values import output_path
from rotomask.errors import OptionError

if TYPE_CHECKING:
    from rotomask.effects import Option

OF_EFFECT = ("effect_name", "settings", "transparent")
"""Parameters of `_render` that are no options."""
OBJECTS_HELP = "Only these objects, by their ids in the masks: 1,3.  [default: all]"


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """Where pictures of a cut are written, and of which frames."""

    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="FILE",
            parser=output_path,
            help="File to write: .mp4, .webm, .mov, .gif, .webp; without an ending a folder of PNG "
            "files, which resumes.  [default: named after VIDEO]",
        ),
    ] = None
    objects: Annotated[str | None, typer.Option(metavar="IDS", help=OBJECTS_HELP)] = None
    start: Annotated[
        int | None,
        typer.Option(metavar="FRAME", help="First frame.  [default: the first that was cut]"),
    ] = None
    end: Annotated[
        int | None,
        typer.Option(metavar="FRAME", help="Last frame.  [default: the last that was cut]"),
    ] = None
    at: Annotated[
        int | None,
        typer.Option(metavar="FRAME", help="Frame of --still.  [default: the first]"),
    ] = None
    still: Annotated[
        bool, typer.Option("--still", help="Write one frame alone: .png, .jpg or .webp.")
    ] = False
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an existing file or another job's output.")
    ] = False

    def path(self, video: Path, name: str, *, transparent: bool = False) -> Path:
        """Where to write; by default the video's name with that of the effect, in this folder."""
        ending = ".png" if self.is_still else "" if transparent else ".mp4"
        return self.out or Path(f"{video.resolve().stem}-{name}{ending}")

    @property
    def is_still(self) -> bool:
        """Whether one frame alone is written."""
        return self.still or self.at is not None

    def values(self, video: Path, folder: Path) -> dict[str, Any]:
        """The options as jobs take them."""
        at = self.at
        if self.still and at is None:
            at = self.start if self.start is not None else _first_frame(video, folder)
        return {
            "objects": read_ids(self.objects),
            "start": self.start,
            "stop": None if self.end is None else self.end + 1,
            "at": at,
            "overwrite": self.overwrite,
        }


@dataclass(frozen=True, kw_only=True)
class EffectEdges:
    """Soft edges of the objects in an effect."""

    feather: Annotated[
        float, typer.Option(metavar="PX", help="Soften the objects' edge over this width.")
    ] = 0.0
    choke: Annotated[
        float,
        typer.Option(metavar="PX", help="Move the objects' edge inwards; negative: outwards."),
    ] = 0.0
    no_matting: Annotated[
        bool,
        typer.Option("--no-matting", help="Keep the mask's edge; it does not follow the picture."),
    ] = False
    resize: Annotated[
        int | None,
        typer.Option(metavar="PX", help="Width of the output.  [default: the video's]"),
    ] = None


@grouped
def stabilise(
    video: CutVideo,
    folder: CutFolder,
    pictures: Pictures,
    messages: Messages,
    framing: Annotated[
        str,
        typer.Option(metavar="SHAPE", help="W:H such as 16:9, 1:1 or 9:16; source; or WxH in px."),
    ] = "16:9",
    zoom: Annotated[
        float,
        typer.Option(metavar="PART", help="0: as much as the shape allows; 1: near the object."),
    ] = 0.5,
    strength: Annotated[
        float,
        typer.Option(metavar="PART", help="0: the camera glides; 1: it holds the object exactly."),
    ] = 0.8,
    smoothness: Annotated[
        float,
        typer.Option(metavar="SECONDS", help="Faster swings do not move a gliding camera."),
    ] = 2.0,
) -> None:
    """Keep the objects of a cut in the middle of the picture, by a virtual camera.

    Prints the jitter of the object's centre before and after. The picture never shows a border.
    """
    out = pictures.path(video, "stable")
    with job(_safe(out), messages) as on_progress:
        from rotomask.jobs.stabilise import stabilise as run

        result = run(
            video,
            folder,
            out,
            on_progress=on_progress,
            framing=framing,
            zoom=zoom,
            strength=strength,
            smoothness=smoothness,
            **pictures.values(video, folder),
        )
    if not messages.quiet:
        path = result.path
        print(
            f"jitter of the object's centre {path.jitter_before:.2f} px before, "
            f"{path.jitter_after:.2f} px after; {path.offset_after:.1f} px from the middle"
        )
        print_outputs({"stabilised": result.out})


class EffectGroup(TyperGroup):
    """The command ``effect``, with a command for each effect, built when it is called."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Names of all effects."""
        return list(DESCRIPTIONS["Effects"]())

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of an effect.

        Raises:
            OptionError: If there is no such effect.
        """
        return effect_command(cmd_name)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Name, command and arguments."""
        return args[0], self.get_command(ctx, args[0]), args[1:]

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Arguments as NAME VIDEO FOLDER."""
        return ["NAME", "VIDEO", "FOLDER", "[OPTIONS]"]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write a section of effects, without loading them."""
        with formatter.section("Effects"):
            formatter.write_dl(list(DESCRIPTIONS["Effects"]().items()))


def effect_command(name: str) -> Any:
    """The command of an effect: what all effects share, and its own settings as options.

    Raises:
        OptionError: If there is no such effect.
    """
    from rotomask.effects import find_effect

    effect = find_effect(name)
    own = effect.settings.options()

    def run(**values: Any) -> None:
        settings = {option.name: values.pop(option.name) for option in own}
        of_effect = (name, settings, effect.transparent)
        _render(**values, **dict(zip(OF_EFFECT, of_effect, strict=True)))

    given = inspect.signature(_render).parameters.items()
    shared = [parameter for key, parameter in given if key not in OF_EFFECT]
    run.__signature__ = inspect.Signature([*shared, *map(_parameter, own)])  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in run.__signature__.parameters.values()}  # type: ignore[attr-defined]
    needs = " The first frames take longer: others are read." if "plate" in effect.needs else ""
    run.__doc__ = f"{effect.description}\n\n{needs}".strip()
    alone = typer.Typer(add_completion=False, rich_markup_mode=None)
    alone.command(name, cls=Command, context_settings={"max_content_width": 100})(run)
    return typer.main.get_command(alone)


@grouped
def _render(
    video: CutVideo,
    folder: CutFolder,
    pictures: Pictures,
    edges: EffectEdges,
    messages: Messages,
    effect_name: str,
    settings: dict[str, Any],
    transparent: bool,
) -> None:
    """Apply an effect; the last three parameters are not of the command line."""
    out = pictures.path(video, effect_name, transparent=transparent)
    with job(_safe(out), messages) as on_progress:
        from rotomask.jobs.effect import effect
        from rotomask.matting import EdgeControls

        result = effect(
            effect_name,
            video,
            folder,
            out,
            on_progress=on_progress,
            settings=settings,
            edges=EdgeControls(
                feather_px=edges.feather, choke_px=edges.choke, matting=not edges.no_matting
            ),
            resize=edges.resize,
            **pictures.values(video, folder),
        )
    if not messages.quiet:
        print_outputs({effect_name: result.out})


def read_ids(text: str | None) -> tuple[int, ...] | None:
    """Object ids separated by commas; None: all.

    Raises:
        OptionError: If one is no id.
    """
    if text is None:
        return None
    ids = [word.strip() for word in text.split(",")]
    if not all(word.isdecimal() and int(word) > 0 for word in ids):
        raise OptionError(f"--objects takes ids such as 1,3, got {text!r}")
    return tuple(int(word) for word in ids)


def _first_frame(video: Path, folder: Path) -> int:
    from rotomask.jobs.rendering import cut_frames
    from rotomask.video import open_video

    return cut_frames(open_video(video), folder, None, None).start


def _safe(out: Path) -> Callable[[], str]:
    """What is safe after Ctrl-C."""

    def safe() -> str:
        if out.suffix:
            return "no incomplete file was left"
        return f"finished frames are in {out}; run the same command again to resume"

    return safe


def _parameter(option: "Option") -> inspect.Parameter:
    """A setting of an effect as an option of its command."""
    kinds = {"number": float, "whole": int, "flag": bool}
    metavars = {"number": "NUMBER", "whole": "NUMBER", "choice": "NAME", "colour": "COLOUR"}
    text = option.help.rstrip(".")
    if option.low is not None:
        unit = " % of the short side" if option.unit == "%" else f" {option.unit}".rstrip()
        text += f"; {option.low:g} to {option.high:g}{unit}"
    elif option.choices:
        text += f": {', '.join(option.choices)}"
    spelled = option.name.replace("_", "-")
    names = [f"--{spelled}/--no-{spelled}"] if option.kind == "flag" else [f"--{spelled}"]
    metavar = None if option.kind == "flag" else metavars.get(option.kind, "FILE|COLOUR")
    return inspect.Parameter(
        option.name,
        inspect.Parameter.KEYWORD_ONLY,
        annotation=Annotated[
            kinds.get(option.kind, str),
            typer.Option(*names, metavar=metavar, help=f"{text}.", rich_help_panel="Settings"),
        ],
        default=option.default,
    )


effect_app = typer.Typer(
    cls=EffectGroup,
    rich_markup_mode=None,
    add_completion=False,
    help="Apply an effect to the objects of a finished cut. `rotomask effect NAME --help` lists "
    "the settings of one.",
)
"""The group of effects."""


@effect_app.callback()
def _effect() -> None:
    pass
