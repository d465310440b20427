"""Ended tasks that stay only because tasks that leak keep what they belong to: one leak, not two."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from taskscope import text as wording
from taskscope.analysis import patterns
from taskscope.analysis.likeness import moves_together, moving
from taskscope.analysis.resources import TOGETHER

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from taskscope.analysis.watched_site import WatchedSite
    from taskscope.model import Finding


def without_passengers(
    found: Sequence[Finding], watched: Mapping[int, WatchedSite], now: float
) -> list[Finding]:
    """The findings, of which those on passengers are notes.

    Passengers are kept within other objects, and their number grows in step with the live tasks of a leak.
    """
    leaks = [each for each in found if each.level == "leak" and not _of_ended(each)]
    return [_noted(each, leaks, watched, now) for each in found] if leaks else list(found)


def _of_ended(finding: Finding) -> bool:
    return finding.cause is not None and finding.cause.pattern == patterns.OF_ENDED.name


def _noted(
    finding: Finding, leaks: Sequence[Finding], watched: Mapping[int, WatchedSite], now: float
) -> Finding:
    facts = watched[finding.id].facts
    if not _of_ended(finding) or facts is None or facts.keeper is None or not facts.keeper.entry:
        return finding
    own = moving(watched[finding.id].kept.whole.bins(now))
    for leak in leaks:
        if moves_together(own, moving(watched[leak.id].whole.bins(now)))[0] >= TOGETHER:
            with_it = f"{finding.text}, in step with the leak at {wording.place(leak)}"
            return replace(finding, level="info", text=with_it, until_told=None)
    return finding
