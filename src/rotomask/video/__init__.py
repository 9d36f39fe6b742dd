"""Video in and out: the only code that decodes or encodes."""

from rotomask.video.base import Video, VideoFrame
from rotomask.video.opening import open_video

__all__ = ["Video", "VideoFrame", "open_video"]
