"""Reads futures and tasks, whatever their classes override: none of the program's code runs.

asyncio's own are read through the base class's slots if it is written in C, and from ``__dict__`` if in
Python.  Marks on a task link it to the registry.
"""

from __future__ import annotations

import gc
import sys
from contextvars import Context
from typing import TYPE_CHECKING, Any

from taskscope.agent.inspect.foreign import StandIn
from taskscope.agent.inspect.looking import attribute, is_a, items, number, text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from taskscope.agent.counts.site_record import Chunk, Lineage

BETWEEN = 4
"""Callbacks searched for a gather or shield between a future and a task: asyncio registers these on creation,
before anything can wait for the future.
"""

MAX_CALLBACKS = 100
"""Callbacks inspected per future: thousands of tasks may wait for it, and each may be requested."""

_WITHIN = frozenset(("PENDING", "RUNNING", ""))
_METHODS = ("done", "get_name", "cancelling")
_FIELDS = (
    "_state",
    "_callbacks",
    "_exception",
    "_result",
    "_loop",
    "_fut_waiter",
    "_coro",
    "_must_cancel",
    "_source_traceback",
)

_slots: dict[str, Callable[[object], object]] = {}
_tasks: tuple[type, ...] = ()
_future: type | None = None
_task: type | None = None
_end: type | None = None
_get_mark = object.__getattribute__


class _Still:
    """The part of a loop that a future uses when created."""

    def get_debug(self) -> bool:
        return False


def _bind() -> bool:
    """Finds asyncio's slots once it is imported; whether it found them in this call."""
    global _tasks, _future, _task, _end  # noqa: PLW0603
    if _slots or "asyncio.tasks" not in sys.modules:
        return False
    native = vars(sys.modules["_asyncio"]) if "_asyncio" in sys.modules else {}
    for kind in (native.get("Future"), native.get("Task")):
        for name, slot in vars(kind).items() if kind is not None else ():
            if name in _METHODS:
                _slots[name] = slot
            elif name in _FIELDS:
                _slots[name] = slot.__get__
    if "Future" in native:
        _future = native["Future"]
        _end = type(iter(native["Future"](loop=_Still())))
    python: type = vars(sys.modules["asyncio.tasks"])["_PyTask"]
    _task = native.get("Task")
    _tasks = (python, _task) if _task is not None else (python,)
    _slots.setdefault("", lambda future: None)  # bound, even if there is nothing in C
    return True


def field(future: object, name: str) -> object:
    """An asyncio field by its private name; None if missing or never initialised."""
    slot = _slots.get(name)
    try:
        if slot is not None:
            return slot(future)
    except TypeError:  # not one of those written in C
        pass
    except Exception:  # noqa: BLE001  (a subclass that never called the constructor)
        return None
    return field(future, name) if _bind() else attribute(future, name)


# -- futures -----------------------------------------------------------------------------------------


def is_done(future: object) -> bool:
    """Whether a future is done, asyncio's or an executor's; or a task of trio."""
    if type(future) is StandIn:
        return future.is_done
    try:
        return _slots["done"](future) is True
    except (KeyError, TypeError):
        return is_done(future) if _bind() else state_of(future) not in _WITHIN


def state_of(future: object) -> str:
    """``PENDING``, ``RUNNING``, ``FINISHED``, ``CANCELLED``…; "" if it is not a future."""
    return text(field(future, "_state"))


def is_future(thing: object) -> bool:
    """Whether it is an asyncio future."""
    return state_of(thing) in ("PENDING", "CANCELLED", "FINISHED") and loop_of(thing) is not None


def is_plain(thing: object) -> bool:
    """Whether its class is exactly asyncio's Future: not a task, not a gather."""
    return type(thing) is _future


def is_end(thing: object) -> bool:
    """Whether it is a future's iterator, which ends most await chains."""
    return type(thing) is _end


def loop_of(future: object) -> object:
    """Its loop, or its run of trio."""
    if type(future) is StandIn:
        return future.run
    return field(future, "_loop")


def callbacks(future: object, most: int = BETWEEN) -> list[object]:
    """Its first ``most`` done callbacks, in registration order.

    asyncio copies the list on access, even if it is 100,000 long, so a long one is read in place.
    """
    kept = gc.get_referents(future)
    for each in kept:
        if type(each) is list and len(each) > most and _are_callbacks(each):
            at = next(at for at, other in enumerate(kept) if other is each)
            first = kept[at - 2 : at - 1] if at > 1 and type(kept[at - 1]) is Context else []
            return [*first, *(entry[0] for entry in each[:most])][:most]
    registered = field(future, "_callbacks")
    if registered is None:
        return []
    registered = registered[:most] if type(registered) is list else items(registered, most)
    return [entry[0] for entry in registered if type(entry) is tuple and entry]


def _are_callbacks(entries: list[Any]) -> bool:
    first = entries[0]
    return type(first) is tuple and len(first) == 2 and type(first[1]) is Context


# -- tasks -------------------------------------------------------------------------------------------


def is_task(thing: object) -> bool:
    """Whether it is an asyncio task, or one in the registry."""
    _bind()
    return any(is_a(thing, kind) for kind in _tasks) or chunk_of(thing) is not None


def coroutine(task: object) -> object:
    if type(task) is StandIn:
        return task.coroutine
    return field(task, "_coro")


def waiter_of(task: object) -> object:
    """The future that a task waits for; of one of trio's, the innermost thing that it awaits."""
    if type(task) is StandIn:
        return task.waiter()
    return field(task, "_fut_waiter")


def name_of(task: object) -> str:
    if type(task) is StandIn:
        return task.name
    try:
        return text(_slots["get_name"](task))
    except (KeyError, TypeError):
        return text(attribute(task, "_name"))


def number_of(task: object) -> int | None:
    """The number asyncio gives to an unnamed task on creation; None for others.

    ``get_name`` is not called: it would turn the number into a name for good.
    """
    kept, coro = gc.get_referents(task), coroutine(task)
    own = next((at for at, each in enumerate(kept) if each is coro), None)
    name = kept[own + 1] if own is not None and own + 1 < len(kept) else None
    counted = number(name)
    if counted is None:
        digits = (text(name) or text(attribute(task, "_name"))).removeprefix("Task-")
        counted = int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 20 else None
    return counted


def cancels_of(task: object) -> int:
    """Its pending cancellation requests."""
    try:
        return number(_slots["cancelling"](task)) or 0
    except (KeyError, TypeError):
        return number(attribute(task, "_num_cancels_requested")) or 0


# -- the marks of the registry -----------------------------------------------------------------------

_MARKS = {
    name: sys.intern(f"_taskscope_{name}")
    for name in ("serial", "birth", "estimate", "parent", "lineage", "chunk")
}
"""Attribute names, one object each: every task keeps those that it has."""


def serial_of(task: object) -> int | None:
    found: int | None = _mark(task, "_taskscope_serial")
    return found


def birth_of(task: object) -> float | None:
    """Monotonic seconds; for a task older than the agent an estimate, or None."""
    seen = seen_birth_of(task)
    found: float | None = seen if seen is not None else _mark(task, "_taskscope_estimate")
    return found


def seen_birth_of(task: object) -> float | None:
    """The same of a task whose birth was seen; None: it is older than the agent."""
    found: float | None = _mark(task, "_taskscope_birth")
    return found


def lineage_of(task: object) -> Lineage | None:
    """The lineage of its parent."""
    found: Lineage | None = _mark(task, "_taskscope_parent")
    return found


def has_unknown_parent(task: object) -> bool:
    """Whether it is older than the agent, so its parent is unknown."""
    return lineage_of(task) is None and seen_birth_of(task) is None


def chunk_of(task: object) -> Chunk | None:
    found: Chunk | None = _mark(task, "_taskscope_chunk")
    return found


def own_lineage_of(task: object) -> Lineage | None:
    """The lineage its children refer to."""
    found: Lineage | None = _mark(task, "_taskscope_lineage")
    return found


def set_marks(task: object, marks: Mapping[str, object]) -> bool:
    """Sets marks on a task; False if its class has no room for them."""
    try:
        for name, value in marks.items():
            object.__setattr__(task, _MARKS[name], value)
    except (AttributeError, TypeError):
        return False
    return True


def clear_marks(task: object, *names: str) -> None:
    """Removes marks from a task."""
    for name in names:
        try:
            object.__delattr__(task, _MARKS[name])
        except (AttributeError, TypeError):
            pass


def _mark(task: object, name: str) -> Any:
    """A mark the hooks left on a task, if any.  No class of the program uses such a name."""
    if type(task) is _task:  # asyncio's own runs no code of the program; 1 µs less if the mark is not there
        return getattr(task, name, None)
    try:
        return _get_mark(task, name)
    except AttributeError:
        return None
