"""Descriptors, memory and threads: how fast they climb, with which sites, and when they run out."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Protocol, TypeVar

from taskscope.analysis import growth
from taskscope.analysis.busier import CpuTrack
from taskscope.analysis.likeness import Moving, moves_together, moving
from taskscope.analysis.onset import BEGINNING, Onset, onset
from taskscope.analysis.strength import Strength
from taskscope.analysis.track import LENGTH, RECENT, Track
from taskscope.analysis.verdict import judge
from taskscope.model import Projection
from taskscope.model.vocabulary import RESOURCES
from taskscope.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from taskscope.analysis.growth import Growth
    from taskscope.analysis.track import Bin
    from taskscope.model import Finding, History, Process, Sample
    from taskscope.model.vocabulary import Reading, Resource

K = TypeVar("K")

HORIZON = 90 * 86400.0
"""Seconds beyond which no straight-line forecast holds."""

FULL = 0.95
"""Share of a limit at which it counts as reached: the last few come and go."""

TOGETHER = 0.75
"""Likeness from which two series move together."""

APART = 0.5
"""Likeness up to which they do not; between the two, nothing is said."""

NOISE = {"fds": 3, "rss": 1 << 20, "threads": 2}
"""Smaller gains are noise: allocators and pools fluctuate."""

TENTH, DOUBLED = 0.1, 1.0
"""Least gain that is worth an own finding, as a share of the value it started from: after the warm-up, or
else."""

WARM_UP = 600.0
"""Seconds after its start in which a process may grow into its size: caches fill, the allocator too keeps
what a first burst took."""

SUSTAINED = 20.0
"""Seconds of growth from which a climb may be mentioned, long before it is a finding."""


@dataclass(frozen=True, slots=True)
class Exhausted:
    """A resource that is (almost) used up."""

    resource: Resource
    used: int
    limit: int
    since: Onset
    limit_by: str = ""


@dataclass(frozen=True, slots=True)
class Movement:
    """A site whose live count moves with a resource: ``each`` per task, correlation ``likeness``."""

    site: int
    resource: Resource
    likeness: float
    each: float


@dataclass(frozen=True, slots=True)
class Climb:
    """A resource that grows, keeps its gains and still grows; ``slope`` per minute.

    ``movements``: the sites that move with it, closest match first.  ``sustained``: it has climbed long
    enough to be mentioned.  ``unexplained``: it has climbed as long as a leak must, and neither a site nor
    all tasks or threads together move with it.
    """

    resource: Resource
    used: int
    gained: int
    slope: growth.Slope
    since: Onset
    movements: tuple[Movement, ...]
    projection: Projection | None
    sustained: bool
    unexplained: bool


class Tracked(Protocol):
    """What has a count over its whole life, and a finer one over the last minutes."""

    @property
    def whole(self) -> Track: ...
    @property
    def recent(self) -> Track: ...


@dataclass(frozen=True, slots=True)
class _Tracks:
    whole: Track
    recent: Track

    def add(self, time: float, value: float | None) -> None:
        if value is not None:
            self.whole.add(time, int(value), 0, 0)
            self.recent.add(time, int(value), 0, 0)


class Resources:
    """The series of one target's resources, in fixed memory.

    ``since``: of the series; ``started``: of the process, in the same monotonic seconds.
    """

    def __init__(self, since: float, started: float, interval: float, process: Process) -> None:
        self._since, self._started = since, started
        self._interval = interval
        self._tracks = {
            name: _Tracks(
                Track(since, interval, recent=False), Track(since, max(RECENT, interval), recent=True)
            )
            for name in (*RESOURCES, "tasks")
        }
        self._process = process
        self.cpu = CpuTrack()
        self._exhausted: dict[str, Exhausted] = {}
        self._fed = False

    def past(self, history: History) -> None:
        """Adds history from before we connected; call it before ``feed``."""
        for name, tracks in self._tracks.items():
            for time, value in zip(history.times, getattr(history, name), strict=True):
                tracks.add(time, value)
        for point in zip(history.times, history.cpu, history.tasks, history.born, strict=True):
            self.cpu.add(*point)

    def feed(self, sample: Sample) -> None:
        """Adds the next sample."""
        self._process = sample.process or self._process
        for name in RESOURCES:
            self._tracks[name].add(sample.monotonic, getattr(sample, name))
            self._compare(name, sample.monotonic, getattr(sample, name))
        self._tracks["tasks"].add(sample.monotonic, sample.tasks.live)
        self.cpu.add(sample.monotonic, sample.cpu, sample.tasks.live, sample.tasks.born)
        self._fed = True

    @property
    def exhausted(self) -> tuple[Exhausted, ...]:
        """Resources at their limit as of the last sample."""
        return tuple(self._exhausted.values())

    def percent(self, name: Resource, now: float) -> float | None:
        """Growth of a resource since the start, in percent; None if unknown."""
        return growth.percent([bin.live for bin in self._tracks[name].whole.bins(now)] or [0])

    def levels(self, now: float) -> Iterator[list[Bin]]:
        """The counts that load makes climb: descriptors, threads and all tasks."""
        return (self._tracks[name].whole.bins(now) for name in ("fds", "threads", "tasks"))

    def climbs(self, now: float, sites: Mapping[int, Tracked]) -> tuple[Climb, ...]:
        """The resources that climb.  ``sites``: the growing ones."""
        moving_sites = cache(lambda recent: _moving(sites, now, recent=recent))  # 0.2 ms for each site
        climbs = (self._climb(name, now, moving_sites) for name in RESOURCES)
        return tuple(climb for climb in climbs if climb is not None)

    def _climb(
        self, name: Resource, now: float, moving_sites: Callable[[bool], Mapping[int, Moving]]
    ) -> Climb | None:
        mine = self._tracks[name]
        whole = mine.whole.bins(now)
        begun = growth.measure(whole, now)
        if begun is None:
            return None
        bins, reading = whole, begun
        if now - self._since > RECENT * LENGTH:
            fine = mine.recent.bins(now)
            late = growth.measure(fine, now)
            highest = max((bin.high for bin in whole if bin.time < fine[0].time), default=0)
            if late is not None and _grows(late, name) and late.live > highest:  # nearer to the present rate
                bins, reading = fine, late
        if not _grows(reading, name):
            return None
        recent = bins is not whole
        own, others = moving(bins), moving_sites(recent)
        movements = tuple(_movements(name, own, others))
        return Climb(
            name,
            used=bins[-1].live,
            gained=reading.gained,
            slope=reading.slope,
            since=self._onset(
                reading, [bin for bin in whole if bin.time >= begun.begun], mine.recent.bins(now)
            ),
            movements=movements,
            projection=self._projection(name, bins[-1].live, reading.slope, movements),
            sustained=reading.last - reading.since >= SUSTAINED and self._level(reading) != "flat",
            unexplained=not movements
            and self._lasts(reading, bins)
            and all(
                moves_together(own, other)[0] < APART
                for other in (*others.values(), *self._totals(name, now, recent=recent))
            ),
        )

    def _lasts(self, reading: Growth, bins: Sequence[Bin]) -> bool:
        """Whether it has climbed by enough, and for as long as the least suspect tasks must grow to leak."""
        warm = growth.kept([bin.low for bin in bins if bin.time >= self._started + WARM_UP])
        enough = reading.gained >= DOUBLED * reading.start or (
            bool(warm) and warm[-1] - warm[0] >= max(1, TENTH * warm[0])
        )
        return enough and self._level(reading) == "leak"

    def _level(self, reading: Growth) -> Reading:
        """The verdict as on the least suspect tasks."""
        uptime = reading.begun - self._started
        return judge(reading, None, Strength.UNLIKELY, uptime=uptime, record=True).level

    def _totals(self, name: Resource, now: float, *, recent: bool) -> Iterable[Moving]:
        """What else could explain a climb: all tasks together, all threads."""
        totals = {each: self._tracks[each] for each in ("tasks", "threads") if each != name}
        return _moving(totals, now, recent=recent).values()

    def _onset(self, reading: Growth, whole: Sequence[Bin], recent: Sequence[Bin]) -> Onset:
        seen_begin = self._since - self._started <= BEGINNING
        return onset(reading, whole, recent, seen_begin=seen_begin)

    def _projection(
        self, name: Resource, used: int, slope: growth.Slope, movements: Sequence[Movement]
    ) -> Projection | None:
        limit = self._process.limit(name)
        if limit is None:
            return None
        left = max(0.0, float(limit - used))
        seconds = left / slope.rate * 60
        if seconds > HORIZON:
            return None
        return Projection(
            name,
            now=used,
            limit=limit,
            rate_per_min=slope.rate,
            seconds=seconds,
            earliest=left / slope.high * 60,
            latest=left / slope.low * 60,
            sites=tuple(each.site for each in movements),
            limit_by=self._limit_by(name),
        )

    def _compare(self, name: Resource, time: float, used: int | None) -> None:
        limit = self._process.limit(name)
        if used is None or not limit or used < FULL * limit:
            self._exhausted.pop(name, None)
            return
        before = self._exhausted.get(name)
        since = Onset(time, at_least=not self._fed) if before is None else before.since
        self._exhausted[name] = Exhausted(name, used, limit, since, self._limit_by(name))

    def _limit_by(self, name: Resource) -> str:
        return self._process.thread_limit_by if name == "threads" else ""


def with_resources(finding: Finding, climbs: Iterable[Climb], told: Iterable[Finding] = ()) -> Finding:
    """``finding`` with the resources that climb with its site, and the one that runs out first.

    What several of those ``told`` move with grows once, for all of them: their shares add up to it.
    """
    alike = {finding.id, *(each.id for each in told if each.kind == finding.kind)}
    moves, ahead = {}, []
    for climb in climbs:
        together = [each.each for each in climb.movements if each.site in alike and each.each > 0]
        for each in climb.movements:
            if each.site == finding.id:
                share = 1 / sum(1 / one for one in together) if len(together) > 1 else each.each
                moves[each.resource] = {"correlation": round(each.likeness, 2), "each": round(share, 3)}
                if len(together) > 1:
                    moves[each.resource]["others"] = len(together) - 1
                ahead += [climb.projection] if climb.projection is not None else []
    evidence = {**finding.evidence, "moves": moves} if moves else finding.evidence
    end = finding.evidence.get("levels_off_in", math.inf)
    ahead = [each for each in ahead if each.seconds < end]  # growth that ends sooner uses nothing up
    projection = min(ahead, key=lambda each: each.seconds, default=None)
    return replace(finding, evidence=evidence, projection=projection)


def _grows(reading: Growth, name: Resource) -> bool:
    if reading.gained <= NOISE[name] or reading.latest <= 0 or reading.rises < 3:
        return False
    return reading.slope.low > 0


def _moving(tracked: Mapping[K, Tracked], now: float, *, recent: bool) -> dict[K, Moving]:
    series = {key: (each.recent if recent else each.whole).bins(now) for key, each in tracked.items()}
    return {key: moving(bins) for key, bins in series.items() if bins}


def _movements(name: Resource, own: Moving, sites: Mapping[int, Moving]) -> list[Movement]:
    """The sites that move with a resource, closest match first."""
    found = []
    for site, theirs in sites.items():
        likeness, each = moves_together(own, theirs)
        if likeness >= TOGETHER:
            found.append(Movement(site, name, likeness, each))
    return sorted(found, key=lambda movement: -movement.likeness)
