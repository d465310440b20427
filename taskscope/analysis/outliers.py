"""Which process of a group is not like the others."""

from __future__ import annotations

import math
from statistics import median
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Mapping

Key = TypeVar("Key")

FEWEST = 3
"""Members from which one can be unlike the others: of two, nobody knows which."""

FAR = 5.0
"""How many times their usual distance from each other one has to be away from the others."""

_NORMAL = 1.4826
"""The median distance times this is the standard deviation of values that are spread normally."""


def outliers(values: Mapping[Key, float]) -> frozenset[Key]:
    """Who has far more than the others.  Counts vary by about their square root for no reason at all."""
    if len(values) < FEWEST:
        return frozenset()
    found: set[Key] = set()
    for key in sorted(values, key=lambda key: -values[key])[: len(values) // 2]:
        if not _far(values[key], [value for other, value in values.items() if other != key]):
            break  # who has less is no farther from the others
        found.add(key)
    return frozenset(found)


def _far(value: float, others: list[float]) -> bool:
    middle = median(others)
    spread = _NORMAL * median(abs(other - middle) for other in others)
    return value - middle > FAR * max(spread, math.sqrt(max(middle, 0.0)), 1.0)


def never_started(born: Mapping[Key, int]) -> frozenset[Key]:
    """Who never started a task while most others have."""
    idle = frozenset(key for key, number in born.items() if not number)
    return idle if len(born) >= FEWEST and 2 * len(idle) <= len(born) else frozenset()


class LowWater:
    """The lowest count of the last `WINDOW` to twice as many seconds: what comes and goes does not count.

    0 in the first such time.
    """

    WINDOW = 10.0

    __slots__ = ("_at", "_before", "_lowest", "_now")

    def __init__(self, count: int, time: float) -> None:
        self._now = self._lowest = count
        self._before, self._at = 0, time

    def note(self, count: int, time: float) -> None:
        """The count has changed."""
        self._roll(time)
        self._now = count
        self._lowest = min(self._lowest, count)

    def mark(self, time: float) -> int:
        """The low-water mark at a time."""
        self._roll(time)
        return min(self._before, self._lowest)

    def _roll(self, time: float) -> None:
        passed = time - self._at
        if passed >= self.WINDOW:
            self._before = self._lowest if passed < 2 * self.WINDOW else self._now
            self._lowest, self._at = self._now, time
