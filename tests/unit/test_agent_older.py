"""Births of tasks older than the agent are estimated as far as possible."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING
from weakref import ref

from taskscope.agent.agent import Agent
from taskscope.agent.answers.older import TOLD, Counter, older_tasks
from taskscope.agent.counts.process import thread_born
from taskscope.agent.counts.registry import Registry
from taskscope.agent.hooks import adopt
from taskscope.agent.inspect.dating import Dates, Hint, hint
from taskscope.agent.inspect.walk import run

if TYPE_CHECKING:
    from collections.abc import Coroutine


async def once() -> None:
    await asyncio.sleep(60)
    await asyncio.sleep(60)


async def round_and_round() -> None:
    while True:
        await asyncio.sleep(60)


async def after_another() -> None:
    await asyncio.sleep(0.01)
    await asyncio.sleep(60)


async def in_one_of_two_ways() -> None:
    try:
        if time.time() < 0:
            await asyncio.sleep(1)
        else:
            await once()
    finally:
        await asyncio.sleep(0)


async def told(coroutine: Coroutine[object, object, None]) -> tuple[Hint | None, float]:
    """A task's estimated birth after a while, and its error."""
    born = time.monotonic()
    task = asyncio.create_task(coroutine)
    await asyncio.sleep(0.3)
    found = hint(task)
    task.cancel()
    return found, abs(found.moment - born) if found is not None else 0.0


async def test_a_task_in_its_first_sleep_tells_when_it_was_born() -> None:
    for coroutine in (once(), in_one_of_two_ways()):
        found, off = await told(coroutine)
        assert found is not None
        assert found.exact
        assert off < 0.1


async def test_a_later_sleep_says_only_that_it_is_older() -> None:
    for coroutine in (round_and_round(), after_another()):
        found, off = await told(coroutine)
        assert found is not None
        assert not found.exact
        assert off < 0.1


async def test_a_wait_without_a_timer_tells_nothing() -> None:
    async def waits() -> None:
        await asyncio.Event().wait()

    found, _ = await told(waits())
    assert found is None


def test_a_known_birth_bounds_those_of_lower_and_higher_numbers() -> None:
    hints = {10: Hint(100.0, exact=True), 20: Hint(200.0, exact=True), 30: Hint(260.0, exact=False)}
    dates = Dates(hints, 0.0, 1_000.0)
    assert dates.span(10) == (100.0, 100.0, 100.0)
    assert dates.span(15) == (100.0, 200.0, 150.0)
    assert dates.span(25)[:2] == (200.0, 260.0)
    assert dates.span(25).likely <= 260.0
    assert dates.span(5)[:2] == (0.0, 100.0)
    assert dates.span(40)[:2] == (200.0, 1_000.0)


def test_a_birth_counts_as_known_where_its_interval_is_narrow() -> None:
    dates = Dates({1: Hint(100.0, exact=True), 9: Hint(110.0, exact=True)}, 0.0, 1_000.0)
    assert dates.span(5).birth(1_000.0) == 105.0
    assert dates.span(5).birth(120.0) is None
    assert dates.span(12).birth(1_000.0) is None


def test_the_kernel_knows_when_a_thread_was_born() -> None:
    stop = threading.Event()
    time.sleep(0.2)
    thread = threading.Thread(target=stop.wait)
    begun = time.monotonic()
    thread.start()
    try:
        assert thread.native_id is not None
        born = thread_born(thread.native_id)
        assert born is not None
        assert abs(born - begun) < 0.1
    finally:
        stop.set()
        thread.join()
    assert thread_born(0) is None


async def test_a_sites_older_tasks_are_reported_by_birth_and_number() -> None:
    registry = Registry()
    tasks = [asyncio.create_task(once()) for _ in range(200)]
    await asyncio.sleep(0.3)
    run(adopt._adopt_all(registry, [ref(task) for task in tasks], lambda loop: False, time.monotonic() - 60))
    (record,) = registry.task_records()
    older = run(older_tasks(record, Counter(registry)))
    assert older is not None
    assert (older.live, len(older.births), len(older.numbers)) == (200, TOLD, TOLD)
    numbers = [number for number in older.numbers if number is not None]
    assert numbers == sorted(numbers)
    assert numbers[-1] - numbers[0] == 199
    assert older.counter == numbers[-1]
    assert all(birth is not None and 0.2 < time.monotonic() - birth < 5 for birth in older.births)
    for task in tasks:
        task.cancel()


async def test_samples_say_how_long_older_tasks_are_being_registered() -> None:
    tasks = [asyncio.create_task(asyncio.sleep(60)) for _ in range(3)]
    await asyncio.sleep(0)
    agent = Agent("x", interval=1.0, control=False, version="0")
    agent.presence.arm()
    try:
        first = run(agent.sampler.full(1.0))
        last = run(agent.tick())
    finally:
        agent._undo()
    assert (first.arriving, last.arriving) == (True, False)
    assert sum(each.adopted for each in last.sites) >= len(tasks)
    for each in tasks:
        each.cancel()


async def test_only_coroutines_of_one_name_are_counted_together() -> None:
    """The program may name a coroutine as it likes; the code alone does not tell them apart."""
    one, other = once(), once()
    other.__qualname__ = "another"  # type: ignore[attr-defined]
    tasks = [asyncio.create_task(each) for each in (one, once(), other)]
    await asyncio.sleep(0)
    registry = Registry()
    for each in tasks:
        assert adopt.adopt(registry, each)
    counted = {each.site.coroutine: each.adopted for each in registry.task_records()}
    assert counted == {"once": 2, "another": 1}
    for each in tasks:
        each.cancel()
        adopt.release(each)


async def test_a_named_task_in_its_first_sleep_has_a_birth_and_no_number() -> None:
    registry = Registry()
    coroutines = [once() for _ in range(20)] + [round_and_round() for _ in range(20)]
    tasks = [asyncio.create_task(each, name=f"order {at}") for at, each in enumerate(coroutines)]
    await asyncio.sleep(0.3)
    run(adopt._adopt_all(registry, [ref(task) for task in tasks], lambda loop: False, time.monotonic() - 60))
    told = {}
    for record in registry.task_records():
        older = run(older_tasks(record, Counter(registry)))
        assert older is not None
        assert older.numbers == (None,) * 20
        told[record.site.coroutine] = older.births
    assert all(birth is not None and 0.2 < time.monotonic() - birth < 5 for birth in told["once"])
    assert told["round_and_round"] == (None,) * 20
    for task in tasks:
        task.cancel()
