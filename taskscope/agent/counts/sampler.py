"""One sample per tick: site counters and process gauges, without walking the tasks.

The cost grows with the number of changed sites.  The only walk, the sweep, looks for tasks that are done but
still referenced; it is bounded to ``SWEEP`` tasks per second.
"""

from __future__ import annotations

import sys
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from taskscope import model
from taskscope.agent.counts.history import SiteHistories
from taskscope.agent.counts.joined import summed
from taskscope.agent.counts.process import Meter
from taskscope.agent.counts.site_record import ENDED_A_SITE, ForeignRef, site_counts
from taskscope.agent.inspect.futures import is_done
from taskscope.agent.inspect.walk import spent
from taskscope.model.series import ProcessSeries
from taskscope.system import clock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from taskscope.agent.counts.loops import LoopWatch
    from taskscope.agent.counts.registry import Registry
    from taskscope.agent.counts.site_record import Chunk, SiteRecord
    from taskscope.agent.hooks.threads import ThreadHooks
    from taskscope.agent.inspect.walk import Job

SWEEP = 20_000
"""Tasks swept per second: about 2 ms.  Beyond this number they take turns."""

PER_CHUNK = 5
"""What a chunk costs to sweep besides its tasks, in tasks: thousands of sites have one or two in theirs."""

SWEEP_ALONE = 4_000
"""Likewise while no client is attached."""

COMPARED = 100
"""Sites compared at a time, before the clock is read: 30 µs."""

PER_TASK = 5 * 8 + sys.getsizeof(1.5) + sys.getsizeof(1 << 20) + 72 + 104
"""Our bytes per live task: slots, birth, serial, weak reference, dictionary entry (with slack)."""

PER_SITE = 3_000
"""Our bytes per site besides its history: record, frames, sampled stacks."""


class Sampler:
    """Makes samples and keeps the history."""

    def __init__(self, registry: Registry, threads: ThreadHooks, watch: LoopWatch) -> None:
        self._registry = registry
        self._threads = threads
        self._watch = watch
        self.meter = Meter()
        self._seq = 0
        self._last: model.Sample | None = None
        self._cpu: tuple[float, float, float] | None = None  # at, of the process, of our thread
        self._unswept: list[Chunk] = []  # of this round
        self._totals = [0] * 6  # as the first six of `_state`, over all task sites
        self.history = ProcessSeries()
        self.sites = SiteHistories(clock.monotonic())
        self.disarmed: list[str] = []

    def sample(self, interval: float, *, watched: bool = True) -> Job[model.Sample]:
        """The next sample, with what changed.  An unchanged site costs one comparison."""
        yield from self._sweep(interval, SWEEP if watched else SWEEP_ALONE)
        now, arriving = clock.monotonic(), self._registry.arriving
        self._registry.joined.catch_up()
        births = self._threads.count()
        changed: list[model.SiteCounts] = []
        fresh: list[model.Site] = []
        for record in self._changed():
            if record is None:
                yield
                continue
            state, before = _state(record), record.published
            if before is None or before[-1] is not state[-1]:
                fresh.append(record.site)
            if record.site.kind == "task":
                self._note(record, before or _UNPUBLISHED, state)
            record.published = state
            counts = self._counts(record, births)
            changed.append(counts)
            self.sites.add(
                record.id,
                now,
                counts.counts.live,
                counts.counts.born,
                counts.adopted,
                self._registry.joined.older,
            )
        tasks = self._counts_of(self._totals)
        sample = self._assemble(now, interval, tasks, tuple(fresh), tuple(changed), arriving=arriving)
        self.history.add(sample)
        self._last = sample
        return sample

    def past(self, site: int, since: float) -> model.SiteHistory:
        """The past of a site, with that of older tasks which are counted there now."""
        past = self.sites.read(site, since)
        for older in self._registry.joined.older(site):
            past = summed(past, self.sites.read(older, since))
        return past

    def _changed(self) -> Iterator[SiteRecord | None]:
        """The sites that have changed since they were last published; None wherever a pause is due."""
        records = list(self._registry.by_id.values())
        for start in range(0, len(records), COMPARED):
            some = records[start : start + COMPARED]
            for record in [each for each in some if _state(each) != each.published]:
                yield record
                if spent():
                    yield None
            if spent():
                yield None

    def _note(self, record: SiteRecord, before: tuple[Any, ...], state: tuple[Any, ...]) -> None:
        """Updates the totals with a changed site."""
        record.drop_empty_chunks()
        record.keep = ENDED_A_SITE
        changes = zip(self._totals, before, state, strict=False)
        self._totals = [total - then + now for total, then, now in changes]

    @staticmethod
    def _counts_of(totals: list[int]) -> model.Counts:
        born, *ended = totals
        return model.Counts(max(0, born - sum(ended)), born, *ended)

    def full(self, interval: float) -> Job[model.Sample]:
        """A full sample for a new subscriber; gauges are from the last tick."""
        if self._last is None:
            yield from self.sample(interval)
        last = self._last
        assert last is not None
        now, wall, arriving = clock.monotonic(), clock.wall(), self._registry.arriving
        births = self._threads.count()
        counts: list[model.SiteCounts] = []
        sites: list[model.Site] = []
        totals = [0] * len(self._totals)
        for record in list(self._registry.by_id.values()):
            if self._registry.joined.of(record) is not record:
                continue
            sites.append(record.site)
            if record.site.kind == "task":
                totals = [known + more for known, more in zip(totals, _state(record), strict=False)]
            counts.append(self._counts(record, births))
            if spent():
                yield
        return model.Sample(
            last.seq,
            now,
            wall,
            last.interval,
            self._counts_of(totals),
            last.threads,
            last.fds,
            last.rss,
            last.cpu,
            last.loop_latency,
            last.agent_cpu,
            last.agent_memory,
            True,
            tuple(sites),
            tuple(counts),
            last.dropped,
            last.disarmed,
            arriving=arriving,
        )

    def _counts(self, record: SiteRecord, births: dict[int, list[float | None]]) -> model.SiteCounts:
        if record.site.kind == "task":
            return site_counts(record)
        known = sorted(birth for birth in births.get(record.id, ()) if birth is not None)
        oldest = known[0] if known else None
        median = known[len(known) // 2] if known else None
        return model.SiteCounts(record.id, record.counts(), oldest, median, record.adopted)

    def _assemble(
        self,
        now: float,
        interval: float,
        tasks: model.Counts,
        fresh: tuple[model.Site, ...],
        changed: tuple[model.SiteCounts, ...],
        *,
        arriving: bool,
    ) -> model.Sample:
        usage = self.meter.read()
        own = clock.thread_time()
        cpu = agent_cpu = None
        if self._cpu is not None:
            at, process, thread = self._cpu
            elapsed = max(now - at, 1e-9)
            agent_cpu = max(0.0, own - thread) / elapsed
            cpu = None if usage.cpu is None else max(0.0, usage.cpu - process) / elapsed
        self._cpu = (now, usage.cpu or 0.0, own)
        self._seq += 1
        dropped = dict(self._registry.dropped)
        if self.sites.refused:
            dropped["histories of sites"] = len(self.sites.refused)
        return model.Sample(
            seq=self._seq,
            monotonic=now,
            wall=clock.wall(),
            interval=interval,
            tasks=tasks,
            threads=usage.threads if usage.threads is not None else len(sys._current_frames()),
            fds=usage.fds,
            rss=usage.rss,
            cpu=cpu,
            loop_latency=self._watch.latency(),
            agent_cpu=agent_cpu,
            agent_memory=self._memory(tasks.live),
            new_sites=fresh,
            sites=changed,
            dropped=dropped,
            disarmed=tuple(self.disarmed),
            arriving=arriving,
        )

    def _memory(self, live: int) -> int:
        """An estimate of our memory, from the sizes of what we keep."""
        kept = len(self._registry.by_id) * PER_SITE + live * PER_TASK
        return kept + self.history.nbytes + self.sites.nbytes

    def _sweep(self, interval: float, rate: int) -> Job[None]:
        """Settles tasks that are done but still referenced, in rounds over all chunks; one at most."""
        budget = int(rate * min(interval, 5.0))
        begun = False
        while budget > 0:
            if not self._unswept:
                if begun:
                    break
                begun = True
                yield from self._begin_round()
                continue
            chunk = self._unswept.pop()
            references = chunk.references()
            budget -= len(references) + PER_CHUNK
            for serial, reference in references.items():
                task = reference()
                if task is not None and is_done(task) and chunk.pop(serial, None) is not None:
                    chunk.site.retained += 1
                    if type(reference) is ForeignRef:
                        chunk.site.kept[serial] = reference
                    self._registry.settle(task, chunk)
                del task
            if spent():
                yield

    def _begin_round(self) -> Job[None]:
        records = self._registry.task_records()
        for start in range(0, len(records), COMPARED):
            some = records[start : start + COMPARED]
            self._unswept += [chunk for record in some for chunk in list(record.chunks) if chunk]
            if spent():
                yield


_state: Callable[[SiteRecord], tuple[Any, ...]] = attrgetter(
    "born", "finished", "failed", "cancelled", "lost", "unseen", "retained", "site"
)
"""What can change in what a sample reports about a site; totals sum the first six."""

_UNPUBLISHED = (0,) * 6
