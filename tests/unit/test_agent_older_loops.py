"""The search for event loops that nobody runs, among the objects of this process."""

from __future__ import annotations

import asyncio
import gc
import sys
import weakref
from types import ModuleType
from typing import TYPE_CHECKING

import pytest

from taskscope.agent.inspect import older_loops
from taskscope.agent.inspect.island import OwnRef
from taskscope.agent.inspect.walk import run

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


@pytest.fixture
def made() -> Iterator[list[asyncio.AbstractEventLoop]]:
    loops = [asyncio.new_event_loop() for _ in range(3)]
    yield loops
    for each in loops:
        each.close()


class Tenant:
    def __init__(self, loop: object) -> None:
        self.runners = {"blocking": (loop,)}


async def hold(thing: object) -> object:
    await asyncio.Event().wait()
    return thing


async def found_from(thing: object, known: Sequence[object]) -> set[object]:
    """What is found from a task that has ``thing`` in a variable."""
    task = asyncio.create_task(hold(thing))
    await asyncio.sleep(0)
    try:
        return set(run(older_loops.search([asyncio.get_running_loop(), *known], [OwnRef(task)])).loops)
    finally:
        task.cancel()


async def test_loops_inside_objects_are_found_but_not_known_ones(
    made: list[asyncio.AbstractEventLoop],
) -> None:
    tenants = [Tenant(each) for each in made]
    assert await found_from(tenants, []) >= set(made)
    found = await found_from(tenants, made[:1])
    assert made[0] not in found
    assert found >= set(made[1:])


async def test_in_a_list_of_many_each_is_found() -> None:
    made = [asyncio.new_event_loop() for _ in range(3)]
    found = await found_from([*range(600), made[0], *range(600), *made[1:], *range(600)], [])
    for each in made:
        each.close()
    assert found >= set(made)


async def test_the_search_keeps_nothing_alive() -> None:
    loop = asyncio.new_event_loop()
    loop.close()
    reference = weakref.ref(loop)
    assert loop in await found_from(Tenant(loop), [])
    del loop
    await asyncio.sleep(0)

    gc.collect()
    assert reference() is None


def test_while_the_program_imports_asyncio_there_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "asyncio", ModuleType("asyncio"))
    assert run(older_loops.search([], [])).loops == []
