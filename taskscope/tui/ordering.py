"""Filters and sorts rows, and holds their order while the user navigates.

Pure.  Among equal rows, more live tasks (or births per second) come first and idle rows last; otherwise they
keep their order.  While the user navigates, rows are re-sorted only every few seconds.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from taskscope.tui.rows import Row

R = TypeVar("R")

EVERY = 2.0
"""Seconds between two sorts."""

FRUGAL = 200.0
"""Pause after a sort, as a multiple of the time it took: at most 0.5 % of a core."""

HELD = 5.0
"""Seconds between two sorts while the user navigates."""

NAVIGATING = 10.0
"""Seconds after the last key during which the user counts as navigating."""


class Ordering(Generic[R]):
    """Keeps the order from tick to tick.  ``key`` identifies a row; of equals the more active is first."""

    def __init__(self, key: Callable[[R], Hashable], activity: Callable[[R, float], float]) -> None:
        self.held = False
        """Whether navigating delays the next sort."""
        self._key, self._activity = key, activity
        self._places: dict[Hashable, int] = {}
        self._given: Sequence[R] = ()
        self._result: Sequence[R] = ()
        self._pause = 0.0
        self._sorted_at = float("-inf")
        self._touched_at = float("-inf")

    def touch(self, now: float) -> None:
        """Notes that the user moved the cursor or scrolled."""
        self._touched_at = now

    def reset(self) -> None:
        """Sorts again at the next call: the column, filter or past has changed."""
        self._sorted_at = float("-inf")

    def forget(self) -> None:
        """Drops the order: the rows are different ones."""
        self._places.clear()
        self.reset()

    def arrange(
        self, rows: Sequence[R], value: Callable[[R], Any], *, descending: bool, now: float, moment: float
    ) -> Sequence[R]:
        """``rows`` in display order.  Unknown values (None) come last in either direction.

        ``now`` is our time, ``moment`` the target's.  Given the same object between two sorts, it returns
        the same object.
        """
        navigating = now - self._touched_at < NAVIGATING
        if now - self._sorted_at < max(HELD if navigating else EVERY, self._pause):
            self.held = navigating
            if rows is not self._given:
                self._given, self._result = rows, self._as_before(rows)
            return self._result
        begun = time.thread_time()
        self._given, self._result = rows, self._sort(rows, value, descending, moment)
        self._places = {self._key(row): place for place, row in enumerate(self._result)}
        self._pause = FRUGAL * (time.thread_time() - begun)
        self._sorted_at = now
        self.held = False
        return self._result

    def _as_before(self, rows: Sequence[R]) -> list[R]:
        places, key = self._places, self._key
        end = len(places)
        return sorted(rows, key=lambda row: places.get(key(row), end))

    def _sort(self, rows: Sequence[R], value: Callable[[R], Any], descending: bool, moment: float) -> list[R]:
        kept = self._as_before(rows)
        kept.sort(key=lambda row: -self._activity(row, moment))  # among equal ones, the larger first
        valued = [(value(row), row) for row in kept]
        known = [(found, row) for found, row in valued if found is not None]
        known.sort(key=lambda item: item[:1], reverse=descending)
        return [row for _, row in known] + [row for found, row in valued if found is None]


def of_sites() -> Ordering[Row]:
    """For the rows of a table of sites."""
    return Ordering(lambda row: row.key, _activity)


def _activity(row: Row, moment: float) -> float:
    """Live count or births per second, whichever is larger; 0 if idle."""
    return max(row.live, row.births(moment) or 0.0)


def matches(row: Row, words: Sequence[str]) -> bool:
    """Whether every word occurs in the row's lines, file or coroutine."""
    if not words:
        return True
    file = row.frame.file if row.frame else ""
    text = f"{row.lines} {row.coroutine} {file}".lower()
    return all(word in text for word in words)
