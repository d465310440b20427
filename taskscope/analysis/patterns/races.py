"""Tasks that a wait or a gather returned without, and that nobody cancelled."""

from __future__ import annotations

from typing import TYPE_CHECKING

from taskscope.analysis.patterns.pattern import Said, SitePattern, said, where_they_wait

if TYPE_CHECKING:
    from taskscope.analysis.clues import Clues


def _left_behind(seen: Clues) -> Said | None:
    if not seen.left:
        return None
    return said("race losers", "a wait or gather returned without them", where_they_wait(seen))


RACE_LOSER = SitePattern(
    name="race loser",
    check=_left_behind,
    only_names=True,  # a loser may still end by itself
    explanation=(
        "asyncio.wait with FIRST_COMPLETED returns when one task is done, and gather raises when one fails. "
        "Neither cancels the others: they still run, and nothing awaits them."
    ),
    remedy=(
        "Cancel the pending tasks that wait returns, then await them; in place of gather, use a TaskGroup, "
        "which cancels the rest."
    ),
)
