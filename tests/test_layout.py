"""The tree is the architecture: imports point only down the list of rooms."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "src" / "rotomask"

ROOMS = (
    ("cli",),
    ("app",),
    ("jobs",),
    ("training",),
    ("catalog",),
    ("evaluation",),
    ("conversion",),
    ("data",),
    ("unsupervised",),
    ("segmenters",),
    ("prompts",),
    ("effects",),
    ("export",),
    ("edges",),
    ("refine",),
    ("flow",),
    ("detection",),
    ("networks",),
    ("render",),
    ("matting",),
    ("video",),
    ("masks",),
    # The ground is one floor: its files may use each other.
    ("arrays", "errors", "files", "memory", "pipeline", "threads"),
)
"""The rooms of docs/architecture.md, each above those that it may import."""

FLOOR = {room: number for number, floor in enumerate(ROOMS) for room in floor}

OUTSIDE = {"__init__", "__main__"}
"""Files that may import any room: the public names and `python -m rotomask`."""


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_rooms(path: Path) -> Iterator[tuple[int, str]]:
    """Line number and room of every import of the package, those inside functions too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.ImportFrom):
            assert node.level < 2, f"{path} imports from a parent package by dots"
            if node.level == 1:  # within a room, or on the ground
                continue
            if node.module == "rotomask":
                names = [f"rotomask.{alias.name}" for alias in node.names]
            elif node.module is not None:
                names = [node.module]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        for name in names:
            parts = name.split(".")
            if parts[0] == "rotomask" and len(parts) > 1 and not parts[1].startswith("__"):
                yield node.lineno, parts[1]


def test_every_room_is_on_the_list() -> None:
    rooms = {room_of(path) for path in modules()} - OUTSIDE
    assert rooms <= set(FLOOR), f"rooms without a floor: {sorted(rooms - set(FLOOR))}"


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_down(path: Path) -> None:
    room = room_of(path)
    if room in OUTSIDE:
        return
    up = [
        f"line {line}: {room} imports {other}"
        for line, other in imported_rooms(path)
        if other != room and FLOOR.get(other, -1) <= FLOOR[room] and other not in ground_of(room)
    ]
    assert not up, f"{path.relative_to(PACKAGE)} imports from above: {'; '.join(up)}"


def ground_of(room: str) -> tuple[str, ...]:
    """The rooms of the same floor, where a floor has several."""
    return ROOMS[FLOOR[room]]


def test_nothing_shipped_names_the_workshop() -> None:
    """What users install must not need data or tools that only the developers have."""
    for path in modules():
        text = path.read_text(encoding="utf-8")
        assert "../shared" not in text, path
        assert "studies" not in {name for _, name in imported_rooms(path)}, path
        assert not any(
            line.startswith(("from studies", "import studies", "from tests", "import tests"))
            for line in text.splitlines()
        ), path
