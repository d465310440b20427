"""What nothing but one timer keeps alive, by the references around it (see ``island``)."""

from __future__ import annotations

import gc
import sys
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from taskscope.agent.inspect import weights
from taskscope.agent.inspect.island import Island, inside
from taskscope.agent.inspect.looking import attribute, class_name, module_of, native, owner_of, size
from taskscope.agent.inspect.walk import spent
from taskscope.system import clock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from weakref import ref

    from taskscope.agent.inspect.walk import Job

MOST = 1_500
"""Most objects inspected around one timer."""

PATIENCE = 0.5
"""Most seconds for that, pauses included."""

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
    around = Island(loops)
    timer = reference()
    owner = owner_of(attribute(timer, "_callback"))
    if timer is None or attribute(timer, "_callback") is None:
        return None
    number, closed = id(owner) if owner is not None else 0, _is_closed(owner)
    kind = class_name(owner) if owner is not None else ""
    around.add(timer)
    del timer, owner
    yield from around.grow(MOST, clock.monotonic() + PATIENCE)
    held = yield from around.held()
    others = yield from _reached(around, held)
    held_alone = yield from _size(around, others)
    at = around.at.get(number)
    alone = held_alone >= WORTH if at is None else at not in others
    return Kept(number, kind, alone, held_alone, closed)


def _reached(around: Island, held: set[int]) -> Job[set[int]]:
    """Indexes of what else keeps alive; the first object, the timer, keeps nothing for others."""
    found = {1}
    pending = deque(held - found)
    while pending:
        place = pending.popleft()
        if place not in found:
            found.add(place)
            pending += [at for each in inside(around.things[place]) if (at := around.at.get(id(each)))]
        if spent():
            yield
    return found


def _size(around: Island, others: set[int]) -> Job[int]:
    """Bytes of the rest, and of plain values that only these refer to."""
    total = 0
    plain: dict[int, list[object]] = {}
    probe = [object()]
    for place, thing in enumerate(around.things):
        if place == 0 or (place in others and place != 1):
            continue
        if place != 1:
            total += weights.size_of(thing)
        for each in _plain(thing, 2):
            plain.setdefault(id(each), []).append(each)
        if spent():
            yield
    thing = each = None
    own = sys.getrefcount(probe[0]) - 1
    for some in plain.values():
        if sys.getrefcount(some[0]) - own == 2 * len(some):
            total += weights.size_of(some[0])
    return total


def _plain(thing: object, depth: int) -> Iterator[object]:
    """What it refers to that refers to nothing itself, or, as a tuple of such, is not tracked either."""
    for each in inside(thing):
        if not gc.is_tracked(each):
            yield each
            if depth and (size(each) or 0) > 0:
                yield from _plain(each, depth - 1)


def _is_closed(owner: object) -> bool:
    """Whether it has a connection, and every one it has is closed."""
    inner = gc.get_referents(owner) if owner is not None else []
    inner += [each for names in inner if type(names) is dict for each in gc.get_referents(names)]
    transports = list(filter(_is_transport, inner))
    return len(transports) > 0 and all(map(_is_shut, transports))


def _is_transport(thing: object) -> bool:
    module = module_of(type(thing)).partition(".")[0]
    return module in ("asyncio", "uvloop") and class_name(thing).endswith("Transport")


def _is_shut(transport: object) -> bool:
    fields = (attribute(transport, "_closing"), attribute(transport, "_closed"))
    return any(each is True for each in (*fields, native(transport, "is_closing")))
