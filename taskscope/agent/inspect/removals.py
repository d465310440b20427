"""Whether the code that has a container also takes entries out of it, as that of a cache with a bound does.

Only the code beside it is searched: the methods of the object that has it as an attribute, the functions of
the module or the function that has it as a variable.
"""

from __future__ import annotations

from collections import deque
from types import CodeType, FunctionType
from typing import TYPE_CHECKING

from taskscope.agent.inspect import referents, stacks
from taskscope.agent.inspect.caches import Cache
from taskscope.agent.inspect.looking import (
    attributes_of,
    is_a,
    mro,
    own_attributes,
    pairs,
    slots_of,
    text,
)
from taskscope.agent.inspect.variables import variables_of
from taskscope.agent.inspect.walk import spent

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from taskscope.agent.inspect.walk import Job

MAX_CODES = 200
"""Functions searched."""

MAX_DEPTH = 3
"""Functions within functions."""

_METHODS = frozenset(("pop", "popitem", "popleft", "clear", "discard", "remove", "difference_update"))
_METHOD_LOADS = ("LOAD_ATTR", "LOAD_METHOD", "LOAD_GLOBAL", "LOAD_NAME", "LOAD_FAST", "LOAD_DEREF")
_LOADS = (
    "LOAD_ATTR",
    "LOAD_METHOD",
    "LOAD_GLOBAL",
    "LOAD_NAME",
    "LOAD_FAST",
    "LOAD_FAST_BORROW",
    "LOAD_DEREF",
)
_DELETIONS = ("DELETE_SUBSCR", "STORE_SLICE")
_BINDINGS = ("STORE_ATTR", "STORE_GLOBAL")

_bound = deque.maxlen.__get__

_removing: Cache[dict[str, bool]] = Cache(2_000)
"""By function: whether it takes entries out of what has that name."""


def takes_out(holder: object, container: object) -> Job[bool]:
    """Whether entries leave a container that ``holder`` has, or it has a bound of its own."""
    if type(container) is deque and _bound(container) is not None:
        return True
    name, codes = _beside(holder, container)
    for code in codes if name else ():
        if _removes(code, name):
            return True
        if spent():
            yield
    return False


def _beside(holder: object, container: object) -> tuple[str, list[CodeType]]:
    """The name of the container, and the functions that may use it."""
    if id(type(holder)) in referents.COROUTINES:
        frame = stacks.frame_of(holder)
        name = _name_in(variables_of(frame).items(), container) if frame is not None else ""
        return name, [frame.f_code] if frame is not None else []
    if referents.is_globals(holder):
        return _name_in(pairs(holder), container), list(_of_module(holder))
    named = (*pairs(attributes_of(holder)), *slots_of(holder))
    return _name_in(named, container), list(_of_class(type(holder)))


def _name_in(named: Iterable[tuple[object, object]], container: object) -> str:
    return next((text(name) for name, value in named if value is container), "")


def _of_module(names: object) -> Iterator[CodeType]:
    for _, value in pairs(names)[:MAX_CODES]:
        if type(value) is FunctionType:
            yield value.__code__
        elif is_a(value, type):
            yield from _defined_in(value)


def _of_class(cls: type) -> Iterator[CodeType]:
    for each in mro(cls):
        yield from _defined_in(each)


def _defined_in(cls: object) -> Iterator[CodeType]:
    for _, value in pairs(own_attributes(cls))[:MAX_CODES]:  # type: ignore[arg-type]
        if type(value) is FunctionType:
            yield value.__code__


def _removes(code: CodeType, name: str, depth: int = MAX_DEPTH) -> bool:
    known = _removing.get(code)
    if known is None:
        known = _removing.put(code, {})
    if name not in known:
        known[name] = _takes_from(code, name)
    inner = (each for each in code.co_consts if type(each) is CodeType) if depth else ()
    return known[name] or any(_removes(each, name, depth - 1) for each in inner)


def _takes_from(code: CodeType, name: str) -> bool:
    """Whether a function uses the name and takes entries out of it, or binds it anew to a part of them."""
    import dis

    names = (code.co_names, code.co_varnames, code.co_cellvars, code.co_freevars)
    if not any(name in each for each in names):
        return False
    here = used = slices = False
    for each in dis.get_instructions(code):
        kind = each.opname
        if here and kind in _METHOD_LOADS and each.argval in _METHODS:
            return True
        if used and (kind in _DELETIONS or (slices and kind == "STORE_SUBSCR")):
            return True
        if used and kind in _BINDINGS and each.argval == name:
            return True
        loaded = each.argval if type(each.argval) is tuple else (each.argval,)  # since 3.13 two at once
        here = kind.startswith(_LOADS) and name in loaded
        used, slices = used or here, kind == "BUILD_SLICE" or type(each.argval) is slice
    return False
