"""Which of the program's functions give back what was taken: a slot of a semaphore, an item of a queue.

Whoever has something stands in a function that gives it back, or in one that calls such a function: unless
one is handed on, to be called later.  All this shows in the code.
"""

from __future__ import annotations

import gc
import sys
from inspect import CO_ASYNC_GENERATOR, CO_GENERATOR
from types import CellType, CodeType, FunctionType, ModuleType
from typing import TYPE_CHECKING, NamedTuple

from taskscope.agent.inspect import calls, origins
from taskscope.agent.inspect.looking import attributes_of, is_a, lookup, own_attributes, text
from taskscope.agent.inspect.walk import spent

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import FrameType

    from taskscope.agent.inspect.walk import Job

MAX_CODES = 20_000
"""Functions of the program: of a larger one nothing is said."""

MAX_VALUES = 5_000
"""Values of a module or class that may be functions."""

MAX_ROUNDS = 8
"""How far the callers of a function that gives back are followed."""


class Pair(NamedTuple):
    """The method that takes, and is awaited, and the one that gives back."""

    takes: str
    gives: str


SLOTS = Pair("acquire", "release")
ITEMS = Pair("get", "task_done")


class Givers(NamedTuple):
    """``names``: what is called to give back; ``takers``: what is awaited to take."""

    names: frozenset[str]
    takers: frozenset[str]

    def may_have(self, frames: Iterable[FrameType]) -> bool:
        """Whether one of these frames may have taken something that it gives back."""
        return any(
            origins.origin(origins.file_of(each.f_code)) == "user"
            and not self.names.isdisjoint(_mentioned(each.f_code))
            and not self.names.isdisjoint(calls.loads(each.f_code))
            for each in frames
        )

    def behind(self, frames: list[FrameType]) -> list[FrameType]:
        """Of a task that waits to take something: the frames but those that only take."""
        at = 0
        while at < len(frames) and (at == 0 or frames[at - 1].f_code.co_name in self.takers):
            at += 1
        return frames[at:]


def givers(pair: Pair) -> Job[Givers | None]:
    """None: it may be given back by what nobody waits to call."""
    codes = yield from codes_of_program()
    names, takers = {pair.gives}, {pair.takes}
    for _ in range(MAX_ROUNDS if len(codes) <= MAX_CODES else 0):
        more: tuple[set[str], set[str]] = set(), set()
        for code in codes:
            mentioned = set(_mentioned(code))
            gives = names & mentioned
            if gives and _is_given_on(code, gives, pair):
                return None
            takes = bool(takers & mentioned) and any(calls.awaits(code, each) for each in takers & mentioned)
            if takes != bool(gives):
                more[takes].add(code.co_name)
            if spent():
                yield
        if more[0] <= names and more[1] <= takers:
            called = (calls.loads(each) for each in codes if not names.isdisjoint(_mentioned(each)))
            return Givers(frozenset(names), frozenset(takers)) if names <= set().union(*called) else None
        names |= more[0]
        takers |= more[1]
    return None


def unguarded(code: CodeType, pair: Pair) -> int | None:
    """The line that takes, if an error after it loses what was taken; None: not known.

    ``finally`` is compiled twice, and a handler has a call of its own.
    """
    taken = calls.lines_of_calls(code, pair.takes)
    return taken[0] if len(taken) == 1 and len(calls.lines_of_calls(code, pair.gives)) == 1 else None


def _is_given_on(code: CodeType, names: set[str], pair: Pair) -> bool:
    """Whether it is, or hands on, what others call later: a generator, a special method, a callback."""
    if code.co_flags & (CO_GENERATOR | CO_ASYNC_GENERATOR) or code.co_name.startswith(("__", "<lambda")):
        return True
    if pair.gives in code.co_consts:
        return True
    loaded = calls.loads(code)
    return any(loaded.get(each, 0) > len(calls.lines_of_calls(code, each)) for each in names)


def codes_of_program() -> Job[list[CodeType]]:
    """The functions of the program, up to one more than ``MAX_CODES``."""
    codes: list[CodeType] = []
    for code in _codes():
        if code is not None:
            codes.append(code)
        if len(codes) > MAX_CODES:
            break
        if spent():
            yield
    return codes


def _mentioned(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    yield from code.co_freevars
    yield from code.co_cellvars
    yield from (each for each in code.co_consts if type(each) is str)


def _codes() -> Iterator[CodeType | None]:
    """The code of its functions; None now and then, where a pause may be made."""
    seen: set[int] = set()
    for module in list(sys.modules.values()):
        names = attributes_of(module) if type(module) is ModuleType else {}
        file = text(lookup(names, "__file__"))
        if file and origins.origin(origins.absolute(file)) == "user":
            for value in list(names.values())[:MAX_VALUES]:
                yield from _codes_in(value, lookup(names, "__name__"), seen)
        yield None


def _codes_in(value: object, module: object, seen: set[int]) -> Iterator[CodeType]:
    """The code of a function, of what it decorates, and of the methods of a class of that module."""
    pending = [(value, 0)]
    while pending:
        thing, depth = pending.pop()
        if id(thing) in seen or depth > MAX_ROUNDS:
            continue
        if type(thing) is CodeType:
            seen.add(id(thing))
            yield thing
            pending += [(each, depth) for each in thing.co_consts if type(each) is CodeType]
        elif type(thing) is FunctionType:
            seen.add(id(thing))
            pending += [(each, depth + 1) for each in (thing.__code__, *(thing.__closure__ or ()))]
            pending += [(each, depth + 1) for each in attributes_of(thing).values()]
        elif is_a(thing, type):
            if text(lookup(own_attributes(thing), "__module__")) == text(module):
                seen.add(id(thing))
                pending += [(each, depth + 1) for each in list(own_attributes(thing).values())[:MAX_VALUES]]
        elif type(thing) is CellType or (depth <= 1 and not is_a(thing, ModuleType)):
            kinds = (CodeType, FunctionType, CellType)
            pending += [(each, depth + 1) for each in gc.get_referents(thing) if type(each) in kinds]
