"""Whether the code of a program shows that whatever was taken is given back by those that have it."""

from __future__ import annotations

import asyncio
import sys
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from taskscope.agent.answers.unreturned import GiversRead, Unreturned
from taskscope.agent.inspect import giving, origins
from taskscope.agent.inspect.walk import run

if TYPE_CHECKING:
    from pathlib import Path

TOGETHER = """
async def use(seats, work):
    await seats.acquire()
    await work()
    seats.release()
"""

GUARDED = """
async def use(seats, work):
    await seats.acquire()
    try:
        await work()
    finally:
        seats.release()
"""

WITH = """
async def inside(seats, work):
    async with seats:
        await work()
"""

BY_CALLS = """
async def take(seats):
    await seats.acquire()
def leave(seats):
    seats.release()
async def use(seats, work):
    await take(seats)
    await work()
    leave(seats)
"""

LATER = {
    "a callback": """
async def use(seats, work):
    await seats.acquire()
    work.call_later(9, seats.release)
""",
    "a lambda": """
async def use(seats, work):
    await seats.acquire()
    work.add_done_callback(lambda _: seats.release())
""",
    "a method that others call": """
class Job:
    async def begin(self, seats):
        await seats.acquire()
    def on_end(self, seats):
        seats.release()
""",
    "a context manager": """
class Seat:
    async def __aenter__(self):
        await self.seats.acquire()
    async def __aexit__(self, *_):
        self.seats.release()
""",
    "a generator": """
async def seat(seats):
    await seats.acquire()
    yield
    seats.release()
""",
    "a decorated function": """
import functools
def kept(function):
    @functools.wraps(function)
    def inner(*args):
        return function(*args)
    return inner
class Job:
    @staticmethod
    @kept
    def on_end(seats):
        seats.release()
""",
    "a name that is looked up": """
async def use(seats, work):
    await seats.acquire()
    work(getattr(seats, "release"))
""",
}


def test_a_callback_that_gets_something_else_has_no_item(program: Any) -> None:
    program("def weighed(queue, weights):\n    weights.get(1)\n    queue.task_done()\n")
    assert run(giving.givers(giving.ITEMS)) is None


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes the process consist of one module of the program's."""

    def load(text: str) -> ModuleType:
        module = ModuleType("ferry")
        module.__file__ = str(tmp_path / "ferry.py")
        exec(compile(text, module.__file__, "exec"), vars(module))
        monkeypatch.setattr(giving, "sys", SimpleNamespace(modules={"ferry": module}))
        assert origins.origin(module.__file__) == "user"
        return module

    return load


@pytest.mark.parametrize("text", [TOGETHER, GUARDED])
def test_one_function_may_take_and_give_back(program: Any, text: str) -> None:
    program(text)
    found = run(giving.givers(giving.SLOTS))
    assert found == giving.Givers(frozenset({"release"}), frozenset({"acquire"}))


def test_functions_that_lead_to_giving_back_are_followed(program: Any) -> None:
    program(BY_CALLS)
    found = run(giving.givers(giving.SLOTS))
    assert found == giving.Givers(frozenset({"release", "leave"}), frozenset({"acquire", "take"}))


@pytest.mark.parametrize("text", LATER.values(), ids=LATER)
def test_what_somebody_calls_later_may_give_back_as_well(program: Any, text: str) -> None:
    program(text)
    assert run(giving.givers(giving.SLOTS)) is None


def test_the_line_that_an_error_makes_lose_a_slot_is_named(program: Any) -> None:
    assert giving.unguarded(program(TOGETHER).use.__code__, giving.SLOTS) == 3
    assert giving.unguarded(program(GUARDED).use.__code__, giving.SLOTS) is None


def _give(seats: asyncio.Semaphore) -> None:
    seats.release()


async def _found(*tasks: asyncio.Task[Any]) -> Any:
    await asyncio.sleep(0)
    look = Unreturned()
    for each in tasks:
        look.note(each, 0.0)
    return run(look.found(lambda: iter(tasks), GiversRead(), agent=sys.maxsize))


@pytest.mark.parametrize("text", [TOGETHER, BY_CALLS])
async def test_slots_are_lost_unless_somebody_may_have_one(program: Any, text: str) -> None:
    module, gate, seats = program(text), asyncio.Event(), asyncio.BoundedSemaphore(2)
    holder = asyncio.create_task(module.use(seats, gate.wait))
    await asyncio.sleep(0)
    await seats.acquire()  # by this function, which is no part of the program
    waiter = asyncio.create_task(module.use(seats, gate.wait))
    try:
        assert await _found(holder, waiter) == ()
        (lost,) = await _found(waiter)
        assert (lost.kind, lost.size, lost.waiting) == ("slots", 2, 1)
        _give(seats)
        assert await _found(waiter) == ()
    finally:
        holder.cancel()
        waiter.cancel()
        await asyncio.gather(holder, waiter, return_exceptions=True)


async def test_whoever_is_inside_a_with_has_a_slot(program: Any) -> None:
    module, gate, seats = program(TOGETHER + WITH), asyncio.Event(), asyncio.Semaphore(1)
    holder = asyncio.create_task(module.inside(seats, gate.wait))
    await asyncio.sleep(0)
    waiter = asyncio.create_task(module.inside(seats, gate.wait))
    try:
        assert await _found(holder, waiter) == ()
        assert len(await _found(waiter)) == 1
    finally:
        holder.cancel()
        waiter.cancel()
        await asyncio.gather(holder, waiter, return_exceptions=True)


async def test_items_that_nobody_marks_done(program: Any) -> None:
    module = program("""
async def consume(queue, work):
    while True:
        if await queue.get():
            await work()
            queue.task_done()
async def produce(queue):
    await queue.join()
""")
    queue: asyncio.Queue[bool] = asyncio.Queue()
    gate = asyncio.Event()
    queue.put_nowait(False)
    consumer = asyncio.create_task(module.consume(queue, gate.wait))
    producer = asyncio.create_task(module.produce(queue))
    try:
        (lost,) = await _found(consumer, producer)
        assert (lost.kind, lost.size, [each.frame.line for each in lost.takers]) == ("items", 1, [4])
        queue.put_nowait(True)
        assert await _found(consumer, producer) == ()
    finally:
        consumer.cancel()
        producer.cancel()
        await asyncio.gather(consumer, producer, return_exceptions=True)
