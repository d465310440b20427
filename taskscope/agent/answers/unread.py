"""Child processes that wait for their output to be read, which nobody does, while their end is awaited.

Somebody may still come and read it: this is no proof, unlike ``channels``, but the rest of the process may
go on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from taskscope import model
from taskscope.agent.answers import standing
from taskscope.agent.inspect import (
    beyond_reach,
    futures,
    handles,
    open_files,
    other_ends,
    processes,
    stacks,
    system_calls,
)
from taskscope.agent.inspect.island import OwnRef
from taskscope.agent.inspect.threads import ident_of, known_threads, native_id, native_ids
from taskscope.agent.inspect.walk import live_tasks, spent
from taskscope.system import clock, system

if TYPE_CHECKING:
    from collections.abc import Iterator

    from taskscope.agent.counts.registry import Registry
    from taskscope.agent.inspect.stillness import Stillness
    from taskscope.agent.inspect.walk import Job

LEAST = 5.0
"""Seconds for which a child has not run before it is worth a search."""

MOST = 50
"""Children looked at."""


class _Blocked(NamedTuple):
    pid: int
    since: float
    end: other_ends.End


class UnreadOutputs:
    """``still``: what has not moved, shared with the wait graph."""

    def __init__(self, registry: Registry, still: Stillness) -> None:
        self._registry = registry
        self._still = still

    def look(self, agent: int) -> Job[tuple[model.UnreadOutput, ...]]:
        blocked = []
        for pid in processes.children_of(0)[:MOST]:
            found = self._blocked(pid)
            if found is not None:
                blocked.append(found)
            if spent():
                yield
        if not blocked or not processes.are_readable():
            return ()
        held = yield from other_ends.held_by({each.end for each in blocked})
        used = set(_polled())
        for ident, native in _natives():
            call = system_calls.of_thread(native) if ident != agent else None
            used.update(on.number for on in (call.on if call is not None else ()))
            if spent():
                yield
        told = []
        for each in blocked:
            ends = held.get(each.end, ())
            if ends and all(end.here and end.number not in used for end in ends):
                waiter = yield from self._waiter(each.pid)
                if waiter is not None:
                    child = model.WaitNode(0, "process", processes.name_of(each.pid), each.pid)
                    on = open_files.describe(ends[0].number)
                    alone = waiter.kind == "thread" and _alone_has(
                        waiter.number, {end.number for end in ends}
                    )
                    told.append(
                        model.UnreadOutput(waiter, child, each.since, (on,) if on is not None else (), alone)
                    )
                yield
        return tuple(told)

    def _blocked(self, pid: int) -> _Blocked | None:
        """A child that waits for room in one pipe, and does nothing else."""
        natives = processes.threads_of(pid)
        since = self._still.process(pid, natives)
        if since is None or clock.monotonic() - since < LEAST:
            return None
        calls = [system_calls.of_thread(each, pid) for each in natives]
        if any(call is None or not call.endless for call in calls):
            return None
        numbers = {on.number for call in calls if call is not None for on in call.on if on.writes}
        end = other_ends.other_end(numbers.pop(), pid) if len(numbers) == 1 else None
        return _Blocked(pid, since, end) if end is not None else None

    def _waiter(self, pid: int) -> Job[model.WaitNode | None]:
        """The task or thread that waits for its end."""
        for task in live_tasks(self._registry.task_records()):
            if task is None:
                yield
                continue
            serial, on = futures.serial_of(task), handles.of_task(task)
            if serial is not None and on is not None and on.pid == pid:
                return standing.with_task(model.WaitNode(0, "task", ""), serial, task)
        for ident, native in _natives():
            call = system_calls.of_thread(native)
            if call is not None and call.endless and call.pid == pid:
                return standing.with_thread(model.WaitNode(0, "thread", ""), ident)
        return None


def _alone_has(ident: int, numbers: set[int]) -> bool:
    """Whether nobody but this thread has these descriptors, which waits for ever."""
    thread = next((OwnRef(each) for each in known_threads() if ident_of(each) == ident), None)
    return thread is not None and beyond_reach.alone_has(thread, stacks.current_frames().get(ident), numbers)


def _natives() -> list[tuple[int, int]]:
    here = native_ids()
    return [(ident_of(each) or 0, native_id(each, here)) for each in known_threads()]


def _polled() -> Iterator[int]:
    """The descriptors that any loop of this process watches, whatever it is written in."""
    for each in system.listdir("/proc/self/fd"):
        try:
            if open_files.link_of(each) == "anon_inode:[eventpoll]":
                yield from (on.number for on in system_calls.watched_by(int(each), most=None))
        except OSError:
            pass  # closed meanwhile
