"""The state kept per site while it is watched, and its finding."""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import field, replace
from operator import itemgetter
from typing import TYPE_CHECKING

from taskscope import text as wording
from taskscope.analysis import causes, patterns
from taskscope.analysis.clues import keeper_grows, kept_by
from taskscope.analysis.cohorts import Cohorts, Survival
from taskscope.analysis.kept import FEWEST
from taskscope.analysis.moves import Moves
from taskscope.analysis.onset import Onset
from taskscope.analysis.patterns.pattern import Said
from taskscope.analysis.plateau import plateau
from taskscope.analysis.sentences import levelling, pace, sentence, stuck
from taskscope.analysis.shown_level import ShownLevel
from taskscope.analysis.strength import Strength
from taskscope.analysis.track import LENGTH, RECENT, Track
from taskscope.model import Finding
from taskscope.model.vocabulary import rank
from taskscope.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from taskscope.analysis.first_sight import Past
    from taskscope.analysis.growth import Growth
    from taskscope.analysis.kept import Kept
    from taskscope.analysis.verdict import Verdict
    from taskscope.model import Cause, Keeper, Site, SiteCounts, SiteFacts
    from taskscope.model.vocabulary import Level, Reason

KEPT_AGAIN = 10.0
"""Seconds between requests about a site whose ended tasks are kept: the agent reuses its answer as long."""

FEW, MANY = 0.1, 0.5
"""Share of the older tasks that facts may leave out; share from which others are fetched while more come."""


RECENTLY = 40.0
"""Seconds since a container gained entries for it to be growing: it is looked at every ten at most."""


@dataclass(slots=True)
class WatchedSite:
    """The state of one site.

    ``from_nothing``: it certainly had no task at first.  ``past``: births before the agent, as far as they
    are reliable.  ``keeper``: what kept its tasks, as it was before it last changed.  ``keeper_grew``: when
    it was last seen to gain entries.  ``changed``: counts or facts have come since it was last looked at;
    ``gains``: as it was then, its count had risen.  ``calm``:
    nothing can be said of it until they change.  ``added``: time of its newest point.  ``adopted``: when the
    number of its older tasks last changed; ``coming``: likewise while more were being registered.
    """

    whole: Track
    recent: Track
    kept: Kept
    counts: SiteCounts
    from_nothing: bool = False
    cohorts: Cohorts = field(default_factory=Cohorts)
    moves: Moves = field(default_factory=Moves)
    past: Past | None = None
    facts: SiteFacts | None = None
    before: SiteFacts | None = None
    added: float = -1e9
    adopted: float = -1e9
    coming: float = -1e9
    asked: float = -1e9
    judged: float | None = None
    level: ShownLevel = field(default_factory=ShownLevel)
    reading: Growth | None = None
    onset: Onset = Onset(0.0)
    verdict: Verdict | None = None
    last_verdict: Verdict | None = None
    grew: bool = False
    leaked: bool = False
    cause: Cause | None = None
    keeper: Keeper | None = None
    keeper_grew: float = -math.inf
    strength: Strength = Strength.NONE
    changed: bool = True
    gains: bool = False
    calm: bool = False

    def note_change(self) -> None:
        """Counts or facts have come.  A site with one live task at most has not grown."""
        counts, level = self.counts, self.level
        self.changed = True
        self.calm = (
            counts.counts.live < 2
            and level.shown == level.other == "flat"
            and not (self.grew or counts.counts.lost or stuck(self.facts))
            and counts.retained < FEWEST
            and counts.adopted < 2
        )

    def explain(self, site: Site, facts: SiteFacts) -> None:
        """Names the cause by the newest facts."""
        moves, before = self.moves, self.before
        if before is not None and before.keeper is not None and before.keeper != facts.keeper:
            self.keeper = before.keeper
            if keeper_grows(facts, before):
                self.keeper_grew = facts.monotonic
        if before is not None and self.keeper is not None:  # answers about keepers are reused for a while
            before = replace(before, keeper=self.keeper)
        self.cause, self.strength = causes.explain(
            site,
            facts,
            before,
            workers=moves.workers,
            never=moves.never,
            used=moves.used,
            some=moves.some,
            comes=moves.comes,
            counts=self.counts.counts,
        )

    def recall(self, points: Sequence[tuple[float, int, int, int]], now: SiteCounts) -> None:
        """Adds counts from before we connected: times, live, born and ended."""
        self.counts = now
        for point in points:
            self.whole.add(*point)
        recent = bisect_right(points, points[-1][0] - RECENT * LENGTH, key=itemgetter(0)) if points else 0
        for point in points[max(0, recent - 1) :]:  # with the value in force at its start
            self.recent.add(*point)
        self.note_change()

    @property
    def survival(self) -> Survival | None:
        """Of the older tasks if these are known to stay, otherwise of those born while it is watched."""
        older = self.cohorts.older(self.past) if self.past is not None else None
        return older if older is not None and older.keeps else self.cohorts.survival()

    @property
    def keeps(self) -> bool:
        """Whether it has more ended tasks kept than live ones."""
        return self.counts.retained >= max(FEWEST, self.counts.counts.live)

    def wants_keeper(self, now: float) -> bool:
        """Whether to ask what keeps its ended tasks."""
        return self.keeps and now - self.asked > KEPT_AGAIN

    @property
    def unseen(self) -> float:
        """The share of its tasks older than the agent that the facts do not cover: they come bit by bit."""
        known = self.facts.older.live if self.facts is not None and self.facts.older is not None else 0
        older = self.counts.adopted - self.counts.counts.ended
        return max(0.0, 1 - known / older) if self.counts.adopted > 1 and older > 0 else 0.0

    @property
    def may_stay(self) -> bool:
        """Whether births prove anything: not of tasks in use, and it takes a while to see that none is."""
        return self.strength > Strength.NONE or (self.strength == Strength.NONE and self.moves.never)

    def wants_older(self, now: float) -> bool:
        """Whether to ask about older tasks: about the first at once, about all when no more come."""
        return self.unseen > (FEW if now > self.coming else MANY)

    @property
    def seen_once(self) -> bool:
        """Whether it has older tasks that were looked at once: only a second look shows who moves."""
        return self.counts.adopted > 1 and self.facts is not None and self.before is None


def inherit(
    watched: dict[int, WatchedSite], sites: Iterable[SiteCounts], kind_of: Callable[[int], tuple[str, str]]
) -> None:
    """Moves the state of older tasks to the site that a full sample now counts them under."""
    heirs = {kind_of(each.site): each.site for each in sites if each.adopted}
    for gone in watched.keys() - {each.site for each in sites}:
        heir = heirs.get(kind_of(gone))
        if heir is not None:
            watched.setdefault(heir, watched.pop(gone))


def growth_finding(site: Site, watched: WatchedSite) -> Finding:
    """A leak or a suspect."""
    reading, verdict = watched.reading, watched.last_verdict
    assert reading is not None
    assert verdict is not None
    level = watched.level.shown
    assert level != "flat"
    ahead = levelling(watched.facts, watched.cause, verdict.rate)
    return _about(
        site,
        watched,
        level,
        rate=verdict.rate,
        onset=watched.onset,
        text=sentence(level, verdict, reading, watched) + (f"; {ahead.text}" if ahead is not None else ""),
        why=verdict.why,
        evidence={
            "rate_low": round(verdict.low, 2),
            "rate_high": round(verdict.high, 2),
            "gained": reading.gained,
            "born": reading.born,
            "ended": reading.ended,
            "watched_seconds": round(reading.window, 1),
            "steps": reading.steps,
            **_older(watched),
            **(ahead.evidence if ahead is not None else {}),
        },
        until=verdict.until if level == "suspect" else None,
    )


def _older(watched: WatchedSite) -> dict[str, object]:
    """How many are older than the agent, and how their births are known."""
    older = watched.facts.older if watched.facts is not None else None
    told = {"past": watched.past.rests_on} if watched.past is not None else {}
    return {"older": older.live, **told} if older is not None else {}


def severity(found: Finding, strength: Strength) -> tuple[float, ...]:
    """Sorts the worst first: what stops others, then what is most certain, then what grows fastest."""
    halts = found.cause is not None and found.cause.pattern in patterns.HALTS
    return rank(found.level), not halts, -strength, -found.rate_per_min


def info_finding(
    site: Site, watched: WatchedSite, begun: float, now: float, long_lived: float
) -> Finding | None:
    """Worth knowing, not a fault: plateau, lost or retained tasks, long-lived.  ``begun``: of the agent."""
    kept = _kept_finding(site, watched, now)
    if kept is not None:
        return kept
    counts = watched.counts
    live = counts.counts.live
    why: Reason
    age = now - counts.oldest if counts.oldest is not None else 0.0
    lost = counts.counts.lost
    onset = Onset(begun)  # counting began with the agent
    flat = plateau(watched.whole.bins(now), now) if watched.grew and live else None
    if flat is not None and (watched.leaked or flat.lifetime is not None):
        text, why = flat.text, "plateau"
        onset = Onset(flat.since)
    elif watched.leaked and live and watched.reading is not None:
        text, why = f"stopped growing at {live:,} live", "plateau"
        onset = Onset(watched.reading.last)
    elif live and stuck(watched.facts) == 1:
        text, why = "nothing can wake 1 task: no living code can reach what it waits for", "stuck"
    elif lost:
        text, why = f"{lost:,} {wording.be(lost, past=True)} destroyed while still waiting", "lost"
    elif counts.retained >= max(100, live):
        text, why = f"{counts.retained:,} are done but still referenced{_keeping(watched)}", "retained"
    elif live >= 2 and age >= long_lived:
        guess = wording.IMPUTED if site.kind == "task" and now - age < begun else ""
        text, why = f"{live:,} live, oldest {guess}{wording.seconds(age)}, not growing", "long-lived"
        onset = Onset(now - age)
    else:
        return None
    found = _about(site, watched, "info", rate=0.0, onset=onset, text=text, why=why)
    return _with_cause_of_kept(found, watched) if why == "retained" else found


def _kept_finding(site: Site, watched: WatchedSite, now: float) -> Finding | None:
    """A finding on ended tasks that a container keeps, more and more of them.

    Those that no container is seen to keep may await the garbage collector: in a quiet service for many
    minutes.  Out of a container that entries also leave they may be taken once it is full.
    """
    facts = watched.facts
    if not watched.keeps or facts is None or facts.keeper is None or facts.keeper.each is None:
        return None
    emptied = facts.keeper.emptied
    judged = watched.kept.judged(now, facts.keeper)
    if judged is None or (emptied and judged[1].level != "leak"):
        return None
    reading, verdict = judged
    certain = verdict.level == "leak" and not emptied and _collects(watched, reading, now)
    speed = pace(verdict, reading)
    text = f"{watched.counts.retained:,} are done but still referenced{_keeping(watched)}, {speed}"
    found = _about(
        site,
        watched,
        "leak" if certain else "suspect",
        rate=verdict.rate,
        onset=watched.kept.onset(reading),
        text=text,
        why=verdict.why,
        until=verdict.until,
    )
    return _with_cause_of_kept(found, watched)


def _with_cause_of_kept(found: Finding, watched: WatchedSite) -> Finding:
    """The finding with what keeps its tasks as the cause, if that is known."""
    keeping = _keeping(watched)
    if not keeping:
        return found
    kept = Said(f"ended tasks are kept{keeping}", ("ended tasks are kept",))
    return replace(found, cause=patterns.OF_ENDED.cause(kept, ()))


def _collects(watched: WatchedSite, reading: Growth, now: float) -> bool:
    """Whether the container still gains entries: in a full one the newer only replace the older."""
    return now - watched.keeper_grew <= max(RECENTLY, 3 * reading.gap)


def _keeping(watched: WatchedSite) -> str:
    """What keeps ended tasks, and how much each of them keeps."""
    facts = watched.facts
    if facts is None or facts.keeper is None:
        return ""
    each = facts.keeper.each
    size = f", {wording.bytes(each)} each" if each else ""
    return f" by {kept_by(facts, watched.before)}{size}"


def _about(
    site: Site,
    watched: WatchedSite,
    level: Level,
    *,
    rate: float,
    onset: Onset,
    text: str,
    why: Reason,
    evidence: dict[str, object] | None = None,
    until: float | None = None,
) -> Finding:
    return Finding(
        level=level,
        kind=site.kind,
        id=site.id,
        site=site.frame,
        user_site=site.user_frame,
        coroutine=site.coroutine,
        live=watched.counts.counts.live,
        rate_per_min=round(rate, 2),
        since=onset.since,
        since_at_least=onset.at_least,
        since_estimated=site.kind == "task" and onset.since < watched.whole.origin,
        text=text,
        evidence={"why": why, **(evidence or {})},
        cause=watched.cause if level != "info" or watched.strength > Strength.PERMANENT else None,
        known=site.known,
        via=site.via,
        until_told=until,
    )
