"""What a task or thread has of pools, and the line at which it took it: one search for all of them.

A member that a pool keeps is had by whoever leads to it; one that is lent, by whoever leads to what refers
back to the pool (``lending``).
"""

from __future__ import annotations

import gc
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from taskscope.agent.inspect import calls, handles, lending, origins
from taskscope.agent.inspect.variables import variables_of
from taskscope.agent.inspect.walk import spent

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import CodeType, FrameType

    from taskscope.agent.inspect.holdings import Holding
    from taskscope.agent.inspect.lending import Lends
    from taskscope.agent.inspect.walk import Job
    from taskscope.model import Frame

MAX_OBJECTS, MAX_FOR_LENT = 300, 1_000
"""Objects searched from one task or thread, nearest first; if any pool lends what it does not keep."""


class Had(NamedTuple):
    """A member of a pool, by ``id``: itself, or its connections; and where it was taken, if that is known."""

    pool: int
    things: frozenset[int]
    where: Frame | None


class _Variable(NamedTuple):
    """A variable, for the line that gave it its value."""

    code: CodeType
    at: int
    name: str


class _Reached(NamedTuple):
    """An object on the way from what somebody has.  ``owner``: that which it is a part of."""

    thing: object
    owner: object
    where: Frame | _Variable | None


def had(
    pools: Mapping[int, Lends | None],
    kept: Mapping[int, int],
    held: Sequence[Holding],
    frames: Sequence[FrameType],
) -> Job[list[Had]]:
    """What somebody has of these pools, by ``id``.

    ``pools``: what they lend, None of those that keep it; ``kept``: the pool of each member that is kept.
    ``held``: what it has entered; ``frames``: innermost first.
    """
    search = _Search(pools, kept)
    for each in held:  # what is behind these, libraries have entered
        if each.where.origin == "user":
            search.start(each.thing, each.where)
    if spent():
        yield
    yield from search.start_variables(frames)
    yield from search.spread()
    for each in held:
        search.start(each.thing, each.where)
    yield from search.spread()
    return search.found


class _Search:
    """``selves``: the objects whose methods run: they use a pool, and are not lent by it."""

    def __init__(self, pools: Mapping[int, Lends | None], kept: Mapping[int, int]) -> None:
        self._pools = pools
        self._kept = kept
        self._most = MAX_FOR_LENT if any(each is not None for each in pools.values()) else MAX_OBJECTS
        self._seen = set(pools).union(*(each.own for each in pools.values() if each is not None))
        self._most += len(self._seen)
        self._selves: set[int] = set()
        self._queue: deque[_Reached] = deque()
        self.found: list[Had] = []

    def start(self, thing: object, where: Frame | _Variable | None, owner: object = None) -> None:
        if id(thing) not in self._seen and handles.leads_on(thing):
            self._seen.add(id(thing))
            self._queue.append(_Reached(thing, owner, where))

    def start_variables(self, frames: Sequence[FrameType]) -> Job[None]:
        """Of functions of the program and of libraries, outermost first: the one that took it is there."""
        caller: Frame | None = None
        for frame in reversed(frames):
            code, origin = frame.f_code, origins.origin(origins.file_of(frame.f_code))
            if origin == "user":
                caller = origins.frame_of(code, frame.f_lineno)
            for name, value in variables_of(frame).items() if origin != "stdlib" else ():
                self.start(value, _Variable(code, frame.f_lasti, name) if origin == "user" else caller)
                if name == "self":
                    self._selves.add(id(value))
            if spent():
                yield

    def spread(self) -> Job[None]:
        """Follows references, nearest first."""
        while self._queue:
            thing, owner, where = self._queue.popleft()
            pool = self._kept.get(id(thing))
            if pool is not None:
                self.found.append(Had(pool, frozenset((id(thing),)), _line_of(where)))
            for number, each in enumerate(gc.get_referents(thing)[: self._most]):
                lends = self._pools.get(id(each))
                if lends is not None:
                    holder = owner if type(thing) is dict else thing
                    yield from self._note_lent(id(each), lends, holder, where)
                elif len(self._seen) < self._most:
                    self.start(each, where, thing)
                if not number & 63 and spent():
                    yield

    def _note_lent(
        self, pool: int, lends: Lends, holder: object, where: Frame | _Variable | None
    ) -> Job[None]:
        if id(holder) not in self._selves and lending.is_marked(holder, pool, lends):
            ends = yield from lending.ends(holder, pool, lends)
            self.found += [Had(pool, ends, _line_of(where))] if ends else []


def _line_of(where: Frame | _Variable | None) -> Frame | None:
    if not isinstance(where, _Variable):
        return where
    line = calls.line_storing(*where)
    return origins.frame_of(where.code, line) if line else None
