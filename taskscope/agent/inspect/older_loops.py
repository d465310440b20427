"""Event loops that nobody runs and that are older than the agent: no hook has seen them, no frame shows them.

They are searched for from the program's modules, running functions and tasks outwards, nearest first.  One
pass over the heap would find them all, but stops the program meanwhile: 14 ms with 290,000 blocks.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, NamedTuple

from taskscope.agent.inspect import island, keepers, stacks
from taskscope.agent.inspect.island import Island, inside
from taskscope.agent.inspect.looking import attribute, is_a
from taskscope.agent.inspect.variables import variables_of
from taskscope.agent.inspect.walk import spent
from taskscope.system import clock, system

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import FrameType
    from weakref import ref

    from taskscope.agent.inspect.walk import Job


MAX_THREADS = 100
"""Threads whose functions' variables are searched."""


class Found(NamedTuple):
    """``everywhere``: the search came to its end, not to its bounds."""

    loops: list[object]
    everywhere: bool


def search(known: list[object], tasks: Iterable[ref[object]]) -> Job[Found]:
    """Loops of the classes that derive from asyncio's own, apart from the ``known`` ones, closed or not."""
    classes = {id(each): each for each in _loop_classes()}
    around = Island(known)
    found: dict[int, object] = {}
    if classes:
        yield from keepers.begin(around, tasks)
        yield from _add_running(around)
    place, until = 1, clock.monotonic() + island.PATIENCE
    while place < len(around.things) < island.MOST and clock.monotonic() < until:
        thing = around.things[place]
        if id(type(thing)) in classes:
            found[id(thing)] = thing
        else:
            loops = [each for each in inside(thing) if id(type(each)) in classes]
            found.update((id(each), each) for each in loops if not around.is_outside(each))
            yield from around.add_all(keepers.some(thing), place)
        place += 1
        if spent():
            yield
    return Found(list(found.values()), place >= len(around.things))


def _loop_classes() -> list[type]:
    base = attribute(sys.modules.get("asyncio"), "BaseEventLoop")  # absent while it is being imported
    classes: list[type] = [base] if is_a(base, type) else []
    for each in classes:
        classes += type.__subclasses__(each)
    return classes


def _add_running(around: Island) -> Job[None]:
    """Adds the variables of all running functions, but not of ours."""
    for ident in list(sys._current_frames())[:MAX_THREADS]:
        if ident != system.get_ident():
            _add_variables(around, sys._current_frames().get(ident))
        if spent():
            yield


def _add_variables(around: Island, innermost: FrameType | None) -> None:
    for frame in stacks.thread_frames(innermost):
        for each in variables_of(frame).values():
            around.add(each)
