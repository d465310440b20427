"""Since when a site grows: back from its last gain through all that came without a pause."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from taskscope.analysis.growth import gains, kept

if TYPE_CHECKING:
    from collections.abc import Sequence

    from taskscope.analysis.growth import Growth
    from taskscope.analysis.track import Bin

PAUSE = 12
"""Times the usual gap between two gains: gains at random pause for longer once in thousands of gaps."""

NEAR = 4
"""Likewise, from the first moment known: what grew since then may have grown before."""

BEGINNING = 5.0
"""Seconds of a process's life in which an agent that comes has seen it from the beginning."""


@dataclass(frozen=True, slots=True)
class Onset:
    """The moment something began; ``at_least``: when anybody looked first it had begun before."""

    since: float
    at_least: bool = False


def onset(reading: Growth, whole: Sequence[Bin], recent: Sequence[Bin], *, seen_begin: bool) -> Onset:
    """Where the growth that ``reading`` tells of began.

    ``whole`` are all the bins from where a start-up was over, two at least, ``recent`` the finer ones of the
    last minutes.  ``seen_begin``: it is known that there were no such tasks before these bins.
    """
    edge = whole[0].time
    coarse, fine = _moments(whole), [each for each in _moments(recent) if each > edge]
    moments = [each for each in coarse if each < recent[0].time] + fine if fine else coarse
    moments = [each for each in moments if each <= reading.last] or [reading.since]
    pause = PAUSE * reading.gap + 2 * (whole[1].time - edge)
    since = moments[-1]
    for before, after in pairwise(reversed(moments)):
        if before - after > pause:
            break
        since = after
    near = NEAR * reading.gap + 2 * (whole[1].time - edge)
    return Onset(since, since - edge <= near and not seen_begin)


def _moments(bins: Sequence[Bin]) -> list[float]:
    return [time for time, _ in gains(bins, kept([bin.low for bin in bins]))]
