"""What one target shows as metrics.

Counters are the agent's own totals, so they go on where they were when the exporter restarts; those of
stalls begin with us.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import TYPE_CHECKING

from taskscope.analysis.patterns.limits import FAR
from taskscope.export.openmetrics import Family, Point
from taskscope.export.site_series import OTHER, SiteSeries
from taskscope.model import LATENCY_BOUNDS, requests
from taskscope.model.state import TargetState
from taskscope.model.vocabulary import LEVELS, OUTCOMES, RESOURCES
from taskscope.sources.base import NotAvailable, Observed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from taskscope.analysis.judge import Judge
    from taskscope.analysis.resources import Climb
    from taskscope.export.openmetrics import Labels
    from taskscope.model import Finding, Hello, LatencyCounts, Sample, Stall
    from taskscope.model.vocabulary import Resource
    from taskscope.sources.base import Source

QUIET = 5.0
"""Seconds without a sample after which a target is not up."""

CLIMBS_EVERY = 10.0
"""Seconds between two forecasts."""

UP = Family(
    "up", "gauge", "Whether the target is observed (1), or has ended, hangs or cannot be reached (0)."
)
TARGET = Family("target", "info", "What is observed, and the command that shows it.")
TASKS = Family("tasks", "gauge", "Live asyncio tasks.")
LIVE = Family("site_live", "gauge", "Live tasks or threads by the line that creates them.")
BORN = Family("site_born", "counter", "Tasks or threads created by that line.")
ENDED = Family("site_ended", "counter", "Tasks or threads of that line that have ended, by outcome.")
OLDEST = Family("site_oldest_age_seconds", "gauge", "Age of the oldest live one of that line.", "seconds")
SITES = Family("other_sites", "gauge", "Lines that share the series of other.")
THREADS = Family("threads", "gauge", "Threads of the process.")
THREADS_LIMIT = Family("threads_limit", "gauge", "Threads that it may have.")
FDS = Family("open_fds", "gauge", "Open file descriptors.")
FDS_LIMIT = Family("fds_limit", "gauge", "File descriptors that it may open.")
MEMORY = Family("resident_memory_bytes", "gauge", "Resident memory.", "bytes")
MEMORY_LIMIT = Family("memory_limit_bytes", "gauge", "Memory that it may use.", "bytes")
LATENCY = Family(
    "loop_latency_seconds",
    "histogram",
    "How late event loops run callbacks; each loop is looked at five times a second.",
    "seconds",
)
STALLS = Family("stalls", "counter", "Times that an event loop did not run for a quarter of a second.")
STALLED = Family("stalled_seconds", "counter", "Seconds in such times.", "seconds")
FINDINGS = Family("findings", "gauge", "Current findings by level.")
TO_LIMIT = Family(
    "limit_projected_seconds",
    "gauge",
    "Seconds until the resource runs out if it climbs on; +Inf if it does not climb.",
    "seconds",
)

_USE: dict[Resource, tuple[Family, Family]] = {
    "fds": (FDS, FDS_LIMIT),
    "rss": (MEMORY, MEMORY_LIMIT),
    "threads": (THREADS, THREADS_LIMIT),
}
RESOURCE_LABEL: dict[Resource, str] = {"fds": "fds", "rss": "memory", "threads": "threads"}


class Exposition:
    """One target's metrics, over all its restarts.  ``name``: what it is called before it was ever seen."""

    def __init__(self, name: str = "") -> None:
        self._name = name
        self._source: Source | None = None  # while it is connected, and judged once
        self._state = TargetState()
        self._sites = SiteSeries()
        self._findings: Sequence[Finding] = ()
        self._climbs: Sequence[Climb] = ()
        self._next_climbs = 0.0
        self._latencies: LatencyCounts | None = None
        self._stalls = _Stalls()

    # -- a looker (see `sources.following`) ----------------------------------------------------

    def begin(self, hello: Hello) -> None:
        if not self._state.begin(hello):
            self._sites, self._stalls = SiteSeries(), _Stalls()
            self._findings, self._climbs, self._latencies, self._next_climbs = (), (), None, 0.0

    def apply(self, sample: Sample) -> None:
        change = self._state.apply(sample)
        self._sites.take(change, self._state.sites)

    def recall(self, past: object) -> None:
        """Whoever stores metrics has the past."""

    async def look(self, source: Source, findings: tuple[Finding, ...], judge: Judge) -> None:
        self._findings, self._source = findings, source
        if self._state.now >= self._next_climbs:
            self._next_climbs = self._state.now + CLIMBS_EVERY
            self._climbs = await asyncio.to_thread(judge.climbs)
        with contextlib.suppress(NotAvailable):
            self._stalls.take(await source.ask(requests.Stalls()))
        with contextlib.suppress(NotAvailable):
            self._latencies = await source.ask(requests.Latencies())

    async def end(self) -> None:
        self._source = None

    @property
    def is_up(self) -> bool:
        """Whether what it shows is of now."""
        source = self._source
        if not isinstance(source, Observed):
            return source is not None
        silence = source.silence()
        return silence is None or silence.seconds < QUIET

    # -- the metrics ---------------------------------------------------------------------------

    def points(self) -> Iterator[Point]:
        """All values now; of a target that is gone or says nothing, only that."""
        is_up = self.is_up
        hello = self._state.hello
        process = hello.process if hello is not None else None
        host = process.host if process is not None else socket.gethostname()
        name = process.name if process is not None else self._name
        pid = str(process.pid) if process is not None else ""
        labels = (("host", host), ("name", name), ("pid", pid))
        yield Point(UP, labels, float(is_up))
        if process is None or self._state.sample is None or not is_up:
            return
        about = (*labels, ("python", process.python), ("attach", f"taskscope attach {pid}"))
        yield Point(TARGET, about, 1)
        yield from self._of_process(labels, self._state.sample)
        yield from self._of_sites(labels)
        yield from self._of_loops(labels)
        for level in LEVELS:
            found = sum(each.level == level for each in self._findings)
            yield Point(FINDINGS, (*labels, ("level", level)), found)

    def _of_process(self, labels: Labels, sample: Sample) -> Iterator[Point]:
        assert self._state.hello is not None
        yield Point(TASKS, labels, sample.tasks.live)
        ahead = {each.resource: each for each in self._climbs if each.sustained}
        for resource in RESOURCES:
            use, limit = _USE[resource]
            used, most = getattr(sample, resource), self._state.hello.process.limit(resource)
            if used is not None:
                yield Point(use, labels, used)
            if most is not None:
                yield Point(limit, labels, most)
                seconds = _seconds_left(ahead.get(resource), sample.monotonic)
                yield Point(TO_LIMIT, (*labels, ("resource", RESOURCE_LABEL[resource])), seconds)

    def _of_sites(self, labels: Labels) -> Iterator[Point]:
        now = self._state.now
        for each in self._sites.rows():
            own = (*labels, ("kind", each.kind), ("site", each.site), ("coroutine", each.coroutine))
            yield Point(LIVE, own, each.live)
            yield Point(BORN, own, each.born)
            for outcome in OUTCOMES:
                yield Point(ENDED, (*own, ("outcome", outcome)), each.ended[outcome])
            if each.site != OTHER:
                yield Point(OLDEST, own, max(0.0, now - each.oldest) if each.oldest is not None else 0)
        yield Point(SITES, labels, self._sites.others)

    def _of_loops(self, labels: Labels) -> Iterator[Point]:
        yield Point(STALLS, labels, self._stalls.number)
        yield Point(STALLED, labels, self._stalls.seconds)
        found = self._latencies
        if found is None or len(found.counts) != len(LATENCY_BOUNDS) + 1:
            return
        total = 0
        for bound, count in zip((*LATENCY_BOUNDS, float("inf")), found.counts, strict=True):
            total += count
            le = "+Inf" if bound == float("inf") else str(float(bound))
            yield Point(LATENCY, (*labels, ("le", le)), total, "_bucket")
        yield Point(LATENCY, labels, total, "_count")
        yield Point(LATENCY, labels, found.total, "_sum")


class _Stalls:
    """Counts the stalls that end while we look."""

    def __init__(self) -> None:
        self.number, self.seconds = 0, 0.0
        self._known: set[tuple[int, float]] | None = None

    def take(self, stalls: Sequence[Stall]) -> None:
        over = {(each.loop, each.began): each.duration for each in stalls if each.over}
        if self._known is not None:
            fresh = over.keys() - self._known
            self.number += len(fresh)
            self.seconds += sum(over[key] for key in fresh)
        self._known = set(over)


def _seconds_left(climb: Climb | None, now: float) -> float:
    """A trend is taken no further ahead than `FAR` says."""
    ahead = climb.projection if climb is not None else None
    if climb is None or ahead is None or ahead.seconds > FAR * (now - climb.since.since):
        return float("inf")
    return ahead.seconds
