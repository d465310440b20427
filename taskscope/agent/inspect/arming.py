"""The lines that may have armed a timer or watched a descriptor, inferred: a handle only has what it calls.

By its bytecode, such a line calls ``call_later`` or the like with the callback's name among the arguments.
It is searched for in the callback's class, its module, and functions nested in these.
"""

from __future__ import annotations

from types import CodeType, FunctionType, MethodType
from typing import TYPE_CHECKING, NamedTuple

from taskscope.agent.inspect import calls, origins
from taskscope.agent.inspect.caches import Cache
from taskscope.agent.inspect.looking import (
    attribute,
    innermost,
    is_a,
    items,
    mro,
    number,
    own_attributes,
    pairs,
    text,
)
from taskscope.agent.inspect.walk import spent
from taskscope.model import Frame

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from taskscope.agent.inspect.walk import Job

ARMS = frozenset(("call_later", "call_at"))
WATCHES = frozenset(("add_reader", "add_writer", "_add_reader", "_add_writer"))

MAX_FUNCTIONS = 5_000
"""Most functions searched per callback."""

MAX_NESTED = 4
"""How deep functions are nested in one another."""

MAX_LINES = 3
"""Most lines named."""

NEAR = 60
"""Most instructions between the name ``call_later`` and the callback's."""

_lines: Cache[dict[tuple[str, frozenset[str]], tuple[Frame, ...]]] = Cache(500)


def traced(handle: object) -> Frame | None:
    """The exact line, which asyncio notes in its debug mode."""
    for each in reversed(items(attribute(handle, "_source_traceback"), 100)):
        file = text(attribute(each, "filename"))
        if file and origins.origin(file) != "stdlib":
            line, name = number(attribute(each, "lineno")), text(attribute(each, "name"))
            return Frame(file, line or 0, name, origins.shown_origin(file))
    return None


def lines_of(callback: object, owner: object, by: frozenset[str] = ARMS) -> Job[tuple[Frame, ...]]:
    """The lines that may arm a timer for ``callback``, a method of ``owner`` (None: a function)."""
    function = innermost(callback)
    if type(function) is not FunctionType:
        return ()
    wanted, name = function.__code__, text(function.__name__)
    known = _lines.get(wanted)
    if known is None:
        known = _lines.put(wanted, {})
    if (name, by) not in known:
        found: list[Frame] = []
        seen: set[int] = set()
        for code in _codes(function, owner):
            if id(code) not in seen and len(found) < MAX_LINES:
                seen.add(id(code))
                may = may_arm(code, wanted, name, by)
                line = (yield from _line_in(code, wanted, name, by)) if may else None
                if line is not None:
                    found.append(origins.frame_of(code, line))
            if spent():
                yield
        known[name, by] = tuple(found)
    return known[name, by]


class Chain(NamedTuple):
    """``renewed``: the line of a coroutine that arms the next timer; ``begun``: other lines that arm one."""

    renewed: Frame | None
    begun: tuple[Frame, ...]


def chain_of(callback: object, owner: object, armed: Sequence[Frame], coroutine: str) -> Job[Chain]:
    """Who arms the timers that start tasks of ``coroutine``; ``armed``: the lines that do so themselves."""
    function = innermost(callback)
    if type(function) is not FunctionType:
        return Chain(None, ())
    arming = tuple(dict.fromkeys(frame.function.rpartition(".")[2] for frame in armed))
    by_itself = next((frame for frame in armed if frame.function == coroutine), None)
    wanted = (coroutine.rpartition(".")[2],) if by_itself is not None else arming
    renewed, begun = by_itself, list[Frame]()
    seen: set[int] = set()
    for code in _codes(function, owner):
        if id(code) in seen:
            continue
        seen.add(id(code))
        line = calls.line_calling(code, wanted)
        if line is not None and code is not function.__code__:
            frame = origins.frame_of(code, line)
            if frame.function == coroutine:
                renewed = renewed or frame
            elif len(begun) < MAX_LINES:
                begun.append(frame)
        if spent():
            yield
    return Chain(renewed, tuple(begun))


def _codes(function: FunctionType, owner: object) -> Iterator[CodeType]:
    """The functions of the owner's classes, then those of the module; nested ones included."""
    left = MAX_FUNCTIONS
    for place in (*(mro(type(owner)) if owner is not None else ()), function.__globals__):
        values = own_attributes(place) if is_a(place, type) else place
        for _, value in pairs(values):
            for code in _of_value(value):
                yield from _with_nested(code, MAX_NESTED)
                left -= 1
                if not left:
                    return


def _of_value(value: object) -> Iterator[CodeType]:
    """The code of a function, or of the methods of a class."""
    code = _code(value)
    if code is not None:
        yield code
    elif is_a(value, type):
        for _, each in pairs(own_attributes(value)):
            code = _code(each)
            if code is not None:
                yield code


def _code(value: object) -> CodeType | None:
    if type(value) is staticmethod or type(value) is classmethod:
        value = attribute(value, "__func__")
    function = value.__func__ if type(value) is MethodType else value
    return function.__code__ if type(function) is FunctionType else None


def _with_nested(code: CodeType, depth: int) -> Iterator[CodeType]:
    yield code
    for each in code.co_consts if depth else ():
        if type(each) is CodeType:
            yield from _with_nested(each, depth - 1)


def may_arm(code: CodeType, wanted: CodeType, name: str, by: frozenset[str]) -> bool:
    if by.isdisjoint(code.co_names):
        return False
    return _names(code, name) or any(each is wanted for each in code.co_consts)


def _names(code: CodeType, name: str) -> bool:
    known = (*code.co_names, *code.co_varnames, *code.co_cellvars, *code.co_freevars)
    return any(text(each) == name for each in known)


def _line_in(code: CodeType, wanted: CodeType, name: str, by: frozenset[str]) -> Job[int | None]:
    """The line of the call that has the callback among its arguments."""
    import dis

    armed: int | None = None
    far = NEAR
    for each in dis.get_instructions(code):
        if spent():
            yield
        far += 1
        if isinstance(each.argval, str) and each.argval in by:
            where = each.positions
            armed, far = where.lineno if where is not None else None, 0
        elif far < NEAR and (each.argval is wanted or name in _named(each.argval)):
            return armed
    return None


def _named(argument: object) -> tuple[object, ...]:
    """The names in an instruction's argument; some load two."""
    return argument if type(argument) is tuple else (argument,) if type(argument) is str else ()
