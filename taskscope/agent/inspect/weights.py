"""Memory that a value keeps, such as an ended task's result: its own, and what only it refers to."""

from __future__ import annotations

import gc
import sys
from types import MethodDescriptorType

from taskscope.agent.inspect import futures
from taskscope.agent.inspect.looking import in_class, items, native, number, size

MOST = 300
"""Most objects measured per outcome: 0.2 ms."""


def of_outcome(task: object) -> int:
    """Bytes; for a large outcome a lower bound."""
    result, error = futures.field(task, "_result"), futures.field(task, "_exception")
    return of_value(error if result is None else result)


def of_value(value: object) -> int:
    """Bytes of a value and of what only it refers to; for a large one a lower bound."""
    pending = [value]
    total = 0
    for thing in pending:
        if thing is None:
            continue
        total += size_of(thing)
        if len(pending) < MOST:
            inner = gc.get_referents(thing)[:MOST]
            counts = _counts(inner)
            pending += [each for each, count in zip(inner, counts, strict=True) if count == OWNED]
    return total


SAMPLED = 50
"""Entries of a large container that are measured for all."""


def of_container(value: object) -> int:
    """Likewise, but of a large container an estimate by its first entries."""
    length = size(value)
    if length is None or length <= 2 * SAMPLED:
        return of_value(value)
    some = items(value, SAMPLED)
    counts = _counts(some)
    own = sum(of_value(each) for each, count in zip(some, counts, strict=True) if count == OWNED + 1)
    return size_of(value) + own * length // max(1, len(some))


def _counts(things: list[object]) -> list[int]:
    return [sys.getrefcount(each) for each in things]


_owner = [object()]
OWNED = _counts(gc.get_referents(_owner))[0]
"""The reference count of an object that only its owner refers to."""


def size_of(thing: object) -> int:
    """By its class's ``__sizeof__`` if that is written in C; the program's own is never called."""
    if type(in_class(type(thing), "__sizeof__")) is MethodDescriptorType:
        return number(native(thing, "__sizeof__")) or 0
    return object.__sizeof__(thing)
