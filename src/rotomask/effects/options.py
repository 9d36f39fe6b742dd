"""Settings of effects: typed, with ranges and texts, from which forms and commands are built."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal, Self

from PIL import ImageColor

from rotomask.errors import OptionError

Kind = Literal["number", "whole", "flag", "choice", "colour", "media", "text"]
"""What a setting holds: float, int, bool, a name, ``#rrggbb``, a colour or a file, a text."""

Value = float | int | bool | str


@dataclass(frozen=True, kw_only=True)
class Option:
    """A setting as a form or a command shows it."""

    name: str
    kind: Kind
    default: Value
    help: str
    """One sentence."""
    unit: str = ""
    """``%`` of the frame's short side, ``s``, ``frames``, ``°``, or nothing."""
    low: float | None = None
    """Least value of a number."""
    high: float | None = None
    """Largest value of a number."""
    step: float | None = None
    """A useful step of a slider."""
    choices: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain data for a web page."""
        return asdict(self)


def number(
    default: float, low: float, high: float, help: str, *, unit: str = "", step: float = 0.01
) -> Any:
    """A field that holds a float from low to high."""
    return _option("number", default, help, unit=unit, low=low, high=high, step=step)


def whole(default: int, low: int, high: int, help: str, *, unit: str = "") -> Any:
    """A field that holds an integer from low to high."""
    return _option("whole", default, help, unit=unit, low=low, high=high, step=1)


def flag(default: bool, help: str) -> Any:
    """A field that is on or off."""
    return _option("flag", default, help)


def choice(default: str, choices: tuple[str, ...], help: str) -> Any:
    """A field that holds one of some names."""
    return _option("choice", default, help, choices=choices)


def colour(default: str, help: str) -> Any:
    """A field that holds a colour: ``#rrggbb`` or a name that CSS knows."""
    return _option("colour", default, help)


def media(default: str, help: str) -> Any:
    """A field that holds a colour, or the path of an image, a video or a folder of frames."""
    return _option("media", default, help)


def text(default: str, help: str, *, choices: tuple[str, ...] = ()) -> Any:
    """A field that holds a text; the choices are examples."""
    return _option("text", default, help, choices=choices)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Base of the settings of an effect: every field is made by `number`, `whole`, `flag` ...

    Raises:
        OptionError: If a value has another type or is out of range.
    """

    def __post_init__(self) -> None:
        for option in self.options():
            object.__setattr__(self, option.name, _checked(option, getattr(self, option.name)))

    @classmethod
    def options(cls) -> tuple[Option, ...]:
        """The settings in order."""
        return tuple(
            Option(name=f.name, default=f.default, **f.metadata["option"])  # type: ignore[arg-type]
            for f in fields(cls)
        )

    def changed(self, values: Mapping[str, object]) -> Self:
        """These settings with some values changed; texts are read as numbers where need be.

        Raises:
            OptionError: If a name is unknown or a value is out of range.
        """
        names = [f.name for f in fields(self)]
        for name in values:
            if name not in names:
                listed = ", ".join(names) or "none"
                raise OptionError(f"there is no setting {name!r}; there are {listed}")
        return replace(self, **values)

    def to_json(self) -> dict[str, Value]:
        """The values by name."""
        return {f.name: getattr(self, f.name) for f in fields(self)}


def parse_colour(text: str) -> tuple[int, int, int]:
    """Red, green and blue, 0-255, of ``#rrggbb`` or a name that CSS knows.

    Raises:
        OptionError: If it is no colour.

    Example:
        >>> parse_colour("#00b140")
        (0, 177, 64)
    """
    try:
        red, green, blue = ImageColor.getrgb(text)[:3]
    except ValueError as error:
        raise OptionError(
            f"{text!r} is no colour; write it as #rrggbb or by a name such as white"
        ) from error
    return red, green, blue


def is_colour(text: str) -> bool:
    """Whether a text names a colour."""
    try:
        parse_colour(text)
    except OptionError:
        return False
    return True


def _option(kind: Kind, default: Value, help: str, **more: Any) -> Any:
    return field(default=default, metadata={"option": {"kind": kind, "help": help, **more}})


def _checked(option: Option, value: object) -> Value:
    """A value in the option's type and range."""
    if option.kind == "flag":
        return _flag(option, value)
    if option.kind in ("number", "whole"):
        return _number(option, value)
    if not isinstance(value, str):
        raise OptionError(f"{option.name} takes a text, got {value!r}")
    if option.kind == "choice" and value not in option.choices:
        raise OptionError(f"{option.name} is one of {', '.join(option.choices)}, got {value!r}")
    if option.kind == "colour":
        parse_colour(value)
    return value


def _flag(option: Option, value: object) -> bool:
    words = {"yes": True, "true": True, "on": True, "no": False, "false": False, "off": False}
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in words:
        return words[value.lower()]
    raise OptionError(f"{option.name} is yes or no, got {value!r}")


def _number(option: Option, value: object) -> float | int:
    assert option.low is not None
    assert option.high is not None
    try:
        read = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise OptionError(f"{option.name} takes a number, got {value!r}") from None
    if isinstance(value, bool) or not math.isfinite(read):
        raise OptionError(f"{option.name} takes a number, got {value!r}")
    if not option.low <= read <= option.high:
        raise OptionError(
            f"{option.name} goes from {option.low:g} to {option.high:g}, got {read:g}"
        )
    if option.kind == "whole":
        if read != int(read):
            raise OptionError(f"{option.name} takes a whole number, got {value!r}")
        return int(read)
    return read
