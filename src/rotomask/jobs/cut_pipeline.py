"""How a cut runs: frames are decoded ahead of the segmenter, masks and pictures written behind it.

    reader thread     frames decoded, a few ahead
    calling thread    the segmenter, frame after frame; the stored states
    writer thread     mattes, masks and confidences, in the order of the frames
    picture thread    the rendered outputs, where the pass gives the frames in their order

A frame counts as finished when its mask is on the disk. A state is stored only after the masks of
all frames up to it. What waits between the threads is bounded (`rotomask.pipeline`).
"""

import contextlib
import logging
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from rotomask.errors import RotomaskError, TruncatedVideoError
from rotomask.export import ExportTarget, FormatOutputs, export
from rotomask.jobs.confidence import ConfidenceRecorder, resume_recorder
from rotomask.jobs.folder import JobFolder
from rotomask.jobs.following import VideoFrames, follow_pass
from rotomask.jobs.mask_files import MaskFiles, matte_pixels
from rotomask.jobs.progress import OnProgress
from rotomask.jobs.snapshots import Snapshots
from rotomask.matting import EdgeControls
from rotomask.memory import LARGE_FRAME_PIXELS
from rotomask.pipeline import Stage
from rotomask.segmenters.base import Segmenter
from rotomask.segmenters.confidence import ConfidenceMeter
from rotomask.segmenters.follow import Annotation, FollowedFrame, Pass
from rotomask.video import Video, VideoFrame

SOFT_FORMATS = frozenset({"webm", "prores", "rgba", "mattes", "exr"})
"""Formats with soft edges, for which the masks' probabilities are kept as mattes."""

logger = logging.getLogger(__name__)


@dataclass(kw_only=True)
class CutWork:
    """One cut: where its frames come from and go to, and how far it is."""

    video: Video
    frames: range
    masks: MaskFiles
    formats: tuple[str, ...]
    """What is rendered besides the masks."""
    edges: EdgeControls
    on_progress: OnProgress | None
    segmented: int = 0
    seconds: float = 0.0
    damage: TruncatedVideoError | None = None
    seen: set[int] = field(default_factory=set)
    """Frames with a mask; the annotated frame begins a pass in both directions and counts once."""
    pictures: "Pictures | None" = None
    """What is rendered while the masks are made."""

    @classmethod
    def begin(
        cls,
        folder: JobFolder,
        video: Video,
        frames: range,
        formats: tuple[str, ...],
        edges: EdgeControls,
        on_progress: OnProgress | None,
    ) -> "CutWork":
        """A cut that begins or resumes in a folder."""
        folder.note(video=str(video.path), frames=[frames.start, frames.stop])
        masks = MaskFiles(folder, video, soft=is_soft(formats))
        finished = sum(masks.is_finished(index) for index in frames)
        if finished:
            logger.info("resuming: %d of %d frames are finished", finished, len(frames))
        return cls(
            video=video,
            frames=frames,
            masks=masks,
            formats=formats,
            edges=edges,
            on_progress=on_progress,
        )

    def is_done(self, indices: range) -> bool:
        """True if every one of these frames is finished."""
        return all(self.masks.is_finished(index) for index in indices)

    def count(self, indices: Sequence[int], *, segmented: int = 0) -> None:
        """Take note of frames that have their mask now."""
        self.segmented += segmented
        self.seen.update(indices)
        if self.on_progress is not None:
            self.on_progress("cut", len(self.seen), len(self.frames))

    def follow(
        self,
        passes: Sequence[Pass],
        annotations: Mapping[int, Annotation],
        segmenter: Segmenter,
    ) -> None:
        """Segment the frames of all passes, write their masks, and render where it can be done.

        Of a damaged video the frames before the damage; it is noted.

        Raises:
            OutputError: If a mask cannot be written.
        """
        began = time.perf_counter()
        with contextlib.ExitStack() as running:
            if self._can_render_at_once(passes):
                self.pictures = running.enter_context(Pictures(self))
            for one in passes:
                self._follow_pass(one, annotations, segmenter)
            if self.pictures is not None:
                self.pictures.complete()
        self.seconds = time.perf_counter() - began

    def render(self) -> dict[str, Path]:
        """The rendered outputs: those made with the masks, else made now.

        Raises:
            TruncatedVideoError: If the video ends early, after the outputs of the frames before.
            OutputError: If an output cannot be written.
        """
        report = None if self.on_progress is None else partial(self.on_progress, "export")
        outputs = None if self.pictures is None else self.pictures.outputs
        if outputs is not None:
            if report is not None:
                report(len(self.seen), len(self.frames))
            return outputs
        return export(
            self.video,
            self.masks.folder.root,
            self.formats,
            start=self.frames.start,
            stop=self.frames.stop,
            partial=self.damage is not None,
            edges=self.edges,
            commit=self.masks.folder.commit,
            on_progress=report,
        )

    def _can_render_at_once(self, passes: Sequence[Pass]) -> bool:
        """Whether one pass gives every frame once, in order, with the mask that is on the disk."""
        height, width = self.video.size
        return (
            bool(self.formats)
            and list(passes) == [Pass(self.frames.start, self.frames.stop)]
            and height * width <= LARGE_FRAME_PIXELS
            and not self.video.damaged
            and not any(self.masks.is_finished(index) for index in self.frames)
        )

    def _follow_pass(
        self, frames: Pass, annotations: Mapping[int, Annotation], segmenter: Segmenter
    ) -> None:
        if self.is_done(frames.indices):
            self.count(frames.indices)
            return
        snapshots = Snapshots(self.masks.folder, frames)
        finished = {index for index in frames.indices if self.masks.is_finished(index)}
        restored = snapshots.restore(segmenter, finished)
        remaining, started = (frames, False) if restored is None else (restored, True)
        self.count(frames.indices[: len(frames) - len(remaining)])
        # Without a stored state all frames are segmented again, those with a mask too: a memory
        # made of masks on disk is not that of a job that was never stopped.
        masks = self.masks if segmenter.is_memoryless else replace(self.masks, replays=True)
        recorder = ConfidenceRecorder(masks.folder, snapshots.meter or ConfidenceMeter())
        if started and remaining and snapshots.meter is None:
            references = {index: known.labels for index, known in annotations.items()}
            recorder = resume_recorder(masks, frames, remaining.indices[0], references)
        damaged = self.video.damaged
        for index in sorted(damaged.intersection(remaining.indices) - finished):
            masks.write(index, np.zeros(self.video.size, np.int32), None)
            self.count([index])
        written: deque[tuple[int, bool]] = deque()

        def record(followed: FollowedFrame, object_ids: tuple[int, ...]) -> None:
            recorder.record(followed, object_ids)
            is_new = followed.origin == "segmented" and followed.index not in finished
            written.append((followed.index, is_new))

        def count_written() -> None:
            while written:
                index, is_new = written.popleft()
                self.count([index], segmented=int(is_new))

        pictures = self.pictures
        source = VideoFrames(self.video, on_frame=None if pictures is None else pictures.see)
        with Stage("masks") as writer:
            steps = follow_pass(
                *(segmenter, source, remaining, annotations, masks, writer),
                started=started,
                damaged=damaged,
                then=record,
            )
            try:
                with contextlib.closing(steps):
                    for followed in steps:
                        if pictures is not None:
                            pictures.add(followed)
                        count_written()
                        index, is_due = followed.index, snapshots.is_due(followed)
                        del followed  # before the state is copied: it may hold much memory
                        if is_due:
                            writer.drain()
                            snapshots.save(segmenter, index, recorder.meter)
            except TruncatedVideoError as error:
                self.damage = error
        count_written()


class Pictures:
    """The outputs of a cut that are rendered while its masks are made.

    A fault of theirs does not stop the cut: they are given up, and rendered when it is done.
    """

    def __init__(self, work: CutWork) -> None:
        folder = work.masks.folder
        self.outputs: dict[str, Path] | None = None
        """Format -> the file or folder; None until all are complete."""
        self._is_soft = work.masks.soft
        # Mattes are written with the masks.
        self._mattes = folder.root / "mattes" if "mattes" in work.formats else None
        target = ExportTarget(
            video=work.video,
            folder=folder.root,
            frame_count=len(work.frames),
            commit=folder.commit,
        )
        formats = [name for name in work.formats if name != "mattes"]
        self._count, self._frame_count = 0, len(work.frames)
        self._frames: dict[int, VideoFrame] = {}
        self._stage = Stage("pictures", most_tasks=2)
        self._is_given_up = False
        try:
            self._formats = FormatOutputs(target, formats, work.edges)
        except RotomaskError:  # told by `export`, after the masks
            self._is_given_up = True

    def __enter__(self) -> "Pictures":
        return self

    def __exit__(self, *_: object) -> None:
        if self.outputs is None:
            self._give_up()

    def see(self, frame: VideoFrame) -> None:
        """Take a frame as it is decoded; `add` tells its mask."""
        if not self._is_given_up:
            self._frames[frame.index] = frame

    def add(self, followed: FollowedFrame) -> None:
        """Render a frame after those before it."""
        frame = self._frames.pop(followed.index, None)
        if self._is_given_up or frame is None:
            return
        size = 2 * frame.image.nbytes + followed.labels.nbytes
        self._count += 1
        opacity = None
        if self._is_soft and followed.probabilities is not None:
            opacity = 1 - followed.probabilities[0]
        try:
            self._stage.submit(self._add, frame, followed.labels, opacity, size=size)
        except RotomaskError:
            self._give_up()

    def complete(self) -> None:
        """Complete the outputs if every frame was rendered."""
        if self._is_given_up or self._count != self._frame_count:
            return
        try:
            self._stage.drain()
            outputs = self._formats.close()
        except RotomaskError:
            self._give_up()
            return
        self._stage.abandon()  # nothing waits: its thread ends
        self.outputs = outputs if self._mattes is None else outputs | {"mattes": self._mattes}

    def _add(
        self,
        frame: VideoFrame,
        labels: npt.NDArray[np.int32],
        opacity: npt.NDArray[np.float32] | None,
    ) -> None:
        matte = matte_pixels(labels, opacity) if self._is_soft else None
        self._formats.add(frame, labels, matte)

    def _give_up(self) -> None:
        if not self._is_given_up:
            self._is_given_up = True
            self._frames.clear()
            self._stage.abandon()
            self._formats.discard()


def is_soft(formats: Sequence[str]) -> bool:
    """Whether a cut keeps mattes beside its masks for these formats."""
    return any(name in SOFT_FORMATS for name in formats)
