"""Births that climb although nothing else does: chains of tasks, each of which starts the next, are added.

The stock of tasks stays flat, so growth says nothing.  Load makes births climb too; then something else
climbs with them: connections, other tasks, or the births of other sites.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations, pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

from taskscope.analysis.track import Bin
from taskscope.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from taskscope.analysis.watched_site import WatchedSite
    from taskscope.model import Renewal, Site
    from taskscope.model.state import SiteState

LOOK_EVERY = 5.0
"""Seconds between looks at all sites."""

PARTS = 6
"""Parts of a series that are compared."""

SHORTEST = 24.0
"""Seconds of a series below which births may still be those of the start-up."""

FEWEST = 60
"""Fewest births: of fewer, the parts differ by chance."""


class Sign(NamedTuple):
    """How clear a climb is.

    Of the 15 pairs of parts, so many must be in rising order; the last part must have so many ``times`` the
    births of the first, by so many standard ``deviations``; the series must be so long.
    """

    ordered: int
    times: float
    deviations: float
    seconds: float


FAINT = Sign(11, 1.1, 1.5, SHORTEST)
"""Enough to ask who starts the tasks, and if more and more timers wait to do so, to suspect them."""

CLEAR = Sign(13, 1.25, 4.0, 36.0)
"""Enough by itself: by chance, one series in a million."""

FEW_LIVE = 0.1
"""Live tasks, as a share of the births of the last minute, up to which the stock counts as flat."""

SHARE = 0.3
"""Anything else that climbs by this share of what the births climb by is load that explains them."""

FEW = 4
"""A stock that gains fewer than that is flat."""

ASK_EVERY = 8.0
MOST_ASKED = 3
"""Seconds between questions about one site, and most sites asked about."""


@dataclass(frozen=True, slots=True)
class Climbing:
    """Births per second of a site: ``first``, ``last``, and the change per minute, since ``begun``.

    ``clear``: beyond doubt.  ``alone``: the births of no other site climb.  ``pending``: timers that will
    start its tasks, when first and last asked about.
    """

    site: Site
    begun: float
    now: float
    first: float
    last: float
    per_minute: float
    clear: bool
    alone: bool = False
    renewal: Renewal | None = None
    pending: tuple[int, int] = (0, 0)

    @property
    def lasted(self) -> float:
        return self.now - self.begun


class Churn:
    """Which sites' births climb, with what is known of who starts the tasks."""

    def __init__(self) -> None:
        self.found: tuple[Climbing, ...] = ()
        self._looked = float("-inf")
        self._asked: dict[int, float] = {}
        self._renewals: dict[int, tuple[Renewal, Renewal]] = {}  # the first and the last answer

    def wanted(self, now: float) -> tuple[int, ...]:
        """Sites of which to ask who starts their tasks."""
        due = [
            each.site.id
            for each in self.found
            if now - self._asked.get(each.site.id, -ASK_EVERY) >= ASK_EVERY
        ]
        return tuple(due[:MOST_ASKED])

    def add(self, renewal: Renewal) -> None:
        """Adds an answer."""
        self._asked[renewal.site] = renewal.monotonic
        first, _ = self._renewals.get(renewal.site, (renewal, renewal))
        self._renewals[renewal.site] = first, renewal

    def look(
        self,
        now: float,
        watched: Mapping[int, WatchedSite],
        sites: Mapping[int, SiteState],
        stocks: Iterable[Sequence[Bin]],
    ) -> None:
        """Looks at every site now and then.  ``stocks``: counts that climb with load."""
        if now - self._looked < LOOK_EVERY:
            return
        self._looked = now
        known = ((sites[id].site, each) for id, each in watched.items() if id in sites)
        climbs = [climb for site, each in known if (climb := _climb(site, each, now)) is not None]
        if not climbs:
            self.found = ()
            return
        levels = [list(bins) for bins in stocks]
        births = {id: _rates(_bins(each, now), now) for id, each in watched.items() if each.whole.births}
        self.found = tuple(
            replace(each, alone=_is_alone(each, births), **self._known_of(each.site.id))
            for each in climbs
            if not any(_rises(bins, each) for bins in levels)
        )

    def _known_of(self, site: int) -> dict[str, Any]:
        if site not in self._renewals:
            return {}
        first, last = self._renewals[site]
        return {"renewal": last, "pending": (first.pending, last.pending)}


def _climb(site: Site, watched: WatchedSite, now: float) -> Climbing | None:
    """The births of one site, if they climb and its stock is flat."""
    if site.kind != "task" or watched.level.shown != "flat" or watched.whole.births < FEWEST:
        return None
    bins = _bins(watched, now)
    span = now - bins[0].time
    live = watched.counts.counts.live
    if span < SHORTEST:
        return None
    rates = _rates(bins, now)
    if live > max(2.0, FEW_LIVE * 60 * rates[-1]) or not _shows(FAINT, rates, span):
        return None
    first, last = rates[0], rates[-1]
    per_minute = (last - first) / (span * (PARTS - 1) / PARTS) * 60
    return Climbing(site, bins[0].time, now, first, last, per_minute, _shows(CLEAR, rates, span))


def _shows(sign: Sign, rates: Sequence[float], span: float) -> bool:
    first, last = rates[0], rates[-1]
    more = (last - first) * span / PARTS
    chance = ((last + first) * span / PARTS) ** 0.5
    ordered = sum(after > before for before, after in combinations(rates, 2))
    return (
        span >= sign.seconds
        and ordered >= sign.ordered
        and last >= max(sign.times * first, 0.9 * rates[-2])
        and more >= sign.deviations * chance
    )


def _bins(watched: WatchedSite, now: float) -> list[Bin]:
    """The series of a site up to now: its newest counts may not be in the track yet."""
    bins, total = watched.whole.bins(now), watched.counts.counts
    return [*bins, Bin(now, total.live, total.live, total.live, total.born, total.ended)]


def _rates(bins: Sequence[Bin], now: float) -> list[float]:
    """Births per second in equal parts of the series; counts between two bins are in proportion."""
    begun = bins[0].time
    step = (now - begun) / PARTS
    totals = [_born_at(bins, begun + step * part) for part in range(PARTS + 1)]
    return [(after - before) / step for before, after in pairwise(totals)]


def _born_at(bins: Sequence[Bin], time: float) -> float:
    """The total of births at a moment, along the line between the two changes around it."""
    before, after = bins[0], bins[-1]
    for each in bins:
        if each.time <= time and each.born != before.born:
            before = each
        if each.time > time and each.born > before.born:
            after = each
            break
    if after.time <= before.time or after.time < time:
        return float(after.born if after.time <= time else before.born)
    share = min(1.0, max(0.0, (time - before.time) / (after.time - before.time)))
    return before.born + share * (after.born - before.born)


def _rises(bins: Sequence[Bin], climb: Climbing) -> bool:
    """Whether a stock climbs with the births."""
    inside = [each.live for each in bins if each.time >= climb.begun - 1]
    third = max(1, len(inside) // 3)
    early, late = sum(inside[:third]) / third, sum(inside[-third:]) / third
    enough = 1 + SHARE * min(1.0, climb.last / max(climb.first, 1e-9) - 1)
    return late - early >= FEW and late >= enough * early


def _is_alone(climb: Climbing, births: Mapping[int, Sequence[float]]) -> bool:
    """Whether the births of other sites do not climb with it."""
    more = sum(rates[-1] - rates[0] for id, rates in births.items() if id != climb.site.id)
    return more < SHARE * (climb.last - climb.first)
