"""Whether anything can wake a thread that waits without a timeout for another thread of its process.

What it waits for is inspected with everything around it, as for tasks (see ``island``); the references of the
thread's own running functions are subtracted.  The interpreter does not list those: each variable holds one,
each ``with`` of the standard library one more, and so does ``Thread.run`` to what it calls with which
arguments.  A reference that is not explained is somebody else's, who may wake the thread.

Likewise for any thread: whether somebody else has it, or what it works for, and could tell it to end.
"""

from __future__ import annotations

import queue
import sys
import threading
from collections import Counter
from types import CodeType, FunctionType
from typing import TYPE_CHECKING
from weakref import getweakrefs

from taskscope.agent.inspect import calls, handles, origins, stacks
from taskscope.agent.inspect.island import Island, OwnRef, inside, is_known_weakly
from taskscope.agent.inspect.looking import attribute, is_a, text
from taskscope.agent.inspect.threads import ident_of
from taskscope.agent.inspect.variables import variables_of
from taskscope.agent.inspect.walk import spent

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import FrameType

    from taskscope.agent.inspect.walk import Job

MOST = 300
"""Most objects around one thread: they are inspected in one go, 0.2 ms, since the program runs on."""

MAX_FRAMES = 40

_WAITS = frozenset(
    (
        *(("threading.py", name) for name in ("Condition.wait", "Event.wait", "Condition.wait_for")),
        *(("threading.py", name) for name in ("Semaphore.acquire", "Barrier.wait", "Barrier._wait")),
        *(("queue.py", name) for name in ("Queue.get", "Queue.put", "Queue.join")),
        *(("_base.py", name) for name in ("Future.result", "Future.exception")),
    )
)
"""Functions that wait in a ``with`` of what they wait for.  The innermost is ``Condition.wait``."""

_SIGNALS = (threading.Event, threading.Condition, queue.Queue)
"""What others may set to tell a thread to end."""

_CALLS = sys.version_info < (3, 12)
"""Whether ``Thread.run`` keeps what it calls, and the arguments, on its stack even if that is in Python."""

_BORROWS = sys.version_info >= (3, 14)
"""Whether a variable may borrow the reference of its caller's: one per object is certain, then."""

_OF_A_START = 1 if sys.version_info < (3, 14) else 3
"""References to a thread from where the interpreter starts it, in a context since 3.14, beside variables."""


def prepare(frame: FrameType | None) -> Job[None]:
    """Reads the code of a thread's functions beforehand, which takes longer than all else."""
    for each in stacks.thread_frames(frame)[:MAX_FRAMES]:
        if _name(each) in _WAITS:
            calls.taken_in(each)
        if spent():
            yield


def is_stuck(thread: OwnRef, frame: FrameType | None) -> bool:
    """Whether nothing can wake a thread, whose innermost ``frame`` is given; False if that is uncertain."""
    frames = stacks.thread_frames(frame)
    if not frames or len(frames) > MAX_FRAMES or _name(frames[0]) != ("threading.py", "Condition.wait"):
        return False
    if any(_name(each) in _WAITS and variables_of(each).get("timeout") is not None for each in frames):
        return False
    known = _surroundings(thread, frames)
    if known is None:
        return False
    around, own = known
    condition = around.at.get(id(variables_of(frames[0]).get("self")))
    return condition is not None and _grow(around) and condition not in _reached(around, own)


def is_dropped(thread: OwnRef, frame: FrameType | None) -> bool:
    """Whether nobody else has a thread, the object whose method it runs, or a signal it may look at.

    False if that is uncertain: what is left out, if there is too much around it, counts as somebody else.
    """
    frames = stacks.thread_frames(frame)
    begun = next((each for each in reversed(frames) if _name(each)[0] != "threading.py"), None)
    if begun is None or begun.f_code.co_freevars or len(frames) > MAX_FRAMES:
        return False  # who shares its variables could change them
    known = _surroundings(thread, frames)
    if known is None:
        return False
    around, own = known
    _grow(around)
    return _told_by(around, begun).isdisjoint(_reached(around, own))


def alone_has(thread: OwnRef, frame: FrameType | None, numbers: set[int]) -> bool:
    """Whether only a thread's own functions lead to what stands for these descriptors; False if uncertain."""
    frames = stacks.thread_frames(frame)
    known = _surroundings(thread, frames) if frames and len(frames) <= MAX_FRAMES else None
    if known is None or not _grow(known[0]):
        return False
    around, own = known
    having = {at for at, each in enumerate(around.things) if not numbers.isdisjoint(handles.numbers_of(each))}
    return bool(having) and having.isdisjoint(_reached(around, own))


def _told_by(around: Island, begun: FrameType) -> set[int]:
    """Indexes of what can tell a thread to end: itself, what its function was given, and signals at hand.

    Reading ``__dict__`` of an object could make one, and the references around it others than those found.
    """
    things, origin, variables = around.things, around.origin, variables_of(begun)
    given = (id(variables.get(each)) for each in begun.f_code.co_varnames[: begun.f_code.co_argcount])
    owners = {1, *(around.at[each] for each in given if each in around.at)}
    named = {at for at, each in enumerate(things) if type(each) is dict and origin[at] in owners}
    signals = {at for at, each in enumerate(things) if issubclass(type(each), _SIGNALS)}
    return owners | {at for at in signals if origin[at] in {0} | owners | named}


def _surroundings(thread: OwnRef, frames: list[FrameType]) -> tuple[Island, Counter[int]] | None:
    """A thread, index 1, with what its functions refer to, and how often; None if that is uncertain."""
    around = Island([])
    around.add(thread())
    own: Counter[int] = Counter()
    if len(around.things) < 2 or not _add_own(around, own, frames):
        return None
    _add_bookkeeping(own, around.things[1], frames)
    return around, own


def _add_own(around: Island, own: Counter[int], frames: list[FrameType]) -> bool:
    """Adds what the thread's functions refer to, and how often; False if that cannot be read."""
    in_cells: list[int] = []
    for frame in frames:
        variables = variables_of(frame)
        if not variables and frame.f_code.co_nlocals:
            return False
        cells = (*frame.f_code.co_cellvars, *frame.f_code.co_freevars)  # others may hold these
        for name, each in variables.items():
            around.add(each)
            if name not in cells:
                own[id(each)] = 1 if _BORROWS else own[id(each)] + 1
            elif _is_unshared(frame.f_code, name, variables):
                in_cells.append(id(each))
    own.update(in_cells)
    for frame in frames:
        for taken in calls.taken_in(frame) if _name(frame) in _WAITS else ():
            own[id(taken.thing)] += 1
    return True


def _is_unshared(code: CodeType, name: str, variables: Mapping[str, object]) -> bool:
    """Whether none of the functions inside that share a variable was made yet: each is still to be named."""
    inner = [each for each in code.co_consts if type(each) is CodeType and name in each.co_freevars]
    unmade = all(each.co_name in code.co_varnames and each.co_name not in variables for each in inner)
    return name in code.co_cellvars and unmade


def _add_bookkeeping(own: Counter[int], thread: object, frames: list[FrameType]) -> None:
    """Counts the references of ``threading`` and of the interpreter's start of a thread."""
    names = [_name(each) for each in frames]
    own[id(thread)] += vars(threading)["_active"].get(ident_of(thread)) is thread
    if names[-1] == ("threading.py", "Thread._bootstrap"):
        own[id(thread)] += _OF_A_START
    target = attribute(thread, "_target")
    if ("threading.py", "Thread.run") in names and (_CALLS or type(target) is not FunctionType):
        own[id(target)] += 1
        own[id(attribute(thread, "_args"))] += 1


def _grow(around: Island) -> bool:
    """Adds what all these refer to; False if that is too much."""
    place = 1
    while place < len(around.things):
        for each in inside(around.things[place]):
            around.add(each, place)
        place += 1
        if place > MOST:
            return False
    return True


def _reached(around: Island, own: Counter[int]) -> set[int]:
    """Indexes of what others can reach; 1 is the thread."""
    things = around.things
    counts = [0] * len(things)
    for at in range(len(things)):
        for each in inside(things[at]):
            counts[around.at.get(id(each), 0)] += 1
    each = None
    pending: list[int] = []
    base = sys.getrefcount(things[0])
    for at in range(1, len(things)):
        others = sys.getrefcount(things[at]) - base - counts[at] - own[id(things[at])]
        if others > 0 or (_is_found_weakly(things[1]) if at == 1 else is_known_weakly(things[at])):
            pending.append(at)
    reached: set[int] = set()
    while pending:
        at = pending.pop()
        if at not in reached:
            reached.add(at)
            pending += [around.at[id(each)] for each in inside(things[at]) if id(each) in around.at]
    return reached


def _is_found_weakly(thread: object) -> bool:
    """``threading`` itself knows each thread weakly."""
    return sum(not is_a(each, OwnRef) for each in getweakrefs(thread)) > 1


def _name(frame: FrameType) -> tuple[str, str]:
    if origins.origin(origins.file_of(frame.f_code)) != "stdlib":
        return "", ""
    return origins.file_of(frame.f_code).rpartition("/")[2], text(frame.f_code.co_qualname)
