"""The effects by name: what each is, its settings, what it reads, how a frame is rendered."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import numpy.typing as npt

from rotomask.effects.appearance import (
    Anonymise,
    Outline,
    Sticker,
    anonymise,
    outline,
    sticker,
)
from rotomask.effects.background import (
    BlurBackground,
    GreyBackground,
    NewBackground,
    blur_background,
    grey_background,
    new_background,
)
from rotomask.effects.erasing import Erase, erase
from rotomask.effects.filling import Margins
from rotomask.effects.options import Settings
from rotomask.effects.repetition import (
    Clones,
    Echo,
    Layer,
    SlowMotion,
    between,
    clones,
    echo,
    moved,
    slow_motion,
)
from rotomask.effects.scene import Scene
from rotomask.errors import OptionError, lists_keywords
from rotomask.matting import EdgeControls
from rotomask.video import Video, open_video

Pixels = npt.NDArray[np.uint8]

Needs = Literal["masks", "frames", "plate", "media"]
"""What an effect reads beside the frame and its mask: masks of other frames, other frames, the
background without the object (from many other frames), or a file that the user names."""


@dataclass(frozen=True, kw_only=True)
class Effect:
    """An effect as a menu lists it."""

    title: str
    description: str
    """One sentence."""
    settings: type[Settings]
    draw: Callable[[Scene, int, Any], Pixels]
    """Renders one frame of a scene: H×W×3 uint8 RGB, or H×W×4 RGBA if `transparent`."""
    needs: tuple[Needs, ...] = ()
    """What it reads beside the frame; empty: a preview of any frame takes the same short time."""
    transparent: bool = False
    """Whether pictures have an alpha channel (straight)."""

    def to_json(self) -> dict[str, Any]:
        """Plain data for a web page, with the settings in order."""
        return {
            "title": self.title,
            "description": self.description,
            "needs": list(self.needs),
            "transparent": self.transparent,
            "settings": [option.to_json() for option in self.settings.options()],
        }


def _blur(scene: Scene, index: int, settings: BlurBackground) -> Pixels:
    cutout, row = scene.cutout(index), scene.ground_row(index)
    return blur_background(cutout.image, cutout.alpha, cutout.colours, settings, ground_row=row)


def _grey(scene: Scene, index: int, settings: GreyBackground) -> Pixels:
    cutout = scene.cutout(index)
    return grey_background(cutout.image, cutout.alpha, settings)


def _background(scene: Scene, index: int, settings: NewBackground) -> Pixels:
    cutout = scene.cutout(index)
    behind = scene.backdrop(settings.background, index, loop=settings.loop)
    return new_background(cutout.alpha, cutout.colours, behind, settings)


def _outline(scene: Scene, index: int, settings: Outline) -> Pixels:
    cutout = scene.cutout(index)
    return outline(cutout.image, cutout.alpha, cutout.colours, settings)


def _anonymise(scene: Scene, index: int, settings: Anonymise) -> Pixels:
    cutout = scene.cutout(index)
    return anonymise(cutout.image, cutout.alpha, settings)


def _sticker(scene: Scene, index: int, settings: Sticker) -> Pixels:
    cutout = scene.cutout(index)
    picture = sticker(cutout.alpha, cutout.colours, settings)
    if settings.crop:
        picture = _cropped(picture, scene, settings)
    if settings.side:
        factor = settings.side / max(picture.shape[:2])
        size = tuple(max(1, round(n * factor)) for n in (picture.shape[1], picture.shape[0]))
        way = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
        # Premultiplied, so that the colour of transparent pixels does not bleed in.
        alpha = picture[..., 3:].astype(np.float32)
        layers = np.dstack([picture[..., :3] * (alpha / 255), alpha])
        scaled = cv2.resize(layers, size, interpolation=way)
        straight = scaled[..., :3] * (255 / np.maximum(scaled[..., 3:], 1))
        picture = np.dstack([straight, scaled[..., 3]]).clip(0, 255).round().astype(np.uint8)
    return picture


def _cropped(picture: Pixels, scene: Scene, settings: Sticker) -> Pixels:
    left, top, width, height = scene.extent
    if width == 0:
        return picture
    margin = (settings.border + 2.5 * settings.shadow_size) / 100 * min(scene.size)
    near = int(np.ceil(margin)) + 2
    return np.ascontiguousarray(
        picture[max(0, top - near) : top + height + near, max(0, left - near) : left + width + near]
    )


def _erase(scene: Scene, index: int, settings: Erase) -> Pixels:
    margins = Margins(
        around=settings.margin / 100, below=settings.below / 100, shadow=settings.shadow
    )
    return erase(scene.cutout(index).image, scene.plate_with(margins).picture(index), settings)


def _layer(scene: Scene, source: int, index: int, anchor: str) -> Layer:
    """The object of one frame, as another frame would show it."""
    cutout = scene.cutout(source)
    layer = Layer(cutout.colours, cutout.alpha)
    if anchor == "frame" or source == index:
        return layer
    return moved(layer, scene.alignment.homography(source, index))


def _echo(scene: Scene, index: int, settings: Echo) -> Pixels:
    cutout = scene.cutout(index)
    sources = [index - settings.spacing * k for k in range(1, settings.count + 1)]
    past = [_layer(scene, k, index, settings.anchor) for k in sources if scene.has_mask(k)]
    return echo(cutout.image, Layer(cutout.colours, cutout.alpha), past, settings)


def _clones(scene: Scene, index: int, settings: Clones) -> Pixels:
    cutout, frames = scene.cutout(index), scene.frames
    # In the middle of equal parts of the video, so that none coincides with its ends.
    step = len(frames) / settings.count
    sources = [frames[int(step * (k + 0.5))] for k in range(settings.count)]
    if settings.appear == "in turn":
        sources = [k for k in sources if k <= index]
    copies = [_layer(scene, k, index, settings.anchor) for k in sources if scene.has_mask(k)]
    if settings.live:
        return clones(cutout.image, Layer(cutout.colours, cutout.alpha), copies, settings)
    return clones(scene.plate.picture(index), None, copies, settings)


def _slow_motion(scene: Scene, index: int, settings: SlowMotion) -> Pixels:
    begin = scene.frames.start + settings.begin
    if index <= begin or settings.speed == 1:
        return scene.cutout(index).image.copy()
    time = min(begin + (index - begin) * settings.speed, scene.frames.stop - 1)
    first = int(time)
    layer = _layer(scene, first, index, settings.anchor)
    if settings.blend and time > first:
        layer = between(layer, _layer(scene, first + 1, index, settings.anchor), time - first)
    return slow_motion(scene.plate.picture(index), layer)


EFFECTS: dict[str, Effect] = {
    "blur-background": Effect(
        title="Background blur",
        description="Put the background out of focus, more so the farther it is.",
        settings=BlurBackground,
        draw=_blur,
        needs=("masks",),
    ),
    "grey-background": Effect(
        title="Grey background",
        description="Take the colour from everything but the object.",
        settings=GreyBackground,
        draw=_grey,
    ),
    "new-background": Effect(
        title="Other background",
        description="Put a colour, an image or another video behind the object.",
        settings=NewBackground,
        draw=_background,
        needs=("media",),
    ),
    "outline": Effect(
        title="Outline and glow",
        description="Draw a line and a glow around the object.",
        settings=Outline,
        draw=_outline,
    ),
    "anonymise": Effect(
        title="Anonymise",
        description="Make the object unrecognisable by pixels, blur or a flat colour.",
        settings=Anonymise,
        draw=_anonymise,
    ),
    "erase": Effect(
        title="Erase",
        description="Remove the object; the background comes from other frames.",
        settings=Erase,
        draw=_erase,
        needs=("frames", "plate"),
    ),
    "echo": Effect(
        title="Echo trail",
        description="Let fading echoes of the object follow it.",
        settings=Echo,
        draw=_echo,
        needs=("frames",),
    ),
    "clones": Effect(
        title="Freeze-frame clones",
        description="Show the object several times in one frame, frozen along its way.",
        settings=Clones,
        draw=_clones,
        needs=("frames", "plate"),
    ),
    "sticker": Effect(
        title="Sticker",
        description="Cut the object out with a border and a shadow, on transparency.",
        settings=Sticker,
        draw=_sticker,
        needs=("masks",),
        transparent=True,
    ),
    "slow-motion": Effect(
        title="Slow motion",
        description="Slow the object down while its background keeps its speed.",
        settings=SlowMotion,
        draw=_slow_motion,
        needs=("frames", "plate"),
    ),
}
"""Name of an effect -> the effect."""


def find_effect(name: str) -> Effect:
    """An effect by its name.

    Raises:
        OptionError: If there is none; the message lists those there are.
    """
    if name not in EFFECTS:
        raise OptionError(f"there is no effect {name!r}; choose from {', '.join(EFFECTS)}")
    return EFFECTS[name]


@dataclass(frozen=True, eq=False)
class EffectView:
    """An effect with its settings on a scene: gives any frame, for a preview or a whole video."""

    scene: Scene
    effect: Effect
    settings: Settings

    def picture(self, index: int) -> Pixels:
        """A rendered frame: H×W×3 uint8 RGB, or H×W×4 RGBA if the effect is transparent.

        The size is the scene's, except for a sticker that is cropped.

        Raises:
            OptionError: If there is no such frame.
            MaskError: If a mask is damaged or of another size than the video.
            VideoError: If a frame, or a background that the settings name, cannot be read.
        """
        return self.effect.draw(self.scene, index, self.settings)

    def with_settings(self, **values: object) -> "EffectView":
        """The same effect with some settings changed; what was decoded and aligned is kept.

        Raises:
            OptionError: If a name is unknown or a value is out of range.
        """
        return replace(self, settings=self.settings.changed(values))

    def with_effect(self, name: str, settings: Mapping[str, object] | None = None) -> "EffectView":
        """Another effect on the same scene.

        Raises:
            OptionError: As for `open_effect`.
        """
        effect = find_effect(name)
        return EffectView(self.scene, effect, effect.settings().changed(settings or {}))


@lists_keywords
def open_effect(
    name: str,
    video: str | Path | Video,
    folder: str | Path,
    settings: Mapping[str, object] | None = None,
    *,
    objects: Sequence[int] | None = None,
    edges: EdgeControls | None = None,
    width: int | None = None,
    frames: range | None = None,
) -> EffectView:
    """Open an effect on a video and its cut; nothing is decoded yet.

    Args:
        name: A name of `EFFECTS`.
        video: The video that was cut.
        folder: Output folder of `cut`, or any folder with ``masks/NAME.png``.
        settings: Values by name; the others have their defaults.
        objects: Ids of the objects it is applied to; None: all.
        edges: Softness of the objects' edge; None: it follows the picture.
        width: Width of the pictures, px, for a quick preview; None: the video's.
        frames: Frames that count as the video; None: all.

    Raises:
        OptionError: If the effect or a setting is unknown, or a value is out of range.
        VideoError: If the video cannot be read.

    Example:
        >>> view = open_effect("erase", "clip.mp4", "clip-cut", width=480)  # doctest: +SKIP
        >>> picture = view.picture(40)  # doctest: +SKIP
    """
    effect = find_effect(name)
    options = effect.settings().changed(settings or {})
    opened = video if isinstance(video, Video) else open_video(video)
    scene = Scene(opened, folder, objects=objects, edges=edges, width=width, frames=frames)
    return EffectView(scene, effect, options)
