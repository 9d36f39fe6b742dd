"""The process that decodes for `sandbox`: ``python -m rotomask.video.sandbox_child REQUEST``.

It writes messages to standard output: four bytes with the length of a JSON head, the head, then so
many bytes as the head says. It limits itself before it opens the file.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

from rotomask.errors import RotomaskError, TruncatedVideoError
from rotomask.memory import is_out_of_memory, is_short
from rotomask.video.opening import open_video
from rotomask.video.video import Video


def limit(memory_mib: int, cpu_seconds: int) -> None:
    """Limit this process; on Windows, which has no such limits, nothing."""
    if sys.platform == "win32":
        return
    import resource

    for kind, value in (
        (resource.RLIMIT_AS, memory_mib << 20),
        (resource.RLIMIT_CPU, cpu_seconds),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        highest = resource.getrlimit(kind)[1]
        if highest != resource.RLIM_INFINITY:
            value = min(value, highest)
        resource.setrlimit(kind, (value, value))


def send(head: dict[str, Any], *payload: bytes) -> None:
    """Write one message."""
    text = json.dumps({**head, "bytes": sum(map(len, payload))}).encode()
    for part in (len(text).to_bytes(4, "big"), text, *payload):
        sys.stdout.buffer.write(part)
    sys.stdout.buffer.flush()


def describe(video: Video) -> dict[str, Any]:
    """What `SandboxedVideo` needs to know of a video."""
    count = video.frame_count
    is_numbered = all(video.frame_name(i) == f"{i:05d}" for i in range(min(count, 100_000)))
    return {
        "kind": "info",
        "height": video.size[0],
        "width": video.size[1],
        "fps": [video.fps.numerator, video.fps.denominator],
        "pixel_aspect": [video.pixel_aspect.numerator, video.pixel_aspect.denominator],
        "count": count,
        "names": None if is_numbered else [video.frame_name(i) for i in range(count)],
    }


def main() -> None:
    """Do what the request says, and send the result."""
    request = json.loads(sys.argv[1])
    limit(request["memory_mib"], request["cpu_seconds"])
    try:
        video = open_video(Path(request["path"]))
        if request.get("info"):
            send(describe(video))
        else:
            frames = video.frames(request["start"], request["stop"], reverse=request["reverse"])
            for frame in frames:
                alpha = (
                    () if frame.alpha is None else (np.ascontiguousarray(frame.alpha).tobytes(),)
                )
                send(
                    {
                        "kind": "frame",
                        "index": frame.index,
                        "time_s": frame.time_s,
                        "alpha": frame.alpha is not None,
                    },
                    np.ascontiguousarray(frame.image).tobytes(),
                    *alpha,
                )
        send({"kind": "end"})
    except TruncatedVideoError as error:
        send({"kind": "truncated", "message": str(error), "frames_read": error.frames_read})
    except RotomaskError as error:
        # FFmpeg, Pillow and OpenCV report a lack of memory as their own errors.
        is_limit = is_out_of_memory(error) or "allocate memory" in str(error) or is_short()
        send({"kind": "limit" if is_limit else "error", "message": str(error)})
    except MemoryError as error:
        send({"kind": "limit", "message": str(error)})
    except (BrokenPipeError, KeyboardInterrupt):  # nobody reads any more
        os._exit(1)


if __name__ == "__main__":
    main()
