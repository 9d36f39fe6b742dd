"""The size at which a frame is processed, from its own size and the options."""


def working_size(
    size: tuple[int, int], short_side: int | None, enlarge: bool, scale: float = 1.0
) -> tuple[int, int]:
    """Height and width at which a frame is processed, with its aspect ratio.

    Args:
        size: Height and width of the frame, px.
        short_side: Short side to which larger frames are reduced, px; None: keep the frame's size.
        enlarge: Enlarge smaller frames to `short_side` too.
        scale: Further factor on both sides, for multi-scale inference.
    """
    short = min(size)
    target = short
    if short_side is not None and (short > short_side or enlarge):
        target = short_side
    factor = scale * target / short
    if factor == 1:
        return size
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))


def fitted_size(size: tuple[int, int], short_side: int | None, multiple: int) -> tuple[int, int]:
    """Multiples of a number nearest to the frame's height and width at a given short side.

    Smaller frames are always enlarged, because the networks that use this respond to objects of a
    certain size in px. The sides are rounded once; `nearest_multiples` of `working_size` rounds
    twice.

    Args:
        size: Height and width of the frame, px.
        short_side: Short side, px; None: the frame's own.
        multiple: The returned height and width are multiples of this, px.
    """
    scale = 1.0 if short_side is None else short_side / min(size)
    return nearest_multiples((size[0] * scale, size[1] * scale), multiple)


def nearest_multiples(size: tuple[float, float], multiple: int) -> tuple[int, int]:
    """Height and width rounded to the nearest multiples of a number, at least one multiple each.

    Example:
        >>> nearest_multiples((480, 854), 32)
        (480, 864)
    """
    height, width = (max(1, round(side / multiple)) * multiple for side in size)
    return height, width
