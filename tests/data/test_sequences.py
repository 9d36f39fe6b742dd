"""One class of annotated videos: from files of any data set, and from memory."""

import numpy as np
import pytest
from PIL import Image

from rotomask.data.sequences import MemorySequence, VideoSequence
from rotomask.data.training.clips import find_videos
from rotomask.data.training.synthetic import moving_shapes
from rotomask.errors import DatasetError
from rotomask.masks import write_mask
from tests.scripts import write_video

FRAMES, LABELS = moving_shapes(0, frames=3, size=(24, 32), objects=2)


def test_a_sequence_in_memory_is_read_like_one_of_files():
    video = MemorySequence.of("shapes", zip(FRAMES, LABELS, strict=True))
    assert (video.name, len(video), video.frame_names) == ("shapes", 3, ("00000", "00001", "00002"))
    for index, (frame, labels) in enumerate(zip(FRAMES, LABELS, strict=True)):
        image, mask = video.read(index)
        np.testing.assert_array_equal(image, frame)
        np.testing.assert_array_equal(mask, labels)
        assert mask.dtype == np.uint8
        np.testing.assert_array_equal(video.annotation(video.frame_names[index]), labels)
    for image, frame in zip(video.frames(reverse=True), FRAMES[::-1], strict=True):
        np.testing.assert_array_equal(image, frame)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (
            np.ones((24, 30), np.uint8),
            "the mask of frame 00000 of shapes is 30×24, the frame 32×24",
        ),
        (np.full((24, 32), 256), "frame 00000 of shapes has object 256, .* at most 255"),
    ],
)
def test_a_pair_that_cannot_be_trained_on_is_named(labels, message):
    video = MemorySequence.of("shapes", [(FRAMES[0], labels)])
    with pytest.raises(DatasetError, match=message):
        video.read(0)


def test_videos_for_training_are_sequences_with_their_objects_in_the_masks(tmp_path):
    write_video(tmp_path, "shapes", 0, 3)
    (video,) = find_videos(tmp_path)
    assert (video.frame_names, video.object_ids) == (("00000", "00001", "00002"), ())
    assert np.unique(video.read(1)[1]).tolist() == [0, 1]


def test_ids_of_a_benchmark_are_read_as_they_are_stored(tmp_path):
    Image.fromarray(FRAMES[0]).save(tmp_path / "frame.png")
    write_mask(tmp_path / "mask.png", LABELS[0].astype(np.int32) * 100)
    video = VideoSequence(
        name="shapes",
        frame_names=("0",),
        images=(tmp_path / "frame.png",),
        annotations={"0": (tmp_path / "mask.png",)},
    )
    image, mask = video.read(0)
    np.testing.assert_array_equal(image, FRAMES[0])
    np.testing.assert_array_equal(mask, LABELS[0] * 100)
