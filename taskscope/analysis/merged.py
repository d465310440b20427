"""The sites and findings of several processes as those of one: what a group shows.

A group numbers its sites itself.  What a process that ended has left in the totals stays: its tasks count as
ended with it.
"""

from __future__ import annotations

from dataclasses import fields, replace
from operator import add
from typing import TYPE_CHECKING

from taskscope import text as wording
from taskscope.analysis.matching import Place, matches
from taskscope.analysis.outliers import LowWater, outliers
from taskscope.model import Counts, Site, SiteCounts
from taskscope.model.vocabulary import rank
from taskscope.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from taskscope.model import Finding

    Line = tuple[str, int]
    """A file and a line in it."""

_COUNTS = tuple(each.name for each in fields(Counts))


def added(one: Counts, other: Counts) -> Counts:
    return Counts(*(add(getattr(one, name), getattr(other, name)) for name in _COUNTS))


def ended(counts: Counts) -> Counts:
    """What remains of a process's counts when it ends."""
    return replace(counts, live=0, unseen=counts.unseen + counts.live)


@dataclass(slots=True)
class _Share:
    """One site of one member.  ``oldest`` and ``median`` are in the group's time."""

    counts: Counts
    oldest: float | None
    median: float | None
    low: LowWater


class MergedSites:
    """Give it names and counts of members; take what has changed."""

    def __init__(self) -> None:
        self.sites: dict[int, Site] = {}
        self.texts: dict[int, str] = {}
        """The lines of sites, as far as they are known."""
        self._ids: dict[object, int] = {}
        self._near: dict[object, list[Site]] = {}
        self._of: dict[tuple[int, int], int] = {}
        self._shares: dict[int, dict[tuple[int, int], _Share]] = {}
        self._gone: dict[int, Counts] = {}
        self._named: dict[int, Site] = {}
        self._changed: set[int] = set()

    # -- names -------------------------------------------------------------------------------------

    def elsewhere(self, site: Site) -> list[Site]:
        """Sites of other lines that may be this one, in another version of its file."""
        key = _key(site)
        if key in self._ids:
            return []
        return self._near.get(key[:4], [])

    def name(self, member: int, site: Site, lines: Mapping[Line, str] | None = None) -> int:
        """The group's number for a site of a member.

        ``lines``: how this line and those `elsewhere` read in that member's version of the file.
        """
        text = (lines or {}).get((site.frame.file, site.frame.line), "")
        id = self._ids.get(_key(site)) or self._moved(site, text, lines or {}) or len(self.sites) + 1
        self._ids[_key(site)] = self._of[member, site.id] = id
        if id not in self.sites:
            self.sites[id] = self._named[id] = replace(site, id=id)
            self._near.setdefault(_key(site)[:4], []).append(self.sites[id])
        if text:
            self.texts[id] = text
        return id

    def _moved(self, site: Site, text: str, lines: Mapping[Line, str]) -> int | None:
        """The site of another version of the file: this member's has another line at that place."""
        others = {
            each: self.texts[each.id]
            for each in self.elsewhere(site)
            if self.texts.get(each.id)
            and lines.get((each.frame.file, each.frame.line), text) != self.texts[each.id]
        }
        old = {_key(each): Place(each, Counts(), (each.id,), read) for each, read in others.items()}
        found = matches(old, {_key(site): Place(site, Counts(), (site.id,), text)}) if text else {}
        return next((old[key].site.id for key, matched in found.values() if matched == "moved"), None)

    # -- counts ------------------------------------------------------------------------------------

    def count(self, member: int, counts: SiteCounts, time: float, shift: float) -> None:
        """The newest counts of a member's site; ``shift`` leads from its clock to the group's."""
        id = self._of.get((member, counts.site))
        if id is None:
            return
        shares, key = self._shares.setdefault(id, {}), (member, counts.site)
        share, live = shares.get(key), counts.counts.live
        oldest = None if counts.oldest is None else counts.oldest + shift
        median = None if counts.median is None else counts.median + shift
        if share is None:
            shares[key] = _Share(counts.counts, oldest, median, LowWater(live, time))
        else:
            share.counts, share.oldest, share.median = counts.counts, oldest, median
            share.low.note(live, time)
        self._changed.add(id)

    def drop(self, member: int, site: int) -> None:
        """A member counts these tasks under another site now."""
        id = self._of.pop((member, site), None)
        if id is not None and self._shares.get(id, {}).pop((member, site), None) is not None:
            self._changed.add(id)

    def end(self, member: int) -> None:
        """A member has ended."""
        for key in [key for key in self._of if key[0] == member]:
            id = self._of.pop(key)
            share = self._shares.get(id, {}).pop(key, None)
            if share is not None:
                self._gone[id] = added(self._gone.get(id, Counts()), ended(share.counts))
                self._changed.add(id)

    def take(self) -> tuple[tuple[Site, ...], tuple[SiteCounts, ...]]:
        """The sites named and counted since the last time."""
        named, changed = tuple(self._named.values()), self._changed
        self._named, self._changed = {}, set()
        return named, tuple(self.counts(id) for id in sorted(changed))

    def counts(self, id: int) -> SiteCounts:
        """All members' counts of a site together.  A median of several is not known."""
        shares = list(self._shares.get(id, {}).values())
        total = self._gone.get(id, Counts())
        for share in shares:
            total = added(total, share.counts)
        oldest = min((share.oldest for share in shares if share.oldest is not None), default=None)
        return SiteCounts(id, total, oldest, shares[0].median if len(shares) == 1 else None)

    # -- members -----------------------------------------------------------------------------------

    def id_of(self, member: int, site: int) -> int:
        """The group's number for a member's site; 0: not named yet."""
        return self._of.get((member, site), 0)

    def own(self, id: int, member: int) -> tuple[int, ...]:
        """The member's numbers for a site of the group."""
        return tuple(site for each, site in self._shares.get(id, {}) if each == member)

    def live(self, id: int) -> dict[int, int]:
        """Live tasks of a site by member; a member that never had any is left out."""
        found: dict[int, int] = {}
        for (member, _), share in self._shares.get(id, {}).items():
            found[member] = found.get(member, 0) + share.counts.live
        return found

    def outliers(self, id: int, members: Iterable[int], time: float) -> frozenset[int]:
        """Members with far more that stay than the others."""
        marks = dict.fromkeys(members, 0)
        for (member, _), share in self._shares.get(id, {}).items():
            if member in marks:
                marks[member] += share.low.mark(time)
        return outliers(marks)


def _key(site: Site) -> tuple[str, str, str, str, int]:
    return Place(site, Counts(), ()).key


@dataclass(frozen=True, slots=True)
class Told:
    """A finding of process ``pid``; ``site``: the group's number; ``shift`` leads to the group's clock.

    ``ended``: the process has ended, the finding is what it left.
    """

    pid: int
    finding: Finding
    site: int
    shift: float
    ended: bool = False


def merged_findings(every: Sequence[Told], of: Callable[[Collection[int]], int]) -> tuple[Finding, ...]:
    """Findings of several processes, each named once, worst first.

    ``of``: of how many processes some are.  A note on a site gives way to a fault of another process there.
    """
    groups: dict[object, list[Told]] = {}
    for told in every:
        groups.setdefault(about(told), []).append(told)
    faults = {told.site for told in every if told.site and told.finding.level != "info"}
    found = [
        _together(group, of)
        for group in groups.values()
        if group[0].finding.level != "info" or group[0].site not in faults
    ]
    return tuple(sorted(found, key=lambda each: (rank(each.level), -each.rate_per_min)))


def about(told: Told) -> object:
    """What is the same fault in several processes."""
    finding = told.finding
    site = finding.site
    where = told.site or (site.file, site.function, site.line, finding.cause and finding.cause.pattern)
    return (finding.level == "info", finding.kind, finding.coroutine, where)


def _together(group: Sequence[Told], of: Callable[[Collection[int]], int]) -> Finding:
    worst = min(group, key=_severity)
    counted = [told for told in group if not told.ended] or group
    first = min(group, key=lambda told: told.finding.since + told.shift)
    since_wall = min((each.finding.since_wall for each in group if each.finding.since_wall), default=None)
    pids = {each.pid for each in group}
    ended = pids - {each.pid for each in group if not each.ended}
    said = replace(
        worst.finding,
        id=worst.site,
        live=sum(each.finding.live for each in counted),
        rate_per_min=sum(each.finding.rate_per_min for each in counted),
        since=first.finding.since + first.shift,
        since_wall=since_wall,
        since_at_least=first.finding.since_at_least,
        processes=tuple(sorted(pids, key=lambda pid: (pid in ended, pid != worst.pid, pid))),
        of=of(pids - ended),
        ended=tuple(sorted(ended)),
    )
    return said if len(group) == 1 else replace(said, text=_sentence(said, worst))


def _severity(told: Told) -> tuple[int, bool, float, float]:
    """Worst is lowest."""
    finding = told.finding
    return rank(finding.level), told.ended, -finding.rate_per_min, -finding.blocks


def _sentence(said: Finding, worst: Told) -> str:
    if not said.counts:
        return worst.finding.text
    rate = wording.per_minute(said.rate_per_min)
    return f"{said.live:,} live, {rate} together; of {worst.pid}: {worst.finding.text}"
