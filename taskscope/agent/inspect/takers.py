"""Which coroutines take from a queue: methods of the object that has it as an attribute."""

from __future__ import annotations

from inspect import CO_COROUTINE
from types import FunctionType
from typing import TYPE_CHECKING

from taskscope.agent.inspect import methods, origins, referents, task_facts
from taskscope.agent.inspect.island import inside
from taskscope.agent.inspect.looking import items, mro, own_attributes
from taskscope.agent.inspect.variables import variables_of
from taskscope.agent.inspect.walk import spent

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import CodeType, FrameType

    from taskscope.agent.inspect.walk import Job

MOST_ENTRIES = 1_000

_TAKES = frozenset(("get", "get_nowait"))


def refers(value: object, thing: object) -> bool:
    """Whether it refers to ``thing`` itself, or by one of its attributes."""
    known = inside(value)
    attributes = (each for each in known if type(each) is dict and len(each) <= MOST_ENTRIES)
    return any(
        each is thing
        for some in (known, *(items(names, MOST_ENTRIES) for names in attributes))
        for each in some
    )


def home_of(queue: object, frames: Iterable[FrameType]) -> Job[tuple[object, str] | None]:
    """The object that has a queue, near the variables of these functions, and under which name."""
    for frame in frames:
        if origins.origin(origins.file_of(frame.f_code)) == "stdlib":
            continue
        for value in variables_of(frame).values():
            for thing in referents.with_objects_in(value):
                if thing is not queue and not referents.is_container(thing) and refers(thing, queue):
                    yield from methods.read(type(thing))
                    names = yield from methods.attributes_of(thing)
                    name = next((name for name, each in names.items() if each is queue), "")
                    if name:
                        return thing, name
            if spent():
                yield
    return None


def takers_of(owner: object, name: str) -> list[CodeType]:
    """The coroutines among its methods that take from its attribute; none if other functions do as well."""
    methods = (each for cls in mro(type(owner)) for each in own_attributes(cls).values())
    codes = [each.__code__ for each in methods if type(each) is FunctionType]
    takers = [each for each in codes if name in each.co_names and not _TAKES.isdisjoint(each.co_names)]
    return takers if all(each.co_flags & CO_COROUTINE for each in takers) else []


def runs(task: object, codes: list[CodeType], owner: object) -> bool:
    """Whether a task is in one of these methods of ``owner``."""
    frames = task_facts.frames_of(task_facts.coroutines(task))
    return any(each.f_code in codes and variables_of(each).get("self") is owner for each in frames)
