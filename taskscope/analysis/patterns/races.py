"""Tasks that a wait or a gather returned without, and that nobody cancelled."""

from __future__ import annotations

from typing import TYPE_CHECKING

from taskscope.analysis.patterns import conclusive, ownership, waiting
from taskscope.analysis.patterns.pattern import SitePattern, where_they_wait

if TYPE_CHECKING:
    from taskscope.analysis.clues import Clues

_STRONGER = (conclusive.AWAIT_CYCLE, conclusive.GENERATIONS_OVERLAP, conclusive.LEFT_TO_THE_COLLECTOR)
"""These say more about why the tasks stay."""


def _left_behind(seen: Clues) -> str | None:
    if not seen.left or any(each.check(seen) is not None for each in _STRONGER):
        return None
    return f"race losers: a wait or gather returned without them; {where_they_wait(seen)}"


def _as_without(seen: Clues) -> int | None:
    """As strong as the sign of whatever else is true of them: a loser may still end by itself."""
    others = (*conclusive.PATTERNS, *ownership.PATTERNS, *waiting.PATTERNS)
    other = next((each for each in others if each.check(seen) is not None), None)
    return other.sign_of(seen) if other is not None else None


RACE_LOSER = SitePattern(
    name="race loser",
    check=_left_behind,
    sign=_as_without,
    explanation=(
        "asyncio.wait with FIRST_COMPLETED returns when one task is done, and gather raises when one fails. "
        "Neither cancels the others: they still run, and nothing awaits them."
    ),
    remedy=(
        "Cancel the pending tasks that wait returns, then await them; in place of gather, use a TaskGroup, "
        "which cancels the rest."
    ),
)

PATTERNS = (RACE_LOSER,)
"""Ranks first: the code names the cause, whatever the tasks wait for."""
