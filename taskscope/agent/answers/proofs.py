"""Whether anything can wake a site's tasks: determined for a few of them, and cached for a while."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from taskscope import model
from taskscope.agent.answers.uses import Uses
from taskscope.agent.hooks.threads import note_of
from taskscope.agent.inspect import beyond_reach, futures, keepers, stacks, stuck
from taskscope.agent.inspect.island import OwnRef
from taskscope.agent.inspect.looking import attribute, is_a, owner_of
from taskscope.agent.inspect.threads import ident_of, known_threads
from taskscope.agent.inspect.walk import live_tasks, spent
from taskscope.system import clock

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Sequence

    from taskscope.agent.counts.site_record import SiteRecord
    from taskscope.agent.inspect.walk import Job
    from taskscope.model.vocabulary import Wait

PROVABLE: frozenset[Wait] = frozenset(
    (
        "future",
        "event",
        "queue.get",
        "queue.put",
        "condition",
        "lock",
        "semaphore",
        "barrier",
        "task",
        "gather",
    )
)
"""Waits that may never end.  Time, the kernel or a thread ends the others."""

MOST = 20
"""Tasks inspected per site."""

KEEP, SHARE = 10.0, 500
"""An answer is reused for this many seconds, and for this multiple of its cost."""

MAX_KNOWN = 100
"""Answers kept, most recently used."""

MAX_NAMES = 3
"""Names told of what may wake the tasks of a site, most frequent first."""

MAX_OTHERS, OF_EACH = 200, 50
"""Tasks of other sites from which references are searched for: in all, and per site."""


class _Known(NamedTuple):
    until: float
    cost: float
    found: Any
    monotonic: float


class Proofs:
    """Keeps no reference to any object of the program.

    If a task said to be stuck ends all the same, no task of its site is called stuck again.
    """

    def __init__(self, loops: Callable[[], list[tuple[int, Any]]], uses: Uses | None = None) -> None:
        self._loops = loops
        self._uses = uses or Uses()
        self._known: dict[tuple[str, Hashable], _Known] = {}
        self._said: dict[int, Sequence[OwnRef]] = {}
        self._refuted: set[int] = set()

    def of_site(
        self, record: SiteRecord, tasks: Sequence[OwnRef], records: Iterable[SiteRecord]
    ) -> Job[model.Reach | None]:
        """Whether these tasks of a site can be woken; None if there are none.  ``records``: all sites."""
        if not tasks:
            return None
        if any(_has_ended(each) for each in self._said.get(record.id, ())):
            self._refuted.add(record.id)
        work = partial(self._wakings, tasks, record, records)
        known = yield from self._ask(("site", record.id), work)
        found: list[stuck.Waking] = list(known.found.values())
        proven = () if record.id in self._refuted else _stuck(tasks, known.found)
        self._said[record.id] = proven
        names = Counter(each.by for each in found if each.by)
        return model.Reach(
            known.monotonic,
            round(known.cost, 6),
            len(known.found),
            len(proven),
            sum(each.fate == "lost" for each in found),
            sum(each.fate == "endless" for each in found),
            tuple(name for name, _ in names.most_common(MAX_NAMES)),
            sum(each.timed for each in found),
        )

    def of_threads(self, record: SiteRecord, idents: Sequence[int]) -> Job[model.Reach | None]:
        """Whether these threads of a site can be woken, as far as that is certain; None if there are none."""
        if not idents:
            return None
        if any(not _runs(each) for each in self._said.get(record.id, ())):
            self._refuted.add(record.id)
        known = yield from self._ask(("threads", record.id), partial(_stuck_threads, idents[:MOST]))
        proven = () if record.id in self._refuted else known.found
        self._said[record.id] = proven
        return model.Reach(
            known.monotonic, round(known.cost, 6), len(idents[:MOST]), len(proven), 0, 0, (), 0
        )

    def dropped(self, record: SiteRecord, idents: Sequence[int]) -> Job[int]:
        """How many of these threads of a site nobody else has; all, if so many as were looked at."""
        looked_at = idents[:MOST]
        known = yield from self._ask(("dropped", record.id), partial(_dropped_threads, looked_at))
        found: int = known.found
        return len(idents) if found >= len(looked_at) else found

    def of_task(self, serial: int, task: OwnRef, records: Iterable[SiteRecord]) -> Job[stuck.Waking | None]:
        """Whether one task can be woken; None if it has moved on."""
        chunk = futures.chunk_of(task())
        work = partial(self._wakings, [task], chunk.site if chunk else None, records)
        known = yield from self._ask(("task", serial), work)
        found: stuck.Waking | None = known.found.get(serial)
        return found

    def keeper(self, record: SiteRecord, records: Iterable[SiteRecord]) -> Job[model.Keeper | None]:
        """What keeps the tasks or threads of a site, searched for from the tasks of the other ``records``."""
        known = yield from self._ask(("keeper", record.id), partial(self._keeper, record, records))
        found: model.Keeper | None = known.found
        return found

    def keeper_of(
        self, key: tuple[str, Hashable], is_wanted: Callable[[object], bool], records: Iterable[SiteRecord]
    ) -> Job[model.Keeper | None]:
        """What keeps other things of one kind; ``key`` tells them apart from all else that is asked."""
        known = yield from self._ask(key, partial(self._sought, is_wanted, None, records))
        found: model.Keeper | None = known.found
        return found

    def _wakings(
        self, tasks: Sequence[OwnRef], record: SiteRecord | None, records: Iterable[SiteRecord]
    ) -> Job[dict[int, stuck.Waking]]:
        """The answers, once it is known whether the program looks into what keeps the tasks."""
        others = yield from others_than(record, records)
        found = yield from stuck.wakings(tasks, self._living(), others)
        for serial, each in found.items():
            unread = bool(each.kept_in)
            for place in each.kept_in:
                unread = unread and (yield from self._uses.is_only_filled(place))
            if unread:
                found[serial] = stuck.Waking(each.otherwise)
        return found

    def _keeper(self, record: SiteRecord, records: Iterable[SiteRecord]) -> Job[model.Keeper | None]:
        if record.site.kind == "thread":
            is_wanted = partial(_is_thread_of, record, _workers(record))
        else:
            is_wanted = partial(_is_task_of, record)
        return (yield from self._sought(is_wanted, record, records))

    def _sought(
        self, is_wanted: Callable[[object], bool], record: SiteRecord | None, records: Iterable[SiteRecord]
    ) -> Job[model.Keeper | None]:
        others = yield from others_than(record, records)
        outside = [each for each in self._living() if not is_wanted(each)]
        found = yield from keepers.keeper_of(is_wanted, others, outside)
        if found is None:
            return None
        unread = yield from self._uses.is_only_filled(found.place)
        return replace(found.keeper, unread=unread, filled=self._uses.filled_at(found.place))

    def _living(self) -> list[object]:
        return [loop for _, loop in self._loops()]

    def _ask(self, key: tuple[str, Hashable], work: Callable[[], Job[Any]]) -> Job[_Known]:
        known = self._known.pop(key, None)
        if known is None or clock.monotonic() > known.until:
            begun = clock.thread_time()
            found = yield from work()
            cost = clock.thread_time() - begun
            now = clock.monotonic()
            known = _Known(now + max(KEEP, SHARE * cost), cost, found, now)
        self._known[key] = known
        while len(self._known) > MAX_KNOWN:
            del self._known[next(iter(self._known))]
        return known


def _stuck(tasks: Sequence[OwnRef], found: dict[int, stuck.Waking]) -> Sequence[OwnRef]:
    """The tasks that nothing can wake."""
    fates = {serial: each.fate for serial, each in found.items()}
    return [each for each in tasks if fates.get(futures.serial_of(each()) or 0) == "stuck"]


def _is_task_of(record: SiteRecord, thing: object) -> bool:
    chunk = futures.chunk_of(thing) if futures.is_task(thing) else None
    return chunk is not None and chunk.site is record


def _is_thread_of(record: SiteRecord, workers: frozenset[int], thing: object) -> bool:
    """Whether it is a thread of a site, or what one works for: ``workers``, valid while the threads run."""
    note = note_of(thing) if is_a(thing, threading.Thread) else None
    return id(thing) in workers or (note is not None and note.record is record)


def _workers(record: SiteRecord) -> frozenset[int]:
    """The objects whose methods the threads of a site run."""
    ours = (each for each in known_threads() if (note := note_of(each)) is not None and note.record is record)
    owners = (owner_of(attribute(each, "_target")) for each in ours)
    return frozenset(id(each) for each in owners if each is not None)


def _stuck_threads(idents: Sequence[int]) -> Job[Sequence[OwnRef]]:
    """The threads that nothing can wake."""
    references = [OwnRef(each) for each in known_threads() if ident_of(each) in idents]
    found = []
    for reference in references:
        ident = ident_of(reference()) or 0
        yield from beyond_reach.prepare(stacks.current_frames().get(ident))
        yield
        if beyond_reach.is_stuck(reference, stacks.current_frames().get(ident)):
            found.append(reference)
        yield
    return found


def _dropped_threads(idents: Sequence[int]) -> Job[int]:
    """How many threads nobody else refers to."""
    references = [OwnRef(each) for each in known_threads() if ident_of(each) in idents]
    found = 0
    for reference in references:
        found += beyond_reach.is_dropped(reference, stacks.current_frames().get(ident_of(reference()) or 0))
        yield
    return found


def _runs(reference: OwnRef) -> bool:
    thread = reference()
    return thread is not None and any(each is thread for each in known_threads())


def _has_ended(reference: OwnRef) -> bool:
    task = reference()
    return task is None or futures.is_done(task)


def others_than(record: SiteRecord | None, records: Iterable[SiteRecord]) -> Job[list[OwnRef]]:
    """The oldest tasks of each other site; there may be 10,000 sites without any."""
    others: list[OwnRef] = []
    for each in records:
        if each is not record:
            others += [OwnRef(task) for task in islice(live_tasks([each]), OF_EACH) if task is not None]
        if len(others) >= MAX_OTHERS:
            break
        if spent():
            yield
    return others[:MAX_OTHERS]
