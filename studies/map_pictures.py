"""Pictures of the maps that unsupervised segmentation computes on the way."""

import cv2
import numpy as np
import numpy.typing as npt

from rotomask.render import Pixels
from rotomask.unsupervised.graph import Embedding, Indices


def embedding_picture(embedding: Embedding) -> Pixels:
    """The three directions in which embeddings differ most as red, green and blue: h×w×3 uint8."""
    flat = embedding.reshape(-1, embedding.shape[-1])
    flat = flat - flat.mean(0)
    axes = np.linalg.svd(flat[:: max(1, len(flat) // 4000)], full_matrices=False)[2][:3]
    projected = np.zeros((len(flat), 3), np.float32)
    projected[:, : len(axes)] = flat @ axes.T
    low, high = np.percentile(projected, (1, 99), axis=0)
    scaled = np.clip((projected - low) / np.maximum(high - low, 1e-6), 0, 1)
    return np.asarray(scaled * 255, np.uint8).reshape(*embedding.shape[:2], 3)


def value_picture(values: npt.NDArray[np.floating | np.bool_]) -> Pixels:
    """Values 0 to 1 from dark blue over green to yellow: h×w×3 uint8."""
    grey = (np.clip(values.astype(np.float32), 0, 1) * 255).astype(np.uint8)
    coloured = cv2.applyColorMap(grey, cv2.COLORMAP_VIRIDIS)
    return np.asarray(coloured[..., ::-1], np.uint8)


def region_picture(regions: npt.NDArray[np.integer], colours: npt.NDArray[np.uint8]) -> Pixels:
    """Each region in its colour: h×w×3 uint8 from h×w and n×3."""
    return np.asarray(colours[regions], np.uint8)


def mark_points(
    picture: Pixels, positions: Indices, cells: tuple[int, int], colour: tuple[int, int, int]
) -> Pixels:
    """The picture with a dot at every position of a map laid over it.

    Args:
        picture: H×W×3 uint8.
        positions: Positions in the flattened map.
        cells: (height, width) of the map.
        colour: RGB.
    """
    marked = picture.copy()
    height, width = picture.shape[:2]
    radius = max(2, height // 120)
    for position in positions:
        y, x = divmod(int(position), cells[1])
        centre = (round((x + 0.5) * width / cells[1]), round((y + 0.5) * height / cells[0]))
        cv2.circle(marked, centre, radius + 1, (0, 0, 0), -1, cv2.LINE_AA)
        cv2.circle(marked, centre, radius, colour, -1, cv2.LINE_AA)
    return marked


def enlarged(picture: Pixels, size: tuple[int, int]) -> Pixels:
    """The picture at a (height, width), its cells kept sharp."""
    return np.asarray(cv2.resize(picture, size[::-1], interpolation=cv2.INTER_NEAREST), np.uint8)
