"""Pictures of a virtual camera that follows an object through a video."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from rotomask.effects.camera_path import (
    CameraPath,
    CameraSettings,
    ObjectTrack,
    plan_camera,
    track_of_mask,
)
from rotomask.effects.scene import Scene
from rotomask.errors import MaskError, lists_keywords
from rotomask.video import Video, open_video

Pixels = npt.NDArray[np.uint8]


def read_track(scene: Scene) -> ObjectTrack:
    """Where the selected objects are in each frame of a scene, from the masks.

    Raises:
        MaskError: If a mask is damaged or of another size than the video, or none has an object.
    """
    # In the video's own pixels, whatever the scene's size is: paths do not depend on a preview.
    measured = [track_of_mask(scene.is_selected(scene.labels(index))) for index in scene.frames]
    track = ObjectTrack(
        np.array([centre for centre, _ in measured]).reshape(-1, 2),
        np.array([size for _, size in measured]).reshape(-1, 2),
    )
    if not track.is_seen.any():
        which = (
            "" if scene.objects is None else f" with object {', '.join(map(str, scene.objects))}"
        )
        raise MaskError(f"{scene.folder} has no mask{which}; give the folder of a finished cut")
    return track


def view_through(image: Pixels, window: npt.ArrayLike, size: tuple[int, int]) -> Pixels:
    """What a camera's window shows of a frame: h×w×3 uint8.

    Args:
        image: H×W×3 uint8.
        window: Left, top, width, height, px, within the frame; fractions of pixels count.
        size: (height, width) of the picture.
    """
    left, top, width, height = (float(v) for v in np.asarray(window))
    scale_x, scale_y = width / size[1], height / size[0]
    if max(scale_x, scale_y) > 1.5:
        # Cubic interpolation alone skips pixels: average first, to about the picture's size.
        factor = 1 / max(scale_x, scale_y)
        small = (max(1, round(image.shape[1] * factor)), max(1, round(image.shape[0] * factor)))
        resized = cv2.resize(image, small, interpolation=cv2.INTER_AREA)
        rx, ry = small[0] / image.shape[1], small[1] / image.shape[0]
        return view_through(
            np.asarray(resized, np.uint8), (left * rx, top * ry, width * rx, height * ry), size
        )
    # Pixel centres lie at halves: x of the frame = left + (x of the picture + 0.5) scale - 0.5.
    matrix = np.array(
        [[scale_x, 0, left + scale_x / 2 - 0.5], [0, scale_y, top + scale_y / 2 - 0.5]]
    )
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    picture = cv2.warpAffine(
        image, matrix, (size[1], size[0]), flags=flags, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(picture, np.uint8)


@dataclass(frozen=True, eq=False)
class CameraView:
    """A virtual camera on a video and its cut: gives its path and any picture."""

    scene: Scene
    track: ObjectTrack
    """Where the objects are in `scene.frames`."""
    settings: CameraSettings
    path: CameraPath

    def picture(self, index: int) -> Pixels:
        """The camera's picture of a frame: h×w×3 uint8, of the size `path.size`.

        Scaled as the scene is: with a scene of half the video's width it has half that size.
        """
        frame = self.scene.frame(index)
        window = self.path.windows[index - self.scene.frames.start] * self.scene.scale
        height, width = self.path.size
        factor = min(1.0, self.scene.scale)
        size = (max(1, round(height * factor)), max(1, round(width * factor)))
        return view_through(frame.image, window, size)

    def with_settings(self, **values: object) -> "CameraView":
        """The same camera with some settings changed; masks are not read again.

        Raises:
            OptionError: If a name is unknown or a value is out of range.
        """
        settings = self.settings.changed(values)
        path = plan_camera(self.track, self.scene.video.size, self.path.rate, settings)
        return replace(self, settings=settings, path=path)

    def to_json(self) -> dict[str, Any]:
        """The path as plain data: windows in px of the video, the first of frame `start`."""
        return {
            "start": self.scene.frames.start,
            "windows": self.path.windows.round(2).tolist(),
            "size": {"width": self.path.size[1], "height": self.path.size[0]},
            "jitter_before": round(self.path.jitter_before, 3),
            "jitter_after": round(self.path.jitter_after, 3),
            "offset_after": round(self.path.offset_after, 3),
        }


@lists_keywords
def open_camera(
    video: str | Path | Video,
    folder: str | Path,
    settings: Mapping[str, object] | None = None,
    *,
    objects: Sequence[int] | None = None,
    width: int | None = None,
    frames: range | None = None,
) -> CameraView:
    """Open a virtual camera on a video and its cut; all masks are read, no frame is decoded.

    Args:
        video: The video that was cut.
        folder: Output folder of `cut`, or any folder with ``masks/NAME.png``.
        settings: Values of `CameraSettings` by name; the others have their defaults.
        objects: Ids of the objects that it follows together; None: all.
        width: Width at which frames are read, px, for a quick preview; None: the video's.
        frames: Frames that count as the video; None: all.

    Raises:
        OptionError: If a setting is unknown or out of range.
        VideoError: If the video cannot be read.
        MaskError: If no mask has an object.
    """
    camera = CameraSettings().changed(settings or {})
    opened = video if isinstance(video, Video) else open_video(video)
    scene = Scene(opened, folder, objects=objects, width=width, frames=frames)
    track = read_track(scene)
    path = plan_camera(track, opened.size, float(opened.fps), camera)
    return CameraView(scene, track, camera, path)
