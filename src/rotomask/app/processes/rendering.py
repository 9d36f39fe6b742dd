"""Jobs that make files of the masks: export, effects, the stabilised video; and proposals."""

import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from rotomask.app.processes.channel import Message
from rotomask.app.processes.control import Control
from rotomask.app.processes.mask_store import MaskStore
from rotomask.app.processes.view import MaskFolder, media_path
from rotomask.jobs.effects import effect
from rotomask.jobs.export import ExportOptions, export
from rotomask.jobs.propose import propose
from rotomask.jobs.rendering import Rendering, render
from rotomask.jobs.stabilise import stabilise
from rotomask.masks import read_labels
from rotomask.matting import EdgeControls
from rotomask.render import overlay
from rotomask.video import Video, open_video

ANIMATED = ("gif", "webp")
"""Formats that are an overlay as a small animated image."""
ANIMATED_WIDTH = 480
FOLDERS = ("rgba", "mattes", "masks")
"""Formats of a file a frame, which are downloaded as one ZIP."""
ZIP_TIME = (1980, 1, 1, 0, 0, 0)
"""The same content gives the same file."""


class Workshop:
    """One job's folder: the masks of the project, and the results until they are complete.

    Args:
        message: The job.
        control: Its link to the server.
    """

    def __init__(self, message: Message, control: Control) -> None:
        self.message, self.control = message, control
        self.project = Path(message["folder"])
        self.root = self.project / "work" / f"job-{message['job']}"
        self.video: Video = open_video(self.project / "media")
        self.masks = MaskFolder(self.root / "cut", self.video, MaskStore(self.project / "masks"))
        masks = {int(index): digest for index, digest in message["masks"].items()}
        self.masks.show(masks, message["live"], message["count"])
        self.params: Mapping[str, Any] = message["params"]

    def report(self, _: str, done: int, total: int | None) -> None:
        """Progress as jobs give it; the job ends here if it is to."""
        self.control.check()
        self.control.progress(done, total or done)

    def deliver(self, path: Path, kind: str, name: str | None = None) -> None:
        """Hand a complete file over."""
        relative = path.relative_to(self.project / "work").as_posix()
        self.control.say("file", path=relative, name=name or path.name, kind=kind)

    def close(self) -> None:
        """Delete what is left in the folder."""
        shutil.rmtree(self.root / "cut", ignore_errors=True)


def run_export(message: Message, control: Control) -> None:
    """Write the masks in some formats."""
    work = Workshop(message, control)
    cut, wanted = work.masks.folder, list(dict.fromkeys(work.params["formats"]))
    edges = EdgeControls(
        feather_px=float(work.params.get("feather") or 0),
        choke_px=float(work.params.get("choke") or 0),
        despill=bool(work.params.get("despill")),
    )
    own = [name for name in wanted if name not in (*ANIMATED, "masks")]
    outputs: dict[str, Path] = {"masks": cut / "masks"} if "masks" in wanted else {}
    stop = work.message["count"]
    if own:
        options = ExportOptions(formats=tuple(own), stop=stop, edges=edges)
        done = export(work.video, cut, options, on_progress=work.report)
        outputs |= done.outputs
    for name in (name for name in wanted if name in ANIMATED):
        outputs[name] = _animated(work, name)
    if work.params.get("zip"):
        archive = _zipped(work, "rotomask.zip", list(outputs.values()))
        work.deliver(archive, "zip")
        return
    for name, path in outputs.items():
        if name in FOLDERS:
            path = _zipped(work, f"{name}.zip", [path])
        work.deliver(path, name)


def _animated(work: Workshop, name: str) -> Path:
    """The overlay as an animated image."""
    frames = range(work.message["count"])
    shown = {}

    def picture(index: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
        frame = work.video.frame(index)
        shown[index] = frame.time_s
        labels = read_labels(work.masks.folder / "masks" / f"{frame.name}.png")
        return overlay(frame.image, labels)

    one = Rendering(
        command="export",
        settings={},
        video=work.video,
        cut=work.masks.folder,
        frames=frames,
        picture=picture,
        time_s=lambda index: shown[index],
        out=work.root / f"overlay.{name}",
        resize=min(ANIMATED_WIDTH, work.video.size[1]),
        overwrite=True,
        on_progress=work.report,
    )
    return render(one)


def _zipped(work: Workshop, name: str, paths: list[Path]) -> Path:
    """Files and folders in one archive, stored as they are: they are compressed already."""
    archive = work.root / name
    with zipfile.ZipFile(archive, "w") as file:
        for path in paths:
            for member in sorted(path.rglob("*")) if path.is_dir() else [path]:
                inner = member.relative_to(path.parent).as_posix()
                info = zipfile.ZipInfo(inner, ZIP_TIME)
                if member.suffix == ".json":
                    info.compress_type = zipfile.ZIP_DEFLATED
                with member.open("rb") as source, file.open(info, "w") as target:
                    shutil.copyfileobj(source, target)
                work.control.check()
    return archive


def run_effect(message: Message, control: Control) -> None:
    """Write the video with an effect."""
    work = Workshop(message, control)
    params = work.params
    out = work.root / f"{params['effect']}.{params['format']}"
    result = effect(
        params["effect"],
        work.video,
        work.masks.folder,
        out.with_suffix("") if params["format"] == "png" else out,
        settings=resolved(params["settings"], message["media"]),
        stop=message["count"],
        overwrite=True,
        on_progress=work.report,
    )
    if params["format"] == "png":
        work.deliver(_zipped(work, f"{params['effect']}.zip", [result.out]), "effect")
    else:
        work.deliver(result.out, "effect")


def run_stabilise(message: Message, control: Control) -> None:
    """Write the video as the virtual camera sees it."""
    work = Workshop(message, control)
    result = stabilise(
        work.video,
        work.masks.folder,
        work.root / "stabilised.mp4",
        objects=tuple(work.params["objects"]) or None,
        stop=message["count"],
        overwrite=True,
        on_progress=work.report,
        **camera_settings(work.params),
    )
    work.deliver(result.out, "stabilised")


def run_propose(message: Message, control: Control) -> None:
    """Look for objects and tell the server of them."""
    project = Path(message["folder"])
    root = project / "work" / f"job-{message['job']}"
    store = MaskStore(project / "masks")

    def report(_: str, done: int, total: int | None) -> None:
        control.check()
        control.progress(done, total or done)

    found = propose(
        open_video(project / "media"),
        root,
        objects=int(message["params"].get("objects") or 6),
        stop=message["count"],
        overwrite=True,
        on_progress=report,
    )
    proposals = []
    for file in found.files:
        labels = read_labels(file.mask)
        digest, _ = store.write(np.where(labels > 0, 1, 0).astype(np.int32))
        proposals.append(
            {
                "id": file.object_id,
                "frame": file.frame_index,
                "area": int((labels > 0).sum()),
                "score": round(file.score, 4),
                "mask": digest,
                "label": 1,
            }
        )
    control.say("proposals", proposals=proposals)


def camera_settings(params: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of the virtual camera from those of the page."""
    aspect = params["aspect"]
    return {
        "framing": "source" if aspect == "free" else aspect,
        "strength": params["strength"],
        "zoom": params["zoom"],
    }


def resolved(settings: Mapping[str, Any], media: Mapping[str, str]) -> dict[str, Any]:
    """Settings of an effect with files in place of the ids of uploads."""
    return {
        name: media_path(Path(media[name])) if name in media else value
        for name, value in settings.items()
    }
