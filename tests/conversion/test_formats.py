"""Every format: what is written is read again, by rotomask and by the tools of the format."""

import contextlib
import importlib.util
import json
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from rotomask.cli import main
from rotomask.conversion import FORMATS, LabelledVideo, detect_format, main_file
from rotomask.conversion.detections import from_detections, to_detections
from rotomask.conversion.formats import MAIN_FILES
from rotomask.conversion.reading import ReadOptions, number_objects
from rotomask.conversion.run_lengths import from_bit_stream, from_runs, to_bit_stream, to_runs
from rotomask.errors import RotomaskError
from rotomask.jobs.convert import convert

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation:DeprecationWarning"  # pycocotools' own, under numpy 2
)

SIZE = (24, 31)
NAMES = {2: "dog & <co>", 7: "woman"}


def video():
    """Four frames: two nested objects, one of two parts, nothing, one that fills the frame."""
    frames = np.zeros((4, *SIZE), np.int32)
    frames[0, 3:15, 4:20] = 2
    frames[0, 6:10, 8:14] = 7
    frames[1, 0, 0] = 2
    frames[1, 20:24, 25:31] = 2
    frames[3, :, :] = 7
    names = ("00000", "00001", "00002", "00010")
    return LabelledVideo("clip", SIZE, names, frames.__getitem__, NAMES)


def written(name, folder, source=None):
    """Where a video is, in a format: the one file that holds it, or the folder."""

    @contextlib.contextmanager
    def save(relative):
        path = folder / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        yield path

    source = source or video()
    FORMATS[name].write(source, save)
    files = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    assert files == set(FORMATS[name].outputs(source))
    return folder / MAIN_FILES.get(name, "")


@pytest.mark.parametrize("name", FORMATS)
def test_what_is_written_is_read_again(tmp_path, name):
    path = written(name, tmp_path / "clip")
    assert detect_format(path) == detect_format(tmp_path / "clip") == name
    assert main_file(tmp_path / "clip", name) == path
    found = FORMATS[name].read(path, ReadOptions(size=SIZE))
    assert (found.name, found.size, len(found)) == ("clip", SIZE, 4)
    loses = FORMATS[name].loses
    if "names of frames" not in loses:
        assert found.frame_names == video().frame_names
    if "names of objects" not in loses:
        assert {k: found.objects[k] for k in NAMES} == NAMES
    for index in range(4):
        assert np.array_equal(found.labels(index), video().labels(index)), index


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_masks_survive(tmp_path_factory, seed):
    rng = np.random.default_rng(seed)
    size = (int(rng.integers(1, 20)), int(rng.integers(1, 20)))
    frames = rng.choice([0, 0, 1, 3], (2, *size)).astype(np.int32)
    source = LabelledVideo("clip", size, ("a", "b"), frames.__getitem__)
    for name in set(FORMATS) - {"yolo"}:
        path = written(name, tmp_path_factory.mktemp(name) / "clip", source)
        found = FORMATS[name].read(path, ReadOptions(size=size))
        for index in range(2):
            assert np.array_equal(found.labels(index), frames[index]), name


@given(st.integers(1, 30), st.integers(1, 30), st.integers(0, 2**32 - 1))
@settings(max_examples=40)
def test_run_lengths_are_exact(height, width, seed):
    mask = np.random.default_rng(seed).random((height, width)) < 0.4
    assert np.array_equal(from_runs(to_runs(mask), mask.shape), mask)
    assert np.array_equal(from_bit_stream(to_bit_stream(mask), mask.shape), mask)


def test_long_runs_of_a_brush():
    mask = np.zeros((300, 400), bool)
    mask[100:290] = True
    assert np.array_equal(from_bit_stream(to_bit_stream(mask), mask.shape), mask)
    with pytest.raises(ValueError, match="end early"):
        from_bit_stream(to_bit_stream(mask)[:-3], mask.shape)


def test_coco_is_what_pycocotools_reads(tmp_path):
    coco = COCO(str(written("coco", tmp_path / "clip")))
    assert sorted(coco.cats) == [2, 7]
    for index, image in enumerate(sorted(coco.imgs)):
        labels = video().labels(index)
        annotations = coco.loadAnns(coco.getAnnIds(imgIds=[image]))
        assert {a["category_id"] for a in annotations} == set(np.unique(labels)) - {0}
        for annotation in annotations:
            assert np.array_equal(coco.annToMask(annotation) > 0, labels == annotation["object_id"])


def brush_of_label_studio():
    """The module of its SDK that packs masks, without the SDK's many requirements."""
    try:
        files = metadata.files("label-studio-sdk") or ()
    except metadata.PackageNotFoundError:
        pytest.skip("label-studio-sdk is not installed")
    (file,) = (f for f in files if f.as_posix().endswith("converter/brush.py"))
    spec = importlib.util.spec_from_file_location("brush", str(file.locate()))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_label_studio_reads_the_brush_and_we_read_theirs(tmp_path):
    brush = brush_of_label_studio()
    tasks = json.loads(written("label-studio", tmp_path / "clip").read_text())
    result = tasks[0]["annotations"][0]["result"][0]
    values = brush.decode_rle(result["value"]["rle"]).reshape(*SIZE, 4)
    assert np.array_equal(values[:, :, 3] > 0, video().labels(0) == 2)
    theirs = brush.mask2rle(((video().labels(0) == 7) * 255).astype(np.uint8))
    assert np.array_equal(from_bit_stream(theirs, SIZE), video().labels(0) == 7)


def test_supervision_gets_the_objects():
    supervision = pytest.importorskip("supervision", reason="supervision is not installed")
    labels = video().labels(0)
    found = to_detections(labels, NAMES)
    assert isinstance(found, supervision.Detections)
    assert found.tracker_id.tolist() == [2, 7]
    assert found["class_name"].tolist() == list(NAMES.values())
    assert found.xyxy.tolist() == [[4, 3, 20, 15], [8, 6, 14, 10]]
    assert np.array_equal(from_detections(found, SIZE), labels)
    assert np.array_equal(from_detections(found[found.class_id == 6], SIZE), (labels == 7) * 7)
    assert len(to_detections(np.zeros(SIZE, np.int32))) == 0


def test_supervision_reads_our_yolo_files_pixel_by_pixel(tmp_path):
    supervision = pytest.importorskip("supervision")
    folder = written("yolo", tmp_path / "clip")
    source = video()
    (folder / "images").mkdir()
    for name in source.frame_names:
        Image.new("RGB", SIZE[::-1]).save(folder / "images" / f"{name}.png")
    places = [str(folder / name) for name in ("images", "labels", "data.yaml")]
    dataset = supervision.DetectionDataset.from_yolo(*places, force_masks=True)
    assert [dataset.classes[k - 1] for k in NAMES] == [*NAMES.values()]
    seen = {}
    for path, _, found in dataset:
        labels = np.zeros(SIZE, np.int32)
        for kind, mask in zip(
            found.class_id, () if found.mask is None else found.mask, strict=True
        ):
            labels[mask] = kind + 1
        seen[Path(path).stem] = labels
    for index, name in enumerate(source.frame_names):
        assert np.array_equal(seen[name], source.labels(index)), name


@pytest.mark.parametrize("name", ["youtube-vis", "davis"])
def test_trackeval_reads_our_annotations_as_ground_truth(tmp_path, name):
    """The evaluation of both benchmarks by others (https://github.com/JonathonLuiten/TrackEval)."""
    datasets = pytest.importorskip("trackeval").datasets
    written(name, tmp_path / "youtube_vis_val")  # the folder that it looks for
    folders = {"GT_FOLDER": f"{tmp_path}/", "TRACKERS_FOLDER": f"{tmp_path}/"}
    config = {**folders, "TRACKERS_TO_EVAL": [], "SPLIT_TO_EVAL": "val", "PRINT_CONFIG": False}
    if name == "davis":
        annotations = tmp_path / "youtube_vis_val" / "Annotations" / "480p"
        dataset = datasets.DAVIS({**config, "GT_FOLDER": str(annotations)})
    else:
        dataset = datasets.YouTubeVIS(config)
    assert dataset.seq_list == ["clip"]
    read = dataset._load_raw_file(None, "clip", is_gt=True)
    source = video()
    for index in range(len(source)):
        labels = np.zeros(SIZE, np.int32)
        for object_id, mask in zip(read["gt_ids"][index], read["gt_dets"][index], strict=True):
            labels[coco_mask.decode(mask) > 0] = object_id
        assert np.array_equal(labels, source.labels(index)), index


def test_files_of_the_tools_themselves_are_read(tmp_path):
    """Polygons, tracks over frames and labels without groups."""
    cvat = tmp_path / "annotations.xml"
    shape = '<polygon frame="{}" outside="{}" points="{},2;8,2;8,6;2,6"/>'
    cvat.write_text(
        "<annotations><version>1.1</version><meta><task><size>3</size><original_size>"
        "<width>20</width><height>10</height></original_size></task></meta>"
        f'<track id="4" label="car">{shape.format(0, 0, 2)}{shape.format(1, 0, 2)}'
        f"{shape.format(2, 1, 2)}</track></annotations>"
    )
    found = FORMATS["cvat"].read(cvat, ReadOptions())
    assert [int((found.labels(i) == 1).sum()) for i in range(3)] == [35, 35, 0]
    assert found.objects == {1: "car"}
    folder = tmp_path / "labelme"
    folder.mkdir()
    corners = {"label": "cat", "points": [[2, 2], [8, 2], [8, 6]], "shape_type": "polygon"}
    content = {"imageHeight": 10, "imageWidth": 20, "shapes": [corners]}
    (folder / "a.json").write_text(json.dumps(content))
    assert FORMATS["labelme"].read(folder, ReadOptions()).objects == {1: "cat"}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.json", "{"),
        ("a.json", "{}"),
        ("a.json", '{"images": [{"id": 1}], "annotations": [], "categories": []}'),
        ("a.json", '[{"data": {}}]'),
        ("a.json", '{"images": [{"id": 1}], "annotations": [], "categories": [{"id": []}]}'),
        (
            "a.json",
            '{"images": [{"id": 1, "file_name": "\\u0000.png", "width": 8, "height": 8}], '
            '"annotations": [], "categories": []}',
        ),
        ("a.json", '{"videos": [], "annotations": [], "categories": []}'),
        (
            "a.json",
            '{"images": [{"id": 1, "file_name": "1.png", "width": 60000, "height": 60000}], '
            '"annotations": [], "categories": []}',
        ),
        ("a.xml", "<annotations"),
        ("a.xml", "<other/>"),
        ("a.xml", '<!DOCTYPE x [<!ENTITY a "b">]><annotations/>'),
        ("a.xml", "<annotations><meta><task><size>1e9</size></task></meta></annotations>"),
        ("a.csv", "x"),
        ("labels/a.txt", "0 0.1 0.1 0.9 0.1 0.9 0.9\udcff"),
        ("data.yaml", "names: " + "[" * 9999),
        ("data.yaml", "a: &a [x, x]\nb: &b [*a, *a]\nnames: [*b]"),
        ("images/a.png", "no image"),
    ],
)
def test_damaged_files_are_one_clear_error(tmp_path, name, content):
    path, source = tmp_path / name, tmp_path / name
    if name.endswith((".txt", ".yaml", ".png")):
        source = tmp_path / "yolo"
        path = source / name
        (source / "labels").mkdir(parents=True)
        (source / "labels/a.txt").write_text("0 0.1 0.1 0.9 0.1 0.9 0.9")
    path.parent.mkdir(exist_ok=True)
    path.write_text(content, errors="surrogateescape")
    size = SIZE if name.endswith((".txt", ".yaml")) else None
    with pytest.raises(RotomaskError, match=path.name):
        convert(source, tmp_path / "out", "masks", size=size)
    assert not (tmp_path / "out").exists()


def test_objects_keep_their_numbers_only_if_all_have_one():
    """A digit that int() does not read, and a number above 65,535, are none."""

    def ids(*keys):
        return list(number_objects(keys, lambda key: key).values())

    assert ids("7", "3", "7") == [7, 3]
    assert ids(7, "x") == ids("7", "²") == ids("7", "65536") == ids("0", "9" * 5000) == [1, 2]
    assert ids("1", "01") == [1, 2], "two objects of one number would become one"


def test_the_command_converts_and_says_what_is_lost(tmp_path, monkeypatch, capsys):
    coco, folder = written("coco", tmp_path / "clip"), tmp_path / "yolo"
    monkeypatch.setattr("sys.argv", ["rotomask", "convert", str(coco), str(folder), "--to", "yolo"])
    for _ in range(2):  # the second time it resumes
        with pytest.raises(SystemExit) as end:
            main()
        assert not end.value.code
        assert "not held by yolo: holes" in capsys.readouterr().out
    again = convert(folder, tmp_path / "masks", "masks", size=SIZE)
    assert (again.frames, again.source_format) == (4, "yolo")
    found = FORMATS["masks"].read(tmp_path / "masks", ReadOptions())
    assert np.array_equal(found.labels(0), video().labels(0))
