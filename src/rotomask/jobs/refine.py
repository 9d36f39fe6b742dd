"""A finished cut made better: a random field over its masks and mattes."""

import contextlib
import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from rotomask.arrays import Frame, most_probable
from rotomask.catalog import with_settings
from rotomask.errors import MaskError
from rotomask.files import content_digest
from rotomask.flow.optical_flow import OpticalFlow
from rotomask.jobs.fingerprints import video_fingerprint
from rotomask.jobs.folder import JobRequest, claim
from rotomask.jobs.mask_files import MaskFiles, mask_paths
from rotomask.jobs.notebook import shows_bars
from rotomask.jobs.progress import OnProgress
from rotomask.masks import object_ids, read_labels
from rotomask.memory import check_memory
from rotomask.pipeline import Stage, read_ahead
from rotomask.refine.field_windows import FieldWindowConfig, refine_video, tuned_field
from rotomask.refine.random_field import RandomFieldConfig
from rotomask.video import Video, open_video

Array = npt.NDArray[np.float32]

OUTLINE_DOUBT = 0.01
"""Where there is no matte: width of an outline in doubt, as a part of the frame's short side."""
DOUBT = 0.1
"""Where there is no matte: how likely a mask is wrong anywhere."""


@dataclass(frozen=True, kw_only=True)
class RefineResult:
    """What `refine` left on disk."""

    folder: Path
    frames: int
    changed: float
    """Part of the pixels whose label is another one now."""


@dataclass(frozen=True, kw_only=True)
class RefineOptions:
    """Options of refining a cut."""

    solver: str = "mean-field"
    """Solver of the random field: ``graph-cut`` (hard) or ``mean-field`` (soft)."""
    size: int = 192
    """Short side at which it is solved, px."""
    window: int = 5
    """Frames that are solved together."""
    field: RandomFieldConfig | None = None
    """The field; None: with the weights that suit the solver."""
    overwrite: bool = False
    """True to replace another job's output."""

    @property
    def config(self) -> FieldWindowConfig:
        """Windows and the field.

        Raises:
            OptionError: If a value is out of range.
        """
        field = tuned_field(self.solver) if self.field is None else self.field
        return FieldWindowConfig(field=field, size=self.size, window=self.window)


@shows_bars
def refine(
    video: str | Path | Video,
    folder: str | Path,
    out: str | Path,
    options: RefineOptions | None = None,
    *,
    flow: OpticalFlow | None = None,
    on_progress: OnProgress | None = None,
    **changes: object,
) -> RefineResult:
    """Refine the masks of a finished cut by a random field over space and time.

    Reads ``FOLDER/masks`` and, where they are there, the soft ``FOLDER/mattes``; writes
    ``OUT/masks`` and ``OUT/mattes``, from which `export` makes other formats.

    Args:
        video: The video that was cut.
        folder: Output folder of `cut`, or any folder with ``masks/NAME.png``.
        out: Another folder to write to.
        options: Options; or give its fields as keywords.
        flow: What links the frames; DIS by default.
        on_progress: Receives the stage ``refine``.
        **changes: Fields of `RefineOptions`.

    Raises:
        InputError: If the video or a mask cannot be used.
        OutputError: If the folder cannot be written, or is the one that is read.
        OptionError: If graph cuts are asked for and PyMaxflow is not installed.
    """
    options = with_settings(options or RefineOptions(), changes, "refine")
    opened = open_video(video)
    source, target = Path(folder), Path(out)
    names = {
        index: opened.frame_name(index)
        for index in range(opened.frame_count)
        if (source / "masks" / f"{opened.frame_name(index)}.png").is_file()
    }
    if not names:
        raise MaskError(
            f"{source} has no masks/NAME.png of a frame of {opened.name}; give the folder of a "
            "finished cut and the video it is of"
        )
    config = options.config
    request = _request(opened, source, names, options)
    with claim(target, request, overwrite=options.overwrite) as job:
        job.note(video=str(opened.path), source=str(source), frames=[min(names), max(names) + 1])
        masks = MaskFiles(job, opened, soft=True)
        changed = 0.0
        ids = _ids(source, names)
        soft_frames = _soft_frames(opened, source, names, ids)
        with (
            contextlib.closing(read_ahead(soft_frames, _bytes_of)) as ahead,
            Stage("masks") as writer,
        ):
            refined = _refined(ahead, names, ids, config, flow)
            for done, (index, labels, alpha) in enumerate(refined, start=1):
                before = read_labels(source / "masks" / f"{names[index]}.png")
                # Mean over frames of the fraction of a frame's pixels, divided by their number at
                # the end.
                changed += float(np.mean(labels != before))
                writer.submit(masks.write, index, labels, alpha, size=labels.nbytes + alpha.nbytes)
                if on_progress is not None:
                    on_progress("refine", done, len(names))
    return RefineResult(folder=target, frames=len(names), changed=changed / len(names))


def _refined(
    soft_frames: Iterable[tuple[Frame, Array]],
    names: dict[int, str],
    ids: tuple[int, ...],
    config: FieldWindowConfig,
    flow: OpticalFlow | None,
) -> Iterator[tuple[int, npt.NDArray[np.int32], Array]]:
    """Frame number, labels H×W and opacity H×W, 0..1, of every frame with a mask."""
    for index, frame in zip(names, refine_video(soft_frames, config, flow), strict=True):
        yield index, most_probable(frame, ids), 1 - frame[0]


def _ids(source: Path, names: dict[int, str]) -> tuple[int, ...]:
    """Ids of all objects of a cut."""
    files = [source / "masks" / f"{name}.png" for name in names.values()]
    return tuple(sorted({k for file in files for k in object_ids(read_labels(file))}))


def _bytes_of(item: tuple[Frame, Array]) -> int:
    frame, probabilities = item
    return frame.nbytes + probabilities.nbytes


def _request(
    video: Video, source: Path, names: dict[int, str], options: RefineOptions
) -> JobRequest:
    """What this refinement is: the video, every mask and matte of the cut, and the field."""
    read = [path for path in mask_paths(names.values(), soft=True) if (source / path).is_file()]
    digest = hashlib.blake2b(digest_size=16)
    for path in read:
        digest.update(f"{path} {content_digest(source / path)} ".encode())
    settings = {
        "video": video_fingerprint(video),
        "masks": digest.hexdigest(),
        "solver": options.solver,
        "field": None if options.field is None else asdict(options.field),
        "size": options.size,
        "window": options.window,
    }
    return JobRequest(
        command="refine",
        settings=settings,
        added=mask_paths(names.values(), soft=True),
        inputs=[video.path, source / "masks", source / "mattes"],
    )


def cut_probabilities(
    labels: npt.NDArray[np.int32], matte: Array | None, ids: tuple[int, ...]
) -> Array:
    """Probabilities that a mask, and a matte if there is one, stand for.

    Args:
        labels: H×W.
        matte: H×W, 0..1, how likely any object is; None: a mask whose outline is in doubt.
        ids: Objects of the rows 1.. .

    Returns:
        O+1×H×W float32, background first, sums to 1.
    """
    # O+1×H×W, of all objects of the cut, so that every frame has the same rows.
    layers = np.stack([labels == k for k in (0, *ids)]).astype(np.float32)
    sigma = OUTLINE_DOUBT * min(labels.shape)
    soft = np.stack([cv2.GaussianBlur(layer, (0, 0), sigma) for layer in layers])
    if matte is None:
        # A mask says nothing of how sure it is: its outline is in doubt by a blur, everything by a
        # little, or the field could move no label.
        certain: Array = (1 - DOUBT) * soft / soft.sum(0) + DOUBT / len(layers)
        return certain.astype(np.float32)
    # Whose the foreground is, where the mask says background: that of the nearest object.
    # O×H×W: whose a foreground pixel would be; the small term decides only where no object is near.
    shares = soft[1:] + 1e-6 * np.stack([_nearness(layer) for layer in layers[1:]])
    mixed: Array = np.concatenate([1 - matte[None], matte * shares / shares.sum(0)])
    return mixed.astype(np.float32)


def _nearness(layer: Array) -> Array:
    if not layer.any():
        return np.full_like(layer, 1e-9)
    distance = cv2.distanceTransform((layer == 0).astype(np.uint8), cv2.DIST_L2, 3)
    # Falls fast, so that the nearest object gets nearly all.
    near: Array = (1 + np.asarray(distance, np.float32)) ** -3
    return near


def _soft_frames(
    video: Video, folder: Path, names: dict[int, str], ids: tuple[int, ...]
) -> Iterator[tuple[Frame, Array]]:
    """Frames of the video that have a mask, and what the cut says of them."""
    first, last = min(names), max(names)
    for index, frame in enumerate(video.frames(first, last + 1), start=first):
        if index not in names:
            continue
        file = f"{names[index]}.png"
        labels = read_labels(folder / "masks" / file)
        if labels.shape != frame.image.shape[:2]:
            raise MaskError(
                f"{folder / 'masks' / file} is {labels.shape[1]}×{labels.shape[0]}, its frame "
                f"{frame.image.shape[1]}×{frame.image.shape[0]}; they must be of one size"
            )
        yield frame.image, cut_probabilities(labels, _matte(folder / "mattes" / file), ids)


def _matte(path: Path) -> Array | None:
    if not path.is_file():
        return None
    stored = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if stored is None:
        check_memory(path)
        raise MaskError(f"cannot read the matte {path}; it is damaged or no image")
    return np.asarray(stored, np.float32) / np.float32(255)
