"""Rows of the overview: one per creation site, sums of sites, or groups from a walk by the agent.

A row reads the newest state on demand, so that a tick costs what changed and what is on the screen, not the
number of sites.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from taskscope import text as fmt
from taskscope.model.series import Series

if TYPE_CHECKING:
    from collections.abc import Sequence

    from taskscope.analysis.first_sight import Past
    from taskscope.model import Counts, Frame, Group, Site
    from taskscope.model.state import SiteState

SITE_TIERS = ((70.0, 1.0), (600.0, 10.0))
"""A minute by the second for rates, ten minutes for the trend: about 130 points per site."""

TREND_SECONDS = 600.0
RATE_SECONDS = 5.0
"""Seconds over which births and ends per second are averaged, from sample to sample."""

SHORTEST = 0.4
"""Minimum seconds between two samples for a rate."""

CHURNS = 20
"""Births per step of a trend, as a multiple of its highest live count, from which births say more."""

LIVE, BORN, ENDED = range(3)


class Row:
    """One row of the overview.  ``oldest`` and ``median`` are birth times; None: unknown."""

    __slots__ = ("coroutine", "frame", "key", "label", "live", "median", "oldest", "sites")

    key: str
    label: str
    coroutine: str
    frame: Frame | None
    sites: tuple[int, ...]
    live: int
    oldest: float | None
    median: float | None

    @property
    def lines(self) -> str:
        """The label, after the user's own line where that is another."""
        return self.label

    def growth(self, now: float) -> float | None:
        """Change of the live count per minute over the last minute."""
        raise NotImplementedError

    def births(self, now: float) -> float | None:
        """Births per second."""
        return None

    def ends(self, now: float) -> float | None:
        """Ends per second."""
        return None

    def errors(self) -> int | None:
        """Tasks that ended with an exception, since the agent started."""
        return None

    def since(self, baseline: dict[int, Counts]) -> int | None:
        """Change of the live count since the baseline."""
        return None

    def trend(self, now: float, seconds: float, points: int) -> list[float | None]:
        """Live count at ``points`` moments of the last ``seconds``; births between them if few tasks stay."""
        live = self.levels(now, seconds, points, LIVE)
        births = self.births_between(now, seconds, points)
        most = max((each for each in births if each is not None), default=0.0)
        stay = max((each for each in live if each is not None), default=0.0)
        return births if most > CHURNS * stay else live

    def births_between(self, now: float, seconds: float, points: int) -> list[float | None]:
        """Births in each of ``points`` equal slices of the last ``seconds``."""
        step = seconds / points
        born = self.levels(now, seconds + step, points + 1, BORN)
        return [None if None in pair else pair[1] - pair[0] for pair in pairwise(born)]  # type: ignore[operator]

    def before(self, time: float) -> int | None:
        """Live count at a moment before the agent, reconstructed from its older tasks; None: unknown."""
        return None

    def reconstructed(self, now: float, seconds: float, points: int) -> list[int | None]:
        """What is known so at ``points`` moments of the last ``seconds``."""
        step = seconds / points
        return [self.before(now - seconds + step * (index + 1)) for index in range(points)]

    @property
    def exact(self) -> bool:
        """Whether births from before the agent are known exactly, as the kernel knows those of threads."""
        return False

    def levels(self, now: float, seconds: float, points: int, column: int) -> list[float | None]:
        """Values of a column (LIVE, BORN, ENDED) at ``points`` moments of the last ``seconds``."""
        raise NotImplementedError


class SiteRow(Row):
    """A creation site and the history of its counts."""

    __slots__ = ("past", "series", "state", "ticks")

    def __init__(self, state: SiteState, settled: float, ticks: Series) -> None:
        """``ticks`` has a point per sample of the target, whether or not this site was in it."""
        self.state = state
        self.ticks = ticks
        self.key = f"site {state.site.id}"
        self.sites = (state.site.id,)
        self.live = 0
        self.oldest: float | None = None
        self.median: float | None = None
        self.series = Series(3, SITE_TIERS, settled)
        self.past: Past | None = None
        self.name()

    @property
    def site(self) -> Site:
        return self.state.site

    def name(self) -> None:
        """Takes over what the site is known as."""
        site = self.state.site
        self.label = f"{fmt.THREAD} {fmt.site(site)}" if site.kind == "thread" else fmt.site(site)
        self.coroutine = site.coroutine
        self.frame = site.frame

    @property
    def lines(self) -> str:
        site = self.state.site
        both = fmt.own_and_site(site)
        return f"{fmt.THREAD} {both}" if site.kind == "thread" else both

    def update(self) -> None:
        """Takes over the counts of a new sample."""
        state = self.state
        counts, series = state.counts, self.series
        totals = counts.counts
        self.live = totals.live
        self.oldest = counts.oldest
        self.median = counts.median
        if state.came and not series.times:
            assert state.since is not None
            series.append(state.since, (0, 0, 0))
        series.append(state.changed, (totals.live, totals.born, totals.ended))

    def growth(self, now: float) -> float | None:
        return self.series.slope(now, LIVE)

    def births(self, now: float) -> float | None:
        return self._per_second(now, BORN)

    def ends(self, now: float) -> float | None:
        return self._per_second(now, ENDED)

    @property
    def counted(self) -> bool:
        """Whether births and ends are counted: from outside a look shows only some."""
        return self.site.known != "parked"

    def _per_second(self, now: float, column: int) -> float | None:
        series = self.series
        if not series.times or not self.counted:
            return None
        if now - self.state.changed > RATE_SECONDS:
            return 0.0  # no news for that long: no births, no ends
        start = max(self.ticks.nearest(now - RATE_SECONDS) or 0.0, series.times[0])
        return per_second(series.at(start, column), series.columns[column][-1], now - start)

    def errors(self) -> int | None:
        known = self.counted and self.state.since is not None
        return self.state.counts.counts.failed if known else None

    def since(self, baseline: dict[int, Counts]) -> int | None:
        then = baseline.get(self.site.id)
        return self.live - (then.live if then else 0)

    def before(self, time: float) -> int | None:
        past = self.past
        return past.level(time) if past is not None and past.started <= time < past.since else None

    @property
    def exact(self) -> bool:
        return self.site.kind == "thread"

    def levels(self, now: float, seconds: float, points: int, column: int) -> list[float | None]:
        known = self.counted or column == LIVE
        return self.series.resample(now - seconds, now, points, column) if known else [None] * points


class SumRow(Row):
    """Several sites together.  Their common median is unknown: it does not follow from their medians."""

    __slots__ = ("members",)

    def __init__(self, key: str, label: str, members: Sequence[SiteRow]) -> None:
        self.key = key
        self.label = label
        self.members = tuple(members)
        names = {member.coroutine for member in members}
        self.coroutine = next(iter(names)) if len(names) == 1 else f"{len(names)} coroutines"
        self.frame = members[0].site.user_frame or members[0].frame
        self.sites = tuple(member.site.id for member in members)

    @property
    def live(self) -> int:  # type: ignore[override]
        return sum(member.live for member in self.members)

    @property
    def oldest(self) -> float | None:  # type: ignore[override]
        return min((m.oldest for m in self.members if m.oldest is not None), default=None)

    @property
    def median(self) -> float | None:  # type: ignore[override]
        return self.members[0].median if len(self.members) == 1 else None

    def growth(self, now: float) -> float | None:
        return _sum([member.growth(now) for member in self.members])

    def births(self, now: float) -> float | None:
        return _sum([member.births(now) for member in self.members])

    def ends(self, now: float) -> float | None:
        return _sum([member.ends(now) for member in self.members])

    def errors(self) -> int | None:
        total = _sum([member.errors() for member in self.members])
        return None if total is None else int(total)

    def since(self, baseline: dict[int, Counts]) -> int | None:
        return sum(member.since(baseline) or 0 for member in self.members)

    def before(self, time: float) -> int | None:
        levels = [member.before(time) for member in self.members]
        return None if None in levels else sum(level or 0 for level in levels)

    @property
    def exact(self) -> bool:
        return all(member.exact for member in self.members)

    def levels(self, now: float, seconds: float, points: int, column: int) -> list[float | None]:
        of_members = (member.levels(now, seconds, points, column) for member in self.members)
        return [_sum(values) for values in zip(*of_members, strict=True)]


class WalkedRow(Row):
    """A group that costs a walk over the tasks (parent site, parking place), requested now and then.

    ``by`` is the grouping; ``group`` and ``place`` are the agent's key and name for it.
    """

    __slots__ = ("by", "group", "place", "series")

    def __init__(self, group: Group, by: str) -> None:
        self.by = by
        self.series = Series(1, SITE_TIERS)
        self.update(group)

    def update(self, group: Group, now: float | None = None) -> None:
        self.key = f"group {group.key}"
        self.group = group.key
        self.place = group.label
        self.label = fmt.frame(group.frame) if group.frame else group.label
        self.coroutine = group.label if group.frame else ""
        self.frame = group.frame
        self.sites = group.sites
        self.live = group.live
        self.oldest = group.oldest
        self.median = None
        if now is not None:
            self.series.append(now, (group.live,))

    def growth(self, now: float) -> float | None:
        return self.series.slope(now)

    def levels(self, now: float, seconds: float, points: int, column: int) -> list[float | None]:
        if column != LIVE:
            return [None] * points  # known only per task
        return self.series.resample(now - seconds, now, points)


def per_second(before: float | None, after: float | None, seconds: float) -> float | None:
    """The rate of a growing total between two samples ``seconds`` apart; None if they are too close."""
    if before is None or after is None or seconds < SHORTEST:
        return None
    return max(0.0, after - before) / seconds


def _sum(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None
