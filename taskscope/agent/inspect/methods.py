"""What the methods of a class mention, put into its attributes, and write down in other objects.

Each class is read once, by jobs that pause; until then, what is asked of it is read at once.
"""

from __future__ import annotations

import sys
from collections import deque
from types import CodeType, FunctionType, MemberDescriptorType
from typing import TYPE_CHECKING, Literal, NamedTuple

from taskscope.agent.inspect.caches import Cache
from taskscope.agent.inspect.looking import attribute, in_class, mro, own_attributes, text
from taskscope.agent.inspect.walk import at_once, spent

if TYPE_CHECKING:
    from collections.abc import Iterator

    from taskscope.agent.inspect.walk import Job

MAX_FUNCTIONS = 300
"""Methods of a class that are read."""

CALLS = 2
"""How far calls of its own methods are followed."""

_PUTS = frozenset(("append", "add", "put", "put_nowait"))


class _Methods(NamedTuple):
    """``names``: those that each mentions; ``added``: ``self.ATTRIBUTE.append(VARIABLE)`` and the like.

    ``attributes``: the names of what its instances may have, as far as any method mentions it.
    """

    names: dict[str, frozenset[str]]
    attributes: tuple[str, ...]
    added: frozenset[tuple[str, str]]


_known: Cache[_Methods] = Cache(500)
_marks: Cache[frozenset[str]] = Cache(500)


def read(cls: type) -> Job[None]:
    """Reads a class for ``mentioned`` and ``added``."""
    if _known.get(cls) is not None:
        return
    names: dict[str, frozenset[str]] = {}
    added: set[tuple[str, str]] = set()
    for name, code in _codes_of(cls).items():
        names[name] = _names_in(code)
        if not _PUTS.isdisjoint(code.co_names):
            added |= yield from _added_in(code)
        if spent():
            yield
    attributes = []
    for name in frozenset().union(*names.values()):
        if not _is_computed(in_class(cls, name)):
            attributes.append(name)
        if spent():
            yield
    _known.put(cls, _Methods(names, tuple(attributes), frozenset(added)))


def read_marks(cls: type) -> Job[None]:
    """Reads a class for ``marks``."""
    if _marks.get(cls) is None:
        found: set[str] = set()
        for code in _codes_of(cls).values():
            found |= yield from _marked_in(code)
        _marks.put(cls, frozenset(found))


def mentioned(cls: type, code: CodeType) -> Iterator[frozenset[str]]:
    """The names that a method mentions, and each of the methods that it calls."""
    methods, found = _of(cls).names, [_names_in(code)]
    seen: set[str] = set()
    for _ in range(CALLS + 1):
        yield from found
        called = {name for each in found for name in each if name in methods} - seen
        seen |= called
        found = [methods[name] for name in called]


def attributes_of(thing: object) -> Job[dict[str, object]]:
    """What an object has, by name, as far as its methods mention it.

    To ask for its ``__dict__`` would make one, up to 3.12, for as long as the object lives.
    """
    found = {}
    for name in _of(type(thing)).attributes:
        value = attribute(thing, name)
        if value is not None:
            found[name] = value
        if spent():
            yield
    return found


def added(cls: type, names: set[str | None]) -> set[tuple[str, str]]:
    """What its methods put into these attributes, as pairs of attribute and variable."""
    return {pair for pair in _of(cls).added if pair[0] in names}


def marks(cls: type) -> frozenset[str]:
    """The attributes of other objects in which its methods write down the object itself."""
    if _marks.get(cls) is None:
        at_once(read_marks(cls))
    return _marks.get(cls) or frozenset()


def _of(cls: type) -> _Methods:
    known = _known.get(cls)
    if known is None:
        at_once(read(cls))
        known = _known.get(cls)
    return known or _Methods({}, (), frozenset())


def _is_computed(stored: object) -> bool:
    """Whether a class has a method or a property under a name, rather than nothing, a slot or a value."""
    kind = type(stored)
    return kind is not MemberDescriptorType and in_class(kind, "__get__") is not None


def _codes_of(cls: type) -> dict[str, CodeType]:
    found: dict[str, CodeType] = {}
    for each in mro(cls):
        for name, value in list(own_attributes(each).items())[:MAX_FUNCTIONS]:
            function = value.fget if type(value) is property else attribute(value, "__wrapped__") or value
            if type(function) is FunctionType:
                found.setdefault(text(name), function.__code__)
    return found


def _names_in(code: CodeType) -> frozenset[str]:
    inner = (name for each in code.co_consts if type(each) is CodeType for name in each.co_names)
    return frozenset((*code.co_names, *inner))


def _added_in(code: CodeType) -> Job[set[tuple[str, str]]]:
    found = set()
    last: deque[tuple[_Step, str]] = deque(maxlen=3)
    for step in _steps(code):
        last.append(step)
        if len(last) == 3 and last[1][1] in _PUTS and step[0] == "variable":
            found.add((last[0][1], step[1]))
        if spent():
            yield
    return found


def _marked_in(code: CodeType) -> Job[set[str]]:
    found: set[str] = set()
    own = text(code.co_varnames[0]) if code.co_argcount else None
    last: deque[tuple[_Step, str]] = deque(maxlen=3)
    for step in _steps(code):
        last.append(step)
        if step[0] == "store" and len(last) == 3:
            (first, value), (second, target), _ = last
            if first == second == "variable" and value == own != target:
                found.add(step[1])
        if spent():
            yield
    return found


_Step = Literal["variable", "attribute", "store", "other"]


def _steps(code: CodeType) -> Iterator[tuple[_Step, str]]:
    """What a function loads and stores, in order.  ``dis`` takes ten times as long, in one piece."""
    import opcode

    variables, names, raw, more = code.co_varnames, code.co_names, code.co_code, 0
    for at in range(0, len(raw), 2):
        name, argument = opcode.opname[raw[at]], more | raw[at + 1]
        more = argument << 8 if name == "EXTENDED_ARG" else 0
        if name.count("LOAD_FAST") == 2:
            yield "variable", text(variables[argument >> 4])
            yield "variable", text(variables[argument & 15])
        elif name.startswith("LOAD_FAST"):
            yield "variable", text(variables[argument]) if argument < len(variables) else ""
        elif name in ("LOAD_ATTR", "LOAD_METHOD"):
            yield "attribute", text(names[argument >> _FLAG if name == "LOAD_ATTR" else argument])
        elif name == "STORE_ATTR":
            yield "store", text(names[argument])
        elif name.startswith("LOAD_"):
            yield "other", ""


_FLAG = 1 if sys.version_info >= (3, 12) else 0
"""Bits of an argument of LOAD_ATTR that are not part of the name's number."""
