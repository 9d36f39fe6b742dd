"""Conversion between a video's frames and a network's tensors: resizing, padding, and back."""

from dataclasses import dataclass

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from rotomask.arrays import Frame, Mask, Probabilities


@dataclass(frozen=True, kw_only=True)
class Framing:
    """Conversion of one video's frames and masks to a network's input, and of its output back."""

    size: tuple[int, int]
    """Height and width of the video's frames."""
    working_size: tuple[int, int]
    """Height and width at which they are processed, before padding."""
    stride: int
    """Padded sides are multiples of this, px."""
    device: torch.device
    """Device of the tensors."""

    @property
    def padding(self) -> tuple[int, int, int, int]:
        """Padding left, right, top and bottom up to a multiple of the stride, split evenly, px."""
        height, width = self.working_size
        extra_y, extra_x = -height % self.stride, -width % self.stride
        return extra_x // 2, extra_x - extra_x // 2, extra_y // 2, extra_y - extra_y // 2

    def image(self, frame: Frame) -> Tensor:
        """Frame as 1×3×H×W float, 0..1, resized and padded with zeros."""
        height, width = self.working_size
        if frame.shape[:2] != self.working_size:
            reduces = width < frame.shape[1]
            method = cv2.INTER_AREA if reduces else cv2.INTER_CUBIC
            frame = cv2.resize(frame, (width, height), interpolation=method)  # type: ignore[assignment]
        image = torch.tensor(np.ascontiguousarray(frame), device=self.device)
        image = image.permute(2, 0, 1)[None].float() / 255
        return F.pad(image, self.padding).contiguous(memory_format=torch.channels_last)

    def masks(self, mask: Mask, object_ids: tuple[int, ...]) -> Tensor:
        """One soft mask per object, O×H×W float, 0..1, resized and padded with zeros."""
        height, width = self.working_size
        left, right, top, bottom = self.padding
        # Filled in place: stacking and padding would hold every object three times.
        padded = torch.zeros(len(object_ids), top + height + bottom, left + width + right)
        for index, k in enumerate(object_ids):
            layer = (mask == k).astype(np.float32)
            if layer.shape != self.working_size:
                layer = cv2.resize(layer, (width, height), interpolation=cv2.INTER_AREA)
            padded[index, top : top + height, left : left + width] = torch.from_numpy(layer)
        return padded.to(self.device)

    def output(self, probabilities: Tensor, *, copy: bool = True) -> Probabilities:
        """O+1×H×W at padded size -> without padding, at the video's own size.

        Args:
            probabilities: O+1×H×W, float.
            copy: Share no memory with the argument, so that the caller may write into the array
                while the segmenter keeps the tensor.
        """
        height, width = self.working_size
        left, _, top, _ = self.padding
        inner = probabilities[:, top : top + height, left : left + width].float()
        if self.size != self.working_size:
            inner = F.interpolate(inner[None], self.size, mode="bilinear", align_corners=False)[0]
        # Where nothing changed it, float() and cpu() return the tensor itself, numpy() its memory.
        output = inner.cpu().numpy()
        is_shared = inner.untyped_storage().data_ptr() == probabilities.untyped_storage().data_ptr()
        return output.copy() if copy and is_shared else output


def ids_in(mask: Mask) -> tuple[int, ...]:
    """Object ids in a mask, in ascending order."""
    return tuple(int(k) for k in np.unique(mask) if k != 0)


def overwrite(
    probabilities: Probabilities, mask: Mask, object_ids: tuple[int, ...], given: tuple[int, ...]
) -> None:
    """Set the probabilities of some objects to their mask, in place.

    Args:
        probabilities: O+1×H×W, in the order of `object_ids`.
        mask: H×W, labels of the given objects.
        object_ids: Ids of rows 1.. .
        given: Ids that the mask annotates.
    """
    probabilities[:, np.isin(mask, given)] = 0
    for k in given:
        probabilities[1 + object_ids.index(k), mask == k] = 1


def with_given(
    segmented: Probabilities, mask: Mask, object_ids: tuple[int, ...], given: tuple[int, ...]
) -> Probabilities:
    """Probabilities of a segmented frame, with some objects replaced by their given masks.

    Where a given object was segmented but is not in its mask, the result is background.

    Args:
        segmented: P+1×H×W, of the first P of the objects.
        mask: H×W, labels of the given objects.
        object_ids: Ids of the O objects, rows 1.. of the result.
        given: Ids that the mask annotates.

    Returns:
        O+1×H×W float32, sums to 1 over the first axis.
    """
    full = np.zeros((1 + len(object_ids), *mask.shape), np.float32)
    full[: len(segmented)] = segmented
    full[[1 + object_ids.index(k) for k in given]] = 0
    full[0] += 1 - full.sum(0)  # what the given objects had becomes background
    overwrite(full, mask, object_ids, given)
    return full
