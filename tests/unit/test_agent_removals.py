"""Whether the code beside a container takes entries out of it again."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from typing import TYPE_CHECKING, Any

import pytest

from taskscope.agent.inspect import walk
from taskscope.agent.inspect.removals import takes_out

if TYPE_CHECKING:
    from collections.abc import Callable


class Base:
    def __init__(self) -> None:
        self.tasks: dict[int, object] = {}
        self.others: dict[int, object] = {}

    def start(self, number: int) -> None:
        self.tasks[number] = object()


class Popped(Base):
    def end(self, number: int) -> None:
        self.tasks.pop(number, None)


class Deleted(Base):
    def end(self, number: int) -> None:
        del self.tasks[number]


class Rebound(Base):
    def sweep(self) -> None:
        self.tasks = {number: task for number, task in self.tasks.items() if task is not None}


class InACallback(Base):
    def start(self, number: int) -> None:
        self.tasks[number] = object()

        def end() -> None:
            self.tasks.pop(number)

        end()


class Inherited(Popped):
    pass


class OtherOnes(Base):
    def end(self, number: int) -> None:
        self.others.pop(number, len(self.tasks))


class Cut(Base):
    def __init__(self) -> None:
        super().__init__()
        self.tasks = []  # type: ignore[assignment]

    def sweep(self) -> None:
        self.tasks[:] = [task for task in self.tasks if task]  # type: ignore[index]


@pytest.mark.parametrize("make", [Popped, Deleted, Rebound, InACallback, Inherited, Cut])
def test_entries_leave_it(make: Callable[[], Base]) -> None:
    owner = make()
    assert walk.run(takes_out(owner, owner.tasks))


@pytest.mark.parametrize("make", [Base, OtherOnes])
def test_it_is_only_added_to(make: Callable[[], Base]) -> None:
    owner = make()
    assert not walk.run(takes_out(owner, owner.tasks))


KEPT: list[object] = []
SWEPT: list[object] = []
CACHE: OrderedDict[int, object] = OrderedDict()


def sweep() -> None:
    KEPT.append(len(SWEPT))
    SWEPT.clear()
    CACHE.popitem(last=False)


def test_of_a_module_its_functions_are_searched() -> None:
    assert walk.run(takes_out(globals(), SWEPT))
    assert walk.run(takes_out(globals(), CACHE))
    assert not walk.run(takes_out(globals(), KEPT))


async def test_of_a_variable_its_function_is_searched() -> None:
    async def sweeps(found: list[Any]) -> None:
        tasks = [object()]
        found.append(tasks)
        await asyncio.sleep(9)
        tasks.remove(tasks[0])

    async def keeps(found: list[Any]) -> None:
        tasks = [object()]
        found.append(tasks)
        await asyncio.sleep(9)

    for way, expected in ((sweeps, True), (keeps, False)):
        found: list[Any] = []
        coro = way(found)
        task = asyncio.create_task(coro)
        await asyncio.sleep(0)
        assert walk.run(takes_out(coro, found[0])) is expected
        task.cancel()


def test_one_with_a_bound_loses_entries_by_itself() -> None:
    owner = Base()
    assert walk.run(takes_out(owner, deque(maxlen=10)))
    assert not walk.run(takes_out(owner, deque()))
