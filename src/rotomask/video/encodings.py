"""Encodings of video files: H.264, VP9 and ProRes, with alpha or without; animated images."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Encoding:
    """Codec, pixel format and container of a video file, by FFmpeg's names."""

    codec: str
    """The encoder."""
    pixel_format: str
    """The encoder's input format."""
    container: str
    """The muxer."""
    options: dict[str, str] = field(default_factory=dict)
    """Options of the encoder."""
    container_options: dict[str, str] = field(default_factory=dict)
    """Options of the muxer."""
    large_options: dict[str, str] = field(default_factory=dict)
    """Further options of the encoder for frames larger than 1080p: fewer of them in memory."""
    large_alpha_apart: bool = False
    """True if the alpha of such frames is encoded after the colours (`separate_alpha`)."""
    even: bool = False
    """True if width and height must be even."""
    alpha: bool = False
    """True if frames have four channels, RGBA with straight alpha."""
    palette: bool = False
    """True if every frame gets a palette of its own."""


def h264(crf: int = 18, preset: str = "fast", changes: Mapping[str, str] | None = None) -> Encoding:
    """H.264 4:2:0 in MP4, playable while it loads.

    Args:
        crf: Lower is of higher quality.
        preset: x264's; a faster one gives larger files of the same quality.
        changes: FFmpeg's options for libx264 that differ from those of the preset.
    """
    return Encoding(
        codec="libx264",
        pixel_format="yuv420p",
        container="mp4",
        # The same frames give the same file: with mbtree x264 reads memory that nobody wrote, and
        # with threads for slices its result depends on their timing.
        options={
            "crf": str(crf),
            "preset": preset,
            "thread_type": "frame",
            "mbtree": "0",
            **(changes or {}),
        },
        # x264 looks 30 frames ahead, which are 900 MB for 4K.
        large_options={"rc-lookahead": "5", "bf": "2"},
        container_options={"movflags": "+faststart"},
        even=True,
    )


VP9 = Encoding(
    codec="libvpx-vp9",
    pixel_format="yuv420p",
    container="webm",
    options={"crf": "26", "b": "0", "deadline": "realtime", "cpu-used": "6", "row-mt": "1"},
)
"""VP9 in WebM, without alpha."""

WEBP = Encoding(
    codec="libwebp_anim",
    pixel_format="bgra",  # libwebp converts to its own YUV, which is not that of video
    container="webp",
    options={"quality": "80", "compression_level": "4"},
    container_options={"loop": "0"},
    alpha=True,
)
"""Animated WebP, in an endless loop."""

GIF = Encoding(
    codec="gif",
    pixel_format="pal8",
    container="gif",
    container_options={"loop": "0"},
    alpha=True,
    palette=True,
)
"""Animated GIF, in an endless loop, with a palette for each frame; alpha is on or off."""

VP9_ALPHA = Encoding(
    codec="libvpx-vp9",
    pixel_format="yuva420p",
    container="webm",
    # auto-alt-ref=0: hidden reference frames would lose their alpha. On real footage "realtime" at
    # speed 8 takes a fifth of the time of "good" at speed 5, for a file 8 % larger.
    options={"crf": "24", "b": "0", "deadline": "realtime", "cpu-used": "8", "auto-alt-ref": "0"},
    # Without it Matroska gives every file random numbers: the same cut would be another file.
    container_options={"fflags": "+bitexact"},
    # libvpx looks 25 frames ahead, of colour and of alpha, which are 1.5 GB for 4K.
    large_options={"lag-in-frames": "0"},
    large_alpha_apart=True,
    alpha=True,
)
"""VP9 with alpha in WebM, which browsers show over the page."""

PRORES_4444 = Encoding(
    codec="prores_ks",
    pixel_format="yuva444p10le",
    container="mov",
    options={"profile": "4444", "alpha_bits": "16", "vendor": "apl0"},
    alpha=True,
)
"""ProRes 4444 with alpha in QuickTime, for video editors."""
