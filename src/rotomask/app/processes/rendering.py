"""Jobs that make files of the masks: export, effects, the stabilised video; and proposals."""

import hashlib
import json
import shutil
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from rotomask.app.processes.channel import Message
from rotomask.app.processes.control import Control
from rotomask.app.processes.mask_store import MaskStore
from rotomask.app.processes.view import MaskFolder, media_path
from rotomask.jobs.effect import effect
from rotomask.jobs.export import ExportOptions, export
from rotomask.jobs.propose import propose
from rotomask.jobs.rendering import Rendering, cut_frames, render
from rotomask.jobs.stabilise import stabilise
from rotomask.masks import read_labels
from rotomask.matting import EdgeControls
from rotomask.render import overlay
from rotomask.video import Video, open_video

ANIMATED = ("gif", "webp")
"""Formats that are an overlay as a small animated image."""
ANIMATED_WIDTH = 480
FOLDERS = ("rgba", "mattes", "exr", "masks")
"""Formats of a file a frame, which are downloaded as one ZIP."""
FRAME_BYTES = 2
"""Size of a frame as PNG, per pixel, at most as a rule."""
MOST_FRAME_BYTES = 8 << 30
ZIP_TIME = (1980, 1, 1, 0, 0, 0)
"""The same content gives the same file."""

Pixels = npt.NDArray[np.uint8]


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
    # Those that `export` knows; masks are there already, animated images are rendered here.
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

    def picture(index: int) -> Pixels:
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
                # One time for all members: the same masks give the same bytes.
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

    def write(out: Path) -> Path:
        settings = resolved(params["settings"], message["media"])
        return effect(
            params["effect"],
            work.video,
            work.masks.folder,
            out,
            settings=settings,
            stop=message["count"],
            overwrite=bool(out.suffix),  # a folder is of this job alone, and resumes
            on_progress=work.report,
        ).out

    if params["format"] == "png":
        folder = write(_frames_folder(work) / params["effect"])
        work.deliver(_zipped(work, f"{params['effect']}.zip", [folder]), "effect")
    else:
        out = work.root / f"{params['effect']}.{params['format']}"
        work.deliver(_movie(work, out, write), "effect")


def run_stabilise(message: Message, control: Control) -> None:
    """Write the video as the virtual camera sees it."""
    work = Workshop(message, control)

    def write(out: Path) -> Path:
        return stabilise(
            work.video,
            work.masks.folder,
            out,
            objects=tuple(work.params["objects"]) or None,
            stop=message["count"],
            overwrite=bool(out.suffix),
            on_progress=work.report,
            **camera_settings(work.params),
        ).out

    work.deliver(_movie(work, work.root / "stabilised.mp4", write), "stabilised")


def _frames_folder(work: Workshop) -> Path:
    """Where a job's frames are; those of an earlier try that saw other masks are deleted."""
    # All that the frames depend on.
    seen = [work.message[name] for name in ("masks", "live", "count", "params")]
    digest = hashlib.sha256(json.dumps(seen, sort_keys=True).encode()).hexdigest()[:16]
    for other in work.root.glob("frames-*"):
        if other.name != f"frames-{digest}":
            shutil.rmtree(other, ignore_errors=True)
    return work.root / f"frames-{digest}"


def _movie(work: Workshop, out: Path, write: Callable[[Path], Path]) -> Path:
    """A movie whose frames are files first, for a folder of files resumes and a movie does not.

    Where the disk has not much room for them, the movie is written at once.

    Args:
        work: The job's folder.
        out: The movie.
        write: Renders to a movie, or to a folder where the name has no ending.
    """
    frames = cut_frames(work.video, work.masks.folder, None, work.message["count"])
    height, width = work.video.size
    needed = len(frames) * height * width * FRAME_BYTES
    # A quarter of the free space at most: the user's disk is not ours.
    if needed > min(MOST_FRAME_BYTES, shutil.disk_usage(work.project).free / 4):
        return write(out)
    folder = write(_frames_folder(work) / "frames")
    times = json.loads((work.project / "pts.json").read_text(encoding="utf-8"))

    def picture(index: int) -> Pixels:
        work.control.check()
        with Image.open(folder / f"{work.video.frame_name(index)}.png") as image:
            return np.asarray(image)

    return render(
        Rendering(
            command="movie",
            settings={},
            video=work.video,
            cut=work.masks.folder,
            frames=frames,
            picture=picture,
            time_s=lambda index: times[index],
            out=out,
            overwrite=True,
        )
    )


def run_propose(message: Message, control: Control) -> None:
    """Look for objects and tell the server of them."""
    project = Path(message["folder"])
    root = project / "work" / f"job-{message['job']}"
    store = MaskStore(project / "masks")

    def report(_: str, done: int, total: int | None) -> None:
        control.check()
        control.progress(done, total or done)

    result = propose(
        open_video(project / "media"),
        root,
        objects=int(message["params"].get("objects") or 6),
        stop=message["count"],
        overwrite=True,
        on_progress=report,
    )
    proposals = []
    for file in result.files:
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
