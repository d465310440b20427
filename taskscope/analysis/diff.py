"""What grew, appeared and disappeared between two observations, by creation site."""

from __future__ import annotations

from typing import TYPE_CHECKING

from taskscope.analysis.matching import matches, places
from taskscope.model import Counts
from taskscope.model.changes import Change, Diff, Side, SiteChange

if TYPE_CHECKING:
    from taskscope.analysis.matching import Place
    from taskscope.model import Sample
    from taskscope.model.vocabulary import Became, Matched


def compare(before: Side, after: Side) -> Diff:
    """The change from ``before`` to ``after``."""
    old, new = places(before), places(after)
    found = matches(old, new)
    changes = []
    for key, place in new.items():
        match = found.get(key)
        changes.append(_change(old[match[0]], place, match[1]) if match else _change(None, place, "line"))
    taken = {key for key, _ in found.values()}
    changes += [_change(place, None, "line") for key, place in old.items() if key not in taken]
    changes = [change for change in changes if change.before.live or change.after.live or change.turned]
    changes.sort(key=_weight)
    return Diff(after.sample.wall - before.sample.wall, _totals(before.sample, after.sample), tuple(changes))


def _weight(change: SiteChange) -> tuple[bool, int, int, str, int]:
    frame = change.site.frame
    return (not change.turned, -abs(change.delta), -change.delta, frame.file, frame.line)


def _change(old: Place | None, new: Place | None, matched: Matched) -> SiteChange:
    either = new or old
    assert either is not None
    before, after = old.counts if old else Counts(), new.counts if new else Counts()
    if before.live == after.live:
        state: Became = "same"
    elif not before.live:
        state = "came"
    elif not after.live:
        state = "went"
    else:
        state = "grew" if after.live > before.live else "shrank"
    was = old.site if old else None
    return SiteChange(
        either.site,
        state,
        before,
        after,
        was,
        matched,
        old.level if old else None,
        new.level if new else None,
    )


def _totals(before: Sample, after: Sample) -> tuple[Change, ...]:
    return (
        Change("tasks", before.tasks.live, after.tasks.live),
        Change("threads", before.threads, after.threads),
        Change("fds", before.fds, after.fds),
        Change("rss", before.rss, after.rss),
    )
