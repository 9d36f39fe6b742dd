"""The viewer process: previews of effects, camera paths, stills; apart from the marker's clicks."""

import logging
from pathlib import Path
from typing import Any

from PIL import Image

from rotomask.app.processes.bounds import allow_cpu, limit_resources
from rotomask.app.processes.channel import Channel, Message
from rotomask.app.processes.marker import CPU_SECONDS, encoded
from rotomask.app.processes.mask_store import MaskStore
from rotomask.app.processes.rendering import camera_settings, resolved
from rotomask.app.processes.view import MaskFolder
from rotomask.effects import EFFECTS, EffectView, open_effect
from rotomask.effects.camera import open_camera
from rotomask.errors import InputError, RotomaskError
from rotomask.masks import read_labels
from rotomask.render import cutout, matte
from rotomask.video import Video, open_video

logger = logging.getLogger(__name__)

KINDS = {"whole": "integer", "flag": "switch"}
"""Kinds of settings that the page calls otherwise."""


class Viewer:
    """One project at a time, with its masks in a folder and a scene that keeps what it decoded."""

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._video: Video | None = None
        self._masks: MaskFolder | None = None
        self._views: dict[int, EffectView] = {}

    def answer(self, message: Message) -> Message:
        """The answer to a request; errors of users are answers too."""
        try:
            reply: Message = getattr(self, f"do_{message['do']}")(message)
            return reply
        except InputError as error:
            return {"error": str(error), "code": "not-possible"}
        except RotomaskError as error:
            return {"error": str(error), "code": "failed"}

    def do_effects(self, _: Message) -> Message:
        """The effects with their settings."""
        return {"effects": [effect_json(name) for name in EFFECTS]}

    def do_preview(self, message: Message) -> Message:
        """One frame with an effect, as WebP."""
        video, masks = self._open(message)
        width = min(int(message["width"]), video.size[1])
        settings = resolved(message["settings"], message["media"])
        # One width at a time: a scene holds decoded frames at its width.
        if width not in self._views:
            self._views = {
                width: open_effect(message["effect"], video, masks.folder, settings, width=width)
            }
        # With the scene of the view before: a slider that moves decodes nothing again.
        view = self._views[width].with_effect(message["effect"], settings)
        self._views[width] = view
        picture = Image.fromarray(view.picture(message["frame"]))
        # Method 0 is WebP's fastest: a preview is looked at once.
        return {"data": encoded(picture, "WEBP", quality=85, method=0)}

    def do_path(self, message: Message) -> Message:
        """The windows of the virtual camera."""
        video, masks = self._open(message)
        view = open_camera(
            video,
            masks.folder,
            camera_settings(message["params"]),
            objects=tuple(message["params"]["objects"]) or None,
            frames=range(message["count"]),
        )
        camera = view.to_json()
        jitter = {"before": camera["jitter_before"], "after": camera["jitter_after"]}
        return {"boxes": camera["windows"], "jitter": jitter, "size": camera["size"]}

    def do_still(self, message: Message) -> Message:
        """The objects of one frame on transparency."""
        video, masks = self._open(message)
        frame = video.frame(message["frame"])
        labels = read_labels(masks.folder / "masks" / f"{frame.name}.png")
        picture = Image.fromarray(cutout(frame.image, matte(labels)))
        return {"data": encoded(picture, message["format"].upper())}

    def _open(self, message: Message) -> tuple[Video, MaskFolder]:
        """The project's video and masks as they are now."""
        folder = Path(message["folder"])
        if folder != self._folder or self._video is None or self._masks is None:
            # Forgotten first: if the video cannot be opened, the old one must not be shown for the
            # new.
            self._views, self._folder = {}, None
            self._video = open_video(folder / "media")
            store = MaskStore(folder / "masks")
            self._masks = MaskFolder(folder / "preview", self._video, store)
            self._folder = folder
        masks = {int(index): digest for index, digest in message["masks"].items()}
        if self._masks.show(masks, message["live"], message["count"]):
            self._views = {}
        return self._video, self._masks


def effect_json(name: str) -> dict[str, Any]:
    """An effect as the API lists it."""
    effect = EFFECTS[name].to_json()
    settings = [
        {
            "name": option["name"],
            "title": option["name"].replace("_", " ").capitalize(),
            "kind": KINDS.get(option["kind"], option["kind"]),
            "help": option["help"],
            "unit": option["unit"],
            "min": option["low"],
            "max": option["high"],
            "step": option["step"],
            "default": option["default"],
            "choices": list(option["choices"]),
        }
        for option in effect["settings"]
    ]
    return {"name": name, **effect, "settings": settings}


def main(arguments: list[str]) -> None:
    """Answer requests until the server ends.

    Args:
        arguments: The limit of memory in bytes.
    """
    channel = Channel()
    limit_resources(int(arguments[0]))
    viewer = Viewer()
    channel.send({"event": "ready"})
    for message in channel.messages():
        # For each request anew; a request that runs away ends this process alone.
        allow_cpu(CPU_SECONDS)
        try:
            reply = viewer.answer(message)
        except Exception:  # anything else is a fault of ours; the process goes on
            logger.exception("request %r", message.get("do"))
            reply = {"error": "The preview failed; it is an error in rotomask.", "code": "bug"}
        channel.send({**reply, "number": message["number"]})
