"""Why the tasks of a suspected site do not end.

The oldest and newest tasks, a few hundred, are inspected; all are counted by birth.
"""

from __future__ import annotations

import itertools
import sys
from bisect import bisect_left
from typing import TYPE_CHECKING, Any

from taskscope import model
from taskscope.agent.answers import ahead, proofs
from taskscope.agent.answers.groups import ParkedTally, parked_key
from taskscope.agent.answers.older import Counter, older_tasks
from taskscope.agent.answers.shared import Shared
from taskscope.agent.answers.tasks import NotFoundError
from taskscope.agent.answers.thread_facts import MAX_EXAMPLES, MAX_GROUPS, MAX_OBJECTS, thread_facts
from taskscope.agent.inspect import futures, races, retries, stacks, task_facts
from taskscope.agent.inspect.foreign import StandIn
from taskscope.agent.inspect.holdings import references_of_exits
from taskscope.agent.inspect.island import OwnRef
from taskscope.agent.inspect.walk import live_tasks, spent
from taskscope.model import requests
from taskscope.system import clock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from taskscope.agent.answers.proofs import Proofs
    from taskscope.agent.counts.registry import Registry
    from taskscope.agent.counts.site_record import Chunk, SiteRecord
    from taskscope.agent.inspect.walk import Job

SAMPLE = 100
"""Tasks inspected from each end of a site."""

WAITED_ON = 1 if sys.version_info < (3, 14) else 2
"""References to a parked task from what it waits on: its callback, and since 3.14 "awaited by"."""

FLAGS = (
    *("orphans", "rootless", "cancelling", "awaited", "unheld", "left"),
    *("looping", "conditional", "limited", "retrying", "cycles"),
)

LOOKS_A_SITE, LOOK_GAP = 8, 5.0
"""Answers kept per site, and initial seconds between them: about 300 kB in total, marks included."""


class FactFinder:
    """Answers ``facts`` for the server.  Holds weak references only."""

    def __init__(
        self,
        registry: Registry,
        threads: Callable[[], Job[tuple[model.Thread, ...]]],
        proofs: Proofs,
    ) -> None:
        self._registry = registry
        self._counter = Counter(registry)
        self._threads = threads
        self._proofs = proofs
        self._places: dict[int, _Places] = {}
        self._looks: dict[int, Looks] = {}
        self._numbers = itertools.count(1)

    def facts(self, query: requests.Facts) -> Job[model.SiteFacts]:
        """Raises NotFoundError for an unknown site."""
        site = query.site
        record = self._registry.by_id.get(site)
        if record is None:
            raise NotFoundError(f"site {site} is unknown")
        record.room = 0  # whoever asks wants to know who starts them now: the next birth takes its stack
        cuts = sorted(query.cuts)
        if record.site.kind == "thread":
            threads, records = (yield from self._threads()), self._registry.task_records()
            return self._looked((yield from thread_facts(record, cuts, threads, self._proofs, records)))
        yield
        alive = yield from _alive(record, cuts)
        tally = _Tally(raced=races.starts_a_race(record.first_stacks, record.site.frame))
        probe = object()
        places = _remembered(self._places, site, _Places)
        seen: dict[int, model.Mark] = {}
        for reference in _ends(record):
            task = reference()
            if task is not None and not futures.is_done(task) and not _is_younger(task, query.before):
                # Variables count differently between versions: compare with one of the same kind.
                held = sys.getrefcount(task) - sys.getrefcount(probe) - WAITED_ON
                chain = tally.add(task, held=held)
                mark = self._mark(task, places)
                seen[mark.serial] = mark
                del chain
            del task
            if spent():
                yield
        for gone in places.keys() - seen.keys():
            places.pop(gone, None)
        for task in itertools.islice(live_tasks([record]), model.MOST_BOUND):
            if task is None:
                yield
            else:
                tally.shared.add_owner(task_facts.coroutines(task))
            del task
        records = self._registry.task_records()
        reach = yield from self._proofs.of_site(record, tally.provable, records)
        older = yield from older_tasks(record, self._counter)
        keeper = None
        held = tally.flags["unheld"] < tally.sampled and record.live > 1  # one task makes no pile
        if not tally.foreign and (held or tally.shared.reachable or record.retained > 1):
            keeper = yield from self._proofs.keeper(record, records)
        holder = yield from ahead.holder_of(tally.shared.lock, [record, *records])
        setter = yield from ahead.setter_of(tally.shared.of_cancelled)
        taker = yield from ahead.missing_taker(tally.shared.putter, [record, *records])
        live, marks = record.counts().live, tuple(seen.values())
        found = tally.facts(site, live, alive, cuts, marks, reach, older, keeper, holder, setter, taker)
        return self._looked(found)

    def looks(self, query: requests.Looks) -> Job[tuple[model.SiteFacts, ...]]:
        """Earlier answers about these sites, oldest first, for clients that connect later."""
        yield
        known = (self._looks.get(site) for site in query.sites)
        return tuple(facts for looks in known if looks is not None for facts in looks.kept)

    def _looked(self, facts: model.SiteFacts) -> model.SiteFacts:
        _remembered(self._looks, facts.site, Looks).add(facts)
        return facts

    def _mark(self, task: object, places: _Places) -> model.Mark:
        """The previous mark if the task still waits for the same future; ``id()`` would be reused.

        Recorded immediately: several clients may walk the same site at once.
        """
        serial = futures.serial_of(task) or 0
        waiter = futures.waiter_of(task)
        reference, before = places.get(serial, (None, None))
        if before is not None and waiter is not None and reference is not None and reference() is waiter:
            return before
        try:
            reference = OwnRef(waiter) if waiter is not None else None
        except TypeError:
            reference = None
        known = before.known if before is not None else clock.monotonic()
        mark = model.Mark(serial, next(self._numbers), known)
        places[serial] = reference, mark
        return mark


class Looks:
    """The answers about one site, thinned out with age; the first and the newest are always kept."""

    def __init__(self) -> None:
        self.kept: list[model.SiteFacts] = []
        self._gap = LOOK_GAP

    def add(self, facts: model.SiteFacts) -> None:
        kept = self.kept
        if len(kept) > 1 and kept[-1].monotonic - kept[-2].monotonic < self._gap:
            kept.pop()
        kept.append(facts)
        if len(kept) > LOOKS_A_SITE:
            self.kept = kept[::2]  # LOOKS_A_SITE + 1 is odd: the newest stays
            self._gap *= 2


class _Places(dict[int, "tuple[OwnRef | None, model.Mark]"]):
    """What each task of a site waited for when last inspected, by serial."""


def _remembered(known: dict[int, Any], site: int, make: Callable[[], Any]) -> Any:
    """The entry of a site, created if missing; least recently used entries are dropped."""
    known[site] = found = known.pop(site, None) or make()
    while len(known) > requests.MAX_LOOKS:
        del known[next(iter(known))]
    return found


def _alive(record: SiteRecord, cuts: Sequence[float]) -> Job[tuple[int, ...]]:
    """Live tasks born at or before each cut.  A chunk that contains no cut is counted by its length."""
    counts = [0] * (len(cuts) + 1)
    for chunk in list(record.chunks):
        references = list(chunk.values())
        if not references:
            continue
        first, last = _slot(references[0], cuts), _slot(references[-1], cuts)
        if first is not None and first == last:
            counts[first] += len(references)
        else:
            for reference in references:
                slot = _slot(reference, cuts)
                if slot is not None:
                    counts[slot] += 1
        if spent():
            yield
    return tuple(itertools.accumulate(counts[:-1]))


def _slot(reference: Any, cuts: Sequence[float]) -> int | None:
    task = reference()
    if task is None:
        return None
    birth = futures.birth_of(task)
    return 0 if birth is None else bisect_left(cuts, birth)


def _ends(record: SiteRecord) -> Iterator[Any]:
    """Weak references to the oldest and newest tasks, each once."""
    chunks = list(record.chunks)
    oldest = list(itertools.islice(_forward(chunks), SAMPLE))
    taken = {id(reference) for reference in oldest}
    yield from oldest
    for reference in itertools.islice(_backward(chunks), SAMPLE):
        if id(reference) in taken:
            return
        yield reference


def _is_younger(task: object, moment: float | None) -> bool:
    birth = futures.birth_of(task)
    return moment is not None and birth is not None and birth > moment


def _forward(chunks: list[Chunk]) -> Iterator[Any]:
    for chunk in chunks:
        yield from list(chunk.values())


def _backward(chunks: list[Chunk]) -> Iterator[Any]:
    for chunk in reversed(chunks):
        yield from reversed(list(chunk.values()))


class _Tally:
    """Sums up what the tasks of a site have in common.  ``raced``: see ``races.starts_a_race``."""

    def __init__(self, *, raced: bool) -> None:
        self.raced = raced
        self.sampled = 0
        self.foreign = False  # trio keeps them, in a nursery that waits for each
        self.creators: set[int] = set()
        self.flags: dict[str, int] = dict.fromkeys(FLAGS, 0)
        self.shared = Shared()
        self.groups: dict[str, ParkedTally] = {}
        self.examples: list[int] = []
        self.descriptors: list[model.Descriptor] = []
        self.provable: list[OwnRef] = []

    def add(self, task: object, *, held: int) -> list[object]:
        """Inspects one task, ``held`` by so many; returns its coroutines, outermost first."""
        chain, lineage = task_facts.coroutines(task), futures.lineage_of(task)
        unheld = type(task) is not StandIn and (held <= 0 or held <= references_of_exits(task, chain))
        self.sampled += 1
        self.foreign = self.foreign or type(task) is StandIn
        orphan = lineage is not None and not lineage.live
        if orphan and lineage is not None:
            self.creators.add(lineage.serial)
        ends = task_facts.is_awaited(task), task_facts.is_cancelling(task)
        place = task_facts.place_of_task(task)
        frames = stacks.await_chain(futures.coroutine(task))
        where = stacks.parked(task, frames)
        tries = retries.tries_of(frames, place)
        left = (self.raced and (orphan or unheld)) or races.is_left_by_gather(task)
        for name, holds in (
            ("unheld", unheld),
            ("orphans", orphan),
            ("rootless", lineage is None),
            ("awaited", ends[0]),
            ("cancelling", ends[1]),
            ("left", left and not any(ends)),
            ("looping", place is not None and place.comes_back),
            ("conditional", place is not None and place.leaves),
            ("limited", tries.limited),
            ("retrying", tries.endless and where is not None and where.wait == "sleep"),
            ("cycles", task_facts.in_cycle(task)),
        ):
            self.flags[name] += holds
        if where is not None:
            self.groups.setdefault(parked_key(where), ParkedTally(where)).add(task, where.remaining)
            if (
                where.wait in proofs.PROVABLE
                and type(task) is not StandIn
                and len(self.provable) < proofs.MOST
            ):
                self.provable.append(OwnRef(task))
        self.shared.add_waited(task, chain, where.wait if where is not None else "unknown", cancelled=ends[1])
        if len(self.examples) < MAX_EXAMPLES:
            self.examples.append(futures.serial_of(task) or 0)
            if where is not None and where.descriptor is not None:
                self.descriptors.append(where.descriptor)
        return chain

    def facts(
        self,
        site: int,
        live: int,
        alive: tuple[int, ...],
        cuts: Sequence[float],
        marks: tuple[model.Mark, ...],
        reach: model.Reach | None,
        older: model.Older | None,
        keeper: model.Keeper | None,
        holder: model.ParkedGroup | None,
        setter: model.Frame | None,
        taker: str,
    ) -> model.SiteFacts:
        groups = sorted(
            (tally.parked(key) for key, tally in self.groups.items()), key=lambda each: -each.live
        )
        return model.SiteFacts(
            site,
            clock.monotonic(),
            live,
            alive,
            self.sampled,
            cuts=tuple(cuts),
            marks=marks,
            bound=self.shared.owners(MAX_OBJECTS),
            owners=len(self.shared.bound),
            waits=self.shared.things(MAX_OBJECTS),
            things=len(self.shared.waits),
            holder=holder,
            setter=setter,
            taker=taker,
            groups=tuple(groups[:MAX_GROUPS]),
            examples=tuple(self.examples),
            descriptors=tuple(self.descriptors),
            reach=reach,
            older=older,
            keeper=keeper,
            creators=len(self.creators),
            **self.flags,
        )
