"""Which resources pile up: event loops, asynchronous generators, connections, children, values of contexts.

Counting some is cheap and always done: ``ALWAYS``.  Connections are counted only while descriptors climb,
contexts while memory does.  If tasks climb with these, they may be what has them, so a pile is told only if
no task can have it.  What keeps a pile is asked for once it grows.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from taskscope.analysis.clues import MOST
from taskscope.analysis.first_sight import REACH, Past, evenly
from taskscope.analysis.piles import Pile, Piles
from taskscope.analysis.strength import Strength
from taskscope.model import Resource, requests
from taskscope.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from taskscope.analysis.piles import Grown
    from taskscope.analysis.resources import Climb
    from taskscope.model import Resources, Thread
    from taskscope.model.vocabulary import Resource as Supply
    from taskscope.model.vocabulary import ResourceKind, ResourceState

ALWAYS: tuple[ResourceKind, ...] = ("loop", "generator", "subprocess")

WHILE: Mapping[Supply, tuple[ResourceKind, ...]] = {"fds": ("transport", "descriptor"), "rss": ("context",)}
"""What is counted only while that climbs."""

LARGE = 1 << 20
"""Bytes that values of a context variable must gain: less is noise."""

AGAIN = 10
"""More context variables of one name than before, from which they are made again and again."""

TOLD = 60
"""Most births of which the past is made."""

_READER = "StreamReaderProtocol"
"""asyncio's protocol of streams: what arrives waits until somebody reads it."""


@dataclass(frozen=True, slots=True)
class Judged:
    """How resources of one kind and state are judged.

    ``fewest``: to judge; ``takes``: of what the process may use up, each.  ``amount``: what grows.
    """

    fewest: int
    strength: Callable[[Resource, Pile[Resource]], Strength]
    takes: Callable[[Resource], Mapping[Supply, float]]
    amount: Callable[[Resource], int] = lambda row: row.count


@dataclass(frozen=True, slots=True)
class PiledResource:
    """A resource that grows.  ``share``: of one in what grows, if that is bytes."""

    row: Resource
    grown: Grown
    keeper_grows: bool
    share: float = 1.0


def weight_of(row: Resource) -> int:
    """Bytes of all values of a context variable."""
    return row.count * (row.each or 0)


def _by_keeper(row: Resource) -> Strength:
    """What the program only adds to, nobody can end; where it also takes some out, they may be load."""
    if row.keeper is None:
        return Strength.IN_USE
    if row.keeper.unread:
        return Strength.REPEATED
    return Strength.NONE if row.keeper.emptied else Strength.UNLIKELY


def _of_loops(row: Resource, _: Pile[Resource]) -> Strength:
    """A thread may have one for its next use; and what nothing keeps, the collector closes some day."""
    if row.count <= 2 * (row.users or 0):
        return Strength.IN_USE
    if row.keeper is None or row.keeper.emptied:
        return Strength.NONE
    return Strength.REPEATED if row.keeper.unread else Strength.PERMANENT


def _of_generators(row: Resource, _: Pile[Resource]) -> Strength:
    return _by_keeper(row)


def _of_connections(row: Resource, _: Pile[Resource]) -> Strength:
    """A stream that only the loop refers to is read by nobody; other protocols are told of what arrives."""
    forgotten = row.name == _READER and row.inspected and row.alone >= MOST * row.inspected
    return Strength.PERMANENT if forgotten else _by_keeper(row)


def _of_ended(row: Resource, pile: Pile[Resource]) -> Strength:
    """One that has ended only has to be waited for; that may happen when the last of a batch has ended."""
    if row.since is not None and row.since - pile.since > (pile.now - pile.since) / 2:
        return Strength.IN_USE  # those of the first half of the watch are gone
    if row.keeper is not None and row.keeper.unread:
        return Strength.REPEATED
    return Strength.NONE if row.users else Strength.UNLIKELY  # a thread is waiting for one


def _of_children(row: Resource, _: Pile[Resource]) -> Strength:
    """Those at work may be meant to: only what nobody can end is more than suspect."""
    strength = _by_keeper(row)
    return Strength.NONE if strength == Strength.UNLIKELY else strength


def _of_contexts(row: Resource, pile: Pile[Resource]) -> Strength:
    """What more tasks and timers carry, ends with them; a variable made anew stays in every context."""
    first = pile.first
    carried = (row.users or 0) / max(1, first.users or 0)
    if carried > 1 and carried**2 > weight_of(row) / max(1, weight_of(first)):  # that is most of the growth
        return Strength.IN_USE
    made = (row.variables or 0) - (first.variables or 0) >= AGAIN
    return Strength.PERMANENT if made else Strength.NONE


JUDGED: Mapping[tuple[ResourceKind, ResourceState], Judged] = {
    ("loop", "stopped"): Judged(5, _of_loops, lambda _: {"fds": 3.0}),
    ("generator", "suspended"): Judged(10, _of_generators, lambda _: {}),
    ("transport", "open"): Judged(10, _of_connections, lambda _: {"fds": 1.0}),
    ("subprocess", "ended"): Judged(5, _of_ended, lambda _: {}),
    ("subprocess", "running"): Judged(10, _of_children, lambda _: {}),
    ("context", "unknown"): Judged(1, _of_contexts, lambda _: {"rss": 1.0}, weight_of),
}


@dataclass(slots=True)
class _Resources(Pile[Resource]):
    """``known``: as it was when it was last inspected."""

    known: Resource | None = None
    keeper_grows: bool = False

    @property
    def judged_as(self) -> Judged:
        return JUDGED[self.latest.kind, self.latest.state]

    @property
    def worth(self) -> bool:
        enough = self.latest.kind != "context" or self.track.gain >= LARGE
        return enough and self.latest.count >= self.judged_as.fewest

    def add(self, latest: Resource, count: int, now: float) -> None:
        """Adds a look.  Older ones that were found only now are no growth."""
        found = latest.older - self.latest.older
        if found > 0:
            self.track.shift(found)
            self.first = replace(self.first, count=self.first.count + found)
        Pile.add(self, latest, count, now)

    def past(self, started: float) -> Past | None:
        """When those of the first look were made, or would have been as fast as now.

        Only sound of what does not end.
        """
        older, now = self.judged_as.amount(self.first), self.judged_as.amount(self.latest)
        births = tuple(birth for birth in self.first.births if birth <= self.since)
        if births and self.since - births[0] >= REACH * (self.since - started):
            return Past(births, older, started, self.since, "births")
        even = evenly(older, now - older, TOLD, started, self.since, self.now)
        return Past(even, older, started, self.since, "the present rate") if even is not None else None

    def inspect(self, row: Resource, now: float) -> None:
        """Adds what keeps them."""
        before, after = self.known.keeper if self.known is not None else None, row.keeper
        if before is not None and after is not None:
            self.keeper_grows = before.name == after.name and before.size < after.size
        self.known, self.inspected = row, now

    @property
    def row(self) -> Resource:
        """As it is now, with what was last known of who keeps them."""
        if self.known is None or self.latest.kind == "context":
            return self.latest
        known = self.known
        return replace(
            self.latest,
            keeper=known.keeper,
            alone=known.alone,
            inspected=known.inspected,
            each=self.latest.each or known.each,
        )


class Stock(Piles[Resource]):
    """Judges the resources of one target that are neither tasks, threads nor timers."""

    PILE = _Resources

    def __init__(self, started: float) -> None:
        super().__init__(started)
        self._shared: frozenset[ResourceKind] = frozenset()  # with tasks that climb as well
        self.descriptors: tuple[Resource, ...] = ()
        """Of the last look that told of them."""

    def kinds(self, climbs: Iterable[Climb]) -> tuple[ResourceKind, ...]:
        """What to count now."""
        climbing = [each for each in climbs if each.resource in WHILE]
        self._shared = frozenset(kind for each in climbing if each.movements for kind in WHILE[each.resource])
        return (*ALWAYS, *(kind for each in climbing for kind in WHILE[each.resource]))

    def add(self, resources: Resources, kinds: Sequence[ResourceKind]) -> None:
        """Adds a look at these kinds."""
        now = resources.monotonic
        rows = [each for each in resources.rows if (each.kind, each.state) in JUDGED]
        counted = ((each.key, each, JUDGED[each.kind, each.state].amount(each)) for each in rows)
        self.look(now, counted, lambda row: row.kind not in kinds)
        if "descriptor" in kinds:
            self.descriptors = tuple(each for each in resources.rows if each.kind == "descriptor")

    @property
    def wanted(self) -> requests.Resources | None:
        """The question what keeps those that grow."""
        rows = [each.latest for each in self._suspected() if each.unknown and each.latest.kind != "context"]
        if not rows:
            return None
        kinds = tuple(dict.fromkeys(each.kind for each in rows))
        return requests.Resources(kinds, min(each.count for each in rows))

    def inspect(self, resources: Resources) -> None:
        """Adds the answer."""
        for row in resources.rows:
            pile = self._piles.get(row.key)
            if isinstance(pile, _Resources):
                pile.inspect(row, resources.monotonic)

    def found(self, threads: Iterable[Thread] = ()) -> Sequence[PiledResource]:
        """Those that pile up, worst first.  ``threads``: of the process, some of which may await children."""
        waiting = sum(each.wait in ("process", "subprocess") for each in threads)
        every = [found for each in self._worth() if (found := self._judged(each, waiting))]
        every.sort(key=lambda each: (each.grown.level != "leak", -each.grown.verdict.rate))
        return every

    def _judged(self, pile: Pile[Resource], waiting: int) -> PiledResource | None:
        assert isinstance(pile, _Resources)
        row = pile.row
        if row.kind == "subprocess":
            row = replace(row, users=waiting)
        elif pile.known is None and row.kind != "context":
            return None
        judged = pile.judged_as
        strength, past = judged.strength(row, pile), pile.past(self._started)
        if strength != Strength.PERMANENT and row.kind in self._shared:
            return None  # what a container keeps, those tasks may use
        grown = pile.judged(strength, self._started, past=past, takes=judged.takes(row))
        if grown is None:
            return None
        more = judged.amount(row) - judged.amount(pile.first)
        share = (row.count - pile.first.count) / more if row.kind == "context" and more > 0 else 1.0
        return PiledResource(row, grown, pile.keeper_grows, share)
