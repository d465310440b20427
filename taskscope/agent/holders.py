"""Who refers to the bare future that a task waits for: whoever can end the wait.

Asked of one task at a time.  First the surroundings of the waiting task are looked through, then what
the other tasks work on, and at last, in a small process, the whole heap.  References are followed as
the garbage collector does, which runs nothing of the program and leaves nothing in it; attributes and
variables are looked up of what was found only, for their names.
"""

from __future__ import annotations

import gc
import sys
import time
from collections import OrderedDict, defaultdict, deque
from functools import partial
from itertools import repeat
from operator import is_
from types import (
    AsyncGeneratorType,
    BuiltinMethodType,
    CellType,
    CoroutineType,
    FrameType,
    FunctionType,
    GeneratorType,
    MemberDescriptorType,
    MethodType,
    ModuleType,
)
from typing import TYPE_CHECKING, Any
from weakref import ref

from taskscope.agent import clues, origins, stacks, waits
from taskscope.agent.variables import variables_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MAX_ITEMS = 50_000
"""References of one object looked through: about a millisecond of holding the GIL."""

MAX_NESTED = 1_000
"""Entries of a container up to which the containers in it are looked through too."""

MAX_OBJECTS = 2_000
"""Objects looked into for one question."""

PATIENCE = 0.002
"""Seconds of work after which looking at one task ends."""

MAX_BLOCKS = 400_000
"""Blocks of memory in use up to which the heap is searched: one pass of three takes about 3 ms, in which
the program stands still.  A garbage collection of all of it takes five times as long.
"""

MAX_HOLDERS = 5

NOBODY = "nobody: nothing else refers to it, so it can never be done"

_CONTAINERS = {dict, list, tuple, set, frozenset, deque, defaultdict, OrderedDict}
_NOT_LOOKED_INTO = (str, bytes, int, float, type, ModuleType, FunctionType)
_COROUTINES = {CoroutineType, GeneratorType, AsyncGeneratorType}


class Search:
    """Looks for the holders of the future that ``task`` waits for; refers to neither between two calls."""

    def __init__(self, task: Any) -> None:
        self._task = ref(task)
        future = _awaited(task)
        self._future = ref(future)
        self._seen: set[int] = set()  # an id that is used again means something not looked at, no more
        self._found: list[str] = []
        self._until = 0.0
        self._near(task, future)

    def look(self, other: Any) -> None:
        """Another task: the variables of its coroutines, and what these work on."""
        future = self._future()
        if future is None or other is self._task() or getattr(other, "_fut_waiter", None) is future:
            return
        self._until = time.thread_time() + PATIENCE
        for coro in clues.coroutines(other):
            for each in gc.get_referents(coro):
                if each is future:
                    self._add(f"{other.get_name()}, {_variable(coro, future)}")
                else:
                    self._visit(each, coro, future)

    def result(self) -> tuple[str, ...]:
        """The holders found, or in a sentence that there are none or that they were not found."""
        task, future, probe = self._task(), self._future(), object()
        if task is None or future is None or _awaited(task) is not future:
            return ()
        if not self._found:
            outside = _references(future) - _references(probe)
            outside -= clues.references_in(task, clues.coroutines(task), future)
            if outside <= 0:
                return (NOBODY,)
            self._found.extend(_in_the_heap(task, future))
            if not self._found:
                return (f"not found: {outside} references to it from elsewhere",)
        return tuple(self._found)

    def _add(self, holder: str) -> None:
        if holder not in self._found and len(self._found) < MAX_HOLDERS:
            self._found.append(holder)

    def _near(self, task: Any, future: Any) -> None:
        self._until = time.thread_time() + PATIENCE
        chain = clues.coroutines(task)
        self._seen.update(map(id, (task, future, *chain)))
        for coro in reversed(chain):
            for each in gc.get_referents(coro):
                self._visit(each, coro, future)
        for callback in waits.callbacks(future):
            self._visit(getattr(callback, "__self__", None), None, future)
        for coro in chain:
            frame = getattr(coro, "cr_frame", None)
            if frame is not None:
                self._visit(frame.f_globals, None, future)
        for handle in _timers(task.get_loop(), future):
            if id(handle) not in self._seen:
                self._add(_attribute(handle, future))

    def _visit(self, thing: Any, coro: Any, future: Any) -> None:
        """``thing``, and the objects of the program's classes that it refers to."""
        if type(thing) is CellType:
            thing = _content(thing)
        for each in _with_objects_in(thing):
            if time.thread_time() > self._until or len(self._seen) > MAX_OBJECTS:
                return
            if id(each) not in self._seen:
                self._seen.add(id(each))
                if _leads(each, future, 2):
                    self._add(_name(each, coro, future))


def _awaited(task: Any) -> Any:
    return waits.awaited_future(task, stacks.await_chain(task.get_coro()))


def _is_object(thing: Any) -> bool:
    """Whether it is of a class of the program's or a library's; told from its type alone."""
    kind = type(thing)
    looked_into = not issubclass(kind, _NOT_LOOKED_INTO) and kind not in _CONTAINERS and kind is not CellType
    return looked_into and kind not in _COROUTINES and gc.is_tracked(thing)


def _with_objects_in(thing: Any) -> Iterator[Any]:
    if thing is None or issubclass(type(thing), _NOT_LOOKED_INTO):
        return
    yield thing
    if type(thing) in _CONTAINERS and len(thing) > MAX_NESTED:
        return
    for each in gc.get_referents(thing):
        if type(each) is dict and len(each) <= MAX_NESTED:
            yield from filter(_is_object, gc.get_referents(each))  # it may be the attributes of ``thing``
        elif _is_object(each):
            yield each


def _leads(thing: Any, future: Any, depth: int) -> bool:
    """Whether ``thing`` refers to ``future``, itself or through containers."""
    if type(thing) in _CONTAINERS and len(thing) > MAX_ITEMS:
        return False
    referents = gc.get_referents(thing)
    if any(map(is_, referents, repeat(future))):
        return True
    if not depth or len(referents) > MAX_NESTED:
        return False
    return any(type(each) in _CONTAINERS and _leads(each, future, depth - 1) for each in referents)


# -- names -------------------------------------------------------------------------------------------


def _name(thing: Any, coro: Any, future: Any) -> str:
    if type(thing) is dict and "__builtins__" in thing:
        return _of_module(thing, future)
    if type(thing) in _CONTAINERS:
        return _variable(coro, thing, _place(thing, future))
    return _attribute(thing, future)


def _variable(coro: Any, thing: Any, place: str = "") -> str:
    frame = getattr(coro, "cr_frame", None)
    if frame is None:
        return f"a {type(thing).__name__}"
    names = variables_of(frame)
    name = next((name for name, value in names.items() if value is thing), "a value")
    return f"{name}{place} in {origins.function_name(frame.f_code)}"


def _of_module(names: dict[str, Any], future: Any) -> str:
    module = names.get("__name__")
    for name, value in list(names.items()):
        if value is future or (type(value) in _CONTAINERS and _leads(value, future, 1)):
            return f"{name}{_place(value, future)} of module {module}"
    return f"module {module}"


def _attribute(thing: Any, future: Any) -> str:
    kind = type(thing).__qualname__.replace(".<locals>", "")
    if kind in ("Handle", "TimerHandle"):
        return _call_to_come(thing)
    for name, value in _attributes(thing):
        if value is future or (type(value) in _CONTAINERS and _leads(value, future, 1)):
            return f"{kind}.{name}{_place(value, future)}"
    return f"a {kind}"


def _attributes(thing: Any) -> Iterator[tuple[str, Any]]:
    """Attributes by name; runs no code of the program's."""
    try:
        names = object.__getattribute__(thing, "__dict__")
    except AttributeError:
        names = {}
    yield from list(names.items())
    for cls in type.mro(type(thing)):
        for name, slot in list(vars(cls).items()):
            if type(slot) is MemberDescriptorType:
                try:
                    yield name, slot.__get__(thing)
                except AttributeError:  # not set
                    continue


def _place(container: Any, future: Any) -> str:
    """Where in a container it stands: ``[17]``, ``['a'][0]``; "" if it is the future itself."""
    if container is future:
        return ""
    is_dict = issubclass(type(container), dict)
    for key, value in list(container.items() if is_dict else enumerate(list(container))):
        if value is future or (type(value) in _CONTAINERS and _leads(value, future, 0)):
            told = issubclass(type(container), (dict, list, tuple)) and type(key) in (int, str)
            return f"[{repr(key)[:60] if told else '…'}]{_place(value, future)}"
    return "[…]"


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not bound yet
        return None


# -- timers, counts, the heap ------------------------------------------------------------------------


def _timers(loop: Any, future: Any) -> Iterator[Any]:
    """Calls that the loop was asked to make later, and that get the future."""
    for handle in list(getattr(loop, "_scheduled", ()))[:MAX_NESTED]:
        callback, args = handle._callback, handle._args or ()
        if getattr(callback, "__self__", None) is future or any(map(is_, args, repeat(future))):
            yield handle


def _call_to_come(handle: Any) -> str:
    """A call that a loop will make.  uvloop's do not show what they call."""
    callback, loop = getattr(handle, "_callback", None), getattr(handle, "_loop", None)
    name = f", {_called(callback)}" if callback is not None else ""
    if not hasattr(handle, "when"):
        return f"a callback of the loop{name}"
    left = f" in {max(0.0, handle.when() - loop.time()):.1f} s" if loop is not None else ""
    return f"a timer of the loop{name}{left}"


def _called(callback: Any) -> str:
    callback = callback.func if type(callback) is partial else callback
    return str(getattr(callback, "__qualname__", type(callback).__qualname__)).replace(".<locals>", "")


def _references(thing: Any) -> int:
    """To be compared with that of another object in the same kind of variable: versions count differently."""
    return sys.getrefcount(thing)


_searched: tuple[Callable[[], Any], list[str]] = (lambda: None, [])
"""The future that the heap was searched for last, and what was found: a view asks again every second."""


def _in_the_heap(task: Any, future: Any) -> list[str]:
    global _searched  # noqa: PLW0603
    if _searched[0]() is not future:
        small = sys.getallocatedblocks() <= MAX_BLOCKS
        _searched = ref(future), _referrers(task, future) if small else []
    return _searched[1]


def _referrers(task: Any, future: Any) -> list[str]:
    """Up to three passes of the garbage collector's search: the container, its owner, that one's owner."""
    chain = clues.coroutines(task)
    found: list[str] = []
    pending = [future]
    ours = {id(each) for each in (task, chain, found, *chain)}
    for _ in range(3):
        ours |= {id(pending), *map(id, pending)}
        containers: list[Any] = []
        for each in gc.get_referrers(*pending):
            if id(each) in ours or type(each) is FrameType:
                continue
            if type(each) in _CONTAINERS and not (type(each) is dict and "__builtins__" in each):
                containers.append(each)
            elif not issubclass(type(each), type):
                found.append(_holder(each, future))
        pending = containers[:MAX_HOLDERS]
        if not pending:
            break
    return (found or [f"a {type(each).__name__}" for each in pending])[:MAX_HOLDERS]


def _holder(thing: Any, future: Any) -> str:
    if type(thing) is dict:
        return _of_module(thing, future)
    if type(thing) in _COROUTINES:
        return f"a variable of {thing.__qualname__.replace('.<locals>', '')}"
    if issubclass(type(thing), (MethodType, BuiltinMethodType, partial)):
        return f"a callback, {_called(thing)}"
    return _attribute(thing, future)
