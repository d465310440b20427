"""What refers to the bare future that a task waits for, and so can end the wait.

For one task at a time.  The search covers the neighbourhood of the waiting task, then what other tasks work
on, and finally, in a small process, the whole heap.  References are followed as the garbage collector does,
which runs none of the program's code and leaves nothing behind; attributes and variables are looked up only
on what was found, to name them.
"""

from __future__ import annotations

import gc
import sys
import threading
from functools import partial
from itertools import repeat
from operator import is_
from types import BuiltinMethodType, FrameType, MethodType
from typing import TYPE_CHECKING

from taskscope.agent.inspect import futures, referents, stacks, task_facts, waits
from taskscope.agent.inspect.island import OwnRef
from taskscope.agent.inspect.looking import attribute, called, items, owner_of, text
from taskscope.agent.inspect.walk import spent
from taskscope.system import clock, system

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from taskscope.agent.inspect.walk import Job

MAX_OBJECTS = 2_000
"""Objects inspected per request."""

PATIENCE = 0.002
"""Seconds of work per task."""

MAX_BLOCKS = 250_000
"""Allocated blocks up to which the heap is searched: three passes of up to 4 ms, during which the program is
stopped.  A full garbage collection takes five times as long.
"""

MAX_HOLDERS = 5

NOT_FOUND = "something refers to it, but the search did not find what"
NOBODY = "nothing: no other reference to it exists, so it can never be done"

_last: tuple[Callable[[], object], int, list[str]] = (lambda: None, 0, [])
"""The last answer, by future and reference count: a view asks again every second."""


class Search:
    """Searches for the holders of the future that ``task`` waits for; holds neither between calls."""

    def __init__(self, task: object) -> None:
        self._task = OwnRef(task)
        self._outside = _outside(task)
        future = _awaited(task)
        self._future = OwnRef(future)
        self._seen: set[int] = set()  # a reused id only means that an object is skipped
        self._found: list[str] = []
        self._timed = False  # a timer is among them: what it says changes
        self._until = 0.0
        known, outside, found = _last
        self._is_known = known() is future and outside == self._outside
        if self._is_known:
            self._found = list(found)

    @property
    def is_open(self) -> bool:
        """Whether there is a holder to be found."""
        return self._outside > 0 and not self._found

    def near(self) -> Job[None]:
        """Searches around the task that waits, unless the last answer still holds."""
        task, future = self._task(), self._future()
        if not self._is_known and task is not None and future is not None:
            yield from self._near(task, future)

    def look(self, other: object) -> Job[None]:
        """Searches another task: its coroutines' variables, and the objects they refer to, up to a limit."""
        future = self._future()
        if not self.is_open or future is None or other is self._task():
            return
        if futures.waiter_of(other) is future:  # it waits as well
            return
        deep = len(self._seen) <= MAX_OBJECTS
        self._until = clock.thread_time() + PATIENCE if deep else 0.0
        for coro in task_facts.coroutines(other):
            for each in gc.get_referents(coro):
                if each is future:
                    variable = referents.variable_of(coro, future)
                    name = futures.name_of(other)
                    self._add(f"{name}, {variable}" if variable else name)
                elif deep:
                    self._visit(each, coro, future)
                if spent():
                    yield

    def result(self) -> tuple[str, ...]:
        """The holders found, or a sentence that there are none or that none were found."""
        global _last  # noqa: PLW0603
        task, future = self._task(), self._future()
        if task is None or future is None or _awaited(task) is not future:
            return ()
        if self.is_open:
            self._found = _in_threads(future)
        if self.is_open and sys.getallocatedblocks() <= MAX_BLOCKS:
            for thing in _referrers(task, future):
                self._add(_holder(thing, future), thing)
        if not self._found:
            self._found = [NOT_FOUND if self._outside else NOBODY]
        if not self._timed:
            _last = OwnRef(future), self._outside, self._found
        return tuple(self._found)

    def _add(self, holder: str, thing: object = None) -> None:
        """``thing``: the object behind the name."""
        self._timed = self._timed or referents.is_timer(thing)
        if holder and holder not in self._found and len(self._found) < MAX_HOLDERS:
            self._found.append(holder)

    def _near(self, task: object, future: object) -> Job[None]:
        self._until = clock.thread_time() + PATIENCE
        chain = task_facts.coroutines(task)
        self._seen.update(map(id, (task, future, *chain)))
        places: list[tuple[object, object]] = [
            (each, coro) for coro in reversed(chain) for each in gc.get_referents(coro)
        ]
        places += [(owner_of(callback), None) for callback in futures.callbacks(future)]
        places += [(frame.f_globals, None) for frame in task_facts.frames_of(chain)]
        for handle in _timers(futures.loop_of(task), future):
            self._seen.add(id(handle))
            self._add(referents.attribute_of(handle, future), handle)
        for search in (self._check_content, self._visit):
            for thing, coro in places:
                search(thing, coro, future)
                if spent():
                    yield

    def _check_content(self, thing: object, coro: object, future: object) -> None:
        self._check(referents.content(thing), coro, future)

    def _visit(self, thing: object, coro: object, future: object) -> None:
        """``thing``, and the objects of the program's classes that it refers to."""
        for each in referents.with_objects_in(referents.content(thing)):
            if clock.thread_time() > self._until or len(self._seen) > MAX_OBJECTS:
                return
            self._check(each, coro, future)

    def _check(self, thing: object, coro: object, future: object) -> None:
        if thing is not None and id(thing) not in self._seen:
            self._seen.add(id(thing))
            if referents.is_looked_into(thing) and referents.leads(thing, future, 2):
                self._add(referents.name_of(thing, coro, future), thing)


def _awaited(task: object) -> object:
    return waits.awaited_future(task, stacks.await_chain(futures.coroutine(task)))


# -- timers, counts, the heap ------------------------------------------------------------------------


def _timers(loop: object, future: object) -> Iterator[object]:
    """Timers of the loop that have the future as an argument."""
    for handle in items(attribute(loop, "_scheduled"), referents.MAX_NESTED):
        given = items(attribute(handle, "_args"), referents.MAX_NESTED)
        if owner_of(attribute(handle, "_callback")) is future or any(map(is_, given, repeat(future))):
            yield handle


def _outside(task: object) -> int:
    """References to the future from outside the task that waits for it.

    Versions count variables differently, so the count is compared with a probe in the same kind of variable.
    """
    probe, chain, future = object(), task_facts.coroutines(task), _awaited(task)
    count = sys.getrefcount(future) - sys.getrefcount(probe)
    return max(0, count - task_facts.references_in(task, chain, future))


def _in_threads(future: object) -> list[str]:
    """Variables of running functions in other threads, which the garbage collector does not see."""
    found = []
    for ident, innermost in list(sys._current_frames().items()):
        thread = vars(threading)["_active"].get(ident)
        frames = stacks.thread_frames(innermost) if ident != system.get_ident() else []
        variables = (referents.variable_in(frame, future) for frame in frames)
        variable = next((each for each in variables if each), "")
        if variable:
            name = text(attribute(thread, "_name")) or str(ident)
            found.append(f"thread {name}, {variable}")
    return found[:MAX_HOLDERS]


def _referrers(task: object, future: object) -> list[object]:
    """Up to three passes over the heap: the container, its owner, and the owner's owner."""
    chain = task_facts.coroutines(task)
    found: list[object] = []
    pending = [future]
    ours = {id(each) for each in (task, chain, found, *chain)}
    for _ in range(3):
        ours |= {id(pending), *map(id, pending)}
        containers: list[object] = []
        for each in gc.get_referrers(*pending):
            if id(each) in ours or type(each) is FrameType:
                continue
            if referents.is_container(each) and not referents.is_globals(each):
                containers.append(each)
            elif not issubclass(type(each), type):
                found.append(each)
        pending = containers[:MAX_HOLDERS]
        if not pending:
            break
    return found


def _holder(thing: object, future: object) -> str:
    if type(thing) is dict:
        return referents.name_in_module(thing, future)
    if id(type(thing)) in referents.COROUTINES:
        return f"a variable of {stacks.name_of(thing)}"
    if issubclass(type(thing), (MethodType, BuiltinMethodType, partial)):
        return f"a callback, {called(thing)}"
    return referents.attribute_of(thing, future)
