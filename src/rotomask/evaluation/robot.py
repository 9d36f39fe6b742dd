"""A simulated user for measuring: clicks and strokes where a mask is most wrong.

Clicks are placed as by Sofiiuk et al. 2021 (RITM) for the number-of-clicks measure.
"""

import numpy as np
import numpy.typing as npt

from rotomask.prompts.kinds import Click
from rotomask.prompts.regions import BoolMask, interior_distance


class ClickRobot:
    """Clicks at one frame, each at the centre of the largest error.

    Args:
        truth: The object, H×W bool.
        void: Pixels of no class, which are never clicked; None: none.
        object_id: Id given to the clicks.
    """

    def __init__(self, truth: BoolMask, void: BoolMask | None = None, object_id: int = 1) -> None:
        self.truth, self.void, self.object_id = truth, void, object_id
        self._clicked = np.zeros(truth.shape, bool)

    def click(self, predicted: BoolMask) -> Click | None:
        """The next click on a prediction, H×W bool; None if nothing is wrong."""
        click = error_click(self.truth, predicted, self.void, self._clicked, self.object_id)
        if click is not None:
            self._clicked[int(click.y), int(click.x)] = True
        return click


def error_click(
    truth: BoolMask,
    predicted: BoolMask,
    void: BoolMask | None = None,
    clicked: BoolMask | None = None,
    object_id: int = 1,
) -> Click | None:
    """A click on the pixel farthest inside the missed or the superfluous region.

    The picture's border bounds regions. If both regions are equally thick the click is negative; of
    several pixels equally far inside, the first by rows is clicked.

    Args:
        truth: The object, H×W bool.
        predicted: The mask so far, H×W bool.
        void: Pixels that belong to neither region; None: none.
        clicked: Pixels clicked before, which are not clicked again; None: none.
        object_id: Id given to the click.

    Returns:
        None if no pixel is wrong but those clicked before.
    """
    valid = np.ones_like(truth) if void is None else ~void
    missed = interior_distance(truth & ~predicted & valid)
    extra = interior_distance(~truth & predicted & valid)
    if clicked is not None:
        missed, extra = missed * ~clicked, extra * ~clicked
    positive = bool(missed.max() > extra.max())
    distance: npt.NDArray[np.float32] = missed if positive else extra
    if distance.max() <= 0:
        return None
    y, x = divmod(int(distance.argmax()), truth.shape[1])
    return Click(x, y, positive, object_id)
