"""How much memory an ended task keeps: its result or its exception, and what belongs to these alone."""

from __future__ import annotations

import gc
import sys
from types import MethodDescriptorType

from taskscope.agent.inspect import futures
from taskscope.agent.inspect.looking import in_class, native, number

MOST = 300
"""Objects of one outcome that are weighed: 0.2 ms."""


def of_outcome(task: object) -> int:
    """Bytes; of a large outcome at least so many."""
    result, error = futures.field(task, "_result"), futures.field(task, "_exception")
    pending = [error if result is None else result]
    total = 0
    for thing in pending:
        if thing is None:
            continue
        total += _of(thing)
        if len(pending) < MOST:
            inner = gc.get_referents(thing)[:MOST]
            counts = _counts(inner)
            pending += [each for each, count in zip(inner, counts, strict=True) if count == OWNED]
    return total


def _counts(things: list[object]) -> list[int]:
    return [sys.getrefcount(each) for each in things]


_owner = [object()]
OWNED = _counts(gc.get_referents(_owner))[0]
"""What an object counts to which only its owner refers."""


def _of(thing: object) -> int:
    """By the method of its class if that is written in C: one of the program's own is not called."""
    if type(in_class(type(thing), "__sizeof__")) is MethodDescriptorType:
        return number(native(thing, "__sizeof__")) or 0
    return object.__sizeof__(thing)
