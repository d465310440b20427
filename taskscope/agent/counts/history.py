"""The past, in fixed memory: fine near now, coarser as it ages, up to 48 hours.

Kept from the agent's first second, so that a chart is full when somebody attaches hours later.
"""

from __future__ import annotations

import math
from array import array
from typing import TYPE_CHECKING

from taskscope import model

if TYPE_CHECKING:
    from collections.abc import Sequence

PROCESS_TIERS = ((1.0, 600), (10.0, 2160), (60.0, 2880))
"""(seconds between points, points): 10 minutes, 6 hours, 48 hours.  About 400 KB in all."""

SITE_TIERS = ((1.0, 600), (30.0, 240), (600.0, 288))
"""The same for each site: 10 minutes, 2 hours, 48 hours; 12 bytes a point, only where it changed."""

MAX_SITES = 1_000
"""Sites whose past is kept; at most about 14 MB, if every one changes every second."""

_COLUMNS = ("tasks", "born", "ended", "threads", "fds", "rss", "cpu", "loop_latency")
_SPARE = 64
"""Points beyond its size that a tier may hold before the oldest are cut off in one go."""


class _Tier:
    """Points at least ``period`` seconds apart, in one array for each column."""

    def __init__(self, period: float, size: int) -> None:
        self.period = period
        self.size = size
        self.times = array("d")
        self.columns = [array("d") for _ in _COLUMNS]
        self.worst = math.nan

    def add(self, time: float, values: Sequence[float]) -> None:
        latency = values[-1]
        if not self.worst >= latency:  # also when it is NaN
            self.worst = latency
        # A tenth of slack: a tick that comes a moment early must not be left out.
        if self.times and time - self.times[-1] < self.period * 0.9:
            return
        self.times.append(time)
        for column, value in zip(self.columns, values, strict=True):
            column.append(value)
        self.columns[-1][-1] = self.worst
        self.worst = math.nan
        if len(self.times) > self.size + _SPARE:
            cut = len(self.times) - self.size
            for column in (self.times, *self.columns):
                del column[:cut]


class ProcessHistory:
    """Counts and gauges of the whole process.  Latency keeps the worst of each step, the others the last."""

    def __init__(self) -> None:
        self._tiers = [_Tier(period, size) for period, size in PROCESS_TIERS]

    def add(self, sample: model.Sample) -> None:
        values = (
            sample.tasks.live,
            sample.tasks.born,
            sample.tasks.ended,
            sample.threads,
            _number(sample.fds),
            _number(sample.rss),
            _number(sample.cpu),
            _number(sample.loop_latency),
        )
        for tier in self._tiers:
            tier.add(sample.monotonic, values)

    def read(self, since: float) -> model.History:
        """All points after ``since``, oldest first: each tier up to where the next finer one begins."""
        times: list[float] = []
        columns: list[list[float | None]] = [[] for _ in _COLUMNS]
        begin = since
        for index in range(len(self._tiers) - 1, -1, -1):
            tier = self._tiers[index]
            finer = self._tiers[index - 1].times if index else None
            end = finer[0] if finer else math.inf
            for row, time in enumerate(tier.times):
                if begin <= time < end:
                    times.append(time)
                    for target, column in zip(columns, tier.columns, strict=True):
                        value = column[row]
                        target.append(None if math.isnan(value) else value)
        return model.History(tuple(times), *(tuple(column) for column in columns))

    @property
    def nbytes(self) -> int:
        return sum(
            column.itemsize * len(column) for tier in self._tiers for column in (tier.times, *tier.columns)
        )


class _SiteTier:
    """Tenths of seconds since the origin, live, born: a point only where something changed."""

    __slots__ = ("born", "live", "period", "size", "times")

    def __init__(self, period: float, size: int) -> None:
        self.period = int(period * 10)
        self.size = size
        self.times = array("I")
        self.live = array("I")
        self.born = array("I")

    def add(self, time: int, live: int, born: int) -> bool:
        """Whether the tier now ends with these values."""
        if self.times:
            if self.live[-1] == live and self.born[-1] == born:
                return True
            if time - self.times[-1] < self.period * 0.9:
                return False
        self.times.append(time)
        self.live.append(live)
        self.born.append(born)
        if len(self.times) > self.size + _SPARE:
            cut = len(self.times) - self.size
            del self.times[:cut], self.live[:cut], self.born[:cut]
        return True


class SiteHistories:
    """The past of each site."""

    def __init__(self, origin: float) -> None:
        self._origin = origin
        self._sites: dict[int, list[_SiteTier]] = {}
        self.unsettled: set[int] = set()
        self.refused: set[int] = set()

    def add(self, site: int, time: float, live: int, born: int) -> None:
        """Notes a tick of a site that has changed, or that a coarser tier does not know (``unsettled``)."""
        tiers = self._sites.get(site)
        if tiers is None:
            if len(self._sites) >= MAX_SITES:
                self.refused.add(site)
                return
            tiers = self._sites[site] = [_SiteTier(period, size) for period, size in SITE_TIERS]
        tick = int((time - self._origin) * 10)
        settled = [tier.add(tick, min(live, 2**32 - 1), born & (2**32 - 1)) for tier in tiers]
        if all(settled):
            self.unsettled.discard(site)
        else:
            self.unsettled.add(site)

    def read(self, site: int, since: float) -> model.SiteHistory:
        """Points after ``since``, and the last one before it, so that its value is known."""
        times: list[float] = []
        live: list[int] = []
        born: list[int] = []
        tiers = self._sites.get(site, [])
        for index in range(len(tiers) - 1, -1, -1):
            tier = tiers[index]
            # A finer tier that has forgotten its beginning starts later than this one.
            finer = tiers[index - 1].times if index else None
            end = finer[0] if finer else None
            for tick, alive, births in zip(tier.times, tier.live, tier.born, strict=True):
                if end is None or tick < end:
                    times.append(self._origin + tick / 10)
                    live.append(alive)
                    born.append(births)
        first = 0
        while first + 1 < len(times) and times[first + 1] <= since:
            first += 1
        ended = tuple(b - alive for alive, b in zip(live, born, strict=True))
        return model.SiteHistory(
            site, tuple(times[first:]), tuple(live[first:]), tuple(born[first:]), ended[first:]
        )

    @property
    def nbytes(self) -> int:
        return sum(12 * len(tier.times) for tiers in self._sites.values() for tier in tiers)


def _number(value: float | None) -> float:
    return math.nan if value is None else value
