"""Finds objects that nothing outside can reach: the garbage collector's method, on a part of the heap.

An island is a set of objects with all their references to one another.  An object with more references than
these is held from outside (by a module, a running frame, an object written in C), and so is everything it
leads to.  Nothing can reach the rest.  The method is sound for any part of the heap: whatever was not
inspected counts as outside.

The search does not pass through suspended tasks: a reference to one gives no access to what it awaits.

While an island is examined, it keeps its objects alive: at most ``MOST``, for up to ``PATIENCE`` seconds.
"""

from __future__ import annotations

import builtins
import functools
import gc
import sys
from types import AsyncGeneratorType, CodeType, CoroutineType, FunctionType, GeneratorType, ModuleType
from typing import TYPE_CHECKING
from weakref import getweakrefcount, getweakrefs, ref

from taskscope.agent.inspect import futures
from taskscope.agent.inspect.looking import is_a, kinds, module_of, size
from taskscope.agent.inspect.walk import spent
from taskscope.system import clock

if TYPE_CHECKING:
    from taskscope.agent.inspect.walk import Job

MOST = 20_000
"""Most objects in one island."""

PATIENCE = 2.0
"""Most seconds for one island, pauses included."""

MAX_INSIDE = 5_000
"""References followed per container: 0.1 ms during which the program is stopped."""

_BORROWS = kinds(GeneratorType, AsyncGeneratorType) if sys.version_info >= (3, 14) else kinds()
"""Their frames may report a reference they do not own: it is counted once, which proves less."""

_HAS_LOCALS = sys.version_info < (3, 13)
"""A frame may have a dictionary of its variables, before its function; held by us, it would stay filled."""

_BUILTINS = vars(builtins)

_OPAQUE = (type, ModuleType, CodeType, functools._lru_cache_wrapper)
"""Types that everything refers to; they count as outside."""


class OwnRef(ref):  # type: ignore[type-arg]
    """Our own weak references, as opposed to the program's, through which it can reach an object."""

    __slots__ = ()


class Island:
    """Objects by distance from those added first.  ``waiting``: indexes of suspended tasks.

    ``known_outside``: how many outside references ``held`` counted for each of these.
    """

    def __init__(self, loops: list[object]) -> None:
        self.things: list[object] = [
            object()
        ]  # the first is ours: its count shows how many references our own look adds
        self.waiting: set[int] = set()
        self.at: dict[int, int] = {}
        self.origin = [0]
        self.known_outside: dict[int, int] = {}
        self._outside = {id(loop) for loop in loops}
        self._opaque: dict[int, tuple[type, bool]] = {}

    def grow(self, most: int, until: float) -> Job[None]:
        """Adds what its objects refer to, up to ``most`` objects or until that time."""
        place = 1
        while place < len(self.things) < most and clock.monotonic() < until:
            yield from self.add_all(inside(self.things[place]))
            place += 1
            if spent():
                yield

    def add(self, thing: object, origin: int = 0) -> None:
        """Adds an object found at the object at that index; 0: it is one of the first."""
        if id(thing) in self.at or not gc.is_tracked(thing) or self.is_outside(thing):
            return
        self.at[id(thing)] = len(self.things)
        if futures.is_task(thing):
            self.waiting.add(len(self.things))
        self.things.append(thing)
        self.origin.append(origin)

    def add_all(self, things: list[object], origin: int = 0) -> Job[None]:
        """Adds objects found at the object at that index."""
        for number, each in enumerate(things):
            self.add(each, origin)
            if not number & 63 and spent():
                yield

    def is_outside(self, thing: object) -> bool:
        kind = type(thing)
        known = self._opaque.get(id(kind))
        if known is None:
            opaque = issubclass(kind, _OPAQUE) or module_of(kind).partition(".")[0] == "taskscope"
            known = self._opaque[id(kind)] = kind, opaque
        return known[1] or id(thing) in self._outside

    def release(self) -> Job[None]:
        """Empties it, a part at a time: at its end, all at once would take a millisecond."""
        for part in (self.things, self.origin, self.at, self.waiting, self.known_outside):
            part.clear()
            if spent():
                yield

    def held(self, *, weakly: bool = True) -> Job[set[int]]:
        """Indexes of objects that something outside refers to; ``weakly``: or anything refers to weakly."""
        counts = [0] * len(self.things)
        thing = each = None
        for thing in self.things:
            for number, each in enumerate(inside(thing)):
                place = self.at.get(id(each))
                if place is not None:
                    counts[place] += 1
                if not number & 63 and spent():
                    yield
        del thing, each  # else they would count as references
        things, found = self.things, set()
        for place, count in enumerate(counts):
            extra = sys.getrefcount(things[place]) - count
            if place == 0:
                base = extra
                continue
            if place in self.waiting:
                self.known_outside[place] = extra - base
            weak = weakly and place not in self.waiting and is_known_weakly(things[place])
            if extra != base or weak:
                found.add(place)
            if not place & 63 and spent():
                yield
        return found

    def without(self, gone: bytearray) -> Job[Island]:
        """The island without the objects at whose indexes ``gone`` is set."""
        rest = Island([])
        rest._outside, rest._opaque = self._outside, self._opaque
        for place, thing in enumerate(self.things):
            if place and not gone[place]:
                rest.add(thing)
            if not place & 63 and spent():
                yield
        return rest


def inside(thing: object) -> list[object]:
    """The objects it owns references to, one entry per reference; none for a huge container."""
    length = size(thing)
    if length is not None and length > MAX_INSIDE:
        return []
    found = gc.get_referents(thing)
    if type(thing) is FunctionType:
        return [each for each in found if each is not thing.__globals__ and each is not _BUILTINS]
    if _HAS_LOCALS and type(thing) is CoroutineType:
        return found[next((at for at, each in enumerate(found) if type(each) is FunctionType), 0) :]
    if id(type(thing)) in _BORROWS:
        return list({id(each): each for each in found}.values())
    return found


def is_known_weakly(thing: object) -> bool:
    """Not an asynchronous generator: its loop knows it only to close it at its own end."""
    if type(thing) is AsyncGeneratorType:
        return False
    return len(weak_references(thing)) > 0


def weak_references(thing: object) -> list[ref[object]]:
    """The program's, to an object."""
    return [each for each in getweakrefs(thing) if not is_a(each, OwnRef)] if getweakrefcount(thing) else []
