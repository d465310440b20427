"""When a site began to grow: the first of the gains that lead up to the last without a pause."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from taskscope.analysis.growth import gains, kept
from taskscope.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Sequence

    from taskscope.analysis.growth import Growth
    from taskscope.analysis.track import Bin

PAUSE = 12
"""Multiple of the usual gap between gains that counts as a pause: random gains exceed it once in
thousands of gaps."""

NEAR = 4
"""Likewise from the first known moment: growth that starts this close to it may have begun earlier."""

BEGINNING = 5.0
"""Process age in seconds up to which a new agent has seen it from the start."""


@dataclass(frozen=True, slots=True)
class Onset:
    """When something began; ``at_least``: it began then or earlier, before the first observation."""

    since: float
    at_least: bool = False


def onset(reading: Growth, whole: Sequence[Bin], recent: Sequence[Bin], *, seen_begin: bool) -> Onset:
    """When the growth in ``reading`` began.

    ``whole``: all bins from the end of start-up on, at least two; ``recent``: the finer ones of the last
    minutes.  ``seen_begin``: there were certainly no such tasks before these bins.
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
