"""Stages that overlap: order, bounds, errors, and threads that end."""

import contextlib
import threading
import time

import pytest

from rotomask.pipeline import Stage, read_ahead


def _ours() -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t.name in ("read ahead", "work")]


@pytest.fixture(autouse=True)
def no_thread_is_left():
    yield
    assert not _ours()


def test_items_are_read_ahead_in_order_and_no_further_than_the_bounds():
    read: list[int] = []

    def numbers():
        for number in range(50):
            read.append(number)
            yield number

    for count, item in enumerate(read_ahead(numbers(), lambda _: 1, most_items=4)):
        assert item == count
        assert len(read) <= count + 1 + 4 + 1  # it, those that wait, the one that waits to wait
    assert len(read) == 50


def test_bytes_that_wait_are_bounded_and_a_large_item_still_comes():
    read: list[int] = []

    def sizes():
        for size in (10, 10, 1000, 10, 10):
            read.append(size)
            yield size

    items = read_ahead(sizes(), lambda size: size, most_items=9, most_bytes=15)
    assert next(items) == 10
    _wait_until(lambda: len(read) == 3)  # one waits, and the large one waits to wait
    assert list(items) == [10, 1000, 10, 10]


def test_after_a_large_item_nothing_is_read_before_it_is_asked_for():
    read: list[int] = []

    def sizes():
        for size in (1000, 1000, 10):
            read.append(size)
            yield size

    items = read_ahead(sizes(), lambda size: size, most_bytes=15)
    for count in (1, 2):
        assert next(items) == 1000
        time.sleep(0.02)
        assert len(read) == count
    assert list(items) == [10]


def test_the_error_of_what_is_read_comes_after_the_items_before_it():
    def broken():
        yield from (1, 2)
        raise ValueError("the third")

    items = read_ahead(broken(), lambda _: 1)
    assert [next(items), next(items)] == [1, 2]
    with pytest.raises(ValueError, match="the third"):
        next(items)


def test_a_loop_that_stops_early_ends_the_thread_and_closes_what_is_read():
    closed = threading.Event()

    def endless():
        try:
            while True:
                yield 1
        finally:
            closed.set()

    with contextlib.closing(read_ahead(endless(), lambda _: 1)) as items:
        assert next(items) == 1
    assert closed.is_set()


def test_tasks_are_done_in_order_while_the_loop_goes_on():
    done: list[int] = []
    gate = threading.Event()
    with Stage("work", most_tasks=3) as stage:
        stage.submit(gate.wait)
        for number in range(2):
            stage.submit(done.append, number)  # they wait, and so does not the loop
        assert done == []
        gate.set()
        for number in range(2, 20):
            stage.submit(done.append, number)
        stage.drain()
        assert done == list(range(20))


def test_a_task_above_the_bytes_is_done_in_the_loop_after_those_before_it():
    done: list[tuple[int, bool]] = []
    with Stage("work", most_bytes=100) as stage:
        for number, size in enumerate((10, 10, 1000, 10)):
            stage.submit(
                lambda n: done.append((n, threading.current_thread().name == "work")),
                number,
                size=size,
            )
    assert done == [(0, True), (1, True), (2, False), (3, True)]


def test_after_an_error_nothing_more_is_done_and_the_loop_is_told():
    done: list[int] = []

    def fail() -> None:
        raise OSError("the disk is full")

    def loop() -> None:
        with Stage("work") as stage:
            stage.submit(done.append, 1)
            stage.submit(fail)
            _wait_until(lambda: stage.error is not None)
            stage.submit(done.append, 2)

    with pytest.raises(OSError, match="the disk is full"):
        loop()
    assert done == [1]


def test_an_error_of_the_last_task_is_told_at_the_end():
    with pytest.raises(ZeroDivisionError), Stage("work") as stage:
        stage.submit(lambda: 1 / 0)


def test_what_the_loop_gave_is_done_when_the_loop_is_interrupted():
    done: list[int] = []

    def loop() -> None:
        with Stage("work") as stage:
            for number in range(3):
                stage.submit(done.append, number)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        loop()
    assert done == [0, 1, 2]


def test_abandoned_tasks_are_dropped():
    done: list[int] = []
    gate = threading.Event()
    with Stage("work") as stage:
        stage.submit(gate.wait)
        stage.submit(done.append, 1)
        threading.Timer(0.05, gate.set).start()
        stage.abandon()
    assert done == []


def _wait_until(condition) -> None:
    for _ in range(1000):
        if condition():
            return
        time.sleep(0.005)
    pytest.fail("it did not come")
