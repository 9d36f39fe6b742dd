"""The list of a batch's videos: a CSV or JSON lines file, a pattern, or rows from Python."""

import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from rotomask.catalog import with_settings
from rotomask.errors import InputError, OptionError, RotomaskError
from rotomask.jobs.batch.item import Item
from rotomask.jobs.batch.storage import (
    is_remote,
    join,
    local_path,
    match,
    parent_of,
    read_bytes,
    siblings,
)
from rotomask.jobs.cut import CutOptions
from rotomask.segmenters.refinements import parse_refinements
from rotomask.video.images import IMAGE_SUFFIXES

Row = Mapping[str, Any]
Source = str | Path | Iterable[Row]

SUFFIXES = (".csv", ".jsonl", ".ndjson")
COLUMNS = ("video", "mask", "at", "prompts", "out", "frames", "options")
"""Columns that are no options of `cut`."""
BESIDE = (".png", "-mask.png", "-prompts.json")
"""What marks the objects of CLIP.mp4 where a pattern found it: CLIP.png, CLIP-mask.png, ..."""


def read_items(source: Source, defaults: CutOptions) -> list[Item]:
    """The videos of a batch.

    Args:
        source: A manifest, a pattern, or rows as in JSON lines.
        defaults: Options that a row may change.

    Raises:
        InputError: If the list cannot be read, a row lacks its video, a video found by a pattern
            has no mask beside it, or two videos have the same output folder.
        OptionError: If an option is unknown or out of range; the message names the line.
        RemoteError: If remote storage fails.
    """
    if isinstance(source, str | Path):
        text = str(source)
        rows = _manifest_rows(text) if text.lower().endswith(SUFFIXES) else _matched_rows(text)
    else:
        rows = ((f"row {number}", "", row) for number, row in enumerate(source, 1))
    items: dict[str, tuple[str, Item]] = {}
    for where, base, row in rows:
        try:
            item = _item(row, base, defaults)
        except RotomaskError as error:
            # The same kind of error, with the line that it is about.
            raise type(error)(f"{where}: {error}") from error
        if item.name in items:
            raise InputError(
                f"{items[item.name][0]} and {where} have the same output folder {item.name}; give "
                "one of them another out"
            )
        items[item.name] = where, item
    _refuse_nested(items)
    if not items:
        raise InputError(f"{source} lists no video")
    return [item for _, item in items.values()]


def _manifest_rows(location: str) -> Iterator[tuple[str, str, Row]]:
    """Where each row is, the folder that its paths are relative to, and the row."""
    try:
        # Excel begins its CSV files with a byte order mark.
        text = read_bytes(location).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{location} is not UTF-8 text") from error
    base = parent_of(location)
    read = _csv_rows if location.lower().endswith(".csv") else _json_rows
    for number, row in read(text, location):
        yield f"{location}, line {number}", base, row


def _csv_rows(text: str, location: str) -> Iterator[tuple[int, Row]]:
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        for row in reader:
            if None in row:
                raise InputError(
                    f"{location}, line {reader.line_num}: more cells than columns; quote cells "
                    "that hold a comma"
                )
            yield reader.line_num, {k.strip(): v.strip() for k, v in row.items() if v and v.strip()}
    except csv.Error as error:
        raise InputError(f"{location}, line {reader.line_num}: {error}") from error


def _json_rows(text: str, location: str) -> Iterator[tuple[int, Row]]:
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{location}, line {number}: not JSON: {error}") from error
        if not isinstance(row, dict):
            raise InputError(f'{location}, line {number}: expected {{"video": ...}}, got {row!r}')
        yield number, row


def _matched_rows(pattern: str) -> Iterator[tuple[str, str, Row]]:
    """A row for each video that a pattern matches, with what marks it beside it."""
    videos = [location for location in match(pattern) if not _is_mark(location)]
    if not videos:
        raise InputError(
            f"{pattern} matches no video; give a pattern such as 'clips/*.mp4', quoted, or a "
            f"manifest ({', '.join(SUFFIXES)})"
        )
    top = _fixed_part(pattern)
    beside: dict[str, set[str]] = {}
    without = []
    for location in videos:
        folder = parent_of(location)
        # One listing a folder, not one a video.
        names = beside.setdefault(folder, set()) or siblings(folder)
        beside[folder] = names
        stem = PurePosixPath(location.rstrip("/")).stem
        companions = [stem + suffix for suffix in BESIDE if stem + suffix in names]
        if not companions:
            without.append(location)
            continue
        key = "prompts" if companions[0].endswith(".json") else "mask"
        inside = PurePosixPath(location.rstrip("/").removeprefix(top).lstrip("/"))
        name = str(inside.with_suffix(""))
        yield location, "", {"video": location, key: join(folder, companions[0]), "out": name}
    if without:
        looked = ", ".join(PurePosixPath(without[0]).stem + suffix for suffix in BESIDE)
        raise InputError(
            f"{len(without)} of {len(videos)} videos have no mask beside them: {without[0]} (no "
            f"{looked}); add it, or list the videos in a manifest"
        )


def _is_mark(location: str) -> bool:
    """Whether something that a pattern matched is an image or JSON file, no video."""
    suffix = PurePosixPath(location).suffix.lower()
    if suffix not in IMAGE_SUFFIXES and suffix != ".json":
        return False
    return is_remote(location) or local_path(location).is_file()


def _fixed_part(pattern: str) -> str:
    """The folder of a pattern before its first wildcard."""
    head = re.split(r"[*?\[]", pattern.removeprefix("file://"), maxsplit=1)[0]
    return head.rpartition("/")[0] + "/" if "/" in head else ""


def _item(row: Row, base: str, defaults: CutOptions) -> Item:
    """A video from its row."""
    video = row.get("video")
    if not isinstance(video, str | Path) or not str(video):
        raise InputError("a row needs its video")
    options = _options(row, defaults)
    location = join(base, str(video)) if base else str(video)
    prompts = row.get("prompts")
    if isinstance(prompts, Mapping):
        prompts = json.dumps(prompts)
    elif prompts:
        prompts = join(base, str(prompts)) if base else str(prompts)
    masks = _masks(row, base, options.start)
    if masks and prompts:
        raise InputError("got a mask and prompts; give one or the other")
    name = str(row.get("out") or PurePosixPath(location.rstrip("/")).stem)
    frames = row.get("frames")
    return Item(
        name=_checked_name(name),
        video=location,
        masks=masks,
        prompts=prompts or None,
        options=options,
        frames=None if frames is None else _whole("frames", frames),
    )


def _checked_name(name: str) -> str:
    path = PurePosixPath(name)
    is_inside = path.parts and not path.is_absolute() and ".." not in path.parts
    if not is_inside or path.parts[0].startswith(".") or "\\" in name:
        raise InputError(f"out is a folder inside the batch's, such as day-1/clip, got {name!r}")
    if path.parts[0] in ("job.json", "summary.json", "summary.html"):
        raise InputError(f"out {name!r} is the name of a file of the batch; choose another")
    return str(path)


def _refuse_nested(items: Mapping[str, tuple[str, Item]]) -> None:
    for name, (where, _) in items.items():
        for parent in PurePosixPath(name).parents:
            if str(parent) in items:
                raise InputError(
                    f"{where}: its output folder {name} lies in that of {items[str(parent)][0]}; "
                    "give one of them another out"
                )


def _masks(row: Row, base: str, start: int) -> tuple[tuple[int, str], ...]:
    """Reference masks by frame: FILE, FRAME=FILE;FRAME=FILE, or an object of them."""
    given, at = row.get("mask"), row.get("at")
    if not given:
        if at is not None:
            raise InputError("got at without a mask")
        return ()
    pairs: list[tuple[object, str]]
    if isinstance(given, Mapping):
        pairs = [(frame, str(file)) for frame, file in given.items()]
    else:
        # A file whose own name begins like 12= is taken for a pair; write 0=12=a.png then.
        numbered = re.findall(r"\s*(\d+)=([^;]+)(?:;|$)", str(given))
        pairs = list(numbered) or [(start if at is None else at, str(given))]
    if at is not None and len(pairs) > 1:
        raise InputError("got at and several masks; give each its frame: 0=first.png;40=later.png")
    masks = {_whole("a mask's frame", frame): file.strip() for frame, file in pairs}
    return tuple((f, join(base, masks[f]) if base else masks[f]) for f in sorted(masks))


def _options(row: Row, defaults: CutOptions) -> CutOptions:
    """The options of a row: its other columns, or the object ``options``."""
    listed = row.get("options") or {}
    if not isinstance(listed, Mapping):
        raise OptionError(f'options are an object such as {{"size": 360}}, got {listed!r}')
    given = {key: value for key, value in row.items() if key not in COLUMNS} | dict(listed)
    unknown = [key for key in given if key not in OPTIONS]
    if unknown:
        raise OptionError(
            f"unknown column or option {unknown[0]!r}; there are {', '.join((*COLUMNS, *OPTIONS))}"
        )
    changes = {field: read(name, given[name]) for name, (field, read) in OPTIONS.items()
               if name in given}  # fmt: skip
    if "boxes" in given or "refine" in given:
        boxes = given.get("boxes")
        specs = _names("refine", given.get("refine", ()))
        changes["refinements"] = parse_refinements(specs, None if boxes is None else str(boxes))
        changes.pop("boxes", None)
    return with_settings(defaults, changes, "a row")


def _whole(name: str, value: object) -> int:
    try:
        number = int(str(value))
    except ValueError as error:
        raise OptionError(f"{name} takes a whole number, got {value!r}") from error
    if number < 0:
        raise OptionError(f"{name} takes a whole number from 0, got {value!r}")
    return number


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise OptionError(f"{name} takes text, got {value!r}")
    return value


def _names(name: str, value: object) -> tuple[str, ...]:
    """Names from a list, or from text with semicolons between them (commas where it is formats)."""
    if isinstance(value, str):
        return tuple(part.strip() for part in re.split("[;]", value) if part.strip())
    if isinstance(value, Sequence):
        return tuple(_text(name, part) for part in value)
    raise OptionError(f"{name} takes names, got {value!r}")


def _formats(name: str, value: object) -> tuple[str, ...]:
    names = _names(name, value.replace(",", ";") if isinstance(value, str) else value)
    return tuple(part for part in names if part not in ("none", "masks"))


def _memory(name: str, value: object) -> object:
    return value if value == "all" else _whole(name, value)


OPTIONS: dict[str, tuple[str, Callable[[str, object], object]]] = {
    "model": ("model", _text),
    "weights": ("weights", lambda name, value: Path(_text(name, value))),
    "size": ("size", lambda name, value: _whole(name, value) or None),
    "focus": ("focus", _text),
    "enlarge": ("enlarge", _text),
    "memory": ("memory", _memory),
    "merge": ("merge", _text),
    "backend": ("backend", _text),
    "direction": ("direction", _text),
    "start": ("start", _whole),
    "end": ("stop", lambda name, value: _whole(name, value) + 1),
    "format": ("formats", _formats),
    "objects": ("objects", _whole),
    "marker": ("marker", _text),
    "device": ("device", _text),
    "precision": ("precision", _text),
    "refine": ("refinements", _names),
    "boxes": ("boxes", _text),
}
"""Options of a row, as of `rotomask cut`: name -> field of `CutOptions`, and how it is read."""
