"""Tasks of one coroutine from before and after the agent are one site while only one line starts them."""

from __future__ import annotations

import asyncio
import gc
from typing import TYPE_CHECKING

from taskscope import model
from taskscope.agent.counts.joined import summed
from taskscope.agent.counts.registry import Registry
from taskscope.agent.hooks import adopt

if TYPE_CHECKING:
    from taskscope.agent.counts.site_record import SiteRecord


async def works(end: asyncio.Event) -> None:
    await end.wait()


def line(registry: Registry, number: int) -> SiteRecord:
    """A line that was seen to start ``works``."""
    frame = model.Frame("service.py", number, "handle")
    return registry.add(("line", number), "task", frame, frame, works.__qualname__, ())


async def older_tasks(registry: Registry, end: asyncio.Event, count: int) -> SiteRecord:
    tasks = [asyncio.create_task(works(end)) for _ in range(count)]
    await asyncio.sleep(0)
    for task in tasks:
        assert adopt.adopt(registry, task)
    (record,) = registry.task_records()
    return record


async def test_they_are_counted_at_the_line_that_starts_the_younger_ones() -> None:
    registry, end = Registry(), asyncio.Event()
    older = await older_tasks(registry, end, 5)
    newer = line(registry, 7)
    newer.born += 2
    adopt.impute(registry)
    assert (newer.live, newer.adopted, newer.born) == (7, 5, 7)
    assert (older.live, older.adopted, older.born) == (0, 0, 0)
    end.set()
    await asyncio.sleep(0.01)
    gc.collect()
    assert (newer.live, newer.ended, older.ended) == (2, 5, 0)


async def test_they_part_again_when_another_line_starts_them_too() -> None:
    registry, end = Registry(), asyncio.Event()
    older = await older_tasks(registry, end, 5)
    newer = line(registry, 7)
    newer.born += 2
    adopt.impute(registry)
    line(registry, 9)
    adopt.impute(registry)
    assert (newer.live, newer.adopted) == (2, 0)
    assert (older.live, older.adopted) == (5, 5)
    assert [frame.line for frame in older.site.candidates] == [7, 9]
    end.set()
    await asyncio.sleep(0.01)
    gc.collect()
    assert (older.live, newer.live) == (0, 2)


async def test_an_end_that_is_counted_late_is_moved_too() -> None:
    registry, end = Registry(), asyncio.Event()
    older = await older_tasks(registry, end, 5)
    newer = line(registry, 7)
    adopt.impute(registry)
    older.finished += 1  # by a thread that had read the chunk's site before it was changed
    registry.joined.catch_up()
    assert (newer.finished, older.finished) == (1, 0)
    end.set()
    await asyncio.sleep(0.01)


def test_the_past_of_both_is_one() -> None:
    older = model.SiteHistory(1, (1.0, 5.0), (9, 0), (9, 0), (0, 0))
    newer = model.SiteHistory(2, (3.0, 5.0, 6.0), (1, 11, 12), (1, 11, 12), (0, 0, 0))
    past = summed(newer, older)
    assert past.site == 2
    assert list(zip(past.times, past.live, strict=True)) == [(1.0, 9), (3.0, 10), (5.0, 11), (6.0, 12)]
