"""Pages of a long list: few requests wherever the user looks, from either end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from taskscope.model import Task, TaskPage
from taskscope.tui.paging import PAGE, Pager

if TYPE_CHECKING:
    from taskscope.model.vocabulary import Order


class Many:
    """Tasks with serials from ``first`` on, paged by serial as an agent does it."""

    def __init__(self, total: int) -> None:
        self.serials = list(range(1, total + 1))
        self.requests = 0

    async def __call__(self, *, order: str, after: int | None, limit: int) -> TaskPage:
        self.requests += 1
        serials = self.serials if order == "oldest" else self.serials[::-1]
        if after is not None:
            serials = [each for each in serials if (each > after if order == "oldest" else each < after)]
        page = serials[:limit]
        more = len(serials) > limit
        return TaskPage(tuple(map(task, page)), len(self.serials), page[-1] if more else None)


def task(serial: int) -> Task:
    return Task(serial, f"Task-{serial}", "work", "pending", 1, 0, False, 1, 0.0)


def no_progress(_: int) -> None:
    pass


async def test_the_beginning_takes_one_request() -> None:
    many = Many(300_000)
    window = await Pager(many).window(0, 40, no_progress)
    assert (window.first, window.total, many.requests) == (0, 300_000, 1)
    assert [each.serial for each in window.tasks] == list(range(1, PAGE + 1))


async def test_the_end_is_read_from_the_other_side() -> None:
    many = Many(300_000)
    pager = Pager(many)
    await pager.window(0, 40, no_progress)
    window = await pager.window(299_960, 40, no_progress)
    assert many.requests == 2
    assert window.first + len(window.tasks) == 300_000
    assert [each.serial for each in window.tasks][-2:] == [299_999, 300_000]
    serials = [each.serial for each in window.tasks]
    assert serials == sorted(serials)
    assert serials[0] == window.first + 1


@pytest.mark.parametrize("order", ["oldest", "newest"])
async def test_scrolling_through_takes_one_or_two_requests_a_window(order: Order) -> None:
    many = Many(4_000)
    pager = Pager(many, order)
    await pager.window(0, 40, no_progress)
    for first in range(0, 4_000 - 40, 20):
        before = many.requests
        window = await pager.window(first, 40, no_progress)
        assert many.requests - before <= 3
        assert window.first <= first
        assert window.first + len(window.tasks) >= first + 40
        shown = [each.serial for each in window.tasks][first - window.first :][:40]
        expected = list(range(first + 1, first + 41))
        assert shown == (expected if order == "oldest" else [4_001 - serial for serial in expected])


async def test_a_place_in_the_middle_is_walked_to_once_and_said() -> None:
    many = Many(20_000)
    pager = Pager(many)
    await pager.window(0, 40, no_progress)
    passed: list[int] = []
    window = await pager.window(8_000, 40, passed.append)
    assert window.tasks[0].serial == 8_001
    assert passed == sorted(passed)
    before = many.requests
    await pager.window(8_000, 40, no_progress)
    assert many.requests - before == 1


async def test_a_list_that_became_shorter_yields_its_end() -> None:
    many = Many(20_000)
    pager = Pager(many)
    await pager.window(0, 40, no_progress)
    await pager.window(9_000, 40, no_progress)
    del many.serials[100:]
    window = await pager.window(9_000, 40, no_progress)
    assert window.total == 100
    assert [each.serial for each in window.tasks] == list(range(1, 101))


async def test_an_empty_list_is_no_problem() -> None:
    window = await Pager(Many(0)).window(0, 40, no_progress)
    assert (window.first, window.total, window.tasks) == (0, 0, ())
