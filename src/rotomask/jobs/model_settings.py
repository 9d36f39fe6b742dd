"""Settings of the model that follows objects, which cutting and benchmarks share."""

from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

from rotomask.errors import OptionError
from rotomask.networks.layers.aggregation import Aggregation
from rotomask.networks.precision import BACKENDS, Backend
from rotomask.networks.sizing import check_size

Enlarging = Literal["auto", "always", "never"]
Focus = Literal["auto", "always", "never"]


DEFAULT_SIZE = 480


def is_focused(focus: str, size: int | None) -> bool:
    """True if a model that can works in the neighbourhood of the objects."""
    return focus == "always" or (focus == "auto" and size is None)


@dataclass(frozen=True, kw_only=True)
class ModelSettings:
    """Settings of the model that follows objects, as far as jobs offer them."""

    size: int | None = DEFAULT_SIZE
    """Short side at which frames are processed, px; None: every video at its own, and larger ones
    around the objects (`focus`). The default leaves it to the model: 480, and 384 for embedding,
    which was trained at that. The output always has the input's size."""
    enlarge: Enlarging = "auto"
    """Enlarge smaller frames to `size`; ``auto``: as the model does, which for most is where an
    object of the mask is small."""
    focus: Focus = "auto"
    """Process the neighbourhood of the objects in place of larger frames, with no more pixels than
    frames of `size` have (`segmenters.focused`); ``auto``: where `size` is None and the model
    can."""

    memory: int | Literal["all"] | None = None
    """Most frames that a space-time memory network remembers; ``all``: one in five of the whole
    video, as published. None: the model's own, 6 for stm-lite and all for stm."""

    merge: Aggregation | None = None
    """Rule that merges the probabilities of several objects; None: the model's own, soft."""

    backend: Backend = "torch"
    """What computes the network: a name of `networks.precision.BACKENDS`."""

    def __post_init__(self) -> None:
        check_size(self.size)
        if self.enlarge not in get_args(Enlarging):
            raise OptionError(
                f"enlarge takes {', '.join(get_args(Enlarging))}, got {self.enlarge!r}"
            )

        if self.focus not in get_args(Focus):
            raise OptionError(f"focus takes {', '.join(get_args(Focus))}, got {self.focus!r}")

        if self.memory not in (None, "all") and not (
            isinstance(self.memory, int) and self.memory >= 1
        ):
            raise OptionError(f"memory takes 1 frame or more, or all, got {self.memory!r}")

        if self.backend not in BACKENDS:
            raise OptionError(f"backend takes {', '.join(BACKENDS)}, got {self.backend!r}")

        if self.merge not in (None, *get_args(Aggregation)):
            raise OptionError(f"merge takes {', '.join(get_args(Aggregation))}, got {self.merge!r}")

    def for_model(self) -> dict[str, Any]:
        """The settings as `load_model` takes them; what is left to the model is left out."""
        settings: dict[str, Any] = {} if self.size == DEFAULT_SIZE else {"size": self.size}
        if self.enlarge != "auto" and self.size is not None:
            settings["enlarge"] = self.enlarge == "always"
        if self.focus != "auto":
            settings["focus"] = self.focus
        if self.memory is not None:
            settings["memory_frames"] = None if self.memory == "all" else self.memory
        if self.merge is not None:
            settings["aggregation"] = self.merge
        if self.backend != "torch":
            settings["backend"] = self.backend
        return settings

    def recorded(self) -> dict[str, Any]:
        """The settings by which a job is recognised: the size, and what is not the default."""
        changed = {
            field.name: getattr(self, field.name)
            for field in fields(ModelSettings)
            if field.name != "focus" and getattr(self, field.name) != field.default
        }
        # Earlier versions had no focus: a job without this field is of whole frames.
        focus = {"focus": self.focus} if is_focused(self.focus, self.size) else {}
        return {"size": self.size} | changed | focus
