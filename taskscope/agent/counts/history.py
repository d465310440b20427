"""The past of each site, kept from the agent's first second in memory that does not grow."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from typing import TYPE_CHECKING

from taskscope import model
from taskscope.model.series import LONGEST, Series

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

TICKS = 10
"""Moments are kept in tenths of seconds, as whole numbers of four bytes."""

SITE_TIERS = ((600 * TICKS, TICKS), (7200 * TICKS, 30 * TICKS), (LONGEST * TICKS, 600 * TICKS))
"""10 minutes by the second, 2 hours, 48 hours; 12 bytes a point, and points only where something changed."""

MAX_SITES = 1_000
"""Sites whose past is kept; at most about 14 MB, if every one changes every second."""

_MOST = 2**32 - 1


class SiteHistories:
    """The past of each site: live and born."""

    def __init__(self, origin: float) -> None:
        self._origin = origin
        self._sites: dict[int, Series] = {}
        self._adopted: dict[int, int] = {}
        self._found: dict[int, int] = {}
        self.nbytes = 0
        self.refused: set[int] = set()

    def add(
        self,
        site: int,
        time: float,
        live: int,
        born: int,
        adopted: int = 0,
        older: Callable[[int], Iterable[int]] = lambda _: (),
    ) -> None:
        """Notes the counts of a site that has changed.

        ``adopted``: how many of its tasks are older than the agent.  They were there all the time, however
        late they are found: their coming is not growth, also for who asks later.  Those that came from an
        ``older`` site, which is counted under this one now, are in the past of that one.  Costs a walk over
        the site's points whenever more are found.
        """
        if adopted != self._adopted.get(site, 0):
            self._adopted[site] = adopted
            found = adopted - sum(self._found.get(each, 0) for each in older(site))
            if (moved := found - self._found.get(site, 0)) > 0:
                self._found[site] = found
                self._shift(site, moved)
        series = self._sites.get(site)
        if series is None:
            if len(self._sites) >= MAX_SITES:
                self.refused.add(site)
                return
            series = self._sites[site] = Series(2, SITE_TIERS, code="I")
        values = min(live, _MOST), born & _MOST
        lives, births = series.columns
        if not lives or (lives[-1], births[-1]) != values:
            before = series.nbytes
            series.append(int((time - self._origin) * TICKS), values)
            self.nbytes += series.nbytes - before

    def _shift(self, site: int, count: int) -> None:
        """Corrects the past by so many tasks that were there."""
        series = self._sites.get(site)
        if series is not None:
            for column in series.columns:
                column[:] = array(column.typecode, [min(int(each) + count, _MOST) for each in column])

    def read(self, site: int, since: float) -> model.SiteHistory:
        """Points after ``since``, and the last one before it, so that its value is known."""
        series = self._sites.get(site)
        if series is None:
            return model.SiteHistory(site, (), (), (), ())
        first = max(0, bisect_right(series.times, (since - self._origin) * TICKS) - 1)
        live, born = (tuple(map(int, column[first:])) for column in series.columns)
        times = tuple(self._origin + tick / TICKS for tick in series.times[first:])
        ended = tuple(b - alive for alive, b in zip(live, born, strict=True))
        return model.SiteHistory(site, times, live, born, ended)
