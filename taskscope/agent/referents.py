"""Following references as the garbage collector does, and naming what was found.

Nothing of the program runs and nothing is left in it.  Attributes and variables are looked up only of what
was found to lead to the thing looked for, for their names.
"""

from __future__ import annotations

import gc
from collections import OrderedDict, defaultdict, deque
from functools import partial
from itertools import compress, repeat
from operator import is_
from types import (
    AsyncGeneratorType,
    CellType,
    CoroutineType,
    FunctionType,
    GeneratorType,
    MemberDescriptorType,
    ModuleType,
)
from typing import TYPE_CHECKING, Any

from taskscope.agent import origins
from taskscope.agent.variables import attributes_of, stored_in, variables_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

MAX_ITEMS = 200_000
"""Entries of one container looked through: 100,000 take 6 ms, in which the program stands still."""

MAX_NESTED = 1_000
"""Entries of a container up to which the containers in it are looked through too."""

TIMER = "a timer of the loop"

CONTAINERS = {dict, list, tuple, set, frozenset, deque, defaultdict, OrderedDict}
COROUTINES = {CoroutineType, GeneratorType, AsyncGeneratorType}
NOT_LOOKED_INTO = (str, bytes, int, float, type, ModuleType, FunctionType)


def _is_object(thing: Any) -> bool:
    """Whether it is of a class of the program's or a library's; told from its type alone."""
    kind = type(thing)
    looked_into = not issubclass(kind, NOT_LOOKED_INTO) and kind not in CONTAINERS and kind is not CellType
    return looked_into and kind not in COROUTINES and gc.is_tracked(thing)


def with_objects_in(thing: Any) -> Iterator[Any]:
    """``thing``, and the objects of the program's classes that it refers to."""
    if thing is None or issubclass(type(thing), NOT_LOOKED_INTO):
        return
    yield thing
    if type(thing) in CONTAINERS and len(thing) > MAX_NESTED:
        return
    for each in gc.get_referents(thing):
        if type(each) is dict and len(each) <= MAX_NESTED:
            yield from filter(_is_object, gc.get_referents(each))  # it may be the attributes of ``thing``
        elif _is_object(each):
            yield each


def leads(thing: Any, future: Any, depth: int) -> bool:
    """Whether ``thing`` refers to ``future``, itself or through containers."""
    if type(thing) not in CONTAINERS:
        inside = gc.get_referents(thing)
    elif len(thing) <= MAX_ITEMS:
        inside = thing.values() if issubclass(type(thing), dict) else thing
    else:
        return False
    if any(map(is_, inside, repeat(future))):
        return True
    if not depth or len(inside) > MAX_NESTED:
        return False
    return any(type(each) in CONTAINERS and leads(each, future, depth - 1) for each in list(inside))


def name_of(thing: Any, coro: Any, future: Any) -> str:
    """The path to ``future`` from ``thing``, which ``coro`` refers to (None: a module does)."""
    if type(thing) is dict and "__builtins__" in thing:
        return name_in_module(thing, future)
    if type(thing) in CONTAINERS:
        return variable_of(coro, thing, _place(thing, future) or "")
    return attribute_of(thing, future)


def variable_of(coro: Any, thing: Any, place: str = "") -> str:
    """Which variable of a coroutine ``thing`` is; "" if it has no name."""
    frame = getattr(coro, "cr_frame", None)
    names = variables_of(frame) if frame is not None else {}
    name = next((name for name, value in names.items() if value is thing), "")
    return f"{name}{place} in {origins.function_name(coro.cr_code)}" if name else ""


def variable_in(frame: FrameType, future: Any) -> str:
    """Which variable of a running function leads to ``future``; "" if none does."""
    for name, value in variables_of(frame).items():
        place = _place(value, future)
        if place is not None:
            return f"{name}{place} in {origins.function_name(frame.f_code)}"
    return ""


def name_in_module(names: dict[str, Any], future: Any) -> str:
    """Which global variable of a module leads to ``future``."""
    module = names.get("__name__")
    for name, value in list(names.items()):
        place = _place(value, future)
        if place is not None:
            return f"{name}{place} of module {module}"
    return f"module {module}"


def attribute_of(thing: Any, future: Any) -> str:
    """Which attribute of an object leads to ``future``; "" for the interpreter's own kinds of objects."""
    kind = type(thing).__qualname__.replace(".<locals>", "")
    if type(thing).__module__ == "builtins":
        return ""
    if kind in ("Handle", "TimerHandle"):
        return _call_to_come(thing)
    for name, value in _attributes(thing):
        place = _place(value, future)
        if place is not None:
            return f"{kind}.{name}{place}"
    return f"a {kind}"


def _attributes(thing: Any) -> Iterator[tuple[str, Any]]:
    """Attributes by name; runs no code of the program's."""
    yield from list(attributes_of(thing).items())
    for cls in type.mro(type(thing)):
        for name, slot in list(stored_in(cls).items()):
            if type(slot) is MemberDescriptorType:
                try:
                    yield name, slot.__get__(thing)
                except AttributeError:  # not set
                    continue


def _place(value: Any, future: Any, depth: int = 2) -> str | None:
    """Where in ``value`` it stands: ``[17]``, ``['a'][0]``; "" if it is the future, None if nowhere."""
    if value is future:
        return ""
    if type(value) not in CONTAINERS or len(value) > MAX_ITEMS or not depth:
        return None
    keyed = issubclass(type(value), dict)
    keys, values = (value.keys(), value.values()) if keyed else (range(len(value)), value)
    known = keyed or issubclass(type(value), (list, tuple))
    for key in compress(keys, map(is_, values, repeat(future))):
        return _entry(key if known else None)
    for key, each in list(zip(keys, values, strict=True)) if len(value) <= MAX_NESTED else ():
        further = _place(each, future, depth - 1)
        if further is not None:
            return _entry(key if known else None) + further
    return None


def _entry(key: Any) -> str:
    return f"[{repr(key)[:60] if type(key) in (int, str) else '…'}]"


def content(thing: Any) -> Any:
    """What a cell holds; anything else is itself."""
    if type(thing) is not CellType:
        return thing
    try:
        return thing.cell_contents
    except ValueError:  # not bound yet
        return None


def _call_to_come(handle: Any) -> str:
    """A call that a loop will make.  uvloop's do not show what they call."""
    callback, loop = getattr(handle, "_callback", None), getattr(handle, "_loop", None)
    name = f", {called(callback)}" if callback is not None else ""
    if not hasattr(handle, "when"):
        return f"a callback of the loop{name}"
    left = f" in {max(0.0, handle.when() - loop.time()):.1f} s" if loop is not None else ""
    return f"{TIMER}{name}{left}"


def called(callback: Any) -> str:
    """The name of what a callback calls."""
    callback = callback.func if type(callback) is partial else callback
    return str(getattr(callback, "__qualname__", type(callback).__qualname__)).replace(".<locals>", "")
