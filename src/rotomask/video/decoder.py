"""Decoding of an open video file into frames in presentation order."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import av
from av.container import InputContainer
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from rotomask.errors import VideoError
from rotomask.files import access_fault
from rotomask.threads import current_threads

FORMATS = (
    "apng,asf,asf_o,av1,avi,cavsvideo,cine,dirac,dnxhd,dv,evc,flv,gif,gxf,h261,h263,h264,hevc,"
    "ivf,ivr,jpegxl_anim,kux,live_flv,lxf,m4v,matroska,mj2,mjpeg,mjpeg_2000,mlv,mov,mpeg,mpegts,"
    "mpegvideo,mpjpeg,mxf,nsv,nut,nuv,obu,ogg,pva,r3d,rm,smjpeg,ty,vc1,vc1test,vvc,webm,wtv,"
    "yuv4mpegpipe,aac,flac,mp3,wav"
)
"""FFmpeg's names of the containers that are read; the last four hold sound, for a clear message.

Every one keeps its frames in its own file. Playlists and scripts (concat, HLS, DASH, SDP, image
patterns) are left out on purpose: they name other files or addresses, so that a text file called
x.mp4 could make rotomask read any file of the user's. So are the demuxers that paint any text as
characters on a screen (tty, bin, ...).
"""


class Decoder:
    """Decoder of a file's main video stream; a context manager that closes the file.

    Example:
        with Decoder(path) as decoder:
            for frame in decoder.frames(): ...
    """

    def __init__(self, path: Path) -> None:
        """Open the file.

        Raises:
            VideoError: If it is missing, unreadable or has no video.
        """
        self.container = open_container(path)
        try:
            self.stream = _main_stream(self.container, path)
            self._context = _context(self.stream)
        except BaseException:
            self.container.close()
            raise

    def __enter__(self) -> "Decoder":
        return self

    def __exit__(self, *_: object) -> None:
        self.container.close()

    def seek(self, pts: int) -> None:
        """Seek to the last key packet at or before a time, in the stream's time base.

        Some containers have an inexact index, so the caller must check the first frame's time.
        """
        self.container.seek(pts, stream=self.stream, backward=True, any_frame=False)
        # Or the decoder would mix frames of before the seek with those after it.
        self._context.flush_buffers()

    def frames(self, last_packet: int | None = None) -> Iterator[av.VideoFrame]:
        """The frames from the current position on, starting at the next key packet.

        Args:
            last_packet: Most packets to decode; by default all.

        Raises:
            av.FFmpegError: If the file is damaged, after the frames before the damage.
        """
        failure: av.FFmpegError | None = None
        has_key = False  # without a key frame to start from, decoders return grey pictures
        try:
            for number, packet in enumerate(self.container.demux(self.stream)):
                # The empty packet that PyAV gives at the end, or the first one that is cut off.
                if packet.size == 0 or number == last_packet:
                    break
                has_key = has_key or packet.is_keyframe
                if has_key:
                    yield from self._context.decode(packet)
        except av.FFmpegError as error:
            failure = error
        # Flush the frames that the decoder holds back for reordering, after damage too.
        with contextlib.suppress(av.FFmpegError, EOFError):
            yield from self._context.decode(None)
        if failure is not None:
            raise failure


def open_container(path: Path) -> InputContainer:
    """Open a file for reading.

    Raises:
        VideoError: If it is missing, or not a format that FFmpeg reads.
    """
    if fault := access_fault(path):
        raise VideoError(f"{path} {fault}")
    try:
        # Absolute, because FFmpeg takes what stands before a colon for a protocol: "Take: 2.mp4".
        return av.open(
            str(path.absolute()),
            # Titles in a wrong encoding must not keep a video from being read.
            metadata_errors="replace",
            options={"format_whitelist": FORMATS},
        )
    except (av.FFmpegError, OSError) as error:
        raise VideoError(
            f"{path} is not a video that can be opened ({error.strerror}); give a video file such "
            "as .mp4, .mov, .mkv or .webm, or a folder of frames. Playlists and scripts that name "
            "other files are not read"
        ) from error


def _main_stream(container: InputContainer, path: Path) -> VideoStream:
    """The default video stream, else the one with the largest frames; cover art is ignored."""
    cover = av.stream.Disposition.attached_pic
    streams = [s for s in container.streams.video if not s.disposition & cover]
    if not streams:
        content = "only sound" if container.streams.audio else "no video"
        raise VideoError(f"{path} has {content}; give a video file or a folder of frames")
    decodable = [s for s in streams if s.codec_context is not None]
    if not decodable:
        raise VideoError(
            f"{path} is damaged, or its codec is not supported by this FFmpeg; convert it to H.264"
        )
    default = [s for s in decodable if s.disposition & av.stream.Disposition.default]
    # A file may have a small preview beside the film.
    return max(default or decodable, key=lambda s: s.width * s.height)


def _context(stream: VideoStream) -> VideoCodecContext:
    """The stream's decoder, with up to 4 threads; one that keeps alpha if the stream has it."""
    context = stream.codec_context
    # FFmpeg's own VP8 and VP9 decoders drop the alpha that WebM stores beside each packet.
    with_alpha = {"vp8": "libvpx", "vp9": "libvpx-vp9"}.get(context.name)
    tags = {key.lower(): value for key, value in stream.metadata.items()}
    if with_alpha and tags.get("alpha_mode") == "1":
        with contextlib.suppress(av.codec.codec.UnknownCodecError):
            context = av.CodecContext.create(with_alpha, "r")  # type: ignore[assignment]
    context.thread_type = av.codec.context.ThreadType.AUTO
    context.thread_count = min(4, current_threads())
    return context
