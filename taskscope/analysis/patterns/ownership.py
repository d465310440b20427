"""Tasks that nobody ends: started and dropped, started twice, or outliving their creator."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from taskscope.analysis.patterns.pattern import Pattern, Said, SitePattern, said, where_they_wait
from taskscope.analysis.strength import Strength
from taskscope.model import MOST_BOUND

if TYPE_CHECKING:
    from taskscope.analysis.clues import Clues
    from taskscope.model import Bound


def _orphaned_loops(seen: Clues) -> Said | None:
    if not seen.orphaned or not seen.most(seen.facts.looping):
        return None
    kept = f"{seen.what_is_kept} kept by {seen.kept_by}" if seen.keeper_grows else ""
    return said("orphaned", "their creator has ended, they still run", kept)


def _not_in_use(seen: Clues) -> Strength | None:
    """Connections outlive the task that opened them; that is normal while they are in use.

    So may loops that go on until something is over, and look whether it is.
    """
    if seen.most(seen.parked("socket")) and not seen.stand_still:
        return None
    return Strength.NONE if seen.may_leave else Strength.PERMANENT


ORPHANED_LOOPS = SitePattern(
    name="orphan",
    check=_orphaned_loops,
    strength=_not_in_use,
    explanation="The task that created these has ended and nothing else ends them, so each round adds one.",
    remedy=(
        "Store the task on its owner, cancel it when the owner ends, and wait for it (a TaskGroup does all "
        "three)."
    ),
)

KEPT_LOOPS = replace(
    ORPHANED_LOOPS,
    check=lambda seen: _orphaned_loops(seen) if seen.kept or seen.keeper_grows else None,
    remedy=(
        "They, or what they wait for, are stored already, but nobody ends them: cancel them when their owner "
        "ends, await them, and remove them from where they are stored."
    ),
)


def _orphaned_workers(seen: Clues) -> Said | None:
    if not seen.most(seen.parked("queue.get")) or not seen.stand_still or _orphaned_loops(seen) is None:
        return None
    flag = (
        "they do not see the condition of their loop while they wait"
        if seen.most(seen.facts.conditional)
        else ""
    )
    return said("orphaned workers", "their creator has ended, and no items come from their queue", flag)


ORPHANED_WORKERS = replace(
    ORPHANED_LOOPS,
    check=_orphaned_workers,
    explanation=(
        "The task that created these has ended; they wait for an item that nobody puts. A flag that ends "
        "their loop does not end the wait."
    ),
    remedy=(
        "When their owner ends, put one end marker per worker (or use Queue.shutdown), or cancel them; then "
        "await them."
    ),
)


def _not_closed(seen: Clues) -> Said | None:
    if not seen.opened or not seen.orphaned or not seen.most(seen.facts.looping):
        return None
    what, _, _ = seen.opened.rpartition(".")
    each = f"each belongs to a {what}" if what else "each belongs to what was opened"
    return said("opened here and never closed", each, "their creator has ended, they still run")


NOT_CLOSED = replace(
    ORPHANED_LOOPS,
    name="opened and not closed",
    check=_not_closed,
    explanation=(
        "This line opens something of a library's that has a task of its own. The task that opened it has "
        "ended without closing it, so it stays, with its task and its connection."
    ),
    remedy=(
        "Open it in an async with block, or close it in finally; or open one for the whole service and share "
        "it."
    ),
)


def _orphans(seen: Clues) -> Said | None:
    return said("orphaned", "their creator has ended", where_they_wait(seen)) if seen.orphaned else None


ORPHANS = replace(ORPHANED_LOOPS, check=_orphans)
"""The same on weaker evidence."""


def _started_twice(seen: Clues) -> Said | None:
    facts = seen.facts
    bound = max(facts.bound, key=lambda each: each.same_arguments, default=None)
    if bound is None or bound.same_arguments < 2 or not seen.some(facts.looping):
        return None  # young tasks may not have reached their loop yet
    if seen.workers or seen.parked("queue.get") or seen.most(facts.awaited):
        return None  # workers of one pool, or children of one task
    if not seen.some(facts.unheld) and not seen.unread:
        return None  # a pool keeps all its workers; who starts a loop again keeps the last
    return said("started again while it runs", f"{_times(seen, bound)}, started in {seen.starter}")


def _times(seen: Clues, bound: Bound) -> str:
    """``4 loops on one X``; ``about 4 loops on each of 1,600 Xs``, where the oldest tasks cover them all."""
    facts = seen.facts
    each, inspected = facts.live / max(1, facts.owners), min(facts.live, MOST_BOUND)
    if facts.owners > 1 and inspected >= 2 * facts.owners:
        return f"about {each:,.0f} loops on each of {facts.owners:,} {bound.type}s"
    least = "at least " if facts.live > MOST_BOUND or facts.owners > 1 else ""
    return f"{least}{bound.same_arguments:,} loops on one {bound.type}"


STARTED_TWICE = SitePattern(
    name="started twice",
    check=_started_twice,
    strength=Strength.REPEATED,
    explanation=(
        "The same loop runs several times on one object: it was started again before the last one had ended."
    ),
    remedy=(
        "Cancel and await the last one before the next is started; or make a second start a no-op while the "
        "loop runs, and reset that guard when it exits."
    ),
)


def _forgotten(seen: Clues) -> Said | None:
    facts = seen.facts
    if seen.most(facts.awaited) or seen.most(facts.looping):
        return None
    if facts.keeper is not None or (facts.reach is not None and facts.reach.by):
        return None  # the program keeps them, or what they wait for
    if not (seen.most(facts.unheld) or seen.orphaned):
        return None
    kept = "nothing keeps them" if seen.most(facts.unheld) else "their creator has ended"
    return said("fire and forget", f"never awaited, {kept}", where_they_wait(seen))


def _stays(seen: Clues) -> Strength:
    return Strength.PERMANENT if seen.stand_still and not (seen.timed or seen.comes) else Strength.NONE


FIRE_AND_FORGET = SitePattern(
    name="fire and forget",
    check=_forgotten,
    strength=_stays,
    explanation=(
        "The task is started and dropped: nothing awaits it, nothing can cancel it, and its error is lost."
    ),
    remedy=(
        "Await the call (with a timeout), or keep the task in a TaskGroup or in a set that it leaves when "
        "done, and cancel it when the service stops."
    ),
)


def _kept(seen: Clues) -> Said | None:
    if not seen.keeper_grows:
        return None
    return said(f"{seen.what_is_kept} kept by {seen.kept_by}", more=where_they_wait(seen))


GROWING_CONTAINER = SitePattern(
    name="held by a growing container",
    check=_kept,
    explanation="They stay in a container that grows with them: nothing ends them or takes them out.",
    remedy=(
        "End what they wait for on every path: answer or fail each request, wait with a timeout, limit how "
        "many may be in progress, and take each entry out of the container when it is done."
    ),
)
"""It says who keeps them, not why they stay."""

KEPT_ORPHANS = replace(
    GROWING_CONTAINER,
    check=lambda seen: _kept(seen) if seen.orphaned else None,
    only_names=True,
)
"""Orphans that the program keeps were meant to outlive their creator, but also to be taken out."""

ENDED_TASKS_KEPT = Pattern(
    name="ended tasks kept",
    explanation="Tasks that have ended stay in a container, and with each its result or its exception.",
    remedy=(
        "Remove a task when it is done (add_done_callback(tasks.discard)), or keep what you need of its "
        "result and not the task."
    ),
)
