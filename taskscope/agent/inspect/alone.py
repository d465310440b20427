"""What nothing but one timer keeps alive, by the references around it (see ``island``)."""

from __future__ import annotations

import gc
import sys
from collections import Counter, deque
from typing import TYPE_CHECKING, NamedTuple

from taskscope.agent.inspect import connections, weights
from taskscope.agent.inspect.island import Island, inside
from taskscope.agent.inspect.looking import attribute, class_name, owner_of
from taskscope.agent.inspect.walk import spent
from taskscope.system import clock

if TYPE_CHECKING:
    from weakref import ref

    from taskscope.agent.inspect.walk import Job

MOST = 1_500
"""Most objects inspected around one timer."""

PATIENCE = 0.5
"""Most seconds for that, pauses included."""

NESTED = 3
"""Levels of plain values inside plain containers."""

WORTH = 1_024
"""Bytes of arguments that count as kept: a timer itself takes some 300."""


class Kept(NamedTuple):
    """``owner``: the ``id`` of the object whose method is called, 0 if none; ``type``: of that object.

    ``alone``: nothing else keeps that object, or the arguments, alive; ``size``: bytes of all that.
    ``closed``: the owner's connection is closed.
    """

    owner: int
    type: str
    alone: bool
    size: int
    closed: bool


def kept_by(reference: ref[object], loops: list[object]) -> Job[Kept | None]:
    """What only this timer keeps alive; None if it has run or was cancelled."""
    owner = owner_of(attribute(reference(), "_callback"))
    number, kind, closed = (
        id(owner) if owner is not None else 0,
        class_name(owner),
        connections.is_closed(owner),
    )
    del owner
    looked = yield from _look(reference, loops, 0)
    if looked is None:
        return None
    around, others = looked
    size = yield from _size(around, others)
    at = around.at.get(number)
    alone = (at is not None and at not in others) or size >= WORTH
    return Kept(number, kind if number else "", alone, size, closed)


def connection_kept_by(reference: ref[object], loops: list[object]) -> Job[Kept | None]:
    """What only this handle, by which a loop tells a transport of data, keeps alive of its protocol."""
    transport = owner_of(attribute(reference(), "_callback"))
    number, protocol = id(transport), id(attribute(transport, "_protocol"))
    kind = class_name(transport)
    del transport
    looked = yield from _look(reference, loops, number)
    if looked is None:
        return None
    around, others = looked
    size = yield from _size(around, others)
    at = around.at.get(protocol)
    return Kept(number, kind, at is not None and at not in others, size, closed=False)


def _look(reference: ref[object], loops: list[object], transport: int) -> Job[tuple[Island, set[int]] | None]:
    """What is around a handle, and the indexes of what is kept alive by anything else than it.

    ``transport``: the ``id`` of an object that keeps nothing for others either, 0: none.
    """
    handle = reference()
    context = attribute(handle, "_context")
    around = Island([*loops, context])  # what contexts keep is told elsewhere
    if handle is None or attribute(handle, "_callback") is None:
        return None
    around.add(handle)
    del handle, context
    yield from around.grow(MOST, clock.monotonic() + PATIENCE)
    held = yield from around.held()
    found = {1, around.at.get(transport, 1)}
    pending = deque(held - found)
    while pending:
        place = pending.popleft()
        if place not in found:
            found.add(place)
            pending += [at for each in inside(around.things[place]) if (at := around.at.get(id(each)))]
        if spent():
            yield
    return around, found


def _size(around: Island, others: set[int]) -> Job[int]:
    """Bytes of the rest, and of plain values that nothing else refers to."""
    total = 0
    level: list[object] = []
    for place, thing in enumerate(around.things):
        if place == 0 or (place in others and place != 1):
            continue
        if place != 1:  # the handle itself
            total += weights.size_of(thing)
        level += _plain(thing)
        if spent():
            yield
    thing = None
    for _ in range(NESTED):
        level = _own(level)
        total += sum(map(weights.size_of, level))
        level = [inner for each in level for inner in _plain(each)]
        if spent():
            yield
    return total


def _plain(thing: object) -> list[object]:
    """What it refers to that the collector does not track, such as bytes; one entry per reference."""
    return [each for each in inside(thing) if not gc.is_tracked(each)]


def _own(things: list[object]) -> list[object]:
    """Those of which all references are in the list."""
    listed = Counter(map(id, things))
    every = [object(), *{id(each): each for each in things}.values()]  # the first is ours, and only here
    counts = [sys.getrefcount(each) for each in every]
    pairs = zip(every[1:], counts[1:], strict=True)
    return [each for each, count in pairs if count - counts[0] == 2 * listed[id(each)]]
