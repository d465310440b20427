"""What grew, appeared and disappeared between two snapshots, by creation site.

The snapshots may come from one process or from two runs (before and after a fix).  Sites are therefore
matched by identity, not by number, and a line that moved within its function still matches.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from taskscope.model import Counts, Sample, Site

if TYPE_CHECKING:
    from collections.abc import Mapping

    from taskscope.model.vocabulary import Became

    Key = tuple[str, str, str, str, int]


@dataclass(frozen=True, slots=True)
class SiteChange:
    """One site in both snapshots.

    ``site`` is the later snapshot's where both have it.  ``born`` and ``ended`` are totals of each side.
    """

    site: Site
    state: Became
    before: Counts
    after: Counts

    @property
    def delta(self) -> int:
        """Change in live tasks (or threads)."""
        return self.after.live - self.before.live


@dataclass(frozen=True, slots=True)
class Change:
    """A process-wide number before and after; None if unknown on that side."""

    name: str
    before: float | None
    after: float | None


@dataclass(frozen=True, slots=True)
class Diff:
    """``sites``, largest growth first.  ``seconds``: wall-clock time between the two."""

    seconds: float
    totals: tuple[Change, ...]
    sites: tuple[SiteChange, ...]

    @property
    def grew(self) -> bool:
        """Whether any site has more live tasks or threads than before."""
        return any(change.delta > 0 for change in self.sites)


def compare(before: Sample, after: Sample) -> Diff:
    """The change from ``before`` to ``after``; both samples must be full (name every site)."""
    old, new = _by_line(before), _by_line(after)
    matches = _matches(old, new)
    changes = [_change(site, old[matches[key]][1] if key in matches else Counts(), counts)
               for key, (site, counts) in new.items()]  # fmt: skip
    taken = set(matches.values())
    changes += [_change(site, counts, Counts()) for key, (site, counts) in old.items() if key not in taken]
    changes = [change for change in changes if change.before.live or change.after.live]
    changes.sort(key=lambda change: (-change.delta, change.site.frame.file, change.site.frame.line))
    return Diff(after.wall - before.wall, _totals(before, after), tuple(changes))


def _by_line(sample: Sample) -> dict[Key, tuple[Site, Counts]]:
    """Counts by identity: one line may have two site numbers (imputed and exact, say)."""
    by_id = {site.id: site for site in sample.new_sites}
    found: dict[Key, tuple[Site, Counts]] = {}
    for entry in sample.sites:
        site = by_id.get(entry.site)
        if site is not None:
            known = found.get(_key(site))
            found[_key(site)] = (site, _sum(known[1], entry.counts) if known else entry.counts)
    return found


def _key(site: Site) -> Key:
    return (site.kind, site.frame.file, site.frame.function, site.coroutine, site.frame.line)


def _sum(one: Counts, other: Counts) -> Counts:
    return Counts(
        one.live + other.live,
        one.born + other.born,
        one.finished + other.finished,
        one.failed + other.failed,
        one.cancelled + other.cancelled,
        one.lost + other.lost,
        one.unseen + other.unseen,
    )


def _matches(old: Mapping[Key, object], new: Mapping[Key, object]) -> dict[Key, Key]:
    """Keys in ``new`` to keys in ``old``: the same line, else the only unmatched site of the function."""
    matches = {key: key for key in new if key in old}
    left: dict[tuple[str, ...], tuple[list[Key], list[Key]]] = defaultdict(lambda: ([], []))
    for side, keys in enumerate((old, new)):
        for key in keys:
            if key not in matches:
                left[key[:4]][side].append(key)
    for gone, come in left.values():
        if len(gone) == len(come) == 1:
            matches[come[0]] = gone[0]
    return matches


def _change(site: Site, before: Counts, after: Counts) -> SiteChange:
    if before.live == after.live:
        state: Became = "same"
    elif not before.live:
        state = "came"
    elif not after.live:
        state = "went"
    else:
        state = "grew" if after.live > before.live else "shrank"
    return SiteChange(site, state, before, after)


def _totals(before: Sample, after: Sample) -> tuple[Change, ...]:
    return (
        Change("tasks", before.tasks.live, after.tasks.live),
        Change("threads", before.threads, after.threads),
        Change("fds", before.fds, after.fds),
        Change("rss", before.rss, after.rss),
    )
