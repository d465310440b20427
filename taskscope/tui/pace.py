"""Paces the redraws for new data: no faster than one can read, and fewer where drawing is expensive."""

from __future__ import annotations

import time

DRAW_EVERY, DRAW_AT_LAST = 0.7, 2.0
"""Least and most seconds between two redraws for new data; input shows at once."""

FRUGAL = 33.0
"""Between the two, a redraw waits for this multiple of the CPU time used since the last one: what reading
thousands of sites costs is saved on drawing, so that the app uses 3 % of a core.
"""


class Pace:
    def __init__(self) -> None:
        self._drawn_at = float("-inf")
        self._pause = DRAW_EVERY
        self._used = 0.0

    def wait(self) -> float:
        """Seconds until the next redraw; 0 or less: now."""
        return self._drawn_at + self._pause - time.monotonic()

    def drawn(self) -> None:
        """Notes that it has just been drawn."""
        self._drawn_at, used = time.monotonic(), time.process_time()
        self._pause = min(max(DRAW_EVERY, FRUGAL * (used - self._used)), DRAW_AT_LAST)
        self._used = used
