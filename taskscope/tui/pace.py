"""When numbers that changed are drawn: no faster than one can read, and seldom where drawing costs much."""

from __future__ import annotations

import time

DRAW_EVERY, DRAW_AT_LAST = 0.7, 2.0
"""Seconds between two drawings of numbers that changed; what the user does shows at once."""

FRUGAL = 25.0
"""Between these two a drawing waits for this many times the CPU time that the app used since the one before:
what thousands of sites cost to read is spared in drawing, so that all stays below 5 % of a core.
"""


class Pace:
    def __init__(self) -> None:
        self._drawn_at = float("-inf")
        self._pause = DRAW_EVERY
        self._used = 0.0

    def wait(self) -> float:
        """Seconds until the next drawing; none are left at 0 and below."""
        return self._drawn_at + self._pause - time.monotonic()

    def drawn(self) -> None:
        """Notes that it has just been drawn."""
        self._drawn_at, used = time.monotonic(), time.process_time()
        self._pause = min(max(DRAW_EVERY, FRUGAL * (used - self._used)), DRAW_AT_LAST)
        self._used = used
