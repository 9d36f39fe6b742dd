"""What requests hold, checked before anything is done."""

from importlib.util import find_spec
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

MOST_POINTS, MOST_MARKS = 10_000, 100
Coordinate = Annotated[float, Field(ge=-100_000, le=100_000, allow_inf_nan=False)]
Size = Annotated[float, Field(gt=0, le=100_000, allow_inf_nan=False)]
Points = Annotated[list[tuple[Coordinate, Coordinate]], Field(min_length=1, max_length=MOST_POINTS)]
Name = Annotated[str, Field(min_length=1, max_length=200)]
Colour = Annotated[str, Field(pattern=r"^#[0-9a-fA-F]{6}$")]
FrameNumber = Annotated[int, Field(ge=0, le=10_000_000)]
Label = Annotated[int, Field(ge=1, le=255)]


ExportFormat = Literal[
    "overlay",
    "outline",
    "side-by-side",
    "webm",
    "prores",
    "rgba",
    "mattes",
    "exr",
    "masks",
    "coco",
    "youtube-vis",
    "polygons",
    "contact-sheet",
    "gif",
    "webp",
]


def export_formats() -> list[str]:
    """The formats that can be written here: EXR needs a library."""
    return [f for f in get_args(ExportFormat) if f != "exr" or find_spec("OpenEXR") is not None]


class Body(BaseModel):
    """A body whose fields are all known."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)


class SessionBody(Body):
    """A token, from a link or of scripts."""

    token: Annotated[str, Field(max_length=200)]


class NewProject(Body):
    """The example, or a file beneath a folder that the server was started with."""

    example: bool = False
    path: Annotated[str, Field(max_length=4096)] | None = None


class ProjectChange(Body):
    """A new name, or what the page stores of its view."""

    name: Name | None = None
    ui: dict[str, Any] | None = None


class NewUpload(Body):
    """A file that is about to be sent."""

    name: Name
    size: Annotated[int, Field(ge=0)]


class NewObject(Body):
    """An object to add."""

    name: Name | None = None
    colour: Colour | None = None


class ObjectChange(Body):
    """Properties of an object to set."""

    name: Name | None = None
    colour: Colour | None = None
    hidden: bool | None = None
    locked: bool | None = None


class ClickMark(Body):
    """A pixel on the object, or not on it."""

    kind: Literal["click"]
    x: Coordinate
    y: Coordinate
    positive: bool = True


class BoxMark(Body):
    """A rectangle around the object."""

    kind: Literal["box"]
    x: Coordinate
    y: Coordinate
    width: Size
    height: Size


class ScribbleMark(Body):
    """A stroke through the object, or through what is not the object."""

    kind: Literal["scribble"]
    points: Points
    width: Annotated[float, Field(gt=0, le=1000)] = 5.0
    positive: bool = True
    method: Literal["grabcut", "network"] = "network"


class BrushMark(Body):
    """A stroke that paints or erases exactly what it covers."""

    kind: Literal["brush"]
    points: Points
    width: Annotated[float, Field(gt=0, le=5000)]
    positive: bool = True


class PolygonMark(Body):
    """An area that is painted or erased."""

    kind: Literal["polygon"]
    points: Points
    positive: bool = True


Mark = Annotated[
    ClickMark | BoxMark | ScribbleMark | BrushMark | PolygonMark, Field(discriminator="kind")
]


class MarksBody(Body):
    """Marks of one object on one frame."""

    frame: FrameNumber
    object: Label
    rev: int
    marks: Annotated[list[Mark], Field(min_length=1, max_length=MOST_MARKS)]


class MarkChange(Body):
    """Another mark in place of one."""

    frame: FrameNumber
    rev: int
    mark: Mark


class ClearBody(Body):
    """An object that is not in a frame."""

    frame: FrameNumber
    object: Label
    rev: int


class CopyBody(Body):
    """An object whose mask is used for another frame."""

    source: Annotated[int, Field(ge=0, alias="from")]
    to: FrameNumber
    object: Label
    rev: int


class FreezeBody(Body):
    """Frames whose masks are right, or no longer so."""

    first: Annotated[int, Field(ge=0, alias="from")]
    last: Annotated[int, Field(ge=0, alias="to")]
    on: bool
    rev: int


class JobChange(Body):
    """A new state or place in the queue."""

    state: Literal["paused", "queued", "cancelled"] | None = None
    position: Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)] | None = None


class AcceptBody(Body):
    """Proposals that become objects."""

    ids: Annotated[list[int], Field(min_length=1, max_length=50)]
    rev: int


class CutBody(Body):
    """A cut of all frames, or of a range of them."""

    kind: Literal["cut"]
    direction: Literal["both", "forward", "backward"] | None = None
    first: Annotated[int | None, Field(ge=0, alias="from")] = None
    last: Annotated[int | None, Field(ge=0, alias="to")] = None
    quality: Literal["fast", "normal", "best"] | None = None
    again: bool = False
    """Frames that have a mask of a cut are cut again, at another quality."""


class ProposeBody(Body):
    """A search for objects."""

    kind: Literal["propose"]
    objects: Annotated[int, Field(ge=1, le=20)] = 6


class ExportBody(Body):
    """Results in some formats."""

    kind: Literal["export"]
    formats: Annotated[
        list[Annotated[str, Field(max_length=40)]], Field(min_length=1, max_length=20)
    ]
    feather: Annotated[float, Field(ge=0, le=50)] | None = None
    choke: Annotated[float, Field(ge=-50, le=50)] | None = None
    despill: Annotated[float, Field(ge=0, le=1)] | bool | None = None
    zip: bool = False


class StabiliseBody(Body):
    """A video that follows objects."""

    kind: Literal["stabilise"]
    objects: Annotated[list[Label], Field(max_length=255)] = []
    aspect: Annotated[str, Field(pattern=r"^(free|source|\d{1,4}[:x]\d{1,4})$")] = "16:9"
    strength: Annotated[float, Field(ge=0, le=1)] = 0.8
    zoom: Annotated[float, Field(ge=0, le=1)] = 0.5


class EffectBody(Body):
    """A video with an effect."""

    kind: Literal["effect"]
    effect: Annotated[str, Field(max_length=60)]
    settings: dict[str, Any] = {}
    format: Literal["mp4", "webm", "mov", "gif", "webp", "png"] = "mp4"


JobBody = Annotated[
    CutBody | ProposeBody | ExportBody | StabiliseBody | EffectBody, Field(discriminator="kind")
]


class PreviewBody(Body):
    """One frame with an effect."""

    effect: Annotated[str, Field(max_length=60)]
    settings: dict[str, Any] = {}
    frame: FrameNumber
    width: Annotated[int, Field(ge=16, le=4096)] = 640


class PathBody(Body):
    """The camera path of a stabilised video."""

    objects: Annotated[list[Label], Field(max_length=255)] = []
    aspect: Annotated[str, Field(pattern=r"^(free|source|\d{1,4}[:x]\d{1,4})$")] = "16:9"
    strength: Annotated[float, Field(ge=0, le=1)] = 0.8
    zoom: Annotated[float, Field(ge=0, le=1)] = 0.5
