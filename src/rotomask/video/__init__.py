"""Decoding and encoding of video files and folders of images."""

from rotomask.video.encodings import GIF, PRORES_4444, VP9, VP9_ALPHA, WEBP, Encoding, h264
from rotomask.video.images import read_image
from rotomask.video.opening import VideoSource, open_video
from rotomask.video.video import Video, VideoFrame
from rotomask.video.writer import VideoWriter

__all__ = [
    "GIF",
    "PRORES_4444",
    "VP9",
    "VP9_ALPHA",
    "WEBP",
    "Encoding",
    "Video",
    "VideoFrame",
    "VideoSource",
    "VideoWriter",
    "h264",
    "open_video",
    "read_image",
]
