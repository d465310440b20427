"""Judges a target while it is watched: samples and facts in, findings out.

A ``Judge`` does no I/O: its caller feeds it samples, fetches the facts it requests, and reads the findings
(see ``sources.pump``).  Memory is bounded by the number of sites.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

from taskscope.analysis import growth, patterns
from taskscope.analysis.bystanders import without_bystanders
from taskscope.analysis.churn import Churn
from taskscope.analysis.first_sight import FirstSight, extended
from taskscope.analysis.fruitless import FruitlessStarts
from taskscope.analysis.kept import Kept
from taskscope.analysis.kin import Kin
from taskscope.analysis.mishaps import MishapTrack
from taskscope.analysis.onset import BEGINNING, Onset, onset
from taskscope.analysis.passengers import without_passengers
from taskscope.analysis.patterns.mishaps import lost_cause
from taskscope.analysis.patterns.overload import CROWDED
from taskscope.analysis.patterns.pattern import ProcessFacts
from taskscope.analysis.questions import Questions, as_if_asked
from taskscope.analysis.resources import Resources, with_resources
from taskscope.analysis.spinning import Spins
from taskscope.analysis.stock import Stock
from taskscope.analysis.strength import Strength
from taskscope.analysis.timers import PilingTimers
from taskscope.analysis.track import LENGTH, RECENT, Track
from taskscope.analysis.unjudged import judged
from taskscope.analysis.verdict import Verdict, judge
from taskscope.analysis.watched_site import FEW, WatchedSite, growth_finding, info_finding, inherit, severity
from taskscope.model import Counts, Finding, SiteCounts, requests
from taskscope.model.state import TargetState
from taskscope.model.vocabulary import rank

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from taskscope.analysis.cohorts import Survival
    from taskscope.analysis.first_sight import Past
    from taskscope.analysis.resources import Climb
    from taskscope.analysis.track import Bin
    from taskscope.model import (
        Hello,
        History,
        Judged,
        Loop,
        Mishaps,
        Sample,
        Site,
        SiteFacts,
        SiteHistory,
        Stall,
        Thread,
        WaitGraph,
    )

QUIET_EVERY = 4
"""Seconds between judgements of a site without a finding."""

CALM_EVERY = 10.0
"""Seconds between points of a site that starts tasks and keeps one at most; another is noted at once."""

MAX_INFO = 20


class Judge:
    """Judges every site of one target.  ``long_lived``: age in seconds from which a task is worth an info."""

    def __init__(self, hello: Hello, *, long_lived: float = 60.0) -> None:
        self.state = TargetState(hello)
        self.long_lived = long_lived
        self._since = hello.agent_since
        self._started = hello.monotonic - (hello.wall - hello.process.started_wall)
        self._interval = hello.interval
        self._watched: dict[int, WatchedSite] = {}
        self._kin = Kin(self.state.sites, self._watched)
        self._questions = Questions(self._watched, self._since, long_lived)
        self._fed = 0
        self._first: float | None = None  # when the first sample was taken
        self._stalls: tuple[Stall, ...] = ()
        self._threads: Sequence[Thread] = ()
        self._loops: tuple[Loop, ...] = ()
        self._waits: WaitGraph | None = None
        self.spins, self.churn, self.fruitless = Spins(), Churn(), FruitlessStarts()
        self.mishaps, self._was_quick = MishapTrack(), False
        self._slow: Onset | None = None  # since when callbacks run late
        self._first_sight = FirstSight(self._started, self._since)
        self.timers, self.stock = PilingTimers(self._started), Stock(self._started)
        self.resources = Resources(hello.agent_since, self._started, hello.interval, hello.process)

    @property
    def now(self) -> float:
        return self.state.now

    def learn(self, sites: Iterable[Site]) -> None:
        """Adds sites known beforehand; samples carry the new ones."""
        for state in self.state.learn(sites):
            self._kin.add(state.site)

    def past(
        self,
        histories: Iterable[SiteHistory],
        history: History | None = None,
        sample: Sample | None = None,
    ) -> None:
        """Adds history from before we connected; call it before ``feed``.

        ``sample``, the first one, tells which tasks predate the agent: they are not growth.
        """
        adopted = {each.site: each.adopted for each in sample.sites} if sample is not None else {}
        if history is not None:
            self.resources.past(history)
            for time, latency in zip(history.times, history.loop_latency, strict=True):
                self._note_latency(time, latency)
        for past in histories:
            points = list(zip(past.times, past.live, past.born, past.ended, strict=True))
            if not points:
                continue
            (time, *counts), *later = points
            older = adopted.get(past.site, 0)
            self._add(SiteCounts(past.site, Counts(*counts), adopted=older), time, came=True)
            now = SiteCounts(past.site, Counts(*points[-1][1:]), adopted=older)
            self._watched[past.site].recall(later, now)

    def feed(self, sample: Sample) -> None:
        """Adds the next sample."""
        self.learn(sample.new_sites)
        if sample.full:  # before it drops what has gone
            inherit(self._watched, sample.sites, self._kind_of)
        change = self.state.apply(sample)
        self._fed += 1
        self._first = sample.monotonic if self._first is None else self._first
        self.resources.feed(sample)
        self._note_latency(sample.monotonic, sample.loop_latency)
        for state in change.counted:
            self._add(state.counts, sample.monotonic, came=not state.first.born)
        for id in change.gone:
            self._watched.pop(id, None)
        older = sum(
            each.counts.adopted
            for id, each in self._watched.items()
            if each.counts.adopted and self._kind_of(id)[0] == "task"
        )
        self._first_sight.births = sample.tasks.born - older

    def _kind_of(self, id: int) -> tuple[str, str]:
        state = self.state.sites.get(id)
        return (state.site.kind, state.site.coroutine) if state is not None else ("", "")

    def questions(self) -> tuple[requests.Facts, ...]:
        """The facts to fetch now."""
        return self._questions.due(self.now)

    def suspected(self) -> tuple[int, ...]:
        """Sites whose facts are wanted, highest priority first."""
        return self._questions.ranked(self.now)

    def looks(self, looks: Iterable[SiteFacts]) -> None:
        """Adds facts that other clients fetched, oldest first per site, as if this judge had asked."""
        of_site: dict[int, list[SiteFacts]] = defaultdict(list)
        for each in looks:
            of_site[each.site].append(each)
        for site, seen in of_site.items():
            for each in as_if_asked(seen):
                self.facts(each)
            if site in self._watched:
                self._watched[site].asked = seen[-1].monotonic

    def facts(self, facts: SiteFacts) -> None:
        """Adds the answer to a question."""
        watched = self._watched.get(facts.site)
        if watched is not None:
            watched.judged = None  # judge again: there is new evidence
            watched.before, watched.facts = watched.facts, facts
            watched.note_change()
            watched.cohorts.answer(facts)
            watched.moves.add(facts)
            self._first_sight.read(facts)
            state = self.state.sites.get(facts.site)
            if state is not None:
                watched.explain(state.site, facts)

    def note(
        self,
        stalls: Iterable[Stall],
        threads: Sequence[Thread],
        loops: Iterable[Loop] = (),
        waits: WaitGraph | None = None,
    ) -> None:
        """Sets the current stalls, threads, loops and waits.  ``loops``: only while they are slow."""
        self._stalls, self._threads, self._loops, self._waits = tuple(stalls), threads, tuple(loops), waits

    def note_mishaps(self, mishaps: Mishaps) -> None:
        """Sets what goes wrong with single tasks."""
        sites = self.state.sites
        counts = {id: watched.counts for id, watched in self._watched.items()}
        self.mishaps.note(mishaps, counts, {id: each.site for id, each in sites.items()})

    def _process_findings(self, climbs: Sequence[Climb]) -> tuple[Finding, ...]:
        slow = self._slow or Onset(self.now, at_least=True)
        process = ProcessFacts(
            self.now,
            self._stalls,
            self._threads,
            self._loops,
            slow,
            self.resources.exhausted,
            climbs,
            self._waits,
            self.mishaps,
            self.timers.found(),
            self.stock.found(self._threads),
            self.stock.descriptors,
            self.spins.found,
            self.churn.found,
            self.fruitless.found(self.state.sites),
            self.resources.cpu.found(),
        )
        return tuple(finding for pattern in patterns.OF_PROCESS for finding in pattern.find(process))

    def _note_latency(self, time: float, latency: float | None) -> None:
        if latency is None or latency < CROWDED:
            self._slow, self._was_quick = None, True
        elif self._slow is None:
            from_start = max(time, self._since) - self._started <= BEGINNING
            self._slow = Onset(time, at_least=not self._was_quick and not from_start)

    def findings(self) -> tuple[Finding, ...]:
        """The current findings, worst first."""
        of_sites = (self._finding(id, each) for id, each in self._watched.items() if not each.calm)
        judged = [each for each in of_sites if each is not None]
        judged.sort(key=lambda each: severity(each, self._watched[each.id].strength))
        found = without_passengers(judged, self._watched, self.now)
        climbs = self.climbs()
        self.churn.look(self.now, self._watched, self.state.sites, self.resources.levels(self.now))
        of_process = self._process_findings(climbs)
        found = without_bystanders(found, of_process, self._waits, self._watched)
        serious = [each for each in found if each.level != "info"]
        infos = [each for each in found if each.level == "info"]
        told = (
            *of_process[:MAX_INFO],
            *(with_resources(each, climbs, serious) for each in serious),
            *infos[:MAX_INFO],
        )
        ranked = sorted(told, key=lambda each: rank(each.level))
        return tuple(replace(each, since_wall=round(self.state.wall(each.since), 3)) for each in ranked)

    @property
    def judged(self) -> Judged:
        """How far it has come."""
        return judged(self._watched.values(), self.now if self._first is None else self._first, self.now)

    def pasts(self) -> dict[int, Past]:
        """What is known of sites from before the agent."""
        return {id: each.past for id, each in self._watched.items() if each.past is not None}

    def climbs(self) -> tuple[Climb, ...]:
        """The resources that climb, with the growing sites that move with them."""
        growing: dict[int, WatchedSite | Kept] = {}
        for id, each in self._watched.items():
            if each.level.shown != "flat":
                growing[id] = each
            elif each.keeps and each.kept.judged(self.now) is not None:
                growing[id] = each.kept
        return self.resources.climbs(self.now, growing)

    def _add(self, counts: SiteCounts, time: float, *, came: bool) -> None:
        watched = self._watched.get(counts.site)
        if watched is None:
            watched = self._watched[counts.site] = WatchedSite(
                Track(self._since, self._interval, recent=False),
                Track(self._since, max(RECENT, self._interval), recent=True),
                Kept(self._since, self._interval, from_start=self._since - self._started <= BEGINNING),
                counts,
            )
            if came and time > self._since + 1.5 * self._interval and not counts.adopted:
                watched.from_nothing = True
                watched.whole.add(self._since, 0, 0, 0)
                watched.recent.add(self._since, 0, 0, 0)
        moved = counts.adopted - watched.counts.adopted
        if moved:  # the site of tasks older than the agent became known: that is not growth
            sample = self.state.sample
            watched.adopted = time
            watched.coming = time if sample is not None and sample.arriving else watched.coming
            watched.whole.shift(moved)
            watched.recent.shift(moved)
        before, watched.counts = watched.calm, counts
        watched.note_change()
        if before and watched.calm and 0 <= time - watched.added < CALM_EVERY:
            return
        watched.added = time
        total = counts.counts
        values = total.live, total.born, total.ended
        watched.whole.add(time, *values)
        watched.recent.add(time, *values)
        watched.kept.add(time, counts.retained)

    def _finding(self, id: int, watched: WatchedSite) -> Finding | None:
        if self._is_due(id, watched):
            self._judge(watched)
        state = self.state.sites.get(id)
        if state is None:
            return None
        if watched.level.shown in ("leak", "suspect"):
            return growth_finding(state.site, watched)
        found = info_finding(state.site, watched, self._since, self.now, self.long_lived)
        if found is not None and found.why == "lost":
            found = replace(found, cause=lost_cause(self.mishaps.lost_at(id)))
        return found

    def _is_due(self, id: int, watched: WatchedSite) -> bool:
        """Whether to judge a site now: each time if it has a finding, else in turn.

        Thousands of quiet sites must cost next to nothing; one that has not grown is not judged at all, and
        one that shows nothing new is not looked at.
        """
        if watched.level.shown != "flat" or watched.judged is None or watched.strength == Strength.PROVEN:
            due = True
        elif self.now - watched.judged < QUIET_EVERY:
            due = False
        elif watched.changed:
            watched.changed = False
            watched.gains = watched.whole.gain > 1 or watched.recent.gain > 1
            due = watched.gains or watched.facts is not None
        else:
            due = watched.gains or watched.level.other != "flat"
        if due:
            turn = id % QUIET_EVERY if watched.judged is None and self._fed > 1 else 0
            watched.judged = self.now - turn
        return due

    def _judge(self, watched: WatchedSite) -> None:
        strength = watched.strength
        if self.now <= watched.adopted:  # the next sample tells how many come without the older ones
            watched.judged = None
        complete = watched.unseen <= FEW and self.now > watched.coming
        known = watched.facts if watched.may_stay and complete else None
        watched.past = self._first_sight.past(known, watched.counts, self.now, watched.cohorts)
        survival = watched.survival
        result = self._verdict(watched, watched.whole, survival, strength)
        begun = watched.reading.begun if watched.reading is not None else self._since
        if self.now - self._since > RECENT * LENGTH:
            late = self._verdict(watched, watched.recent, survival, strength)
            if result is None or (late is not None and rank(late.level) < rank(result.level)):
                result = late
        sure = strength == Strength.PROVEN or (watched.past is not None and strength >= Strength.REPEATED)
        watched.level.follow(result.level if result else "flat", self.now, at_once=sure or self._fed <= 1)
        watched.verdict = result
        if result is not None and result.level != "flat":
            watched.last_verdict = result
            watched.onset = self._onset(watched, begun)
        watched.grew = watched.grew or watched.level.shown != "flat"
        watched.leaked = watched.leaked or watched.level.shown == "leak"

    def _whole(self, watched: WatchedSite) -> list[Bin]:
        """The bins of the whole watch, and of the time before the agent where it is known."""
        bins = watched.whole.bins(self.now)
        return extended(bins, watched.past) if watched.past is not None else bins

    def _onset(self, watched: WatchedSite, begun: float) -> Onset:
        """When growth began.  ``begun``: the end of the start-up, if there was one."""
        bins = self._whole(watched)
        whole = [bin for bin in bins if bin.time >= begun]
        first = self._since + 2 * max(self._interval, watched.whole.width)
        with_process = self._since - self._started <= BEGINNING and bins[0].time <= first
        seen_begin = with_process or watched.past is not None or (watched.from_nothing and begun > first)
        assert watched.reading is not None
        return onset(watched.reading, whole, watched.recent.bins(self.now), seen_begin=seen_begin)

    def _verdict(
        self, watched: WatchedSite, track: Track, survival: Survival | None, strength: Strength
    ) -> Verdict | None:
        if watched.counts.counts.live < 2 and watched.level.shown == "flat":
            return None
        bins = track.bins(self.now) if track.recent else self._whole(watched)
        reading = growth.measure(bins, self.now)
        if reading is None:
            return None
        watched.reading = reading
        highest = 0
        if track.recent:
            earlier = [bin.high for bin in watched.whole.bins(self.now) if bin.time < reading.begun]
            highest = max(earlier, default=0)
        replaced = 0
        if reading.gained > 1:
            replaced = self._kin.replaced(watched.counts.site, self.now, recent=track.recent)
        return judge(
            reading,
            survival,
            strength,
            uptime=reading.begun - self._started,
            record=reading.live > highest,
            seen_since=self._since,
            replaced=replaced,
        )
