"""Counts of one site over time, in fixed memory.

A ``Track`` keeps at most ``LENGTH`` bins.  A *recent* track drops the oldest; a *whole* one halves its
resolution when full, so it always spans its whole life.
"""

from __future__ import annotations

from array import array
from typing import NamedTuple

LENGTH = 150
"""Bins kept.  Even, since a full track merges pairs; 150 bins take about 7 kB per site."""

RECENT = 2.0
"""Seconds per bin of a recent track, which spans the last 5 minutes however long the watch."""

SLACK = 16
"""Bins that a recent track keeps beyond that, so that it need not drop one for each it adds."""


class Bin(NamedTuple):
    """From ``time`` until the next bin: lowest, highest and last live count, and the totals at its end.

    A tuple, as it is made a third faster than a frozen dataclass: each judgement makes hundreds.
    """

    time: float
    low: int
    high: int
    live: int
    born: int
    ended: int


class Track:
    """The bins of one site, added in time order, with gaps where nothing changed."""

    __slots__ = ("_born", "_ended", "_high", "_index", "_live", "_low", "origin", "recent", "width")

    def __init__(self, origin: float, width: float, *, recent: bool) -> None:
        self.origin = origin
        self.width = width
        self.recent = recent
        self._index = array("q")
        self._low = array("q")
        self._high = array("q")
        self._live = array("q")
        self._born = array("q")
        self._ended = array("q")

    def add(self, time: float, live: int, born: int, ended: int) -> None:
        """Adds the counts in force from ``time`` on."""
        index = int((time - self.origin) / self.width)
        if self._index and index <= self._index[-1]:
            if live < self._low[-1]:
                self._low[-1] = live
            elif live > self._high[-1]:
                self._high[-1] = live
            self._live[-1], self._born[-1], self._ended[-1] = live, born, ended
            return
        self._index.append(index)
        self._low.append(live)
        self._high.append(live)
        self._live.append(live)
        self._born.append(born)
        self._ended.append(ended)
        if not self.recent:
            if index - self._index[0] >= LENGTH:
                self._span(index)
        elif index - self._index[0] >= LENGTH + SLACK:
            self._forget(index - LENGTH)

    @property
    def gain(self) -> int:
        """A cheap estimate of the kept gain: the minimum of the last third less that of the first."""
        third = len(self._low) // 3
        if third < 2:
            return self._low[-1] - min(self._low) if self._low else 0
        return min(self._low[-third:]) - min(self._low[:third])

    @property
    def births(self) -> int:
        """Births that it spans."""
        return self._born[-1] - self._born[0] if self._born else 0

    def shift(self, count: int) -> None:
        """Corrects the past by ``count`` tasks later attributed to this site (negative: to another)."""
        for column in (self._low, self._high, self._live, self._born):
            for row, value in enumerate(column):
                column[row] = max(0, value + count)

    def bins(self, now: float) -> list[Bin]:
        """Every bin up to ``now``, gaps filled with the values in force."""
        if not self._index:
            return []
        if not self.recent:
            self._span(int((now - self.origin) / self.width))
        last = max(int((now - self.origin) / self.width), self._index[-1])
        first = max(self._index[0], last - LENGTH + 1) if self.recent else self._index[0]
        origin, width = self.origin, self.width
        filled: list[Bin] = []
        rows = zip(*self._columns(), strict=True)
        until = (*self._index[1:], last + 1)
        for (index, low, high, live, born, ended), end in zip(rows, until, strict=True):
            if index >= first:
                filled.append(Bin(origin + index * width, low, high, live, born, ended))
            if index + 1 < end:
                gaps = range(max(index + 1, first), end)
                filled += [Bin(origin + gap * width, live, live, live, born, ended) for gap in gaps]
        return filled

    def _span(self, index: int) -> None:
        """Halves the resolution until ``index`` fits; more than once if a foreign clock jumps."""
        while index - self._index[0] >= LENGTH:
            self._halve()
            index //= 2

    def _columns(self) -> tuple[array[int], ...]:
        return self._index, self._low, self._high, self._live, self._born, self._ended

    def _forget(self, index: int) -> None:
        """Drops bins before ``index`` except the last, which is in force until the next."""
        gone = 0
        while gone + 1 < len(self._index) and self._index[gone + 1] <= index:
            gone += 1
        if gone:
            for column in self._columns():
                del column[:gone]

    def _halve(self) -> None:
        old = list(zip(*self._columns(), strict=True))
        for column in self._columns():
            del column[:]
        self.width *= 2
        for index, low, high, live, born, ended in old:
            half = index // 2
            if self._index and self._index[-1] == half:
                self._low[-1] = min(self._low[-1], low)
                self._high[-1] = max(self._high[-1], high)
                self._live[-1], self._born[-1], self._ended[-1] = live, born, ended
            else:
                values = (half, low, high, live, born, ended)
                for column, value in zip(self._columns(), values, strict=True):
                    column.append(value)
