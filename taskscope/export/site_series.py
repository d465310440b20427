"""The bounded series of creation sites: which get their own, and what the others add up to.

The first sites get their own, all others share one.  A busier site may take the place of the quietest; what
the others have counted they keep, so no counter falls.
"""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING

from taskscope import text as fmt
from taskscope.model import Counts
from taskscope.model.vocabulary import OUTCOMES
from taskscope.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from taskscope.model import Site
    from taskscope.model.state import Change, SiteState
    from taskscope.model.vocabulary import Outcome, SiteKind

MAX_OWN = 40
"""Sites with series of their own, eight each."""

OTHER = "other"

BUSIER = 2
"""How many times more live ones a site must have to take the place of the quietest."""


@dataclass(slots=True)
class Row:
    """What one site shows, or all others of a kind together.  ``oldest``: a birth, in the target's time."""

    kind: SiteKind
    site: str
    coroutine: str
    live: int = 0
    born: int = 0
    ended: dict[Outcome, int] = field(default_factory=lambda: dict.fromkeys(OUTCOMES, 0))
    oldest: float | None = None

    def add(self, counts: Counts) -> None:
        """Adds births and ends."""
        self.born += counts.born
        for outcome in OUTCOMES:
            self.ended[outcome] += getattr(counts, outcome)


class SiteSeries:
    """Of one run of a target."""

    def __init__(self) -> None:
        self._own: dict[int, SiteState] = {}
        self._before: dict[int, Counts] = {}
        self._sites: Mapping[int, SiteState] = {}
        kinds: tuple[SiteKind, ...] = ("task", "thread")
        self._others = {kind: Row(kind, OTHER, "") for kind in kinds}

    def take(self, change: Change, sites: Mapping[int, SiteState]) -> None:
        """Follows a sample.  ``sites``: all of them."""
        self._sites = sites
        for id in change.gone:
            self._own.pop(id, None)
            self._before.pop(id, None)
        for state in change.counted:
            id, counts = state.site.id, state.counts.counts
            if id not in self._own and not self._gets_own(state):
                self._others[state.site.kind].add(_more(counts, self._before.get(id)))
            self._before[id] = counts

    def _gets_own(self, state: SiteState) -> bool:
        if len(self._own) >= MAX_OWN:
            quietest = min(self._own, key=lambda each: self._own[each].counts.counts.live)
            least = self._own[quietest].counts.counts.live
            if state.counts.counts.live <= BUSIER * max(1, least):
                return False
            del self._own[quietest]
        self._own[state.site.id] = state
        return True

    @property
    def others(self) -> int:
        """Sites without series of their own."""
        return len(self._sites) - len(self._own)

    def rows(self) -> Iterator[Row]:
        """One for each site, those of the same line and coroutine together; then the others."""
        rows: dict[tuple[str, str, str], Row] = {}
        for state in self._own.values():
            site, counts = state.site, state.counts
            key = site.kind, _line(site), site.coroutine
            row = rows.setdefault(key, Row(*key))
            row.live += counts.counts.live
            row.add(counts.counts)
            if counts.oldest is not None:
                row.oldest = min(counts.oldest, row.oldest or counts.oldest)
        yield from rows.values()
        for kind, row in self._others.items():
            rest = (state for id, state in self._sites.items() if id not in self._own)
            row.live = sum(state.counts.counts.live for state in rest if state.site.kind == kind)
            if self.others:
                yield row


def _more(counts: Counts, before: Counts | None) -> Counts:
    """What came since ``before``."""
    names = ("born", *OUTCOMES)
    known = before or Counts()
    return Counts(**{name: max(0, getattr(counts, name) - getattr(known, name)) for name in names})


def _line(site: Site) -> str:
    return fmt.frame(site.user_frame or site.frame)
