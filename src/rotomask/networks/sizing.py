"""Sizes at which frames are processed."""


def working_size(
    size: tuple[int, int], short_side: int | None, enlarge: bool, scale: float = 1.0
) -> tuple[int, int]:
    """Height and width at which a frame is processed.

    Args:
        size: Height and width of the frame, px.
        short_side: Larger frames are reduced to it, px; None: none is.
        enlarge: Whether smaller frames are enlarged to it.
        scale: Factor on the size so far, to test at several scales.
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
    """Height and width nearest to a short side and the frame's shape, in multiples.

    Smaller frames are always enlarged: what such a network takes for an object depends on its size
    in pixels. Rounded once, where `nearest_multiples` of `working_size` rounds twice.

    Args:
        size: Height and width of the frame, px.
        short_side: Short side to fit, px; None: the frame's own.
        multiple: Sides are multiples of it, px.
    """
    scale = 1.0 if short_side is None else short_side / min(size)
    return nearest_multiples((size[0] * scale, size[1] * scale), multiple)


def nearest_multiples(size: tuple[float, float], multiple: int) -> tuple[int, int]:
    """Height and width rounded to multiples, at least one.

    Example:
        >>> nearest_multiples((480, 854), 32)
        (480, 864)
    """
    height, width = (max(1, round(side / multiple)) * multiple for side in size)
    return height, width
