"""Who refers to the bare future that a task waits for: whoever can end the wait.

Asked of one task at a time.  First the surroundings of the waiting task are looked through, then what
the other tasks work on, and at last, in a small process, the whole heap.  References are followed as
the garbage collector does, which runs nothing of the program and leaves nothing in it; attributes and
variables are looked up of what was found only, for their names.
"""

from __future__ import annotations

import gc
import sys
import threading
from functools import partial
from itertools import repeat
from operator import is_
from types import BuiltinMethodType, FrameType, MethodType
from typing import TYPE_CHECKING, Any
from weakref import ref

from taskscope.agent import clues, referents, stacks, waits
from taskscope.system import clock, system

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MAX_OBJECTS = 2_000
"""Objects looked into for one question."""

PATIENCE = 0.002
"""Seconds of work after which looking at one task ends."""

MAX_BLOCKS = 200_000
"""Blocks of memory in use up to which the heap is searched: three passes of up to 3 ms, in which the
program stands still.  A garbage collection of all of it takes five times as long.
"""

MAX_HOLDERS = 5

NOT_FOUND = "somebody, but it was not found who"
NOBODY = "nobody: nothing else refers to it, so it can never be done"

_last: tuple[Callable[[], Any], int, list[str]] = (lambda: None, 0, [])
"""The answer given last, for so many references to that future: a view asks again every second."""


class Search:
    """Looks for the holders of the future that ``task`` waits for; refers to neither between two calls."""

    def __init__(self, task: Any) -> None:
        self._task = ref(task)
        self._outside = _outside(task)
        future = _awaited(task)
        self._future = ref(future)
        self._seen: set[int] = set()  # an id that is used again means something not looked at, no more
        self._found: list[str] = []
        self._until = 0.0
        known, outside, found = _last
        if known() is future and outside == self._outside:
            self._found = list(found)
        else:
            self._near(task, future)

    def look(self, other: Any) -> None:
        """Another task: the variables of its coroutines, and what these work on."""
        future = self._future()
        if self._found or future is None or other is self._task():
            return
        if getattr(other, "_fut_waiter", None) is future:  # it waits as well
            return
        self._until = clock.thread_time() + PATIENCE
        for coro in clues.coroutines(other):
            for each in gc.get_referents(coro):
                if each is future:
                    variable = referents.variable_of(coro, future)
                    self._add(f"{other.get_name()}, {variable}" if variable else other.get_name())
                else:
                    self._visit(each, coro, future)

    def result(self) -> tuple[str, ...]:
        """The holders found, or in a sentence that there are none or that they were not found."""
        global _last  # noqa: PLW0603
        task, future = self._task(), self._future()
        if task is None or future is None or _awaited(task) is not future:
            return ()
        if not self._found and self._outside:
            self._found = _in_threads(future)
        if not self._found and self._outside and sys.getallocatedblocks() <= MAX_BLOCKS:
            self._found = _referrers(task, future)
        if not self._found:
            self._found = [NOT_FOUND if self._outside else NOBODY]
        if not any(each.startswith(referents.TIMER) for each in self._found):  # their time runs
            _last = ref(future), self._outside, self._found
        return tuple(self._found)

    def _add(self, holder: str) -> None:
        if holder and holder not in self._found and len(self._found) < MAX_HOLDERS:
            self._found.append(holder)

    def _near(self, task: Any, future: Any) -> None:
        self._until = clock.thread_time() + PATIENCE
        chain = clues.coroutines(task)
        self._seen.update(map(id, (task, future, *chain)))
        places = [(each, coro) for coro in reversed(chain) for each in gc.get_referents(coro)]
        places += [(getattr(callback, "__self__", None), None) for callback in waits.callbacks(future)]
        frames = [getattr(coro, "cr_frame", None) for coro in chain]
        places += [(frame.f_globals, None) for frame in frames if frame is not None]
        for handle in _timers(task.get_loop(), future):
            self._seen.add(id(handle))
            self._add(referents.attribute_of(handle, future))
        for thing, coro in places:
            self._check(referents.content(thing), coro, future)
        for thing, coro in places:
            self._visit(thing, coro, future)

    def _visit(self, thing: Any, coro: Any, future: Any) -> None:
        """``thing``, and the objects of the program's classes that it refers to."""
        for each in referents.with_objects_in(referents.content(thing)):
            if clock.thread_time() > self._until or len(self._seen) > MAX_OBJECTS:
                return
            self._check(each, coro, future)

    def _check(self, thing: Any, coro: Any, future: Any) -> None:
        if thing is not None and id(thing) not in self._seen:
            self._seen.add(id(thing))
            if not issubclass(type(thing), referents.NOT_LOOKED_INTO) and referents.leads(thing, future, 2):
                self._add(referents.name_of(thing, coro, future))


def _awaited(task: Any) -> Any:
    return waits.awaited_future(task, stacks.await_chain(task.get_coro()))


# -- timers, counts, the heap ------------------------------------------------------------------------


def _timers(loop: Any, future: Any) -> Iterator[Any]:
    """Calls that the loop was asked to make later, and that get the future."""
    for handle in list(getattr(loop, "_scheduled", ()))[: referents.MAX_NESTED]:
        callback, args = handle._callback, handle._args or ()
        if getattr(callback, "__self__", None) is future or any(map(is_, args, repeat(future))):
            yield handle


def _outside(task: Any) -> int:
    """References to the future from elsewhere than the task that waits for it.

    Versions count variables differently: compared is with another object in the same kind of variable.
    """
    probe, chain, future = object(), clues.coroutines(task), _awaited(task)
    count = sys.getrefcount(future) - sys.getrefcount(probe)
    return max(0, count - clues.references_in(task, chain, future))


def _in_threads(future: Any) -> list[str]:
    """Variables of functions that run in other threads: the garbage collector does not see these."""
    found = []
    for ident, innermost in list(sys._current_frames().items()):
        thread = vars(threading)["_active"].get(ident)
        frames = stacks.thread_frames(innermost) if ident != system.get_ident() else []
        variables = (referents.variable_in(frame, future) for frame in frames)
        variable = next((each for each in variables if each), "")
        if variable:
            found.append(f"thread {thread.name if thread is not None else ident}, {variable}")
    return found[:MAX_HOLDERS]


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
            if type(each) in referents.CONTAINERS and not (type(each) is dict and "__builtins__" in each):
                containers.append(each)
            elif not issubclass(type(each), type):
                found.append(_holder(each, future))
        pending = containers[:MAX_HOLDERS]
        if not pending:
            break
    return [each for each in found if each][:MAX_HOLDERS]


def _holder(thing: Any, future: Any) -> str:
    if type(thing) is dict:
        return referents.name_in_module(thing, future)
    if type(thing) in referents.COROUTINES:
        return f"a variable of {thing.__qualname__.replace('.<locals>', '')}"
    if issubclass(type(thing), (MethodType, BuiltinMethodType, partial)):
        return f"a callback, {referents.called(thing)}"
    return referents.attribute_of(thing, future)
