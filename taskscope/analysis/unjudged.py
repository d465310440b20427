"""What grows visibly and has no verdict yet: where it is, the absence of findings means nothing."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from taskscope.model import ENOUGH, Judged

if TYPE_CHECKING:
    from collections.abc import Iterable

    from taskscope.analysis.watched_site import WatchedSite


def judged(sites: Iterable[WatchedSite], begun: float, now: float) -> Judged:
    """How far the judgement of these sites has come, which began with the first sample."""
    return Judged(now - begun, sum(_waits(site, now) for site in sites if not site.calm))


def _waits(site: WatchedSite, now: float) -> bool:
    """Whether it grows, by more than chance, and the verdict on that is still to come.

    One step up is no growth until another follows, for which it has as long as any verdict takes.
    """
    if site.level.shown != "flat":
        return False
    if site.level.other != "flat":
        return True
    reading, live = site.reading, site.counts.counts.live
    if site.verdict is None or reading is None:
        return _visible(max(site.whole.gain, site.recent.gain), live)
    stepped = site.verdict.why == "no gain" and now - reading.last < ENOUGH
    return stepped and _visible(reading.gained, live)


def _visible(gained: int, live: int) -> bool:
    return gained > max(1.0, math.sqrt(live))
