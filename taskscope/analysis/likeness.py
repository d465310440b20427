"""Whether two series move together, and how much of one goes with one of the other."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from taskscope.analysis.growth import gains, kept, settled
from taskscope.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Sequence

    from taskscope.analysis.track import Bin

POINTS = 24
"""Moments at which two series are compared."""

PARTS = 4
"""Parts of the common window; in each, both series must gain in proportion."""

SHORTEST = 10.0
"""Seconds; in a shorter window any two series look alike."""


@dataclass(frozen=True, slots=True)
class Moving:
    """A series, and when it begins to move after its start-up (infinity: never)."""

    bins: Sequence[Bin]
    begins: float


def moving(bins: Sequence[Bin]) -> Moving:
    """``bins``: at least one."""
    after = settled(bins)
    moves = gains(after, kept([bin.low for bin in after]))
    if not moves:
        return Moving(bins, math.inf)
    return Moving(bins, max(after[0].time, moves[0][0] - (after[1].time - after[0].time)))


def moves_together(one: Moving, other: Moving) -> tuple[float, float]:
    """How closely two series move together, at most 1, and the gain of ``one`` per gain of ``other``.

    Any two growing series correlate, so both must also gain in proportion in each part of the window in
    which both moved.  The likeness is the smaller of the two scores; 0 if there is no such window.
    """
    begin, end = max(one.begins, other.begins), min(one.bins[-1].time, other.bins[-1].time)
    if end - begin < SHORTEST:
        return 0.0, 0.0
    moments = [begin + (end - begin) * i / POINTS for i in range(POINTS + 1)]
    first, second = _at(one.bins, moments), _at(other.bins, moments)
    levels = correlation(first, second)
    gained, gained_other = first[-1] - first[0], second[-1] - second[0]
    if levels is None or gained <= 0 or gained_other <= 0:
        return 0.0, 0.0
    step = POINTS // PARTS
    misfit = sum(
        abs((first[i + step] - first[i]) - (second[i + step] - second[i]) * gained / gained_other)
        for i in range(0, POINTS, step)
    )
    return min(levels, 1 - misfit / gained), gained / gained_other


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
