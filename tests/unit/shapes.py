"""Histories of leaking and healthy services, built from the lives of single tasks.

A *shape* yields (birth, end) of each task of one site, end None: never.  ``samples`` turns the lives of
several sites into the samples that an agent would send.
"""

from __future__ import annotations

import bisect
import heapq
import math
import random
from typing import TYPE_CHECKING

from taskscope.model import Counts, Frame, Hello, Process, Sample, Site, SiteCounts, SiteFacts

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from taskscope.model.vocabulary import SiteKind

    Life = tuple[float, float | None]

PROCESS = Process(1, "svc", "3.11.7", "CPython", "/usr/bin/python", ("svc.py",), "host", "me", "/", 1000.0)


def hello(uptime: float = 0.0) -> Hello:
    """Of an agent that arrives ``uptime`` seconds after the process started."""
    return Hello(1, "0", PROCESS, 1.0, False, uptime, uptime, 1000.0 + uptime)


def site(id: int, kind: SiteKind = "task") -> Site:
    frame = Frame("/app/service.py", 100 + id, "run")
    return Site(id, kind, frame, frame, f"work_{id}")


class Lives:
    """The lives of one site's tasks, able to say what an agent would.  Asked in order of time."""

    def __init__(self, lives: Sequence[Life]) -> None:
        self.coming = sorted(lives, key=lambda life: life[0], reverse=True)
        self.ending: list[tuple[float, float]] = []
        self.births: list[float] = []
        self.born = 0

    def counts(self, id: int, now: float) -> SiteCounts:
        living = self.living(now)
        oldest = living[0] if living else None
        median = living[len(living) // 2] if living else None
        ended = self.born - len(living)
        return SiteCounts(id, Counts(len(living), self.born, ended), oldest, median)

    def living(self, now: float) -> list[float]:
        """Births of those that live at ``now``, oldest first."""
        while self.coming and self.coming[-1][0] <= now:
            birth, end = self.coming.pop()
            self.born += 1
            self.births.append(birth)
            if end is not None:
                heapq.heappush(self.ending, (end, birth))
        while self.ending and self.ending[0][0] <= now:
            del self.births[bisect.bisect_left(self.births, heapq.heappop(self.ending)[1])]
        return self.births

    def facts(self, id: int, now: float, cuts: Sequence[float]) -> SiteFacts:
        living = self.living(now)
        alive = tuple(bisect.bisect_right(living, cut) for cut in cuts)
        return SiteFacts(id, now, len(living), alive, cuts=tuple(cuts))


def samples(sites: Sequence[Lives], start: float, seconds: float) -> Iterator[Sample]:
    """One sample a second, with what changed since the one before."""
    last: dict[int, Counts] = {}
    for tick in range(int(seconds) + 1):
        now = start + tick
        changed = [
            counts
            for id, lives in enumerate(sites)
            if (counts := lives.counts(id, now)).counts != last.get(id, Counts())
        ]
        last.update((counts.site, counts.counts) for counts in changed)
        total = Counts(sum(counts.live for counts in last.values()))
        new = tuple(site(id) for id in range(len(sites))) if tick == 0 else ()
        yield Sample(tick, now, 1000.0 + now, 1.0, total, 1, 10, 1 << 20, 0.1, 0.001, 0.0, 1 << 20,
                     tick == 0, new, tuple(changed))  # fmt: skip


def arrivals(random: random.Random, rate: float, until: float, start: float = 0.0) -> Iterator[float]:
    """Moments of a Poisson process of ``rate`` a second."""
    now = start
    while (now := now + random.expovariate(rate)) < until:
        yield now


def churn(rate: float, life: float, until: float, *, seed: int = 0, start: float = 0.0) -> list[Life]:
    """Requests or connections: they come at random and stay a random while."""
    dice = random.Random(seed)
    return [(birth, birth + dice.expovariate(1 / life)) for birth in arrivals(dice, rate, until, start)]


def steady(rate: float, until: float, *, start: float = 0.0, life: float | None = None) -> list[Life]:
    """One each 1/rate seconds that never ends (or after ``life``)."""
    count = math.ceil((until - start) * rate)
    births = [start + (i + 0.5) / rate for i in range(count)]
    return [(birth, None if life is None else birth + life) for birth in births]


def steps(size: int, period: float, until: float, *, start: float = 0.0, seed: int = 0) -> list[Life]:
    """``size`` at once on events that come at random, about each ``period`` seconds; none ends."""
    dice = random.Random(seed)
    lives: list[Life] = []
    now = start + period / 2
    while now < until:
        lives += [(now + i * 0.01, None) for i in range(size)]
        now += period * dice.uniform(0.6, 1.4)
    return lives


def pool(size: int, *, start: float = 0.5, over: float = 0.1) -> list[Life]:
    """Workers from start-up."""
    return [(start + over * i / size, None) for i in range(size)]


def sawtooth(size: int, period: float, drain: float, until: float) -> list[Life]:
    """A burst each period that drains evenly."""
    bursts = int(until / period) + 1
    return [
        (k * period + 1, k * period + 1 + drain * (i + 1) / size) for k in range(bursts) for i in range(size)
    ]


def ramp(size: int, period: float, climb: float, until: float) -> list[Life]:
    """Gathers ``size`` one by one over ``climb`` seconds, then lets all go at once: batching."""
    batches = int(until / period) + 1
    return [
        (k * period + climb * i / size, k * period + climb + 0.1) for k in range(batches) for i in range(size)
    ]


def warm_up(size: int, tau: float, *, seed: int = 0) -> list[Life]:
    """Fills up fast, then ever slower, and keeps what it has."""
    dice = random.Random(seed)
    return [(dice.expovariate(1 / tau), None) for _ in range(size)]


def daily(low: float, high: float, life: float, day: float, until: float, *, seed: int = 0) -> list[Life]:
    """Connections whose arrivals follow the hour of a (short) day."""
    dice = random.Random(seed)
    lives: list[Life] = []
    for birth in arrivals(dice, high, until):
        rate = low + (high - low) * (1 - math.cos(2 * math.pi * birth / day)) / 2
        if dice.random() < rate / high:
            lives.append((birth, birth + dice.expovariate(1 / life)))
    return lives
