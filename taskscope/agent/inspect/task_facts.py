"""Evidence from one task on why it lives: what keeps it, what awaits it, which object it runs on.

A coroutine's references come from the garbage collector's view, which leaves no trace.
"""

from __future__ import annotations

import gc
from types import CellType, FunctionType, MethodType
from typing import TYPE_CHECKING

from taskscope.agent.inspect import awaiting, futures, origins, races, stacks, waits
from taskscope.agent.inspect.foreign import StandIn
from taskscope.agent.inspect.looking import attribute, called, in_class, is_a
from taskscope.agent.inspect.paths import place_of
from taskscope.agent.inspect.referents import content
from taskscope.agent.inspect.sites import unwrapped
from taskscope.agent.inspect.variables import variables_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import CodeType, FrameType

    from taskscope.agent.inspect.paths import Place

MAX_HOPS = 50
"""Tasks followed along a chain of awaits; a longer chain is assumed to end."""

MAX_LEVELS = 3
"""Coroutines inspected: the outer ones may be wrappers, the inner ones wait."""

_RUNNER = "run_until_complete_cb"
"""asyncio.run's."""

_AWAITERS = frozenset(
    (
        "wakeup",  # another task awaits it
        "task_wakeup",
        "TaskWakeupMethWrapper",
        "done_callback",  # gather
        "on_completion",  # wait, as_completed
        "on_task_done",  # TaskGroup
        "inner_done_callback",  # shield
        _RUNNER,
        "release_waiter",  # wait_for before 3.12
        "task_done",  # anyio's task groups
    )
)
"""Names, without underscores, of callbacks that wait for a task to end."""


def is_awaited(task: object) -> bool:
    """Whether anything waits for its end: a task, a gather, a task group, a nursery, the runner."""
    return awaiting.is_awaited(task) if type(task) is StandIn else any(_awaiters(task))


def is_awaited_by_code(task: object) -> bool:
    """The same without the runner, which cancels only when it is interrupted."""
    return any(each != _RUNNER for each in _awaiters(task))


def _awaiters(task: object) -> Iterator[str]:
    for callback in futures.callbacks(task, futures.MAX_CALLBACKS):
        name = called(callback).rpartition(".")[2].strip("_")
        if name in _AWAITERS and not races.is_over(callback):
            yield name


def is_cancelling(task: object) -> bool:
    """Whether it was cancelled and still runs."""
    return futures.field(task, "_must_cancel") is True or futures.cancels_of(task) > 0


def place_of_task(task: object) -> Place | None:
    """Where its outermost coroutine is suspended: one inside a loop is not expected to end."""
    frame = stacks.frame_of(unwrapped(futures.coroutine(task)))
    return place_of(frame.f_code, frame.f_lasti) if frame is not None else None


def in_cycle(task: object) -> bool:
    """Whether it waits on an await cycle."""
    each = task
    for _ in range(MAX_HOPS):
        awaited = awaiting.waited_tasks(each)
        if not awaited:
            return False
        each = awaited[0]
        if each is task:
            return True
    return False


def coroutines(task: object) -> list[object]:
    """The coroutines it is suspended in, outermost first; the last may be the one that yields to the loop."""
    found: list[object] = []
    coro = unwrapped(futures.coroutine(task))
    while coro is not None and len(found) < waits.MAX_CHAIN:
        found.append(coro)
        coro = stacks.awaited_by(coro)
    return found


def frames_of(chain: list[object]) -> list[FrameType]:
    """The frames of coroutines."""
    frames = (stacks.frame_of(coro) for coro in chain)
    return [frame for frame in frames if frame is not None]


def bound_object(chain: list[object]) -> tuple[object, tuple[int, ...]] | None:
    """The ``self`` of the outermost method in ``chain``, and the ids of the other arguments."""
    for coro in chain[:MAX_LEVELS]:
        code = stacks.code_of(coro)
        if code is None or not code.co_argcount or origins.is_plumbing(origins.file_of(code)):
            continue
        referents = gc.get_referents(coro)
        for index, each in enumerate(referents):
            if _has_method(type(each), code) or (is_a(each, type) and _has_method(each, code)):
                others = code.co_argcount - 1 + code.co_kwonlyargcount
                return each, tuple(id(other) for other in referents[index + 1 : index + 1 + others])
    return None


def _has_method(cls: type, code: CodeType) -> bool:
    """Whether ``code`` is that of a method of ``cls``."""
    method = in_class(cls, origins.name_of(code))
    if type(method) is classmethod or type(method) is staticmethod:
        method = method.__func__
    return type(method) is FunctionType and method.__code__ is code


def waited_object(task: object, chain: list[object]) -> object:
    """The queue, event, lock or future it waits on; None if it sleeps or waits for nothing."""
    waiter = futures.waiter_of(task)
    frames = frames_of(chain)
    if type(task) is StandIn:
        return _waited_in_trio(frames[::-1])
    if waiter is None or not frames or not origins.is_plumbing(origins.file_of(frames[-1].f_code)):
        return waiter
    if origins.name_of(frames[-1].f_code) == "sleep":
        return None
    owner = variables_of(frames[-1]).get("self")
    return owner if owner is not None else waiter


def _waited_in_trio(frames: list[FrameType]) -> object:
    """Of a channel, what both of its ends have."""
    known = stacks.shape_of(frames).known
    if known is None or known.rule.wait == "sleep":
        return None
    owner = variables_of(frames[known.at]).get("self")
    shared = attribute(owner, "_state")
    return shared if shared is not None else owner


def references_in(task: object, chain: list[object], thing: object) -> int:
    """References to ``thing`` held by the task, its coroutines and what they await."""
    held = sum(1 for coro in chain for each in gc.get_referents(coro) if each is thing)
    if type(task) is StandIn:  # the method of trio's that waits, and what gives up its wait, share a cell
        cells = (each for coro in chain[-MAX_LEVELS:] for each in gc.get_referents(coro))
        held += sum(1 for each in cells if type(each) is CellType and content(each) is thing)
    return held + (futures.waiter_of(task) is thing)


def awaited_lock(task: object) -> object:
    """The lock, semaphore or condition that ``task`` waits to acquire, if any."""
    for frame in reversed(frames_of(coroutines(task))):
        code = frame.f_code
        acquires = origins.name_of(code) == "acquire"
        if acquires and any(mark in origins.file_of(code) for mark in ("/asyncio/", "/anyio/", "/trio/")):
            return variables_of(frame).get("self")
    return None


def holds(task: object, lock: object) -> bool:
    """Whether ``task`` is inside ``async with lock``.

    There the interpreter keeps ``__aexit__`` on the coroutine's stack: bound to the lock, or from 3.14 on as
    a function beside it.  A lock taken by a bare ``await lock.acquire()`` cannot be detected.
    """
    leave = in_class(type(lock), "__aexit__")
    for coro in coroutines(task):
        kept = gc.get_referents(coro)
        beside = any(each is lock for each in kept) and any(each is leave for each in kept)
        if beside or any(
            type(each) is MethodType and each.__self__ is lock and each.__func__ is leave for each in kept
        ):
            return awaited_lock(task) is not lock
    return False
