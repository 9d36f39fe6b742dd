"""Staleness: which masks a change of the reference frames makes out of date."""

from dataclasses import replace

from rotomask.app.document import Document, FrameRow

COUNT = 12


def key(digest: str, *covers: int) -> FrameRow:
    return FrameRow(
        digest=digest, labels=covers, source="key", reference=digest, covers=covers, marks=(1,)
    )


def cut_all(rows: dict[int, FrameRow], live: tuple[int, ...] = (1,)) -> dict[int, FrameRow]:
    """The rows after a cut of everything that needs it."""
    document = Document(rows, live, COUNT)
    plan = document.plan(range(COUNT))
    done = dict(rows)
    for index, _, _, _, is_key in [] if plan is None else plan["todo"]:
        around = document.around(index)
        if is_key:
            done[index] = replace(rows[index], left=around.left, right=around.right, base="b")
        else:
            done[index] = FrameRow(
                digest=f"cut{index}",
                labels=live,
                source="cut",
                covers=tuple(sorted(document.objects)),
                left=around.left,
                right=around.right,
            )
    return done


def stale(rows: dict[int, FrameRow], live: tuple[int, ...] = (1,)) -> list[int]:
    document = Document(rows, live, COUNT)
    return [index for index in sorted(rows) if document.is_stale(index)]


def todo(rows: dict[int, FrameRow], live: tuple[int, ...] = (1,)) -> dict[int, tuple[bool, bool]]:
    plan = Document(rows, live, COUNT).plan(range(COUNT))
    return {} if plan is None else {entry[0]: (entry[1], entry[2]) for entry in plan["todo"]}


def test_a_first_cut_goes_both_ways_from_the_mark() -> None:
    assert todo({4: key("a", 1)}) == {
        **dict.fromkeys(range(4), (False, True)),
        **dict.fromkeys(range(5, COUNT), (True, False)),
    }


def test_after_a_cut_nothing_is_to_do() -> None:
    rows = cut_all({4: key("a", 1)})
    assert len(rows) == COUNT
    assert todo(rows) == {}
    assert stale(rows) == []


def test_a_correction_makes_the_stretch_up_to_the_next_reference_frames_stale() -> None:
    rows = cut_all({0: key("a", 1), 9: key("b", 1)})
    rows[5] = key("c", 1)
    assert todo(rows) == {
        **dict.fromkeys(range(1, 5), (False, True)),
        **dict.fromkeys(range(6, 9), (True, False)),
    }
    del rows[5]
    rows[5] = cut_all({0: key("a", 1), 9: key("b", 1)})[5]
    assert stale(rows) == []


def test_a_frozen_mask_changes_no_other_but_stops_corrections() -> None:
    rows = cut_all({0: key("a", 1)})
    rows[6] = replace(rows[6], frozen=True)
    assert stale(rows) == []
    rows[3] = key("c", 1)
    assert todo(rows) == {1: (False, True), 2: (False, True), 4: (True, False), 5: (True, False)}
    rows[6] = replace(rows[6], frozen=False)
    assert set(todo(rows)) == {1, 2, *range(4, COUNT)}


def test_an_object_added_later_is_cut_in_every_frame_and_in_that_where_the_other_was_marked() -> (
    None
):
    rows = {0: key("a", 1), 6: key("b", 2)}
    done = cut_all(rows, (1, 2))
    assert len(done) == COUNT
    assert stale(done, (1, 2)) == []
    wanted = todo(rows, (1, 2))
    assert wanted[0] == (False, True)
    assert wanted[6] == (True, False)
    assert wanted[3] == (True, True)


def test_a_deleted_object_makes_nothing_stale() -> None:
    done = cut_all({0: key("a", 1, 2), 6: key("b", 2)}, (1, 2))
    assert stale(done, (1,)) == []


def test_a_cut_again_leaves_the_masks_of_the_user() -> None:
    rows = cut_all({0: key("a", 1), 9: key("b", 1)})
    rows[3] = replace(rows[3], frozen=True)
    plan = Document(rows, [1], COUNT).plan(range(COUNT), again=True)
    assert plan is not None
    assert [i for i, *_ in plan["todo"]] == [i for i in range(COUNT) if i not in (0, 3, 9)]


def test_a_row_is_the_same_after_storing() -> None:
    rows = cut_all({0: key("a", 1), 9: key("b", 1)})
    assert all(FrameRow.load(row.dump()) == row for row in rows.values())
