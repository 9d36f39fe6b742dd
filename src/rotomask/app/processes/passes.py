"""One pass of a segmenter from reference frames on, its probabilities kept on disk.

A pass is known by what it depends on: the video, the model, the reference frames in its order. So
whatever ends a cut, another mark or a killed process, what it found is found again, and a pass that
goes on from a stored state (`jobs.snapshots`) gives the bytes of one that was never stopped.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from rotomask.arrays import Frame, Mask
from rotomask.errors import MaskError
from rotomask.files import complete_or_absent
from rotomask.jobs.carrying import Probability, labels_of
from rotomask.jobs.folder import JobFolder, JobRequest, claim
from rotomask.jobs.following import VideoFrames
from rotomask.jobs.snapshots import Snapshots
from rotomask.masks.pages import IMAGE_ERRORS
from rotomask.memory import check_memory
from rotomask.segmenters.base import Segmenter
from rotomask.segmenters.confidence import ConfidenceMeter
from rotomask.segmenters.follow import Annotation, FollowedFrame, Pass, follow
from rotomask.segmenters.framing import ids_in
from rotomask.video import Video

FOLDER = "probabilities"
ROWS_KEY = "objects"
"""Key of the PNG text that lists the objects, from top to bottom."""

CONFIDENCE_KEY = "confidence"
"""Key of the PNG text with the confidence of each object, in the same order."""


@dataclass(frozen=True, eq=False)
class PassOutput:
    """What a pass found in a frame, by object."""

    probabilities: dict[int, Probability] = field(default_factory=dict)
    """H×W, 0 to 1."""
    confidence: dict[int, float] = field(default_factory=dict)
    """How well the mask probably fits, 0 to 1; not of objects that were annotated there."""


@dataclass(frozen=True, eq=False)
class Reference:
    """A frame with a mask that the user made."""

    index: int
    digest: str
    annotation: Annotation


@dataclass(frozen=True, kw_only=True)
class ReferencePass:
    """A pass and all that it depends on."""

    video: Video
    identity: Mapping[str, Any]
    """The video's digest, and the model with its settings."""
    annotations: Mapping[int, Annotation]
    """What is known, by frame; the first in the pass's order has an object, or says of one that it
    is absent which a frame elsewhere shows."""
    digests: Mapping[int, str]
    """Digests of the annotations."""
    frames: Pass
    """From the first annotated frame on."""
    elsewhere: tuple[Reference, ...] = ()
    """Reference frames outside the pass that it learns from."""

    @property
    def settings(self) -> dict[str, Any]:
        """What makes a pass another; where it ends does not."""
        order = sorted(self.annotations, reverse=self.frames.reverse)
        return {
            **self.identity,
            "reverse": self.frames.reverse,
            "references": [
                [index, self.digests[index], list(self.annotations[index].object_ids or ())]
                for index in order
            ],
            "elsewhere": [
                [one.index, one.digest, list(one.annotation.object_ids or ())]
                for one in self.elsewhere
            ],
        }

    def learnt_elsewhere(self) -> Iterator[tuple[Frame, Annotation]]:
        """The reference frames outside the pass."""
        for one in self.elsewhere:
            yield self.video.frame(one.index).image, one.annotation

    def stored(self, work: Path) -> "ProbabilityStore":
        """The probabilities that earlier runs of the pass found."""
        return ProbabilityStore(self.folder(work) / FOLDER)

    def folder(self, work: Path) -> Path:
        """Where its probabilities are."""
        # One folder for each pass that differs: an undone mark finds the pass of before again.
        text = json.dumps(self.settings, sort_keys=True)
        return work / f"pass-{hashlib.sha256(text.encode()).hexdigest()[:24]}"


def run_pass(
    one: ReferencePass, work: Path, segmenter: Callable[[], Segmenter], check: Callable[[], None]
) -> Iterator[tuple[int, PassOutput]]:
    """The frames of a pass after its first, with the probabilities of their objects.

    Args:
        one: The pass.
        work: Folder of the project for such things.
        segmenter: Gives the segmenter; called only if there is something to segment.
        check: Called at every frame that is segmented; it may raise.

    Raises:
        TruncatedVideoError: If the video ends early.
        OutputError: If the disk is full.
    """
    request = JobRequest(command="app-pass", settings=one.settings, trees=[FOLDER])
    with claim(one.folder(work), request) as folder:
        store = ProbabilityStore(folder.root / FOLDER)
        # Without the annotated frame, whose mask is known.
        wanted = one.frames.indices[1:]
        missing = [index for index in wanted if not store.has(index)]
        if missing:
            for index in wanted[: wanted.index(missing[0])]:
                yield index, store.read(index)
            yield from _segmented(one, folder, store, segmenter(), check)
        else:
            for index in wanted:
                yield index, store.read(index)


def _segmented(
    one: ReferencePass,
    folder: JobFolder,
    store: "ProbabilityStore",
    segmenter: Segmenter,
    check: Callable[[], None],
) -> Iterator[tuple[int, PassOutput]]:
    """The frames from the first that is missing on; those before it are only followed again."""
    indices = one.frames.indices
    first = next(index for index in indices[1:] if not store.has(index))
    # The first frame counts as done: nobody asks for its probabilities.
    done = {index for index in indices if index == indices[0] or store.has(index)}
    snapshots = Snapshots(folder, one.frames)
    remaining = snapshots.restore(segmenter, done)
    frames = one.frames if remaining is None else remaining
    source = VideoFrames(one.video, 0, one.video.frame_count)
    images = source.frames(frames.start, frames.stop, reverse=frames.reverse)
    numbered = ((index, image) for image, index in zip(images, frames.indices, strict=False))
    has_begun = False
    meter = _meter(one, store, frames)
    # Learning takes longer than a frame, and is stopped as soon.
    segmenter.report_learning(lambda _: check())
    followed_frames = follow(
        segmenter,
        numbered,
        one.annotations,
        started=remaining is not None,
        elsewhere=one.learnt_elsewhere(),
    )
    for followed in followed_frames:
        check()
        has_begun = has_begun or followed.index == first
        measured = meter.measure(followed, segmenter.object_ids)
        if followed.index != indices[0] and not store.has(followed.index):
            rows = _quantised(followed, segmenter.object_ids)
            store.write(followed.index, rows, {k: c.value for k, c in measured.items()})
        snapshots.save(segmenter, followed.index)
        # Frames before the first missing one were yielded from the store already.
        if has_begun:
            yield followed.index, store.read(followed.index)


def _meter(one: ReferencePass, store: "ProbabilityStore", frames: Pass) -> ConfidenceMeter:
    """A meter as it is before some frames of a pass: it knows the frames before them."""
    meter, first = ConfidenceMeter(), frames.indices[0]
    start = one.annotations[one.frames.indices[0]]
    absent = set(start.object_ids or ()) - set(ids_in(start.labels))
    for other in one.elsewhere if absent else ():
        image = one.video.frame(other.index).image
        labels = other.annotation.labels
        meter.add_reference(other.index, image, labels, is_last=False, object_ids=absent)
    before = [i for i in one.frames.indices if (i > first) == frames.reverse and i != first]
    for index in before:
        if index in one.annotations:
            image = one.video.frame(index).image
            meter.add_reference(index, image, one.annotations[index].labels, is_last=False)
    if before:
        index, image = before[-1], one.video.frame(before[-1]).image
        if store.has(index):
            probabilities = store.read(index).probabilities
            meter.look_back(index, image, labels_of(probabilities, one.video.size))
        elif index in one.annotations:
            meter.look_back(index, image, one.annotations[index].labels)
    return meter


def _quantised(followed: FollowedFrame, ids: tuple[int, ...]) -> dict[int, npt.NDArray[np.uint8]]:
    """Probabilities in 255ths by object; an annotated frame is sure of its objects."""
    if followed.probabilities is None:
        return {k: np.where(followed.labels == k, 255, 0).astype(np.uint8) for k in ids}
    # Rounded before they are used: a cut that resumes reads the same values from disk.
    rows = np.round(followed.probabilities[1:] * 255).astype(np.uint8)
    return dict(zip(ids, rows, strict=True))


@dataclass(frozen=True)
class ProbabilityStore:
    """Probabilities on disk: a grey PNG a frame, the objects below each other."""

    folder: Path

    def _path(self, index: int) -> Path:
        return self.folder / f"{index:05d}.png"

    def has(self, index: int) -> bool:
        """Whether a frame is there."""
        return self._path(index).exists()

    def write(
        self,
        index: int,
        rows: Mapping[int, npt.NDArray[np.uint8]],
        confidence: Mapping[int, float],
    ) -> None:
        """Store a frame; the file is complete or absent."""
        text = PngInfo()
        text.add_text(ROWS_KEY, " ".join(map(str, rows)))
        text.add_text(CONFIDENCE_KEY, " ".join(f"{confidence.get(k, -1):.4f}" for k in rows))
        image = Image.fromarray(np.concatenate(list(rows.values())))
        with complete_or_absent(self._path(index)) as temporary:
            image.save(temporary, format="PNG", compress_level=1, pnginfo=text)

    def read(self, index: int) -> PassOutput:
        """What is stored of a frame.

        Raises:
            MaskError: If the file is damaged.
        """
        try:
            with Image.open(self._path(index)) as image:
                labels = [int(k) for k in str(image.info[ROWS_KEY]).split()]
                values = [float(value) for value in str(image.info[CONFIDENCE_KEY]).split()]
                # O·H×W -> O×H×W, as they were written below each other.
                rows = np.asarray(image).reshape(len(labels), -1, image.width)
        except IMAGE_ERRORS as error:
            check_memory(self._path(index))
            raise MaskError(f"{self._path(index)} is damaged: {error}") from error
        scale = np.float32(255)
        return PassOutput(
            {k: row.astype(np.float32) / scale for k, row in zip(labels, rows, strict=True)},
            {k: value for k, value in zip(labels, values, strict=True) if value >= 0},
        )


def annotation(labels: Mask, covers: tuple[int, ...]) -> Annotation:
    """What a reference frame says of the objects that it annotates."""
    return Annotation(np.where(np.isin(labels, covers), labels, 0).astype(np.int32), covers)
