"""Conversion between a video's frames and a network's tensors: crop, size, padding, and back."""

from dataclasses import dataclass

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from rotomask.arrays import Frame, Mask, Probabilities
from rotomask.segmenters.views import Box, View, box_of


@dataclass(frozen=True, kw_only=True)
class Framing:
    """Conversion of one video's frames and masks to a network's input, and of its output back."""

    size: tuple[int, int]
    """Height and width of the video's frames."""
    working_size: tuple[int, int]
    """Height and width at which the view is processed, before padding."""
    stride: int
    """Padded sides are multiples of this, px."""
    device: torch.device
    """Device of the tensors."""
    view: View | None = None
    """Part of the frame that is processed; None: the whole frame."""

    @property
    def processed(self) -> View:
        """Part of the frame that is processed."""
        return self.view or View(0, 0, *self.size)

    @property
    def padding(self) -> tuple[int, int, int, int]:
        """Padding left, right, top and bottom up to a multiple of the stride, split evenly, px."""
        height, width = self.working_size
        extra_y, extra_x = -height % self.stride, -width % self.stride
        return extra_x // 2, extra_x - extra_x // 2, extra_y // 2, extra_y - extra_y // 2

    def image(self, frame: Frame) -> Tensor:
        """The view of a frame as 1×3×H×W uint8, resized and padded with zeros."""
        height, width = self.working_size
        if self.view is not None:
            frame = frame[self.view.slices]
        if frame.shape[:2] != self.working_size:
            reduces = width < frame.shape[1]
            # Area averages all pixels when reducing, which bilinear and bicubic do not: thin things
            # would flicker.
            method = cv2.INTER_AREA if reduces else cv2.INTER_CUBIC
            frame = cv2.resize(frame, (width, height), interpolation=method)  # type: ignore[assignment]
        left, right, top, bottom = self.padding
        sides = (top + height + bottom, left + width + right)
        image = torch.empty((1, *sides, 3), dtype=torch.uint8, device=self.device)
        for border in (image[:, :top], image[:, top + height :]):
            border.zero_()
        for border in (image[:, :, :left], image[:, :, left + width :]):
            border.zero_()
        frame = np.ascontiguousarray(frame)
        if not frame.flags.writeable:
            frame = frame.copy()  # PyTorch warns of arrays that it may not write to
        image[0, top : top + height, left : left + width] = torch.from_numpy(frame)
        return image.permute(0, 3, 1, 2)  # 1×H×W×3 -> 1×3×H×W, with its channels last

    def masks(self, mask: Mask, object_ids: tuple[int, ...]) -> Tensor:
        """One soft mask per object, O×H×W float, 0..1, as `image` has the frame."""
        height, width = self.working_size
        if self.view is not None:
            mask = mask[self.view.slices]
        left, right, top, bottom = self.padding
        # Filled in place: stacking and padding would hold every object three times.
        padded = torch.zeros(len(object_ids), top + height + bottom, left + width + right)
        for index, k in enumerate(object_ids):
            # One object at a time, averaged over areas: a pixel that the object covers in part gets
            # that part.
            layer = (mask == k).astype(np.float32)
            if layer.shape != self.working_size:
                layer = cv2.resize(layer, (width, height), interpolation=cv2.INTER_AREA)
            padded[index, top : top + height, left : left + width] = torch.from_numpy(layer)
        return padded.to(self.device)

    def output(self, probabilities: Tensor, *, copy: bool = True) -> Probabilities:
        """O+1×H×W at padded size -> without padding, at the video's own size.

        Outside the view everything is background.

        Args:
            probabilities: O+1×H×W, float.
            copy: Share no memory with the argument, so that the caller may write into the array
                while the segmenter keeps the tensor.
        """
        height, width = self.working_size
        left, _, top, _ = self.padding
        inner = probabilities[:, top : top + height, left : left + width].float()
        part = self.processed
        if part.size != self.working_size:
            inner = F.interpolate(inner[None], part.size, mode="bilinear", align_corners=False)[0]
        if self.view is not None:
            full = np.zeros((len(inner), *self.size), np.float32)
            # What is outside the view is background with certainty.
            full[0] = 1
            full[(slice(None), *part.slices)] = inner.cpu().numpy()
            return full
        # Where nothing changed it, float() and cpu() return the tensor itself, numpy() its memory.
        output = inner.cpu().numpy()
        # By the storage: a slice begins elsewhere in the same memory.
        is_shared = inner.untyped_storage().data_ptr() == probabilities.untyped_storage().data_ptr()
        return output.copy() if copy and is_shared else output


@dataclass
class FramedMasks:
    """Soft masks of a frame with the framing that they are in."""

    masks: Tensor
    """O×H×W, padded, 0 to 1."""
    framing: Framing

    @property
    def shown(self) -> Tensor:
        """Indicator of the objects that have a pixel, O bool."""
        return self.masks.flatten(1).amax(1) > 0.5

    @property
    def box(self) -> Box | None:
        """Box of all objects, px of the video; None without a pixel."""
        height, width = self.framing.working_size
        left, _, top, _ = self.framing.padding
        inner = self.masks[:, top : top + height, left : left + width] > 0.5
        box = box_of(inner.any(0).cpu().numpy())
        if box is None:
            return None
        part = self.framing.processed
        y, x = part.height / height, part.width / width  # video px per working px
        return Box(
            part.top + y * box.top,
            part.left + x * box.left,
            part.top + y * box.bottom,
            part.left + x * box.right,
        )

    def on(self, framing: Framing, beyond: Tensor | None = None) -> Tensor:
        """The masks in another framing of the same video, O×H'×W' float32.

        Args:
            framing: The other one.
            beyond: What is outside this framing's view there, O×H'×W'; None: nothing.
        """
        if framing == self.framing:
            return self.masks.float()
        masks, reduced = self.masks.float(), 1
        theirs, ours = framing.processed, self.framing.processed
        # Source px per target px; averaged first where there are several.
        ratio = (self.framing.working_size[0] / ours.height) / (
            framing.working_size[0] / theirs.height
        )
        if ratio >= 2:
            reduced = int(ratio)
            masks = F.avg_pool2d(masks[None], reduced, ceil_mode=True, count_include_pad=False)[0]
        axes, inside = [], []
        for axis in (0, 1):  # y, then x
            # Padding is left, right, top, bottom: entries 2 and 3 are those of y, 0 and 1 those of
            # x.
            before = framing.padding[2 - 2 * axis]
            working, size = framing.working_size[axis], theirs.size[axis]
            length = before + working + framing.padding[3 - 2 * axis]
            # Centres of the target's px in the video, then in the source's working px.
            centres = (torch.arange(length) + 0.5 - before) * (size / working) + theirs.origin[axis]
            centres = (centres - ours.origin[axis]) / ours.size[axis]  # 0 to 1 within our view
            inside.append((centres >= 0) & (centres <= 1))
            centres = centres * self.framing.working_size[axis] + self.framing.padding[2 - 2 * axis]
            axes.append(centres / (reduced * masks.shape[1 + axis]) * 2 - 1)
        y, x = torch.meshgrid(*axes, indexing="ij")
        grid = torch.stack([x, y], -1)[None].to(masks.device)  # 1×H'×W'×2
        moved = F.grid_sample(
            masks[None], grid.float(), mode="bilinear", padding_mode="border", align_corners=False
        )[0]
        within = (inside[0][:, None] & inside[1][None]).to(masks.device)
        return torch.where(within, moved, torch.zeros_like(moved) if beyond is None else beyond)


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
