"""What one task tells about why it lives on: who keeps it, who awaits it, on which object it runs.

What a coroutine refers to is taken from the garbage collector's view of it, which leaves no trace.
"""

from __future__ import annotations

import gc
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from taskscope.agent import awaiting, origins, stacks
from taskscope.agent.sites import unwrapped
from taskscope.agent.variables import variables_of

if TYPE_CHECKING:
    from types import CodeType

MAX_HOPS = 50
"""Tasks followed from one to the one it waits for; a longer chain is taken to have an end."""

MAX_LEVELS = 3
"""Coroutines looked into, outermost first: the outer ones may be wrappers of the one that works."""

MAX_PLACES = 2_000
"""Places in code of which is remembered whether they are in a loop."""

_AWAITERS = frozenset(
    (
        "wakeup",  # another task awaits it
        "task_wakeup",
        "TaskWakeupMethWrapper",
        "done_callback",  # gather
        "on_completion",  # wait, as_completed
        "on_task_done",  # TaskGroup
        "inner_done_callback",  # shield
        "run_until_complete_cb",  # asyncio.run
        "release_waiter",  # wait_for before 3.12
        "task_done",  # anyio's task groups
    )
)
"""Names of the callbacks, without underscores, by which something waits for a task's end."""

_ENDS = ("JUMP", "RETURN_VALUE", "RETURN_CONST", "RERAISE", "RAISE")
"""How the names of instructions begin after which the next one does not follow."""

_loops: dict[tuple[CodeType, int], bool] = {}


def is_awaited(task: Any) -> bool:
    """Whether somebody waits for its end: a task, a gather, a task group, the runner."""
    for entry in getattr(task, "_callbacks", None) or ():
        callback = entry[0] if isinstance(entry, tuple) else entry
        callback = getattr(callback, "func", callback)
        name = getattr(callback, "__qualname__", "") or type(callback).__name__
        if name.rpartition(".")[2].strip("_") in _AWAITERS:
            return True
    return False


def is_cancelling(task: Any) -> bool:
    """Whether its end was asked for and it goes on."""
    return bool(getattr(task, "_must_cancel", False)) or bool(task.cancelling())


def is_looping(task: Any) -> bool:
    """Whether its outermost coroutine can come back to where it stands: made to go round, not to end."""
    frame = getattr(unwrapped(task.get_coro()), "cr_frame", None)
    if frame is None:
        return False
    place = (frame.f_code, frame.f_lasti)
    known = _loops.get(place)
    if known is None:
        if len(_loops) >= MAX_PLACES:
            _loops.clear()
        known = _loops[place] = _comes_back(*place)
    return known


def _comes_back(code: CodeType, place: int) -> bool:
    """Whether a way through the bytecode leads from the ``await`` at ``place`` back to it.

    An ``await`` is a loop of its own there (SEND, YIELD_VALUE, and a jump back to SEND that cannot be
    interrupted); the search begins where SEND goes when what it awaits is done.
    """
    import dis

    jumps = {*dis.hasjrel, *dis.hasjabs}
    bytecode = dis.Bytecode(code)
    instructions = list(bytecode)
    ways: dict[int, list[int]] = {}
    for instruction, following in zip_longest(instructions, instructions[1:]):
        onward = ways[instruction.offset] = []
        if following is not None and not instruction.opname.startswith(_ENDS):
            onward.append(following.offset)
        if instruction.opcode in jumps and isinstance(instruction.argval, int):
            onward.append(instruction.argval)
    for entry in getattr(bytecode, "exception_entries", ()):
        for offset, onward in ways.items():
            if entry.start <= offset < entry.end:
                onward.append(entry.target)
    back = next(
        (each for each in instructions if each.offset >= place and "NO_INTERRUPT" in each.opname), None
    )
    if back is None:
        return False
    reached: set[int] = set()
    pending = ways.get(back.argval, [])[1:]
    while pending:
        offset = pending.pop()
        if offset not in reached:
            reached.add(offset)
            pending.extend(ways.get(offset, ()))
    return place in reached


def in_cycle(task: Any) -> bool:
    """Whether what it waits for waits, in the end, for itself."""
    each = task
    for _ in range(MAX_HOPS):
        awaited = awaiting.waited_tasks(each)
        if not awaited:
            return False
        each = awaited[0]
        if each is task:
            return True
    return False


def coroutines(task: Any) -> list[Any]:
    """The coroutines it is suspended in, outermost first; the last may be what yields to the loop."""
    found: list[Any] = []
    coro = unwrapped(task.get_coro())
    while coro is not None and len(found) < stacks.MAX_CHAIN:
        found.append(coro)
        coro = stacks.awaited_by(coro)
    return found


def bound_object(chain: list[Any]) -> tuple[Any, tuple[int, ...]] | None:
    """The ``self`` of the outermost method among ``chain``, and the identities of the other arguments."""
    for coro in chain[:MAX_LEVELS]:
        code = getattr(coro, "cr_code", None)
        if code is None or not code.co_argcount or origins.is_plumbing(code.co_filename):
            continue
        referents = gc.get_referents(coro)
        for index, each in enumerate(referents):
            if _has_method(type(each), code) or (isinstance(each, type) and _has_method(each, code)):
                others = code.co_argcount - 1 + code.co_kwonlyargcount
                return each, tuple(id(other) for other in referents[index + 1 : index + 1 + others])
    return None


def _has_method(cls: type, code: CodeType) -> bool:
    """Whether ``code`` is that of a method of ``cls``.  Runs nothing of the program's."""
    for base in type.mro(cls) if cls is not type else ():
        method = base.__dict__.get(code.co_name)
        method = (
            getattr(method, "__func__", method) if isinstance(method, (classmethod, staticmethod)) else method
        )
        if getattr(method, "__code__", None) is code:
            return True
    return False


def waited_object(task: Any, chain: list[Any]) -> Any | None:
    """The queue, event, lock or future that it waits on; None when it sleeps or waits for nothing."""
    waiter = getattr(task, "_fut_waiter", None)
    if waiter is None:
        return None
    frame = next(
        (coro.cr_frame for coro in reversed(chain) if getattr(coro, "cr_frame", None) is not None), None
    )
    if frame is not None and origins.is_plumbing(frame.f_code.co_filename):
        if frame.f_code.co_name == "sleep":
            return None
        owner = variables_of(frame).get("self")
        if owner is not None:
            return owner
    return waiter


def references_in(task: Any, chain: list[Any], thing: Any) -> int:
    """How many references to ``thing`` the task, its coroutines and what these await hold."""
    held = sum(1 for coro in chain for each in gc.get_referents(coro) if each is thing)
    return held + (getattr(task, "_fut_waiter", None) is thing)


def awaited_lock(task: Any) -> Any | None:
    """The lock, semaphore or condition that ``task`` waits to acquire, if that is what it waits for."""
    frames = [getattr(coro, "cr_frame", None) for coro in coroutines(task)]
    for frame in reversed([each for each in frames if each is not None]):
        code = frame.f_code
        if code.co_name == "acquire" and any(mark in code.co_filename for mark in ("/asyncio/", "/anyio/")):
            return variables_of(frame).get("self")
    return None


def holds(task: Any, lock: Any) -> bool:
    """Whether ``task`` is inside ``async with lock``.

    There the interpreter keeps ``__aexit__`` on the coroutine's stack: bound to the lock, or from 3.14 on
    as a function beside it.  A lock taken by ``await lock.acquire()`` alone cannot be told.
    """
    if awaited_lock(task) is lock:
        return False
    leave = getattr(type(lock), "__aexit__", None)
    for coro in coroutines(task):
        kept = gc.get_referents(coro)
        if any(getattr(each, "__self__", None) is lock and each.__name__ == "__aexit__" for each in kept):
            return True
        if any(each is lock for each in kept) and any(each is leave for each in kept):
            return True
    return False
