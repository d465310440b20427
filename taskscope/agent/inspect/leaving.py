"""Where the program leaves a context by hand that it entered elsewhere.

``async with`` leaves a context in the task that entered it.  A class that enters it in one method and leaves
it in another may do so in different tasks, which anyio's cancel scopes do not survive.
"""

from __future__ import annotations

from types import FunctionType
from typing import TYPE_CHECKING

from taskscope.agent.inspect import calls, keepers, origins
from taskscope.agent.inspect.island import PATIENCE, Island, inside
from taskscope.agent.inspect.looking import is_a, own_attributes
from taskscope.agent.inspect.walk import spent
from taskscope.system import clock

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from weakref import ref

    from taskscope.agent.inspect.walk import Job
    from taskscope.model import Frame

LEAVES = ("__aexit__", "__exit__")

HOPS = 6
"""Most references from the object that leaves it by hand to what it leaves."""


def left_by(thing: object, tasks: Iterable[ref[object]], loops: list[object]) -> Job[Frame | None]:
    """The line where the class that keeps ``thing`` leaves a context by hand; None if none was found.

    ``tasks``: from which the search starts, besides the program's modules.
    """
    around = Island(loops)
    yield from keepers.begin(around, tasks)
    yield from _search(around, thing)
    at = around.origin[around.at[id(thing)]] if id(thing) in around.at else 0
    for _ in range(HOPS):
        if not at:
            break
        line = _line_in(type(around.things[at]))
        if line is not None:
            return line
        at = around.origin[at]
    return None


def _search(around: Island, thing: object) -> Job[None]:
    """Adds what its objects refer to, nearest first, until ``thing`` is found."""
    place, until = 1, clock.monotonic() + PATIENCE
    while (
        id(thing) not in around.at and place < len(around.things) < keepers.MOST and clock.monotonic() < until
    ):
        for number, each in enumerate(inside(around.things[place])):
            around.add(each, place)
            if not number & 63 and spent():
                yield
        place += 1
        if spent():
            yield


def _line_in(cls: type) -> Frame | None:
    for function in _functions(cls):
        code = function.__code__
        if origins.origin(origins.file_of(code)) == "user":
            line = calls.line_calling(code, LEAVES)
            if line is not None:
                return origins.frame_of(code, line)
    return None


def _functions(cls: type) -> Iterator[FunctionType]:
    for value in list(own_attributes(cls).values()):
        if is_a(value, FunctionType):
            yield value
