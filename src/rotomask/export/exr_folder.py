"""Mattes for compositors: OpenEXR files of half floats, a layer for each object."""

import cv2
import numpy as np
import numpy.typing as npt

from rotomask.errors import OutputError
from rotomask.export.format_writer import ExportTarget, FormatWriter, MaskedFrame
from rotomask.files import complete_or_absent
from rotomask.masks import object_ids
from rotomask.matting import edge_alpha

Half = npt.NDArray[np.float16]


class EXRFolder(FormatWriter):
    """Writer of `exr/NAME.exr`; each file is complete or absent.

    Channels: `A`, the opacity of all objects, 0 to 1; `Y`, the same, for viewers that ignore alpha;
    `objectK.A`, that of object k, from the first frame that shows it on. The objects' channels add
    up to `A`: where an edge is soft, it belongs to the nearest object.
    """

    def __init__(self, target: ExportTarget) -> None:
        self.path, self._commit = target.folder / "exr", target.commit
        self._seen: set[int] = set()

    def add(self, masked: MaskedFrame) -> None:
        """See `FormatWriter.add`."""
        import OpenEXR  # the extra [exr]; `check_formats` says so before anything is cut

        self._seen.update(object_ids(masked.labels))
        alpha = np.asarray(masked.alpha / 255, np.float32)
        alpha = edge_alpha(masked.frame.image, alpha, masked.edges)
        owner = nearest_objects(masked.labels)
        channels = {"A": _half(alpha), "Y": _half(alpha)}
        for k in sorted(self._seen):
            channels[f"object{k}.A"] = _half(np.where(owner == k, alpha, 0))
        header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
        path = self.path / f"{masked.frame.name}.exr"
        with complete_or_absent(path, self._commit) as temporary:
            try:
                OpenEXR.File(header, channels).write(str(temporary))
            except RuntimeError as error:
                raise OutputError(f"cannot write {path}: {error}") from error

    def close(self) -> None:
        """See `FormatWriter.close`; all files are complete already."""

    def discard(self) -> None:
        """See `FormatWriter.discard`; complete files stay."""


def nearest_objects(labels: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    """The object that each pixel shows or that is nearest to it: H×W, 0 if there is none.

    Args:
        labels: H×W: 0 background, k = object id k.
    """
    if not labels.any():
        return labels
    empty = (labels == 0).astype(np.uint8)
    # Every pixel gets the number of the nearest pixel that is zero in `empty`.
    _, nearest = cv2.distanceTransformWithLabels(
        empty, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    owners = np.zeros(int(nearest.max()) + 1, np.int32)
    owners[nearest[labels > 0]] = labels[labels > 0]
    return owners[nearest]


def _half(values: npt.NDArray[np.floating]) -> Half:
    return np.ascontiguousarray(values, np.float16)
