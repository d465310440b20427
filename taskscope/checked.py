"""Model values from JSON values, checked against their types: the one gate for data from an agent or a file.

Values that pass have finite numbers of bounded size, strings of bounded length, and exactly the model's
types.  Anything else raises WireError, which names the field: ``Sample.sites[3].oldest is inf, not a finite
number``.  Nothing behind this gate checks types again.
"""

from __future__ import annotations

import dataclasses
import math
import types
from operator import le
from typing import TYPE_CHECKING, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from taskscope import model
from taskscope.model.vocabulary import RESOURCES
from taskscope.wire import AFTER, COUNTS, MAX_TEXT, WireError, clean_text

if TYPE_CHECKING:
    from collections.abc import Callable

    Build = Callable[[Any], Any]

T = TypeVar("T")

MAX_INT = 1 << 64
"""Thread ids are addresses; serials, counts and bytes are smaller."""

MAX_FLOAT = 1e15
"""Seconds since the epoch are 2e9, bytes of memory below 1e13: sums of these stay exact."""

MAX_ITEMS = 1_000_000
"""Items of one list.  Messages are smaller anyway; saved sections may not be."""

MAX_LENGTH = 10 * MAX_TEXT
"""Characters of a string: ``clean_text`` caps it first, then escapes each character."""

MAX_DEPTH = 4
"""Nesting of values whose type the model leaves open (the evidence of a finding)."""


class _Misfit(Exception):
    """What is wrong; ``path`` is extended as the error propagates."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what
        self.path = ""


def unpack(cls: type[T], value: Any) -> T:
    """``value`` (from JSON) as a ``cls``.  Unknown keys are ignored; WireError if it does not fit."""
    try:
        result: T = _builder(cls)(value)
    except _Misfit as misfit:
        raise WireError(f"{cls.__name__}{misfit.path} {misfit.what}") from None
    return result


def unpack_all(cls: type[T], values: Any) -> tuple[T, ...]:
    """Likewise for a list."""
    try:
        result: tuple[T, ...] = _builder(types.GenericAlias(tuple, (cls, ...)))(values)
    except _Misfit as misfit:
        raise WireError(f"{cls.__name__}{misfit.path} {misfit.what}") from None
    return result


def _builder(kind: Any) -> Build:
    """Builds a ``kind`` from a JSON value.  A sample holds thousands, so each type is analysed once."""
    found = _builders.get(kind)
    if found is None:
        found = _builders[kind] = _new_builder(kind)
    return found


def _new_builder(kind: Any) -> Build:
    if kind in _SIMPLE:
        return _SIMPLE[kind]
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return _dataclass(kind)
    origin, inner = get_origin(kind), get_args(kind)
    if origin is tuple and len(inner) == 2 and inner[1] is ...:
        if inner[0] in _PLAIN:
            return _numbers(inner[0])
        each = _tuple(_builder(inner[0]))
        return _rows(each) if inner[0] is model.SiteCounts else each
    if origin is dict:
        return _dict(_builder(inner[1]))
    if origin is Literal:
        return _word(inner)
    if origin in (Union, types.UnionType) and len(inner) == 2 and type(None) in inner:
        some = _builder(inner[inner[0] is type(None)])
        return lambda value: None if value is None else some(value)
    raise TypeError(f"no JSON value can be made a {kind}")  # a bug in the model, not in the input


def _whole(value: Any) -> int:
    if type(value) is not int:
        raise _Misfit(f"is {_shown(value)}, not an integer")
    if not -MAX_INT < value < MAX_INT:
        raise _Misfit("is too large a number")
    return value


def _real(value: Any) -> float:
    if type(value) is not float:
        if type(value) is not int:
            raise _Misfit(f"is {_shown(value)}, not a number")
        if -MAX_FLOAT < value < MAX_FLOAT:
            return float(value)
    elif -MAX_FLOAT < value < MAX_FLOAT:
        return value
    raise _Misfit(f"is {_shown(value)}, not a finite number")


def _text(value: Any) -> str:
    if type(value) is not str:
        raise _Misfit(f"is {_shown(value)}, not a string")
    if len(value) > MAX_LENGTH:
        raise _Misfit("is too long a string")
    return value


def _flag(value: Any) -> bool:
    if type(value) is not bool:
        raise _Misfit(f"is {_shown(value)}, neither true nor false")
    return value


def _open(value: Any, depth: int = 0) -> Any:
    """A value whose type the model leaves open: plain values, in lists and objects up to MAX_DEPTH."""
    if depth > MAX_DEPTH:
        raise _Misfit("is nested too deeply")
    if type(value) is list:
        return [_open(each, depth + 1) for each in value]
    if type(value) is dict:
        return {_text(key): _open(each, depth + 1) for key, each in value.items()}
    if value is None or type(value) in (bool, str):
        return value
    return _whole(value) if type(value) is int else _real(value)


_SIMPLE: dict[Any, Build] = {int: _whole, float: _real, str: _text, bool: _flag, Any: _open}


def _word(words: tuple[str, ...]) -> Build:
    """A word of a closed set; ``unknown``, if the set has it, replaces words of newer versions."""
    known = {word: word for word in words}
    instead = known.get("unknown")

    def build(value: Any) -> Any:
        word = known.get(value) if type(value) is str else None
        if word is None:
            word = instead if type(value) is str else None
            if word is None:
                raise _Misfit(f"is {_shown(value)}, not one of {', '.join(words)}")
        return word

    return build


def _tuple(each: Build) -> Build:
    def build(value: Any) -> Any:
        made: list[Any] = []
        try:
            for item in _list(value):
                made.append(each(item))  # noqa: PERF401 (their number is the index of the misfit)
        except _Misfit as misfit:
            misfit.path = f"[{len(made)}]{misfit.path}"
            raise
        return tuple(made)

    return build


_PLAIN: dict[Any, frozenset[type]] = {
    int: frozenset((int,)),
    float: frozenset((int, float)),
    float | None: frozenset((int, float, type(None))),
}
"""Numbers that samples and histories hold by the thousand: their types are checked all at once."""


def _numbers(kind: Any) -> Build:
    allowed, limit = _PLAIN[kind], MAX_INT if kind is int else MAX_FLOAT
    one = _tuple(_builder(kind))

    def build(value: Any) -> Any:
        items = _list(value)
        if allowed.issuperset(map(type, items)) and _within(items, limit):
            return tuple(items)
        return one(items)  # its error names the item

    return build


def _within(items: list[Any], limit: float) -> bool:
    known = [item for item in items if item is not None] if None in items else items
    try:  # with a NaN the sum is NaN and fails the comparison; without, min and max are reliable
        return not known or (sum(known) < math.inf and -limit < min(known) and max(known) < limit)
    except OverflowError:
        return False


def _list(value: Any) -> list[Any]:
    if type(value) is not list:
        raise _Misfit(f"is {_shown(value)}, not a list")
    if len(value) > MAX_ITEMS:
        raise _Misfit(f"has {len(value):,} items")
    return value


def _dict(each: Build) -> Build:
    def build(value: Any) -> Any:
        if type(value) is not dict or len(value) > MAX_ITEMS:
            raise _Misfit(f"is {_shown(value)}, not a small object")
        return {_text(key): each(item) for key, item in value.items()}

    return build


def _dataclass(kind: Any) -> Build:
    hints = get_type_hints(kind)
    fields = [(each.name, _builder(hints[each.name]), _absent(each)) for each in dataclasses.fields(kind)]
    rule = _RULES.get(kind)

    def build(value: Any) -> Any:
        if type(value) is not dict:
            raise _Misfit(f"is {_shown(value)}, not an object")
        name, values = "", []
        try:
            for name, make, absent in fields:
                values.append(make(value[name]) if name in value else absent())
        except _Misfit as misfit:
            misfit.path = f".{name}{misfit.path}"
            raise
        made = kind(*values)
        if rule is not None and (wrong := rule(made)):
            raise _Misfit(wrong)
        return made

    return _row_or(build) if kind is model.SiteCounts else build


def _absent(field: dataclasses.Field[Any]) -> Callable[[], Any]:
    """The default of a missing field."""
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory
    if field.default is not dataclasses.MISSING:
        return lambda: field.default

    def missing() -> Any:
        raise _Misfit("is missing")

    return missing


def _row_or(named: Build) -> Build:
    """Site counts: a row of numbers (``wire.pack_row``) or an object."""
    middle, most = 1 + len(COUNTS), 1 + len(COUNTS) + len(AFTER)
    whole = _numbers(int)
    after = [_builder(kind) for kind in _after()]

    def build(value: Any) -> Any:
        if type(value) is not list:
            return named(value)
        if not middle <= len(value) <= most:
            raise _Misfit(f"is a row of {len(value)} numbers, not of {middle} to {most}")
        site, *counts = whole(value[:middle])
        return model.SiteCounts(
            site,
            model.Counts(*counts),
            *[make(each) for make, each in zip(after, value[middle:], strict=False)],
        )

    return build


def _after() -> list[Any]:
    """The types of a row's columns after the counts."""
    return [kind for name, kind in get_type_hints(model.SiteCounts).items() if name in AFTER]


def _rows(one_by_one: Build) -> Build:
    """Site counts by the thousand: of whole rows each column is checked at once."""
    kinds = [int] * (1 + len(COUNTS)) + _after()
    checks = [_numbers(kind) for kind in kinds]
    after = 1 + len(COUNTS)

    def build(value: Any) -> Any:
        items = _list(value)
        if {list} != set(map(type, items)) or {len(kinds)} != set(map(len, items)):
            return one_by_one(items)
        try:
            columns = [
                check(list(column)) for check, column in zip(checks, zip(*items, strict=True), strict=True)
            ]
        except _Misfit:
            return one_by_one(items)  # its error names the row
        counts = map(model.Counts, *columns[1:after])
        return tuple(map(model.SiteCounts, columns[0], counts, *columns[after:]))

    return build


def _ordered(times: tuple[float, ...], *columns: tuple[Any, ...]) -> str:
    if any(len(column) != len(times) for column in columns):
        return "has columns of different lengths"
    return "" if all(map(le, times, times[1:])) else "has times that are not in order"


_RULES: dict[type, Callable[[Any], str]] = {
    model.History: lambda it: _ordered(it.times, *(getattr(it, name) for name in model.History.__slots__)),
    model.SiteHistory: lambda it: _ordered(it.times, it.live, it.born, it.ended),
    model.Ages: lambda it: "" if len(it.counts) == len(it.edges) + 1 else "has bars without edges",
    model.Finding: lambda it: _moves(it.evidence.get("moves", {})),
    model.ConsoleAddress: lambda it: (
        "" if it.port is None or 0 < it.port < 65536 else f"has no port {it.port}"
    ),
    model.Hello: lambda it: _interval(it.interval),
    model.Sample: lambda it: _interval(it.interval),
}
"""Constraints beyond field types; each returns what is wrong, or an empty string."""


def _moves(moves: Any) -> str:
    """Checks, for each resource that moves with a site, its amount and correlation."""
    match moves:
        case dict() if all(name in RESOURCES and _is_move(each) for name, each in moves.items()):
            return ""
    return "has malformed evidence of moves"


def _is_move(value: Any) -> bool:
    numbers: tuple[object, ...] = (None,)
    if isinstance(value, dict):
        numbers = value.get("each"), value.get("correlation"), value.get("others", 0)
    return all(type(each) in (int, float) for each in numbers)


def _interval(seconds: float) -> str:
    return "" if 0.001 <= seconds <= 86400 else f"has an interval of {seconds:g} seconds"


def _shown(value: Any) -> str:
    """A foreign value in a few words."""
    if type(value) in (list, dict):
        return "a list" if type(value) is list else "an object"
    if value is None or type(value) is bool:
        return {None: "null", True: "true", False: "false"}[value]
    text = repr(value) if type(value) is not int or abs(value) < MAX_INT else "a huge number"
    return clean_text(text if len(text) <= 40 else text[:40] + "…")


_builders: dict[Any, Build] = {}
