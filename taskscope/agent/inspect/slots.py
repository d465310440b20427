"""Locks and other things with slots to hold: how many slots, and their owners if the thing knows them."""

from __future__ import annotations

from types import FunctionType
from typing import TYPE_CHECKING, NamedTuple

from taskscope.agent.inspect import foreign, futures
from taskscope.agent.inspect.blocking import owner_of_rlock
from taskscope.agent.inspect.looking import (
    attribute,
    class_name,
    is_a,
    items,
    lookup,
    module_of,
    mro,
    native,
    number,
    own_attributes,
    seconds,
    size,
    text,
)
from taskscope.agent.inspect.variables import variables_of
from taskscope.system import system

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Mapping
    from types import CodeType, FrameType

    from taskscope.model.vocabulary import NodeKind

_SIZES = ("_bound_value", "_initial_value", "_max_value")

MAX_BORROWERS = 1_000
MAX_FUNCTIONS = 2_000

_FORKED = 0x40  # PF_FORKNOEXEC: it was forked and has not called exec since


class Slots(NamedTuple):
    """``size``: slots; None: unknown.  ``tasks``, ``thread``: known owners; ``ended``: one has ended.

    ``known``: all owners are known.
    """

    kind: NodeKind
    name: str
    size: int | None = None
    tasks: tuple[int, ...] = ()
    thread: int | None = None
    ended: bool = False
    known: bool = False


def slots_of(thing: object) -> Slots:
    """What a lock, semaphore, limiter or queue reveals about its slots."""
    name = class_name(thing)
    borrowers = attribute(thing, "_borrowers")
    if borrowers is not None:
        serials = [futures.serial_of(foreign.of(each)) for each in items(borrowers, MAX_BORROWERS)]
        known = tuple(each for each in serials if each is not None)
        total = seconds(attribute(thing, "_total_tokens"))
        full = total is not None and len(known) == len(serials) >= total
        if not full:  # there are free ones, or who has them is neither a task nor a thread
            return Slots("slots", name, known=True)
        return Slots("slots", name, int(total or 0), known, known=True)
    thread = owner_of_rlock(thing)
    if thread is not None:
        return Slots("lock", name, 1, thread=thread, known=True)
    if name == "_ModuleLock":
        importing = number(attribute(thing, "owner"))
        return Slots(
            "lock", f"import lock of {text(attribute(thing, 'name'))}", 1, thread=importing, known=True
        )
    owner = attribute(thing, "_owner_task")
    if owner is None and module_of(type(thing)).startswith("trio."):
        owner = foreign.of(attribute(thing, "_owner"))
    if owner is not None:
        serial = futures.serial_of(owner)
        return Slots(
            "lock", name, 1, (serial,) if serial is not None else (), None, futures.is_done(owner), True
        )
    if size(attribute(thing, "_queue")) is not None or size(attribute(thing, "queue")) is not None:
        return Slots("slots", name)
    if number(attribute(thing, "_value")) is not None:
        most = (number(attribute(thing, each)) for each in _SIZES)
        return Slots("slots", name, next((each for each in most if each is not None), None))
    return Slots("lock", name, 1)


def is_forked() -> bool:
    """Whether this process is a fork of its parent, with only one of the parent's threads."""
    try:
        fields = system.contents("/proc/self/stat").rpartition(b")")[2].split()
        return int(fields[6]) & _FORKED != 0
    except (OSError, ValueError, IndexError):
        return False


def is_left_behind(lock: object, frames: Mapping[int, FrameType], waiting: Container[int]) -> bool:
    """Whether a thread of the parent held ``lock`` when this process was forked.

    The lock is held, but by no ``with`` in this process, and no code here can have called ``acquire``.
    ``waiting``: the threads that wait for it.
    """
    if class_name(lock) != "lock" or native(lock, "locked") is not True or not is_forked():
        return False
    return not any(
        _is_acquired_by_name(frame, lock) if ident in waiting else _may_acquire(frame, lock)
        for ident, frame in frames.items()
    )


def _is_acquired_by_name(frame: FrameType, lock: object) -> bool:
    """Whether code that can access ``lock`` calls ``acquire`` and uses a name that ``frame`` has for it.

    Such a lock may be held outside any ``with``.  What the module imports has other things of that name.
    """
    names, owners = set(), []
    values = list(variables_of(frame).values())
    for name in frame.f_code.co_names:
        having = [each for each in values if attribute(each, name) is lock]
        owners += having
        if having or lookup(frame.f_globals, name) is lock:
            names.add(name)
    file = frame.f_code.co_filename
    here = (each for each in _codes_of(frame.f_globals.values()) if each.co_filename == file)
    theirs = (code for each in owners for code in _codes_of(mro(type(each))))
    return any(
        "acquire" in code.co_names and (not names or not names.isdisjoint(code.co_names))
        for code in (*here, *theirs)
    )


def _codes_of(values: Iterable[object]) -> Iterator[CodeType]:
    """The code of functions, and of methods of classes."""
    for value in list(values)[:MAX_FUNCTIONS]:
        inside = list(own_attributes(value).values()) if is_a(value, type) else [value]
        yield from (each.__code__ for each in inside if type(each) is FunctionType)


def _may_acquire(frame: FrameType | None, lock: object) -> bool:
    """Whether a function on this stack calls ``acquire`` and can access ``lock``."""
    while frame is not None:
        names = frame.f_code.co_names
        if "acquire" in names:
            values = list(variables_of(frame).values())
            values += [lookup(frame.f_globals, name) for name in names]
            if any(each is lock or any(attribute(each, name) is lock for name in names) for each in values):
                return True
        frame = frame.f_back
    return False
