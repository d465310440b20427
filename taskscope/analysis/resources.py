"""Descriptors, memory and threads: how fast they grow, with which sites, and when they run out."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from taskscope.analysis import growth
from taskscope.analysis.onset import Onset
from taskscope.analysis.track import Track
from taskscope.model import Projection
from taskscope.model.vocabulary import RESOURCES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from taskscope.analysis.track import Bin
    from taskscope.model import History, Process, Sample
    from taskscope.model.vocabulary import Resource

HORIZON = 90 * 86400.0
"""Seconds beyond which no straight-line forecast holds."""

POINTS = 24
"""Intervals of the common time span at which two series are compared."""

FULL = 0.95
"""Share of a limit at which it counts as reached: the last few come and go."""

PARTS = 4
"""Parts of the common time span; in each, both series must gain in proportion."""

TOGETHER = 0.75
"""Correlation from which two series move together."""

NOISE = {"fds": 3, "rss": 1 << 20, "threads": 2}
"""Smaller gains are noise: allocators and pools fluctuate."""


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


class Resources:
    """The series of one target's resources, in fixed memory."""

    def __init__(self, since: float, interval: float, process: Process) -> None:
        self._tracks = {name: Track(since, interval, recent=False) for name in RESOURCES}
        self._process = process
        self._exhausted: dict[str, Exhausted] = {}
        self._fed = False

    def past(self, history: History) -> None:
        """Adds history from before we connected; call it before ``feed``."""
        for name in RESOURCES:
            for time, value in zip(history.times, getattr(history, name), strict=True):
                self._add(name, time, value)

    def feed(self, sample: Sample) -> None:
        """Adds the next sample."""
        self._process = sample.process or self._process
        for name in RESOURCES:
            self._add(name, sample.monotonic, getattr(sample, name))
            self._compare(name, sample.monotonic, getattr(sample, name))
        self._fed = True

    @property
    def exhausted(self) -> tuple[Exhausted, ...]:
        """Resources at their limit as of the last sample."""
        return tuple(self._exhausted.values())

    def percent(self, name: Resource, now: float) -> float | None:
        """Growth of a resource since the start, in percent; None if unknown."""
        return growth.percent([bin.live for bin in self._tracks[name].bins(now)] or [0])

    def rate(self, name: Resource, now: float) -> growth.Slope | None:
        """Growth per minute; None unless it grows, keeps its gains and still grows."""
        reading = growth.measure(self._tracks[name].bins(now), now)
        if reading is None or reading.gained <= NOISE[name] or reading.latest <= 0 or reading.rises < 3:
            return None
        return reading.slope if reading.slope.low > 0 else None

    def projections(self, now: float, sites: Mapping[int, Sequence[Bin]]) -> tuple[Projection, ...]:
        """When each growing resource reaches its limit, soonest first.  ``sites``: the growing ones."""
        found = []
        for name in RESOURCES:
            limit, rate = self._limit(name), self.rate(name, now)
            if limit is None or rate is None:
                continue
            bins = self._tracks[name].bins(now)
            left = max(0.0, float(limit - bins[-1].live))
            seconds = left / rate.rate * 60
            if seconds > HORIZON:
                continue
            found.append(
                Projection(
                    name,
                    now=bins[-1].live,
                    limit=limit,
                    rate_per_min=rate.rate,
                    seconds=seconds,
                    earliest=left / rate.high * 60,
                    latest=left / rate.low * 60,
                    sites=tuple(each.site for each in self.movements(name, now, sites)),
                    limit_by=self._limit_by(name),
                )
            )
        return tuple(sorted(found, key=lambda each: each.seconds))

    def movements(
        self, name: Resource, now: float, sites: Mapping[int, Sequence[Bin]]
    ) -> tuple[Movement, ...]:
        """Sites that move with a resource, closest match first; none if it does not grow."""
        if self.rate(name, now) is None:
            return ()
        bins = self._tracks[name].bins(now)
        found = [
            Movement(site, name, likeness, each)
            for site, theirs in sites.items()
            if (likeness := moves_together(bins, theirs)) >= TOGETHER
            and (each := _ratio(bins, theirs)) is not None
        ]
        return tuple(sorted(found, key=lambda movement: -movement.likeness))

    def _compare(self, name: Resource, time: float, used: int | None) -> None:
        limit = self._limit(name)
        if used is None or not limit or used < FULL * limit:
            self._exhausted.pop(name, None)
            return
        before = self._exhausted.get(name)
        since = Onset(time, at_least=not self._fed) if before is None else before.since
        self._exhausted[name] = Exhausted(name, used, limit, since, self._limit_by(name))

    def _limit_by(self, name: Resource) -> str:
        return self._process.thread_limit_by if name == "threads" else ""

    def _limit(self, name: Resource) -> int | None:
        process = self._process
        return {"fds": process.fd_limit, "rss": process.memory_limit, "threads": process.thread_limit}[name]

    def _add(self, name: Resource, time: float, value: float | None) -> None:
        if value is not None:
            self._tracks[name].add(time, int(value), 0, 0)


def moves_together(one: Sequence[Bin], other: Sequence[Bin]) -> float:
    """How closely two series move together over their common time span, at most 1.

    Any two growing series correlate, so both must also gain in proportion in each part of the span.  The
    result is the smaller of the two scores.
    """
    begin, end = max(one[0].time, other[0].time), min(one[-1].time, other[-1].time)
    if end - begin < 10:
        return 0.0
    moments = [begin + (end - begin) * i / POINTS for i in range(POINTS + 1)]
    first, second = _at(one, moments), _at(other, moments)
    levels = correlation(first, second)
    gained, gained_other = first[-1] - first[0], second[-1] - second[0]
    if levels is None or gained <= 0 or gained_other <= 0:
        return 0.0
    step = POINTS // PARTS
    misfit = sum(
        abs((first[i + step] - first[i]) - (second[i + step] - second[i]) * gained / gained_other)
        for i in range(0, POINTS, step)
    )
    return min(levels, 1 - misfit / gained)


def correlation(one: Sequence[float], other: Sequence[float]) -> float | None:
    """Pearson's correlation; None if either series is constant."""
    mean_one, mean_other = sum(one) / len(one), sum(other) / len(other)
    spread_one = sum((value - mean_one) ** 2 for value in one)
    spread_other = sum((value - mean_other) ** 2 for value in other)
    if spread_one <= 1e-9 or spread_other <= 1e-9:
        return None
    both = sum((a - mean_one) * (b - mean_other) for a, b in zip(one, other, strict=True))
    return both / math.sqrt(spread_one * spread_other)


def _at(bins: Sequence[Bin], moments: Sequence[float]) -> list[float]:
    """The value in force at each moment."""
    values, index = [], 0
    for moment in moments:
        while index + 1 < len(bins) and bins[index + 1].time <= moment:
            index += 1
        values.append(float(bins[index].live))
    return values


def _ratio(resource: Sequence[Bin], site: Sequence[Bin]) -> float | None:
    begin, end = max(resource[0].time, site[0].time), min(resource[-1].time, site[-1].time)
    first, second = _at(resource, [begin, end]), _at(site, [begin, end])
    gained = second[1] - second[0]
    return (first[1] - first[0]) / gained if gained > 0 else None
