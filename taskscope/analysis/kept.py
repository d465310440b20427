"""Whether ended tasks that something still refers to keep growing in number.

They may be kept on purpose, such as results in a cache that fills up, so they are judged like tasks without
any evidence of their own: only unending growth counts.  Kept where the program never looks, they serve no
purpose.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from taskscope.analysis import growth
from taskscope.analysis.onset import NEAR, Onset
from taskscope.analysis.strength import Strength
from taskscope.analysis.track import Track
from taskscope.analysis.verdict import judge

if TYPE_CHECKING:
    from taskscope.analysis.growth import Growth
    from taskscope.analysis.verdict import Verdict
    from taskscope.model import Keeper

FEWEST = 20
"""Fewest ended tasks to judge: a few may be waiting for their results to be read."""


SWEEP = 30.0
"""Seconds in which the agent has counted those that ended since it came."""


class Kept:
    """The number of a site's ended tasks over time.  ``from_start``: the agent came with the process.

    Those that ended before the agent started are unknown, so a full cache seems to fill from nothing: the
    age of the process does not shorten the wait.
    """

    def __init__(self, since: float, interval: float, *, from_start: bool) -> None:
        self._since, self._from_start = since, from_start
        self._first: tuple[float, int] | None = None  # the first number known, and when
        self._track = Track(since, interval, recent=False)
        self._most = 0

    def add(self, time: float, number: int) -> None:
        self._first = self._first or (time, number)
        self._most = max(self._most, number)
        if self._most:
            self._track.add(time, number, number, 0)

    @property
    def whole(self) -> Track:
        """The series."""
        return self._track

    recent = whole
    """There is no finer one."""

    def onset(self, reading: Growth) -> Onset:
        """When growth began, or earlier."""
        known, number = self._first or (self._since, 0)
        late = number > 0 and known - self._since > SWEEP  # we came after the agent, and some were kept
        early = reading.since - self._since <= NEAR * reading.gap + SWEEP
        return Onset(reading.since, late or (early and not self._from_start))

    def judged(self, now: float, keeper: Keeper | None = None) -> tuple[Growth, Verdict] | None:
        """The reading and the verdict; None if there is nothing to report.

        If entries are also taken out of what keeps them, it may be a cache that still fills.  That nobody
        reads it says little of tasks that are kept within its entries: it is those that pile up.
        """
        if self._most < FEWEST or self._track.gain <= 1:
            return None
        reading = growth.measure(self._track.bins(now), now)
        if reading is None:
            return None
        strength = Strength.NONE
        if keeper is not None and keeper.emptied:
            strength = Strength.UNLIKELY
        elif keeper is not None and keeper.unread and not keeper.entry:
            strength = Strength.CANNOT_END
        verdict = judge(reading, None, strength, uptime=0.0, record=True)
        return (reading, verdict) if verdict.level != "flat" else None
