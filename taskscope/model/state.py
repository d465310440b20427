"""Folds samples into the state of the target.

The app, the judge and ``watch`` rely on these rules:

- Anything a sample omits is unchanged.  A full sample drops the sites it does not mention.
- Counts and losses are totals: the newest value is complete.
- A site first counted after another sample had no tasks at that sample; before the first sample nothing is
  known.
- Tasks older than the agent that are found later were there from the first sample on: they are neither growth
  nor births.
- A full sample that drops the site of older tasks counts them under another site of their coroutine, whose
  first counts then include theirs.
- A site that is named again has a better known line; its counts stay.
- Counts of a site that was never named are ignored.
- Times are the target's.  The latest sample relates them to the wall clock, which may be set.
- The same agent continues where it was; with another agent the state starts over.
"""

from __future__ import annotations

from dataclasses import astuple, replace
from operator import add
from typing import TYPE_CHECKING

from taskscope.model.sites import Counts, SiteCounts
from taskscope.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterable

    from taskscope.model.process import Hello
    from taskscope.model.sites import Sample, Site


@dataclass(slots=True)
class SiteState:
    """One site.  ``counts``: its newest, from ``changed``; ``first``: its counts at ``since``.

    ``came``: it appeared after the first sample.  ``since`` None: named but not yet counted.
    """

    site: Site
    counts: SiteCounts
    first: Counts = Counts()
    since: float | None = None
    came: bool = False
    changed: float = 0.0

    @property
    def gained(self) -> int:
        """How much the live count has grown since ``since``."""
        return self.counts.counts.live - self.first.live

    def find(self, number: int) -> None:
        """So many of its tasks were there at ``since`` already."""
        first = self.first
        self.first = replace(first, live=first.live + number, born=first.born + number)

    def inherit(self, left: SiteState) -> None:
        """Takes over the tasks of a dropped site: they have not come since."""
        self.first = Counts(*map(add, astuple(self.first), astuple(left.first)))
        if self.came:
            self.since, self.came = left.since, left.came


@dataclass(frozen=True, slots=True)
class Change:
    """What a sample changed: sites new or better known, sites counted, and ids of sites dropped.

    ``heirs``: of those dropped, which site their tasks are counted under.  ``found``: of a site, how many
    tasks older than the agent were found since the sample before.
    """

    named: tuple[SiteState, ...]
    counted: tuple[SiteState, ...]
    gone: tuple[int, ...]
    heirs: dict[int, int]
    found: dict[int, int]


class TargetState:
    """What is known of a target so far."""

    def __init__(self, hello: Hello | None = None) -> None:
        self.hello = hello
        self.sample: Sample | None = None
        self.sites: dict[int, SiteState] = {}

    def begin(self, hello: Hello) -> bool:
        """Begins a connection; returns whether it is to the same agent as before."""
        known, self.hello = self.hello, hello
        same = known is not None and _agent(known) == _agent(hello)
        if not same:
            self.sample = None
            self.sites.clear()
        return same

    def apply(self, sample: Sample) -> Change:
        """Applies the next sample."""
        before, now, sites = self.sample, sample.monotonic, self.sites
        if sample.process is not None and self.hello is not None:  # one of its limits has changed
            self.hello = replace(self.hello, process=sample.process)
        named = self.learn(sample.new_sites)
        counted: list[SiteState] = []
        takers: dict[tuple[str, str], SiteState] = {}
        found: dict[int, int] = {}
        for counts in sample.sites:
            state = sites.get(counts.site)
            if state is None:
                continue
            if state.since is None and before is None:
                state.first, state.since = counts.counts, now
            elif more := counts.adopted - state.counts.adopted:
                found[state.site.id] = more
                takers[state.site.kind, state.site.coroutine] = state
            if state.since is None and before is not None:
                state.since, state.came = before.monotonic, True
            state.counts, state.changed = counts, now
            counted.append(state)
        gone = sites.keys() - mentioned(sample) if sample.full else ()
        heirs = {}
        for id in gone:
            left = sites.pop(id)
            taker = takers.get((left.site.kind, left.site.coroutine))
            if taker is not None and left.since is not None:
                taker.inherit(left)
                heirs[id] = taker.site.id
                found.pop(taker.site.id, None)
        for id, number in found.items():
            sites[id].find(number)
        self.sample = sample
        return Change(named, tuple(counted), tuple(gone), heirs, found)

    def learn(self, sites: Iterable[Site]) -> tuple[SiteState, ...]:
        """Names sites; returns those new or better known."""
        learnt = []
        for site in sites:
            state = self.sites.get(site.id)
            if state is None:
                state = self.sites[site.id] = SiteState(site, SiteCounts(site.id, Counts()))
            elif state.site == site:
                continue
            state.site = site
            learnt.append(state)
        return tuple(learnt)

    @property
    def now(self) -> float:
        """The target's time at the latest sample."""
        if self.sample is not None:
            return self.sample.monotonic
        return self.hello.agent_since if self.hello is not None else 0.0

    def before_agent(self, time: float) -> bool:
        """Whether that was before the agent came: what is told of it is an estimate."""
        return self.hello is not None and time < self.hello.agent_since

    def wall(self, time: float) -> float:
        """Seconds since the epoch at a time of the target's clock."""
        at = self.sample or self.hello
        return time + at.wall - at.monotonic if at is not None else time

    def whole(self) -> Sample | None:
        """The state as one full sample; None before the first sample."""
        if self.sample is None:
            return None
        sites = tuple(state.site for state in self.sites.values())
        counts = tuple(state.counts for state in self.sites.values())
        return replace(self.sample, full=True, new_sites=sites, sites=counts)


def merge(*samples: Sample) -> Sample:
    """One sample equivalent to these in sequence."""
    named: dict[int, Site] = {}
    counted: dict[int, SiteCounts] = {}
    for sample in samples:
        if sample.full:
            here = mentioned(sample)
            named = {id: site for id, site in named.items() if id in here}
            counted = {id: counts for id, counts in counted.items() if id in here}
        named.update((site.id, site) for site in sample.new_sites)
        counted.update((counts.site, counts) for counts in sample.sites)
    return replace(
        samples[-1],
        full=any(each.full for each in samples),
        new_sites=tuple(named.values()),
        sites=tuple(counted.values()),
        process=next((each.process for each in reversed(samples) if each.process is not None), None),
    )


def mentioned(sample: Sample) -> set[int]:
    """The sites that a sample names or counts; after a full one there are no others."""
    return {each.id for each in sample.new_sites}.union(each.site for each in sample.sites)


def _agent(hello: Hello) -> tuple[int, float]:
    return hello.process.pid, hello.agent_since
