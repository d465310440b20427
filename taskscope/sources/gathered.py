"""What is known of a group's members together: sums, merged sites and findings, the past.

See `sources.group` for the rules.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from bisect import bisect_left
from collections import Counter, deque
from operator import add
from typing import TYPE_CHECKING, TypeVar

from taskscope.analysis.merged import MergedSites, Told, about, added, ended, merged_findings
from taskscope.analysis.summed import summed
from taskscope.model import Counts, History, Sample, SiteHistory, requests
from taskscope.model.series import HISTORY, ProcessSeries, Series
from taskscope.sources.base import SourceError
from taskscope.sources.lines import text_in
from taskscope.sources.members import News
from taskscope.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

    from taskscope.model import Finding, Frame, Site
    from taskscope.model.state import Change
    from taskscope.sources.members import Attendant

Number = TypeVar("Number", int, float)

COMPARED = 50
"""Lines of one process that are compared with another version of their file."""

LEFT = 50
"""Processes that have ended, of which a leak is remembered."""

SITE_TIERS = ((70.0, 1.0), (600.0, 10.0), (6 * 3600.0, 60.0))

_JOIN: list[Callable[[float, float], float]] = [max if name == "loop_latency" else add for name in HISTORY]
_JOIN_SITE: list[Callable[[float, float], float]] = [add, add, add]


@dataclass(frozen=True, slots=True)
class Spread:
    """How a site is spread: live tasks by pid, of ``of`` processes, and who has far more than the others."""

    live: dict[int, int]
    of: int
    outliers: frozenset[int]


class Gathered(News):
    """Fed by attendants, read by the group."""

    def __init__(self, live: Callable[[], Sequence[Attendant]]) -> None:
        """``live``: the members that are attached to."""
        self.live = live
        self.sites = MergedSites()
        self.recalled_at = 0
        """Changes when somebody came with a past."""
        self._begun = time.monotonic()
        self._gone = Counts()
        self._series = ProcessSeries()
        self._of_site: dict[int, Series] = {}
        self._compared: dict[int, int] = {}
        self._left: dict[object, deque[Told]] = {}
        """The leaks of processes that have ended."""
        self._naming: set[asyncio.Task[None]] = set()
        self._seq = 0

    @property
    def number(self) -> int:
        return len(self.live())

    # -- news of members ---------------------------------------------------------------------------

    def sampled(self, member: Attendant, sample: Sample, change: Change) -> None:
        for state in change.named:
            compared = self._compared.setdefault(member.number, 0)
            if compared < COMPARED and self.sites.elsewhere(state.site):
                self._compared[member.number] += 1
                task = asyncio.ensure_future(self._name(member, state.site))
                self._naming.add(task)
                task.add_done_callback(self._naming.discard)
            else:
                self.sites.name(member.number, state.site)
        for id in change.gone:
            self.sites.drop(member.number, id)
        now = time.monotonic()
        for state in change.counted:
            self.sites.count(member.number, state.counts, now, member.shift)

    async def _name(self, member: Attendant, site: Site) -> None:
        """Names a site that may be one of another version of its file."""
        others = self.sites.elsewhere(site)
        lines: dict[tuple[str, int], str] = {}
        for other in others:
            if other.id not in self.sites.texts:
                self.sites.texts[other.id] = await self._text_of(other)
        for frame in {each.frame for each in (site, *others)}:
            lines[frame.file, frame.line] = await _line(member, frame)
        if member.live:
            self.sites.name(member.number, site, lines)
            counts = member.counts(site.id)
            if counts is not None:
                self.sites.count(member.number, counts, time.monotonic(), member.shift)

    def recalled(self, member: Attendant, past: History | tuple[SiteHistory, ...]) -> None:
        """Adds what a member's agent remembers of the time before us; one that came later was not there."""
        hello = member.hello
        if hello is None or hello.agent_since + member.shift > self._begun:
            return
        if isinstance(past, History):
            _add(self._series, member, past.times, [getattr(past, name) for name in HISTORY], _JOIN)
        for each in () if isinstance(past, History) else past:
            if id := self.sites.id_of(member.number, each.site):
                columns = (each.live, each.born, each.ended)
                _add(self._site_series(id), member, each.times, columns, _JOIN_SITE)
        self.recalled_at += 1

    def ended(self, member: Attendant) -> None:
        for told in self._told(member) if member.over else ():
            if told.finding.level == "leak":
                self._left.setdefault(about(told), deque(maxlen=LEFT)).append(told)
        self.sites.end(member.number)
        self._compared.pop(member.number, None)
        if member.sample is not None:
            self._gone = added(self._gone, ended(member.sample.tasks))

    async def _text_of(self, site: Site) -> str:
        """How a site's line reads for a member that has it."""
        having = (each for each in self.live() if self.sites.own(site.id, each.number))
        member = next(having, None)
        return await _line(member, site.frame) if member is not None else ""

    def close(self) -> None:
        for task in self._naming:
            task.cancel()

    def _site_series(self, id: int) -> Series:
        series = self._of_site.get(id)
        if series is None:
            series = self._of_site[id] = Series(3, SITE_TIERS)
        return series

    # -- together ----------------------------------------------------------------------------------

    def sample(self, interval: float, *, full: bool = False) -> Sample:
        """The newest samples together, with the sites that have changed since the last time."""
        now, tasks = time.monotonic(), self._gone
        live = {each.pid: each.sample for each in self.live() if each.sample is not None}
        samples, dropped = list(live.values()), Counter[str]()
        for each in samples:
            tasks = added(tasks, each.tasks)
            dropped.update(each.dropped)
        named, counted = self.sites.take()
        if full:
            named = tuple(self.sites.sites.values())
            counted = tuple(self.sites.counts(id) for id in self.sites.sites)
        for counts in counted:
            total = counts.counts
            self._site_series(counts.site).append(now, (total.live, total.born, total.ended))
        self._seq += 1
        found = Sample(
            self._seq,
            now,
            time.time(),
            interval,
            tasks,
            sum(each.threads for each in samples),
            _total(each.fds for each in samples),
            _total(each.rss for each in samples),
            _total(each.cpu for each in samples),
            max((each.loop_latency for each in samples if each.loop_latency is not None), default=None),
            _total(each.agent_cpu for each in samples),
            _total(each.agent_memory for each in samples),
            full,
            named,
            counted,
            dict(dropped),
            tuple(f"{pid}: {text}" for pid, each in live.items() for text in each.disarmed),
        )
        self._series.add(found)
        return found

    def slope(self, column: str) -> float | None:
        """Change per minute: the members' own, so none when one comes or goes."""
        return _total(each.slope(column) for each in self.live())

    def history(self, seconds: float) -> History:
        return self._series.read(time.monotonic() - seconds)

    def site_history(self, sites: Iterable[int], seconds: float) -> tuple[SiteHistory, ...]:
        since, found = time.monotonic() - seconds, []
        for site in sites:
            if (series := self._of_site.get(site)) is not None:
                times, live = series.since(since, 0)
                born, over = (series.since(since, column)[1] for column in (1, 2))
                found.append(
                    SiteHistory(site, tuple(times), *(tuple(map(int, each)) for each in (live, born, over)))
                )
        return tuple(found)

    def spread(self, id: int) -> Spread:
        """How a site is spread over the members that are attached to; only siblings are compared."""
        live, now = self.live(), time.monotonic()
        pids = {each.number: each.pid for each in live}
        here = {pids[number]: count for number, count in self.sites.live(id).items() if number in pids}
        families = [[each.number for each in family] for family in siblings(live)]
        far = {pids[one] for family in families for one in self.sites.outliers(id, family, now)}
        return Spread(here, among(live, here), frozenset(far))

    def findings(self) -> tuple[Finding, ...]:
        """The members' findings, each told once, and the leaks of those that have ended."""
        live = self.live()
        every = [told for each in live for told in self._told(each)]
        every += [told for left in list(self._left.values()) for told in left]
        return merged_findings(every, lambda pids: among(live, pids))

    def _told(self, member: Attendant) -> Iterator[Told]:
        for finding in member.findings:
            site = self.sites.id_of(member.number, finding.id) if finding.id else 0
            yield Told(member.pid, finding, site, member.shift, member.over)


def siblings(members: Iterable[Attendant]) -> list[list[Attendant]]:
    """Those with the same parent: only they do the same work."""
    families: dict[int, list[Attendant]] = {}
    for each in members:
        families.setdefault(each.found.parent, []).append(each)
    return list(families.values())


def among(live: Sequence[Attendant], pids: Collection[int]) -> int:
    """Of how many processes these are some: their siblings, if they have one parent."""
    families = [family for family in siblings(live) if any(each.pid in pids for each in family)]
    return len(families[0]) if len(families) == 1 else len(live)


def _add(
    series: Series,
    member: Attendant,
    times: Sequence[float],
    columns: Sequence[Sequence[float | None]],
    join: Sequence[Callable[[float, float], float]],
) -> None:
    """Adds what a member was before it joined."""
    end = bisect_left(times, member.joined - member.shift)
    if not end:
        return
    begin = bisect_left(series.times, member.joined)
    own = series.times[:begin], [list(map(_known, column[:begin])) for column in series.columns]
    later = series.times[begin:], [column[begin:] for column in series.columns]
    past = [time + member.shift for time in times[:end]], [column[:end] for column in columns]
    joined, values = summed(own, past, join)
    series.clear()
    series.load(
        [*joined, *later[0]], [[*map(_number, old), *new] for old, new in zip(values, later[1], strict=True)]
    )


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _total(values: Iterable[Number | None]) -> Number | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


async def _line(member: Attendant, frame: Frame) -> str:
    """How a line reads for that member; "" if it does not tell."""
    if member.source is None:
        return ""
    with contextlib.suppress(SourceError):
        return text_in(await member.source.ask(requests.Source(frame.file, frame.line, 0)), frame)
    return ""
