"""The size at which a frame is processed."""


def working_size(
    size: tuple[int, int], short_side: int | None, enlarge: bool, scale: float = 1.0
) -> tuple[int, int]:
    """Height and width at which a frame is processed.

    Args:
        size: Height and width of the frame.
        short_side: Larger frames are reduced to it, px; None: none is.
        enlarge: Whether smaller ones are enlarged to it.
        scale: Factor on what would be the size, to test at several scales.
    """
    short = min(size)
    target = short
    if short_side is not None and (short > short_side or enlarge):
        target = short_side
    factor = scale * target / short
    if factor == 1:
        return size
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))
