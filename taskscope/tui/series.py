"""Time series in bounded memory that thin out with age, and the slope of their last minute."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

SLOPE_WINDOW = 60.0
"""Seconds that a rate per minute looks back."""

_SLOPE_POINTS = 13  # every 5 s of a minute: on the grid of samples by the second
_SLOPE_LEAST = 5.0


class Series:
    """Columns of numbers over time; a value holds until the next point.

    ``tiers`` are ``(seconds back, step)``, finest first: points younger than that many seconds keep that
    step; points older than the last tier are dropped.  Memory is bounded by the sum of seconds / step, plus
    slack that makes thinning rare.
    """

    __slots__ = ("_settled", "_slack", "_tiers", "columns", "times")

    _SLACK = 64

    def __init__(
        self, columns: int, tiers: Sequence[tuple[float, float]], settled: float = float("-inf")
    ) -> None:
        """Slopes look back no further than ``settled``: a start-up is not growth."""
        self.times = array("d")
        self.columns = tuple(array("d") for _ in range(columns))
        self._tiers = tuple(tiers)
        self._settled = settled
        self._slack = self._limit()

    def _limit(self) -> int:
        return len(self.times) + self._SLACK

    def append(self, time: float, values: Iterable[float]) -> None:
        """Adds a point; NaN is unknown.  A point closer than the finest step replaces the last one."""
        times = self.times
        if len(times) > 1 and time - times[-2] < self._tiers[0][1] * 0.9:
            times[-1] = time
            for column, value in zip(self.columns, values, strict=True):
                column[-1] = value
            return
        times.append(time)
        for column, value in zip(self.columns, values, strict=True):
            column.append(value)
        if len(times) > self._slack:
            self._thin(time)

    def load(self, times: Sequence[float], columns: Sequence[Sequence[float]]) -> None:
        """Replaces the points by a record, keeping those newer than it."""
        last = times[-1] if times else float("-inf")
        keep = bisect_right(self.times, last)
        self.times = array("d", times) + self.times[keep:]
        self.columns = tuple(
            array("d", new) + old[keep:] for new, old in zip(columns, self.columns, strict=True)
        )
        if self.times:
            self._thin(self.times[-1])

    def _thin(self, now: float) -> None:
        """Keeps one point per step in each tier, and the one in force at the far end."""
        keep: list[int] = []
        tiers = list(self._tiers)
        previous = float("inf")
        for index in range(len(self.times) - 1, -1, -1):
            time = self.times[index]
            while tiers and now - time > tiers[0][0]:
                tiers.pop(0)
            if not tiers:
                keep.append(index)
                break
            if previous - time >= tiers[0][1] * 0.9:
                keep.append(index)
                previous = time
        keep.reverse()
        self.times = array("d", [self.times[index] for index in keep])
        self.columns = tuple(array("d", [column[index] for index in keep]) for column in self.columns)
        self._slack = self._limit()

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
