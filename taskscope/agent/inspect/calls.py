"""Which built-in function a thread's innermost frame stands in, and on what object it was called.

The interpreter does not tell, but the code does: the instruction that calls has the position of its
expression in the source, and so have those that loaded the function before it.  The names that these
load are looked up again as they are now; nothing of the program is called for that.
"""

from __future__ import annotations

from types import BuiltinMethodType, MethodType
from typing import TYPE_CHECKING, Any, NamedTuple

from taskscope.agent.inspect.looking import Known, attribute, is_a, lookup, text
from taskscope.agent.inspect.variables import variables_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from dis import Instruction
    from types import CodeType, FrameType

MAX_CODES = 500
"""Functions of which is remembered what stands in them."""

MAX_ARGUMENTS = 200
"""Instructions between a function and its call."""

_NAMES = ("LOAD_FAST", "LOAD_DEREF", "LOAD_CLASSDEREF", "LOAD_GLOBAL", "LOAD_NAME")
_ATTRIBUTES = ("LOAD_ATTR", "LOAD_METHOD")
_ENTERS = ("BEFORE_WITH", "LOAD_SPECIAL")

ENTER = "with"


class Call(NamedTuple):
    """``name`` as it is written, or ``with``; ``target`` the object of a method, None where not known."""

    name: str
    target: object
    function: object


class _Path(NamedTuple):
    """How an expression is loaded: a variable, and attributes of it."""

    variable: str
    attributes: tuple[str, ...]


class _Block(NamedTuple):
    """The instructions inside a ``with`` statement."""

    first: int
    end: int
    path: _Path


class _Shown(NamedTuple):
    instructions: list[Instruction]
    blocks: list[_Block]


_codes: Known[_Shown] = Known(MAX_CODES)
_names: Known[dict[int, str]] = Known(MAX_CODES)
_with: Known[bool] = Known(4 * MAX_CODES)


def call_of(frame: FrameType) -> Call | None:
    """The call under way in ``frame``, None where its code does not tell."""
    path, entering = _under_way(frame.f_code, frame.f_lasti)
    if path is None:
        return None
    if entering:
        return Call(ENTER, _value(frame, path), None)
    function = _value(frame, path)
    if is_a(function, BuiltinMethodType) and function.__self__ is not None:
        return Call(text(function.__name__), function.__self__, function)
    if type(function) is MethodType:
        return Call(text(attribute(function.__func__, "__name__")), function.__self__, function)
    if not path.attributes:
        return Call(path.variable, None, function)
    target = _value(frame, path._replace(attributes=path.attributes[:-1]))
    return Call(path.attributes[-1], target, function)


def name_at(code: CodeType, place: int) -> str:
    """The name of the function or method called at an instruction; "" where the code does not tell."""
    names = _names.get(code)
    if names is None:
        names = _names.put(code, {})
    if place not in names:
        names[place] = _name_at(code, place)
    return names[place]


def _name_at(code: CodeType, place: int) -> str:
    try:
        path, _ = _under_way(code, place)
    except Exception:  # noqa: BLE001  (an outer edge: code that some tool has made)
        return ""
    return (path.attributes[-1] if path.attributes else path.variable) if path is not None else ""


def _under_way(code: CodeType, place: int) -> tuple[_Path | None, bool]:
    """What is called at an instruction, and whether it is entered by ``with``."""
    instructions = _shown(code).instructions
    at = sum(1 for each in instructions if each.offset <= place) - 1
    if at < 0:
        return None, False
    entering = instructions[at].opname in _ENTERS or _enters(instructions, at)
    if not entering and not instructions[at].opname.startswith("CALL"):
        return None, False
    return _path(instructions, at), entering


def is_inside(frame: FrameType, thing: object) -> bool:
    """Whether ``frame`` stands inside ``with thing``, be it a condition with that lock."""
    code = frame.f_code
    if not _has_with(code):
        return False
    for block in _shown(code).blocks:
        if block.first <= frame.f_lasti < block.end:
            value = _value(frame, block.path)
            if value is thing or (value is not None and attribute(value, "_lock") is thing):
                return True
    return False


# -- reading code ------------------------------------------------------------------------------------


def _shown(code: CodeType) -> _Shown:
    known = _codes.get(code)
    if known is None:
        import dis

        bytecode = dis.Bytecode(code)
        instructions = list(bytecode)
        entries: list[Any] = vars(bytecode).get("exception_entries", [])
        known = _codes.put(code, _Shown(instructions, _blocks(instructions, entries)))
    return known


def _has_with(code: CodeType) -> bool:
    """Whether there may be a ``with`` in it: spares most functions from being taken apart."""
    known = _with.get(code)
    if known is None:
        import dis

        known = _with.put(code, dis.opmap["WITH_EXCEPT_START"] in code.co_code[::2])
    return known


def _blocks(instructions: list[Instruction], entries: Sequence[Any]) -> list[_Block]:
    """``with`` statements are the ranges whose handler leaves a context."""
    index = {each.offset: i for i, each in enumerate(instructions)}
    ranges: dict[int, tuple[int, int]] = {}
    for entry in entries:
        at = index.get(entry.target, -1)
        if any(each.opname == "WITH_EXCEPT_START" for each in instructions[at : at + 4] if at >= 0):
            first, end = ranges.get(entry.target, (entry.start, entry.end))
            ranges[entry.target] = min(first, entry.start), max(end, entry.end)
    found = []
    for first, end in ranges.values():
        opener = index.get(first, 0) - 1
        for at in range(opener, max(-1, opener - 8), -1):
            if instructions[at].opname in _ENTERS:
                path = _path(instructions, at)
                if path is not None:
                    found.append(_Block(first, end, path))
                break
    return found


def _enters(instructions: list[Instruction], at: int) -> bool:
    """From 3.14 on ``with`` loads ``__enter__`` and calls it."""
    return at > 0 and instructions[at].opname == "CALL" and instructions[at - 1].opname == "LOAD_SPECIAL"


def _path(instructions: list[Instruction], at: int) -> _Path | None:
    """The names loaded for the expression that the instruction at ``at`` calls or enters."""
    last = at - 1 if instructions[at].opname == "BEFORE_WITH" else at  # its position is the statement's
    start = _start(instructions[last])
    attributes: list[str] = []
    for index in range(at - 1, max(-1, at - MAX_ARGUMENTS), -1):
        each = instructions[index]
        loads = each.opname.endswith(_NAMES) or each.opname.startswith(_NAMES)
        if loads and isinstance(each.argval, tuple) and _start(instructions[index + 1]) == start:
            return _Path(each.argval[-1], tuple(reversed(attributes)))  # two instructions in one
        if start is None or _start(each) != start:
            continue  # an argument
        if each.opname in _ATTRIBUTES:
            attributes.append(str(each.argval))
        elif loads:
            return _Path(each.argval, tuple(reversed(attributes))) if isinstance(each.argval, str) else None
        elif each.opname.startswith(("CALL", "BINARY")):
            return None  # it is the result of another expression
    return None


def _start(instruction: Instruction) -> tuple[int, int] | None:
    where = instruction.positions
    if where is None or where.lineno is None or where.col_offset is None:
        return None
    return where.lineno, where.col_offset


# -- looking names up --------------------------------------------------------------------------------


def _value(frame: FrameType, path: _Path) -> object:
    value = variables_of(frame).get(path.variable)
    for names in (frame.f_globals, frame.f_builtins):
        if value is None:
            value = lookup(names, path.variable)
    for name in path.attributes:
        value = attribute(value, name)
    return value
