"""Ended tasks that something still refers to: whether they become more and more.

They may be kept on purpose, as results in a cache that fills up, so that they are judged as tasks that show
nothing by themselves: only growth without an end counts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from taskscope.analysis import growth
from taskscope.analysis.patterns.pattern import Pattern
from taskscope.analysis.track import Track
from taskscope.analysis.verdict import judge

if TYPE_CHECKING:
    from taskscope.analysis.growth import Growth
    from taskscope.analysis.verdict import Verdict

FEWEST = 20
"""Ended tasks below which nothing is judged: some wait for somebody to read their result."""

ENDED_TASKS_KEPT = Pattern(
    name="ended tasks kept",
    explanation="Tasks that have ended stay in a container, and with each its result or its exception.",
    remedy=(
        "Remove a task when it is done (add_done_callback(tasks.discard)), or keep what you need of its "
        "result and not the task."
    ),
)


class Kept:
    """The series of one site's ended tasks.  ``started``: when the process did."""

    def __init__(self, since: float, interval: float, started: float) -> None:
        self._started = started
        self._track = Track(since, interval, recent=False)
        self._most = 0

    def add(self, time: float, number: int) -> None:
        self._most = max(self._most, number)
        if self._most:
            self._track.add(time, number, number, 0)

    def judged(self, now: float) -> tuple[Growth, Verdict] | None:
        """The reading and the verdict; None where nothing is told."""
        if self._most < FEWEST or self._track.gain <= 1:
            return None
        reading = growth.measure(self._track.bins(now), now)
        if reading is None:
            return None
        verdict = judge(reading, None, 0, uptime=reading.begun - self._started, record=True)
        return (reading, verdict) if verdict.level != "flat" else None
