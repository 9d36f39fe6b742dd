"""Every error that rotomask raises on purpose.

    RotomaskError
    ├── InputError            what the user gave cannot be used
    │   ├── VideoError        no such video, not a video, no frames
    │   │   └── TruncatedVideoError   it ends early; the frames before were delivered
    │   ├── MaskError         a mask that cannot be read, or does not fit its frame
    │   ├── FlowFileError     a .flo file that cannot be read
    │   ├── DatasetError      a data set folder that is missing or incomplete
    │   └── OptionError       an unknown name, a number out of range
    ├── OutputError           the place to write to is missing, not writable or full
    ├── WeightsError          a checkpoint that does not fit its network
    └── ShapeError            arrays of the wrong shape or dtype, given by Python code

A message says what came, what was expected and what to do, on one line. The command line prints it
and exits with status 2.
"""


class RotomaskError(Exception):
    """Base of every error that rotomask raises on purpose."""


class InputError(RotomaskError):
    """What the user gave cannot be used."""


class VideoError(InputError):
    """A video that is missing, is not a video, or has no frames."""


class TruncatedVideoError(VideoError):
    """A video that ends early or is damaged; the frames before the damage were delivered."""

    def __init__(self, message: str, frames_read: int) -> None:
        super().__init__(message)
        self.frames_read = frames_read


class MaskError(InputError):
    """A mask that cannot be read, or does not fit its frame."""


class FlowFileError(InputError):
    """A .flo file that is missing, damaged or something else."""


class DatasetError(InputError):
    """A data set folder that is missing or incomplete; the message names what is missing."""


class OptionError(InputError):
    """An unknown name or a number out of range."""


class OutputError(RotomaskError):
    """The place to write to is missing, not writable or full."""


class WeightsError(RotomaskError):
    """A checkpoint that does not fit its network."""


class ShapeError(RotomaskError):
    """Arrays of the wrong shape or dtype."""
