"""Two observations side by side: of one process, of two runs, or of two processes of one service."""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING

from taskscope.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Mapping

    from taskscope.model.findings import Finding
    from taskscope.model.process import Process
    from taskscope.model.sites import Counts, Sample, Site
    from taskscope.model.vocabulary import Became, Level, Matched


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two: a full ``sample``, which names every site, and what is known besides.

    ``texts``: the text of the line, by site, as it was then.
    """

    sample: Sample
    findings: tuple[Finding, ...] = ()
    texts: Mapping[int, str] = field(default_factory=dict)
    process: Process | None = None


@dataclass(frozen=True, slots=True)
class SiteChange:
    """One site on both sides.

    ``site`` is the later side's where both have it; ``was`` the earlier one's, None if it had none.
    ``matched``: how the two were found to be the same.  ``born`` and ``ended`` are totals of each side.
    ``level_before``, ``level_after``: the worst finding there.
    """

    site: Site
    state: Became
    before: Counts
    after: Counts
    was: Site | None = None
    matched: Matched = "line"
    level_before: Level | None = None
    level_after: Level | None = None

    @property
    def delta(self) -> int:
        """Change in live tasks (or threads)."""
        return self.after.live - self.before.live

    @property
    def turned(self) -> bool:
        """Whether it is at fault on one side only."""
        return (self.level_before in FAULTS) != (self.level_after in FAULTS)


FAULTS = ("hang", "spin", "leak")


@dataclass(frozen=True, slots=True)
class Change:
    """A process-wide number before and after; None if unknown on that side."""

    name: str
    before: float | None
    after: float | None


@dataclass(frozen=True, slots=True)
class Diff:
    """``sites``: first those at fault on one side only, then by the size of the change.

    ``seconds``: wall-clock time between the two.
    """

    seconds: float
    totals: tuple[Change, ...]
    sites: tuple[SiteChange, ...]

    @property
    def grew(self) -> bool:
        """Whether any site has more live tasks or threads than before."""
        return any(change.delta > 0 for change in self.sites)
