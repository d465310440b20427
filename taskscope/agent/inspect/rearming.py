"""Callbacks in a loop's queue: what they run, what they are about, whether they change anything."""

from __future__ import annotations

import gc
from types import CellType, FunctionType, MethodType
from typing import TYPE_CHECKING, NamedTuple

from taskscope.agent.inspect import calls, futures, origins, stacks
from taskscope.agent.inspect.foreign import StandIn
from taskscope.agent.inspect.looking import (
    attribute,
    attributes_of,
    called,
    innermost,
    items,
    kinds,
    module_of,
    mro,
    owner_of,
    pairs,
    size,
    slots_of,
)
from taskscope.agent.inspect.variables import variables_of
from taskscope.model import Frame, library_line, user_line

if TYPE_CHECKING:
    from types import CodeType, FrameType

MAX_VALUES = 60
"""Variables or attributes inspected per object or frame."""

MAX_TASKS = 50
"""Tasks of an object inspected."""

FIRST = 3
"""Entries of a container that show whether it was rotated."""

QUEUES = ("call_soon", "call_soon_threadsafe", "call_later", "call_at")
"""Methods of a loop by which a callback is queued again."""

_CONSTANT = kinds(str, bytes, bool, type(None))
_COUNTED = kinds(int, float)


class Queued(NamedTuple):
    """A callback in the queue.  ``key`` is the same whenever the same method of the same object is queued.

    ``task``: the task that it is a step of, if any; ``steps``: a step that no future has woken.
    """

    key: tuple[int, int]
    handle: object
    callback: object
    task: object
    steps: bool


def read(handle: object) -> Queued:
    """A handle of a loop's queue; a task in that of a run of trio."""
    if type(handle) is StandIn:
        return Queued((id(handle), 0), handle, None, handle, handle.goes_on)
    callback = attribute(handle, "_callback")
    owner = owner_of(callback)
    inner = innermost(callback)
    code = inner.__code__ if type(inner) is FunctionType else inner
    task = owner if futures.is_task(owner) else None
    if task is not None:
        steps = futures.waiter_of(task) is None and not futures.is_done(task)
        return Queued((id(task), 0), handle, callback, task, steps)
    return Queued((id(owner), id(code)), handle, callback, None, False)


def what(queued: Queued) -> tuple[str, Frame]:
    """The function that it runs, and where that is; of a task, where it is suspended."""
    if queued.task is not None:
        where = library_line(_stack_of(queued.task))
        return stacks.coroutine_of(queued.task), where or Frame("", 0, "(unknown)", "stdlib")
    code = code_of(queued.callback)
    name = called(queued.callback)
    if code is None:
        return name, Frame("", 0, name, "stdlib")
    return name, origins.frame_of(code, code.co_firstlineno)


def line_that_queues(queued: Queued) -> tuple[Frame, Frame | None]:
    """The line that queues it again, and the user's line: of a task, where it is suspended."""
    if queued.task is not None:
        stack = _stack_of(queued.task)
        where = library_line(stack)
        return where or Frame("", 0, "(unknown)", "stdlib"), user_line(stack)
    code = code_of(queued.callback)
    _, where = what(queued)
    line = calls.line_calling(code, QUEUES) if code is not None else None
    where = where if line is None or code is None else origins.frame_of(code, line)
    return where, where if where.origin == "user" else None


def _stack_of(task: object) -> tuple[Frame, ...]:
    """Where a task is suspended, innermost first, outside of what gives way for it."""
    frames = stacks.await_chain(futures.coroutine(task))
    own = [each for each in frames if not origins.is_plumbing(origins.file_of(each.f_code))]
    return stacks.describe(own or frames)


def owner(queued: Queued) -> object:
    """The object that the callback is bound to."""
    return owner_of(queued.callback) if queued.task is None else None


def tasks_of(thing: object) -> list[object]:
    """Tasks that an object refers to, directly or in a container."""
    values = [each for _, value in _values_of(thing) for each in (value, *items(value, MAX_TASKS))]
    return [each for each in values if futures.is_task(each)][:MAX_TASKS]


class State(NamedTuple):
    """The state that a callback works on, as of one look: its numbers, and everything else."""

    numbers: tuple[object, ...]
    others: tuple[object, ...]


def state_of(queued: Queued) -> State:
    """Equal states mean that running it has changed none of its variables, nor attributes of its object."""
    numbers: list[object] = []
    others: list[object] = []
    for name, value in _variables(queued):
        _note(name, value, numbers, others, deep=True)
    return State(tuple(numbers), tuple(others))


def _variables(queued: Queued) -> list[tuple[object, object]]:
    if queued.task is not None:
        frames = stacks.await_chain(futures.coroutine(queued.task))
        places: list[tuple[object, object]] = [("", frame.f_lasti) for frame in frames]
        return places + [pair for frame in frames[:8] for pair in _locals(frame)]
    found = _values_of(owner_of(queued.callback))
    found += [("", each) for each in items(attribute(queued.handle, "_args"), MAX_VALUES)]
    inner = innermost(queued.callback)
    for cell in gc.get_referents(inner) if type(inner) is FunctionType else ():
        if type(cell) is tuple:
            found += [
                ("", value) for each in cell if type(each) is CellType for value in gc.get_referents(each)
            ]
    return found


def _locals(frame: FrameType) -> list[tuple[object, object]]:
    found: list[tuple[object, object]] = [*variables_of(frame).items()]
    return found[:MAX_VALUES]


def _values_of(thing: object) -> list[tuple[object, object]]:
    """The attributes of an object, by name."""
    return [*pairs(attributes_of(thing)), *slots_of(thing)][:MAX_VALUES]


def _note(name: object, value: object, numbers: list[object], others: list[object], *, deep: bool) -> None:
    kind = id(type(value))
    if kind in _COUNTED:
        numbers.append(value)
    elif kind in _CONSTANT:
        others.append(id(value))
    elif type(value) is MethodType or _is_of_the_queue(value):  # new ones each time
        return
    else:
        length = size(value)
        others.append((id(value), length, *map(id, items(value, FIRST) if length is not None else ())))
        if deep and length is None and not futures.is_task(value):
            for inner, each in _values_of(value):
                _note(inner, each, numbers, others, deep=False)


def _is_of_the_queue(value: object) -> bool:
    """Whether it is the handle itself, a new one each time, or the loop, whose queue changes each time."""
    return any(module_of(each) == "asyncio.events" for each in mro(type(value)))


def name_of(queued: Queued) -> str:
    """The function that a callback runs."""
    return called(queued.callback)


def code_of(callback: object) -> CodeType | None:
    """Its code; None if it is not written in Python."""
    inner = innermost(callback)
    if type(inner) is FunctionType:
        return inner.__code__
    return None
