"""Follows references as the garbage collector does, and names what it finds.

None of the program's code runs, and nothing is left behind.  Attributes and variables are looked up only on
objects that lead to the target, to name them.
"""

from __future__ import annotations

import gc
from collections import OrderedDict, defaultdict, deque
from itertools import compress, islice, repeat
from operator import is_
from types import (
    AsyncGeneratorType,
    CellType,
    CoroutineType,
    FunctionType,
    GeneratorType,
    ModuleType,
)
from typing import TYPE_CHECKING

from taskscope.agent.inspect import origins, stacks, timers
from taskscope.agent.inspect.looking import (
    attribute,
    attributes_of,
    called,
    class_name,
    in_class,
    is_a,
    items,
    kinds,
    lookup,
    module_of,
    pairs,
    size,
    slots_of,
    text,
)
from taskscope.agent.inspect.variables import variables_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

MAX_ITEMS = 200_000
"""Entries searched per container: 100,000 take 6 ms, during which the program is stopped."""

MAX_NESTED = 1_000
"""Entries of a container up to which nested containers are searched too."""

CONTAINERS = kinds(dict, list, tuple, set, frozenset, deque, defaultdict, OrderedDict)
COROUTINES = kinds(CoroutineType, GeneratorType, AsyncGeneratorType)
_HANDLES = ("Handle", "TimerHandle")
NOT_LOOKED_INTO = (str, bytes, int, float, type, ModuleType, FunctionType)


def is_container(thing: object) -> bool:
    return id(type(thing)) in CONTAINERS


def is_timer(thing: object) -> bool:
    return class_name(thing) in _HANDLES and in_class(type(thing), "when") is not None


def is_looked_into(thing: object) -> bool:
    return thing is not None and not issubclass(type(thing), NOT_LOOKED_INTO)


def _is_object(thing: object) -> bool:
    """Whether it is of a class of the program or a library, judged by its type alone."""
    plain = is_container(thing) or type(thing) is CellType or id(type(thing)) in COROUTINES
    return is_looked_into(thing) and not plain and gc.is_tracked(thing)


def with_objects_in(thing: object) -> Iterator[object]:
    """``thing``, and the objects of the program's classes that it refers to."""
    if not is_looked_into(thing):
        return
    yield thing
    if is_container(thing) and (size(thing) or 0) > MAX_NESTED:
        return
    for each in gc.get_referents(thing):
        if type(each) is dict and len(each) <= MAX_NESTED:
            yield from filter(_is_object, gc.get_referents(each))  # it may be the attributes of ``thing``
        elif _is_object(each):
            yield each


def leads(thing: object, future: object, depth: int) -> bool:
    """Whether ``thing`` refers to ``future``, itself or through containers."""
    if not is_container(thing):
        inside = gc.get_referents(thing)
    elif (size(thing) or 0) <= MAX_ITEMS:
        inside = items(thing, MAX_ITEMS)
    else:
        return False
    if any(map(is_, inside, repeat(future))):
        return True
    if not depth or len(inside) > MAX_NESTED:
        return False
    return any(is_container(each) and leads(each, future, depth - 1) for each in inside)


def name_of(thing: object, coro: object, future: object) -> str:
    """The path to ``future`` from ``thing``, which ``coro`` refers to (None: a module does)."""
    if is_globals(thing):
        return name_in_module(thing, future)
    if is_container(thing):
        return variable_of(coro, thing, _place(thing, future) or "")
    return attribute_of(thing, future)


def is_globals(thing: object) -> bool:
    """Whether it is the dictionary of a module."""
    return type(thing) is dict and lookup(thing, "__builtins__") is not None


def variable_of(coro: object, thing: object, place: str = "") -> str:
    """The variable of a coroutine that holds ``thing``; "" if it has no name."""
    frame = stacks.frame_of(coro)
    names = variables_of(frame) if frame is not None else {}
    name = next((name for name, value in names.items() if value is thing), "")
    return f"{name}{place} in {origins.function_name(frame.f_code)}" if name and frame is not None else ""


def variable_in(frame: FrameType, future: object) -> str:
    """The variable of a running function that leads to ``future``; "" if none."""
    for name, value in variables_of(frame).items():
        place = _place(value, future)
        if place is not None:
            return f"{name}{place} in {origins.function_name(frame.f_code)}"
    return ""


def name_in_module(names: object, future: object) -> str:
    """The global variable of a module that leads to ``future``."""
    module = text(lookup(names, "__name__"))
    for name, value in pairs(names):
        place = _place(value, future)
        if place is not None:
            return f"{text(name)}{place} of module {module}"
    return f"module {module}"


def attribute_of(thing: object, future: object, depth: int = 2) -> str:
    """The attribute that leads to ``future``, through ``depth`` containers at most; "" for built-in types."""
    kind = class_name(thing)
    if module_of(type(thing)) == "builtins":
        return ""
    if kind in _HANDLES:
        return _call_to_come(thing)
    for name, value in (*pairs(attributes_of(thing)), *slots_of(thing)):
        place = _place(value, future, depth)
        if place is not None:
            return f"{kind}.{text(name)}{place}"
    return f"a {kind}"


def _place(value: object, future: object, depth: int = 2) -> str | None:
    """Its position in ``value``: ``[17]``, ``['a'][0]``; "" if ``value`` is the future, None if absent."""
    if value is future:
        return ""
    length = size(value) if is_container(value) and depth else None
    if length is None or length > MAX_ITEMS:
        return None
    inside = items(value, MAX_ITEMS)
    for at in compress(range(length), map(is_, inside, repeat(future))):
        return _entry(_key(value, at))
    for at, each in enumerate(inside) if length <= MAX_NESTED else ():
        further = _place(each, future, depth - 1)
        if further is not None:
            return _entry(_key(value, at)) + further
    return None


def _key(container: object, at: int) -> object:
    """The key of the entry at a position; None if entries have none, as in a set."""
    if is_a(container, dict):
        return next(islice(dict.keys(container), at, None), None)
    return at if is_a(container, list) or is_a(container, tuple) else None


def _entry(key: object) -> str:
    return f"[{repr(key)[:60] if type(key) is int or type(key) is str else '…'}]"


def content(thing: object) -> object:
    """The contents of a cell; anything else unchanged."""
    if type(thing) is not CellType:
        return thing
    try:
        found: object = thing.cell_contents
    except ValueError:  # not bound yet
        return None
    return found


def _call_to_come(handle: object) -> str:
    """A scheduled call of a loop.  uvloop's do not show their function."""
    callback = attribute(handle, "_callback")
    name = f", {called(callback)}" if callback is not None else ""
    if not is_timer(handle):
        return f"a callback of the loop{name}"
    left = timers.left(handle, attribute(handle, "_loop"))
    return f"a timer of the loop{name}{f' in {left:.1f} s' if left is not None else ''}"
