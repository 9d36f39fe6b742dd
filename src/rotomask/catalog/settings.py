"""Configs changed by keyword, for models and jobs."""

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import TypeVar

from rotomask.errors import OptionError

Settings = TypeVar("Settings")


def with_settings(config: Settings, settings: Mapping[str, object], owner: str) -> Settings:
    """A config with some fields changed.

    Args:
        config: A dataclass.
        settings: New values by field. ``end``, the last frame as on the command line, is taken for
            ``stop``.
        owner: What the message says that the settings are of.

    Raises:
        OptionError: If a setting is no field of the config; the message lists those that are.
    """
    choice = [field.name for field in fields(config)]  # type: ignore[arg-type]
    if "stop" in choice and "stop" not in settings and isinstance(settings.get("end"), int):
        others = {name: value for name, value in settings.items() if name != "end"}
        settings = {**others, "stop": settings["end"] + 1}  # type: ignore[operator]
    for setting in settings:
        if setting not in choice:
            listed = ", ".join(choice) or "none"
            raise OptionError(f"{owner} has no setting {setting!r}; it has {listed}")
    return replace(config, **settings)  # type: ignore[type-var]
