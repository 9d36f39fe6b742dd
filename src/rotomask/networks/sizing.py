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
