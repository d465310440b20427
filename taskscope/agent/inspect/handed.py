"""Whether a function was handed what it starts: then its caller is the one to name.

``spawn(coro)``, ``supervisor.add(coro)`` and the like have all sorts of names but one shape: what they start
came in as an argument, inside one (a list, a field), or from the enclosing function.  This is checked once
per path to a site, not per task.
"""

from __future__ import annotations

import gc
import opcode
from types import CellType, CoroutineType, FunctionType
from typing import TYPE_CHECKING, Literal, NamedTuple

from taskscope.agent.inspect import stacks
from taskscope.agent.inspect.looking import attributes_of, class_name, innermost, items, pairs, slots_of, text
from taskscope.agent.inspect.variables import variables_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import CodeType, FrameType

MAX_ITEMS = 100
"""Elements inspected per argument: the first task of a list is made of its first coroutine."""

Handed = Literal["itself", "function"]

_COMPREHENSIONS = {"<listcomp>", "<setcomp>", "<dictcomp>"}
"""Before Python 3.12 they have a frame of their own; what they iterate over is in the enclosing one."""

_VARARGS, _VARKEYWORDS, _COROUTINE = 4, 8, 128  # CO_…

_EXTENDED = opcode.opmap["EXTENDED_ARG"]
_BACKWARD = {
    op for name, op in opcode.opmap.items() if "JUMP_BACKWARD" in name and "NO_INTERRUPT" not in name
}
"""Jumps that close a loop; ``await`` uses other ones."""
_STORE = {opcode.opmap["STORE_FAST"], opcode.opmap["STORE_DEREF"]}
_STORE_TWO = opcode.opmap.get("STORE_FAST_STORE_FAST")
_STORE_FIRST = opcode.opmap.get("STORE_FAST_LOAD_FAST")


class Given(NamedTuple):
    """What is started: the objects themselves, the code that will run, and what it wraps.

    ``within``: coroutines and functions inside a wrapper, as in ``create_task(guard(coro))``, or in a nested
    function that calls one it closes over.
    """

    objects: tuple[object, ...]
    code: CodeType | None
    within: tuple[object, ...] = ()


def coroutine(coro: object) -> Given:
    """A coroutine that becomes a task."""
    held = gc.get_referents(coro) if type(coro) is CoroutineType else []
    held += [each for outer in held for each in _enclosed(outer)]
    held = [innermost(each) for each in held]
    within = tuple(each for each in held if type(each) is CoroutineType or _is_async(each))
    return Given((coro,), stacks.code_of(coro), within)


def function(*objects: object) -> Given:
    """A function that a thread calls; ``objects`` stand for it, such as the thread."""
    inner = innermost(objects[-1])
    code = inner.__code__ if type(inner) is FunctionType else None
    within = map(innermost, _enclosed(inner))
    return Given(objects, code, tuple(each for each in within if type(each) is FunctionType))


def functions(frame: FrameType) -> list[object]:
    """Functions handed to a library's function to be called in a thread, as in ``submit``."""
    variables = variables_of(frame)
    arguments = [variables.get(name) for name in _parameters(frame.f_code)]
    return [each for each in arguments if type(innermost(each)) is FunctionType]


def what_was_handed(frame: FrameType, given: Given) -> Handed | None:
    """What the function in ``frame`` was handed of what it starts; None if it made that itself.

    A coroutine runs once, so whoever was handed one starts one task per call.  A function can be called many
    times, so whoever was handed one and calls it in a loop is a cause itself.
    """
    code = frame.f_code
    once = not _is_in_loop(code, frame.f_lasti)
    if code.co_name in _COMPREHENSIONS and frame.f_back is not None:
        frame, once = frame.f_back, False
        code = frame.f_code
    parameters = _parameters(code)
    if not parameters and not code.co_freevars:
        return None
    variables = variables_of(frame)
    objects = (*given.objects, *(each for each in given.within if type(each) is CoroutineType))
    made = all(_is_named(code, each) for each in given.within)
    strange = [each for each in objects if not (made and _is_named(code, each))]
    arguments = [(name, variables.get(name)) for name in parameters]
    values = [value for _, value in arguments]
    values += [each for value in values for each in items(value, MAX_ITEMS)]
    enclosed = [variables.get(name) for name in code.co_freevars]
    if (
        any(_is_among(value, objects) and not _is_rebound(code, name) for name, value in arguments)
        or any(_is_among(each, strange) for each in values)
        or any(_is_among(each, objects) for each in enclosed)
    ):
        return "itself"
    if not once:
        return None
    coroutines = [each for each in strange if type(each) is CoroutineType]
    if coroutines and any(_is_among(each, coroutines) for value in values for each in _fields(value)):
        return "itself"
    if given.code is None:
        return None
    wanted = [given.code]
    if _is_inside(given.code, text(code.co_qualname)):
        wanted += [each.__code__ for each in given.within if type(each) is FunctionType]
    if not _is_inside(given.code, _around(code)):
        values += enclosed
    return "function" if any(_will_run(each, code) for each in values for code in wanted) else None


def _parameters(code: CodeType) -> tuple[str, ...]:
    stars = (code.co_flags & _VARARGS != 0) + (code.co_flags & _VARKEYWORDS != 0)
    return code.co_varnames[: code.co_argcount + code.co_kwonlyargcount + stars]


def _fields(value: object) -> list[object]:
    return [each for _, each in (*pairs(attributes_of(value)), *slots_of(value))]


def _enclosed(function: object) -> list[object]:
    """What a function closes over."""
    cells = (function.__closure__ or ()) if type(function) is FunctionType else (function,)
    return [each for cell in cells if type(cell) is CellType for each in gc.get_referents(cell)]


def _is_async(thing: object) -> bool:
    return type(thing) is FunctionType and thing.__code__.co_flags & _COROUTINE != 0


def _is_among(value: object, objects: Sequence[object]) -> bool:
    return value is not None and any(value is each for each in objects)


def _will_run(value: object, code: CodeType) -> bool:
    """Whether ``value`` is the function itself, or a lambda that calls it."""
    function = innermost(value)
    if type(function) is not FunctionType:
        return False
    theirs = function.__code__
    return theirs is code or (text(theirs.co_name) == "<lambda>" and _names(theirs, text(code.co_name)))


def _is_named(code: CodeType, thing: object) -> bool:
    """Whether the function names the maker of ``thing``, and so may have made it itself."""
    theirs = thing.__code__ if type(thing) is FunctionType else stacks.code_of(thing)
    return _names(code, text(theirs.co_name) if theirs is not None else class_name(thing))


def _names(code: CodeType, name: str) -> bool:
    known = (*code.co_names, *code.co_varnames, *code.co_cellvars, *code.co_freevars)
    return any(text(each) == name for each in known)


def _around(code: CodeType) -> str:
    """The qualified name of the function that encloses a nested one; "" if it is not nested."""
    return text(code.co_qualname).rpartition(".<locals>.")[0]


def _is_inside(code: CodeType, function: str) -> bool:
    """Whether it is defined inside the function of that qualified name."""
    return function != "" and text(code.co_qualname).startswith(f"{function}.<locals>.")


# -- reading raw bytecode: disassembling a long function takes over a millisecond -----------------------


def _instructions(code: CodeType, first: int = 0) -> Iterator[tuple[int, int, int]]:
    """Offset, operation and argument of each instruction."""
    raw, wide = code.co_code, 0
    for offset in range(first, len(raw) - 1, 2):
        operation, argument = raw[offset], raw[offset + 1] | wide
        wide = argument << 8 if operation == _EXTENDED else 0
        yield offset, operation, argument


def _is_rebound(code: CodeType, name: str) -> bool:
    """Whether the function assigns to a parameter."""
    place = code.co_varnames.index(name)
    for _, operation, argument in _instructions(code):
        if operation in _STORE and argument == place:
            return True
        if operation == _STORE_TWO and place in (argument >> 4, argument & 15):
            return True
        if operation == _STORE_FIRST and argument >> 4 == place:
            return True
    return False


def _is_in_loop(code: CodeType, place: int) -> bool:
    """Whether an instruction is inside a loop."""
    return any(
        operation in _BACKWARD and place >= offset + 2 - 2 * argument
        for offset, operation, argument in _instructions(code, place + 2 if place >= 0 else 0)
    )
