"""The exceptions that rotomask raises.

    RotomaskError
    ├── InputError            invalid input
    │   ├── VideoError        a video that is missing, not a video, or empty
    │   │   └── TruncatedVideoError   a video that ends early
    │   ├── MaskError         a mask that is unreadable or does not match its frame
    │   ├── PromptError       a click, box or scribble outside its frame, or contradicting another
    │   ├── FlowFileError     a .flo file that is unreadable
    │   ├── DatasetError      a data set that is missing or incomplete
    │   └── OptionError       an unknown name or a value out of range
    ├── OutputError           output that cannot be written
    │   └── BusyError         a folder that another process writes to
    ├── RemoteError           remote storage that fails
    ├── WeightsError          a checkpoint that does not match its network
    └── ShapeError            an array of the wrong shape or dtype

The message is one line: what was expected, what was given, and what to do. The command line prints
it and exits with status 2.
"""

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


class RotomaskError(Exception):
    """Base class of the exceptions that rotomask raises."""


class InputError(RotomaskError):
    """Invalid input: a file, a data set or an option."""


class VideoError(InputError):
    """A video that is missing, is not a video, or has no frames that can be decoded."""


class TruncatedVideoError(VideoError):
    """A video that ends early or is damaged; raised after the readable frames were returned."""

    def __init__(self, message: str, frames_read: int) -> None:
        """Keep the number of frames that were returned before the damage."""
        super().__init__(message)
        self.frames_read = frames_read


class MaskError(InputError):
    """A mask that cannot be read or does not match its frame."""


class PromptError(InputError):
    """A click, box or scribble that is outside its frame, or that contradicts another."""


class FlowFileError(InputError):
    """A .flo file that is missing, damaged or of another format."""


class DatasetError(InputError):
    """A data set that is missing or incomplete; the message names the missing files."""


class OptionError(InputError):
    """An unknown name or a value out of range."""


class OutputError(RotomaskError):
    """Output that cannot be written: the folder is missing or not writable, or the disk is full."""


class BusyError(OutputError):
    """An output folder that another rotomask process is writing to."""


class RemoteError(RotomaskError):
    """Remote storage that cannot be reached, or fails while it is read or written."""


class WeightsError(RotomaskError):
    """A checkpoint that does not match its network."""


class ShapeError(RotomaskError):
    """An array of the wrong shape or dtype."""


def lists_keywords(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """A function whose unknown keyword is an `OptionError` that lists the known ones.

    For public functions that take no options; `jobs.keywords` does it for those that do.
    """

    @functools.wraps(function)
    def run(*arguments: Parameters.args, **keywords: Parameters.kwargs) -> Result:
        import inspect  # here, because `rotomask --help` imports this module

        names = inspect.signature(function).parameters
        for name in keywords:
            if name not in names:
                raise OptionError(
                    f"{function.__name__} has no setting {name!r}; it has {', '.join(names)}"
                )
        return function(*arguments, **keywords)

    return run
