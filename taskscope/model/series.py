"""Series of numbers over time in bounded memory, thinned as they age.

The agent keeps them from its first second, so that charts are full when somebody attaches hours later; the
client continues from there with the same class.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left, bisect_right
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from taskscope.model.sites import History

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Literal

    from taskscope.model.sites import Sample

LONGEST = 48 * 3600.0
"""Seconds of history kept."""

PROCESS_TIERS = ((620.0, 1.0), (6 * 3600.0, 10.0), (LONGEST, 60.0))
"""For the process: 10 minutes by the second (as charted), 6 hours, 48 hours; 380 kB in all."""

HISTORY = History.__slots__[1:]
"""Columns of a process's series."""

SLOPE_WINDOW = 60.0
"""Seconds over which a rate per minute is measured."""

SETTLES = 5.0
"""Seconds of the agent's life that are no growth: what is there is only being counted, or starts up."""

RATED = ("tasks", "threads", "fds", "rss")
"""Of which columns a rate is shown."""

_SLOPE_POINTS = 13  # every 5 s of a minute: on the grid of samples by the second
_SLOPE_LEAST = 5.0


class Series:
    """Columns of numbers over time; a value holds until the next point.

    ``tiers`` are ``(age, step)``, finest first, in the unit of the times: up to that age the last point of
    each step is kept; beyond the last tier only the one still in force there.  The column ``peak`` keeps the
    highest value of each step instead.  ``code`` is the type of the arrays.  Memory is bounded by the sum of
    age / step, and `SLACK`.
    """

    __slots__ = ("_limit", "_peak", "_settled", "_thinned", "_tiers", "columns", "times")

    SLACK = 64
    """Points added before aged ones are thinned in one go: about 50 µs."""

    def __init__(
        self,
        columns: int,
        tiers: Sequence[tuple[float, float]],
        settled: float = -math.inf,
        *,
        code: Literal["d", "I"] = "d",
        peak: int | None = None,
    ) -> None:
        """Slopes look back no further than ``settled``: a start-up is not growth."""
        empty: array[Any] = array(code)  # typed as floats: whole numbers are floats, too
        self.times: array[float] = empty
        self.columns: tuple[array[float], ...] = tuple(empty[:] for _ in range(columns))
        self._tiers = tiers
        self._settled = settled
        self._peak = peak
        self._limit = self.SLACK
        self._thinned = -math.inf

    def append(self, time: float, values: Sequence[float]) -> None:
        """Adds a point; NaN is unknown.  A point closer than the finest step replaces the last one.

        A point older than the last is dropped: concurrent samples may finish in any order.
        """
        times = self.times
        if times and time < times[-1]:
            return
        # 10 % of slack: a tick that comes slightly early is a point of its own.
        if len(times) > 1 and time - times[-2] < self._tiers[0][1] * 0.9:
            times[-1] = time
            peak = None if self._peak is None else self.columns[self._peak][-1]
            for column, value in zip(self.columns, values, strict=True):
                column[-1] = value
            if peak is not None:
                self._raise(len(times) - 1, peak)
            return
        times.append(time)
        for column, value in zip(self.columns, values, strict=True):
            column.append(value)
        if len(times) > self._limit:
            self._thin(time)

    def clear(self) -> None:
        """Drops all points."""
        for column in (self.times, *self.columns):
            del column[:]
        self._limit, self._thinned = self.SLACK, -math.inf

    def load(self, times: Sequence[float], columns: Sequence[Sequence[float]]) -> None:
        """Replaces the points with recorded ones, keeping those that are newer."""
        keep = bisect_right(self.times, times[-1]) if times else 0
        for column, older in zip((self.times, *self.columns), (times, *columns), strict=True):
            column[:keep] = array(column.typecode, older)
        self._thinned = -math.inf
        if self.times:
            self._thin(self.times[-1])

    def _thin(self, now: float) -> None:
        """Thins only what has moved into a coarser tier since last time, so that the cost does not grow."""
        gone = bisect_right(self.times, now - self._tiers[-1][0]) - 1
        if gone > 0:
            for column in (self.times, *self.columns):
                del column[:gone]
        for (age, _), (_, step) in pairwise(self._tiers):
            self._coarsen(self._thinned - age, now - age, step)
        self._thinned = now
        self._limit = len(self.times) + self.SLACK

    def _coarsen(self, begin: float, end: float, step: float) -> None:
        """Keeps the last point of each step between ``begin`` and ``end``; steps lie on a fixed grid."""
        times = self.times
        first = max(0, bisect_right(times, begin) - 1)  # its step may have continued
        last = bisect_right(times, end)
        keep: list[int] = []
        later = None
        for index in range(last - 1, first - 1, -1):
            if (of := times[index] // step) != later:
                keep.append(index)
                later = of
            elif self._peak is not None:
                self._raise(keep[-1], self.columns[self._peak][index])
        if len(keep) < last - first:
            keep.reverse()
            for column in (times, *self.columns):
                column[first:last] = array(column.typecode, [column[index] for index in keep])

    def _raise(self, index: int, value: float) -> None:
        assert self._peak is not None
        column = self.columns[self._peak]
        if not column[index] >= value:  # also when it is NaN
            column[index] = value

    @property
    def nbytes(self) -> int:
        """Bytes of its points."""
        return len(self.times) * self.times.itemsize * (1 + len(self.columns))

    def at(self, time: float, column: int = 0) -> float | None:
        """The value in force at ``time``; None before the first point."""
        index = bisect_right(self.times, time) - 1
        return None if index < 0 else self.columns[column][index]

    def nearest(self, time: float) -> float | None:
        """The moment of the point nearest to ``time``; None if there is none."""
        times = self.times
        index = bisect_right(times, time)
        if index == len(times) or (index and time - times[index - 1] <= times[index] - time):
            index -= 1
        return times[index] if times else None

    def since(self, start: float, column: int = 0) -> tuple[array[float], array[float]]:
        """Times and values from ``start`` on."""
        index = bisect_right(self.times, start)
        return self.times[index:], self.columns[column][index:]

    def resample(self, start: float, end: float, points: int, column: int = 0) -> list[float | None]:
        """Values in force at the ends of ``points`` equal slices of ``start`` to ``end``."""
        step = (end - start) / points
        return [self.at(start + step * (index + 1), column) for index in range(points)]

    def slope(self, now: float, column: int = 0, window: float = SLOPE_WINDOW) -> float | None:
        """Change per minute over the last ``window`` seconds; None while there is too little data.

        Compares the median of the last third with that of the first third: a single spike or dip moves
        neither, and it costs microseconds where a full robust fit costs milliseconds.
        """
        if not self.times:
            return None
        start = max(now - window, self.times[0], self._settled)
        if now - start < _SLOPE_LEAST:
            return None
        if self.times[-1] <= start:
            return 0.0  # nothing changed for that long
        within = self.columns[column][max(0, bisect_right(self.times, start) - 1) :]
        if min(within) == max(within):
            return 0.0
        step = (now - start) / (_SLOPE_POINTS - 1)
        third = _SLOPE_POINTS // 3
        first = _median([self.at(start + step * index, column) for index in range(third)])
        last = _median([self.at(now - step * index, column) for index in range(third)])
        if first is None or last is None:
            return None
        return (last - first) / (step * (_SLOPE_POINTS - third)) * 60


def _median(values: Iterable[float | None]) -> float | None:
    known = sorted(value for value in values if value is not None and value == value)  # noqa: PLR0124 (not NaN)
    if not known:
        return None
    half = len(known) // 2
    return known[half] if len(known) % 2 else (known[half - 1] + known[half]) / 2


class ProcessSeries(Series):
    """The process as a whole; its columns are `HISTORY`.  Each step keeps its worst latency."""

    __slots__ = ()

    def __init__(self, settled: float = -math.inf) -> None:
        super().__init__(len(HISTORY), PROCESS_TIERS, settled, peak=HISTORY.index("loop_latency"))

    def add(self, sample: Sample) -> None:
        """Adds a point."""
        tasks = sample.tasks
        gauges = (sample.threads, sample.fds, sample.rss, sample.cpu, sample.loop_latency)
        self.append(sample.monotonic, (tasks.live, tasks.born, tasks.ended, *map(_number, gauges)))

    def read(self, since: float) -> History:
        """All points from ``since`` on, oldest first."""
        first = bisect_left(self.times, since)
        return History(tuple(self.times[first:]), *(_known(column[first:]) for column in self.columns))

    def take(self, history: History) -> None:
        """Replaces our points with the agent's own record, as far as it goes."""
        self.load(history.times, [[_number(value) for value in getattr(history, name)] for name in HISTORY])


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _known(column: array[float]) -> tuple[float | None, ...]:
    if not math.isnan(sum(column)):
        return tuple(column)
    return tuple(None if math.isnan(value) else value for value in column)
