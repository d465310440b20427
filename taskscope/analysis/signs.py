"""How far the tasks of a site show that they will not end, beside their number.

The more they show, the shorter growth has to be watched before it is called a leak (see ``verdict``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from taskscope.analysis.clues import clues

if TYPE_CHECKING:
    from collections.abc import Callable

    from taskscope.analysis.clues import Clues
    from taskscope.model import Cause, SiteFacts

SHORT_SLEEP = 120.0
"""Sleepers that wake within these seconds are left to reach their number: it is seen soon enough."""

CROWD = 1_000
"""Sleepers that are too many however soon they wake."""

BOUNDED = -2
"""The sign of what cannot grow past its bound."""

_OTHERS = ("socket", "subprocess", "dns", "server", "task", "gather")
"""Waits in which standing still says nothing: a connection may be idle for long, and who waits for other
tasks moves as they do."""

_INSIDE = ("event", "condition", "queue", "lock", "semaphore", "barrier", "thread", "job")
"""What a thread may wait for that comes from within the process, as in ``Thread.text``."""


def signs(
    cause: Cause | None, facts: SiteFacts | None, before: SiteFacts | None, *, never: bool = False
) -> int:
    """How far the tasks themselves show that they will not end.

    3: they were meant to end and cannot; 2: the same was started again and again; 1: they are there to
    stay, or have ``never`` moved since they are known; 0: nothing is known; -1: they look like a pool or
    like work in progress; ``BOUNDED``: they cannot be many.
    """
    if cause is None or facts is None:
        return 0
    seen = clues(facts, before)
    known = _SIGNS.get(cause.pattern)
    told = known(seen) if callable(known) else known
    if told is not None:
        return told
    if (seen.compared and not seen.stand_still) or (seen.most(facts.awaited) and not seen.apart):
        return -1
    if seen.at_rest:
        return -1
    return 1 if never and not seen.most(seen.parked(*_OTHERS)) else 0


def _sleeps_long(seen: Clues) -> int:
    left = seen.group.remaining_max if seen.group is not None else None
    return 0 if left is not None and left < SHORT_SLEEP and seen.facts.live < CROWD else 3


def _not_in_use(seen: Clues) -> int | None:
    """Connections whose opener has ended are ordinary ones, as long as they are used."""
    return None if seen.most(seen.parked("socket")) and not seen.stand_still else 1


def _stands_still(seen: Clues) -> int | None:
    return 1 if seen.compared and seen.stand_still else None


def _left_behind(seen: Clues) -> int | None:
    return 1 if seen.orphaned and seen.most(seen.facts.unheld) else None


def _waits_for_a_word(seen: Clues) -> int | None:
    """A thread that waits for another one; one in a socket may be a connection in use."""
    return 1 if seen.group is not None and any(word in seen.group.text for word in _INSIDE) else None


_SIGNS: dict[str, int | Callable[[Clues], int | None]] = {
    "await cycle": 3,
    "generations overlap": 3,
    "stuck handing over": 3,
    "sleeper per event": _sleeps_long,
    "started twice": 2,
    "nobody can set it": 1,
    "orphan": _not_in_use,
    "pool per call": 1,
    "fire and forget": lambda seen: 1 if seen.stand_still else 0,
    "blocking call": _stands_still,
    "lock not released": _stands_still,
    "nobody feeds it": _left_behind,
    "thread never told to end": _waits_for_a_word,
    "left to the collector": -1,
    "one pool": BOUNDED,
}
