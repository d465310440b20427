"""The app's one store of observations: samples go in, widgets read what they draw.

Pure: no Textual, no I/O, and the clock is given.  Times are the target's (monotonic seconds) except
where a name says ``received``, which is ours.
"""

from __future__ import annotations

import dataclasses
import time
from typing import TYPE_CHECKING

from taskscope import text as fmt
from taskscope.analysis.matching import matches, places
from taskscope.model import History
from taskscope.model.changes import Side
from taskscope.model.series import HISTORY, RATED, SETTLES, ProcessSeries
from taskscope.model.state import TargetState, merge
from taskscope.model.vocabulary import GROUPS
from taskscope.tui.current_findings import Findings
from taskscope.tui.rows import Row, SiteRow, SumRow, WalkedRow
from taskscope.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from taskscope.analysis.first_sight import Past
    from taskscope.model import Counts, Group, Hello, Sample, SiteHistory

_FITS = (60.0, 120.0, 300.0, 600.0)
"""Seconds that pictures of a young target show, in place of ten nearly empty minutes."""

WALKED = GROUPS
GROUPINGS = ("site", "user site", "coroutine", *WALKED)
"""Groupings that only a walk over the tasks can answer (`Source.groups`)."""


@dataclass(frozen=True, slots=True)
class Baseline:
    """What the target is compared with: a moment marked by the user, or a file, which then has a ``name``.

    ``sites``: counts then, by the number of the site now.
    """

    side: Side
    name: str
    sites: dict[int, Counts]

    @property
    def wall(self) -> float:
        return self.side.sample.wall


class Store:
    """What is known of the target.  ``version`` changes whenever anything drawn may have changed."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.version = 0
        self.past_version = 0
        """Changes when the past itself changed, not when a second was added."""
        self.state = TargetState()
        self.received: float | None = None
        self.shown: float | None = None
        self.sites: dict[int, SiteRow] = {}
        self.history = ProcessSeries()
        self.baseline: Baseline | None = None
        self._numbered = True  # the baseline's sites have the numbers of those now
        self.texts: Mapping[int, str] = {}
        """The lines of sites, where somebody has asked for them: they find moved ones again."""
        self.findings = Findings()
        self.paused = False
        self.rates: Callable[[str], float | None] | None = None
        """Who knows the rates, where the totals do not tell: processes come and go in those of a group."""
        self._rates: dict[str, float | None] = {}
        self._pasts: Mapping[int, Past] = {}
        self._held: Sample | None = None
        self._walked: dict[str, dict[str, WalkedRow]] = {}
        self._rows: dict[str, Sequence[Row]] = {}  # emptied whenever a site comes or goes

    # -- what goes in ------------------------------------------------------------------------------

    def begin(self, hello: Hello) -> None:
        """A connection: to a new target (everything starts anew), or to the same agent again."""
        self._held = None
        if not self.state.begin(hello):
            self.sites.clear()
            self._pasts = {}
            self._walked.clear()
            self._rows.clear()
            self.history = ProcessSeries(self._settled)
            self._numbered = False
            if self.baseline is not None:
                self.baseline = dataclasses.replace(self.baseline, sites={})
            self.findings.forget()
            self.past_version += 1
        self.version += 1

    def jump(self, hello: Hello) -> None:
        """A recording shows another moment, maybe an earlier one; a full sample of it follows."""
        self.begin(hello)
        self.history.clear()
        for row in self.sites.values():
            row.series.clear()
            row.state.came = False  # or it did so later
        self.past_version += 1

    def apply(self, sample: Sample) -> None:
        """Takes a sample in; while paused it is held (merged with those held before)."""
        self.received = self.clock()
        if self.paused:
            self._held = sample if self._held is None else merge(self._held, sample)
            return
        self._take(sample)

    def _take(self, sample: Sample) -> None:
        self.shown = self.received
        if self.rates is not None:
            self._rates = {column: self.rates(column) for column in RATED}
        sites, change = self.sites, self.state.apply(sample)
        for state in change.named:
            row = sites.get(state.site.id)
            if row is None:
                sites[state.site.id] = SiteRow(state, self._settled, self.history)
            else:
                row.name()
        for state in change.counted:
            sites[state.site.id].update()
        for id in change.gone:
            sites.pop(id, None)
        if change.named or change.gone:
            self._rows.clear()
            self._find_again()
        self.history.add(sample)
        self.version += 1

    def recall(self, past: History | Sequence[SiteHistory]) -> None:
        """The agent's own record of the past replaces ours as far as it goes."""
        if isinstance(past, History):
            self.history.take(past)
        else:
            for each in past:
                row = self.sites.get(each.site)
                if row is not None:
                    row.series.load(each.times, (each.live, each.born, each.ended))
        self.past_version += 1
        self.version += 1

    def reconstruct(self, pasts: Mapping[int, Past]) -> None:
        """What the judge knows of sites from before the agent, newly each time."""
        for id in self._pasts.keys() | pasts.keys():
            if (row := self.sites.get(id)) is not None:
                row.past = pasts.get(id)
        if pasts.keys() != self._pasts.keys():
            self.past_version += 1
        self._pasts = pasts
        self.version += 1

    def merge_groups(self, by: str, groups: Sequence[Group]) -> None:
        """The answer to ``source.groups(by)``."""
        known = self._walked.get(by, {})
        rows: dict[str, WalkedRow] = {}
        for group in groups:
            row = known.get(group.key) or WalkedRow(group, by)
            row.update(group, self.now)
            rows[group.key] = row
        self._walked[by] = rows
        self._rows.pop(by, None)
        self.version += 1

    def pause(self) -> None:
        """From here on the picture stands still."""
        self.paused = True
        self.version += 1

    def resume(self) -> None:
        """Takes in at once what came while paused (ask for the history to fill the gap)."""
        self.paused = False
        held, self._held = self._held, None
        if held is not None:
            self._take(held)
        self.version += 1

    def mark(self) -> Baseline | None:
        """Sets the baseline to now; None before the first sample."""
        now = self.side()
        if now is None:
            return None
        counts = {id: state.counts.counts for id, state in self.state.sites.items()}
        self._numbered = True
        self.baseline = Baseline(now, "", counts)
        self.version += 1
        return self.baseline

    def compare_with(self, side: Side, name: str) -> None:
        """Sets the baseline to another state, of this process or another."""
        self._numbered = False
        self.baseline = Baseline(side, name, {})
        self._find_again()
        self.version += 1

    def unmark(self) -> None:
        self.baseline = None
        self.version += 1

    def _find_again(self) -> None:
        """Finds the sites of a baseline again whose numbers are another agent's."""
        baseline, now = self.baseline, self.side()
        if baseline is None or self._numbered or now is None:
            return
        old, new = places(baseline.side), places(now)
        found = {
            id: old[key].counts for place, (key, _) in matches(old, new).items() for id in new[place].ids[:1]
        }
        self.baseline = dataclasses.replace(baseline, sites=found)

    # -- what comes out ----------------------------------------------------------------------------

    def side(self) -> Side | None:
        """All sites as they are now, to be compared; None before the first sample."""
        whole = self.state.whole()
        if whole is None:
            return None
        return Side(whole, self.findings.every, self.texts, self.hello.process if self.hello else None)

    @property
    def hello(self) -> Hello | None:
        return self.state.hello

    @property
    def counts_births(self) -> bool:
        """Whether births, parents and ends are known."""
        return self.hello is None or self.hello.counts_births

    @property
    def sample(self) -> Sample | None:
        """The latest shown."""
        return self.state.sample

    @property
    def now(self) -> float:
        """The target's time of what is shown."""
        return self.state.now

    def sample_age(self) -> float | None:
        """Seconds since anything was received."""
        return None if self.received is None else self.clock() - self.received

    def shown_age(self) -> float | None:
        """Seconds since what is shown was received: it grows while paused."""
        return None if self.shown is None else self.clock() - self.shown

    def age(self, birth: float | None) -> float | None:
        """Age of something born then, at the moment shown."""
        return None if birth is None else max(0.0, self.now - birth)

    def age_text(self, birth: float | None, *, exact: bool = False) -> str:
        """The age of something born then; ``~`` if that is older than the agent, unless known exactly."""
        guess = birth is not None and not exact and self.state.before_agent(birth)
        return fmt.IMPUTED * guess + fmt.age(self.age(birth))

    def uptime(self) -> float | None:
        """Seconds that the target runs."""
        if self.hello is None or self.sample is None:
            return None
        return self.sample.wall - self.hello.process.started_wall

    @property
    def _settled(self) -> float:
        return self.hello.agent_since + SETTLES if self.hello else 0.0

    def fitted(self, seconds: float, begun: float | None = None) -> float:
        """At most so many seconds of the past: fewer, in round numbers, while no more of it is known.

        ``begun``: since when some of it is reconstructed.
        """
        times = self.history.times
        begun = begun if begun is not None else times[0] if times else self.now
        known = self.now - begun
        return min(seconds, next((fit for fit in _FITS if known <= fit), seconds))

    @property
    def begun(self) -> float | None:
        """Since when the past of some site is reconstructed."""
        return min((past.started for past in self._pasts.values()), default=None)

    def slope(self, column: str) -> float | None:
        """Change per minute of one column of the history."""
        if self.rates is not None:
            return self._rates.get(column)
        return self.history.slope(self.now, HISTORY.index(column))

    def last(self, column: str) -> float | None:
        """Newest value of one column of the history."""
        if self.sample is None:
            return None
        totals = {
            "tasks": self.sample.tasks.live,
            "born": self.sample.tasks.born,
            "ended": self.sample.tasks.ended,
        }
        value: float | None = totals[column] if column in totals else getattr(self.sample, column)
        return value

    def site(self, id: int) -> SiteRow | None:
        return self.sites.get(id)

    def rows(self, by: str) -> Sequence[Row]:
        """The sites grouped by one of GROUPINGS, in no order; the same object until one comes or goes."""
        if by not in self._rows:
            self._rows[by] = self._grouped(by)
        return self._rows[by]

    def _grouped(self, by: str) -> Sequence[Row]:
        if by in WALKED:
            return list(self._walked.get(by, {}).values())
        if by == "site":
            return list(self.sites.values())
        members: dict[str, list[SiteRow]] = {}
        for row in self.sites.values():
            members.setdefault(_group(row, by), []).append(row)
        return [SumRow(f"{by} {label}", label, rows) for label, rows in members.items()]


def _group(row: SiteRow, by: str) -> str:
    thread = f"{fmt.THREAD} " if row.site.kind == "thread" else ""
    if by == "coroutine":
        return f"{thread}{row.coroutine}"
    where = row.site.user_frame
    return f"{thread}{fmt.frame(where)}" if where else f"(no user code) {row.label}"
