"""Tasks whose own state shows that they do not end."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from taskscope.analysis.clues import MOST
from taskscope.analysis.patterns.pattern import Said, SitePattern, parked_at, place, said, where_they_wait
from taskscope.analysis.strength import Strength

if TYPE_CHECKING:
    from taskscope.analysis.clues import Clues

SHORT_SLEEP = 120.0
"""Sleepers that wake within this many seconds get no early verdict: a bounded number levels off soon."""

CROWD = 1_000
"""Sleepers that are too many, however soon they wake."""


def _await_cycle(seen: Clues) -> str | None:
    return "tasks wait for each other in a ring" if seen.most(seen.facts.cycles) else None


AWAIT_CYCLE = SitePattern(
    name="await cycle",
    check=_await_cycle,
    strength=Strength.CANNOT_END,
    explanation="These tasks wait for each other in a ring, so none can end.",
    remedy="Break the ring: let one of them be signalled by an event, or wait with a timeout.",
)


def _generations(seen: Clues) -> str | None:
    if seen.cancelling < max(2, seen.facts.sampled / 20):
        return None  # requests in progress
    return f"{seen.facts.cancelling:,} ignored cancel() while replacements started"


GENERATIONS_OVERLAP = SitePattern(
    name="generations overlap",
    check=_generations,
    strength=Strength.CANNOT_END,
    explanation=(
        "cancel() is a request, not an end. The old tasks were cancelled but still run (they swallow "
        "CancelledError, or sit in a call that cannot be interrupted) while new ones start."
    ),
    remedy=(
        "Raise CancelledError again, and end what the task is blocked on; then await it after cancel(), "
        "before the next round."
    ),
)


def _cleans_up(seen: Clues) -> Said | None:
    where = seen.cleaning_up
    if where is None or _generations(seen) is None:
        return None
    of = seen.facts.setter
    until = f"what they wait for is up to the threads started at {place(of)}" if of is not None else ""
    return said(
        f"{seen.facts.cancelling:,} were cancelled and hang in their cleanup",
        f"they wait at {parked_at(where)} ({where.text})",
        until,
    )


HANGS_IN_CLEANUP = replace(
    GENERATIONS_OVERLAP,
    check=_cleans_up,
    explanation=(
        "cancel() has reached them, but in except or finally they await something that does not come, while "
        "new ones start."
    ),
    remedy=(
        "First end what they wait for, or give the cleanup a time-out.  Only then await them before the next "
        "round: whoever awaits a task whose cleanup hangs, hangs as well."
    ),
)


def _collectable(seen: Clues) -> Said | None:
    """Whether nothing keeps them or what they wait for: an unreachable cycle."""
    alone = _unreachable(seen)
    if (
        not seen.most(seen.facts.unheld)
        or alone < MOST * sum(wait.waiters for wait in seen.facts.waits)
        or not alone
    ):
        return None
    return said(
        "only they refer to what they wait for, and nothing keeps them",
        "the garbage collector destroys them",
    )


LEFT_TO_THE_COLLECTOR = SitePattern(
    name="left to the collector",
    check=_collectable,
    strength=Strength.UNLIKELY,
    explanation=(
        "Nothing else refers to what each of these tasks waits for, and nothing refers to the task: the "
        "garbage collector destroys it while it waits, and its work is lost."
    ),
    remedy="Keep a reference to the task, and one to what it waits for where other code can set it.",
)


def _handing_over(seen: Clues) -> Said | None:
    if not seen.most(seen.parked("queue.put")) or seen.served:
        return None
    queue = next((wait for wait in seen.facts.waits if wait.kind == "queue.put"), None)
    if queue is not None and queue.getters:
        return None
    full = f" (full at {queue.maxsize:,})" if queue is not None and queue.maxsize else ""
    taker = seen.facts.taker
    gone = f": {taker} should take from it, and no task runs that any more" if taker else ""
    return Said(f"blocked on a full queue{full} that nobody reads{gone}", ("blocked on a full queue",))


STUCK_HANDING_OVER = SitePattern(
    name="stuck handing over",
    check=_handing_over,
    strength=Strength.CANNOT_END,
    explanation="They wait for space in a full queue that nobody reads.",
    remedy=(
        "Use put_nowait and drop or log items when the queue is full, or put with a timeout. A consumer that "
        "ends on purpose ends its producers first: cancel and await them, or use Queue.shutdown (3.13)."
    ),
)


def _sleepers(seen: Clues) -> Said | None:
    facts = seen.facts
    if not seen.most(seen.parked("sleep")) or seen.some(facts.looping) or seen.most(facts.awaited):
        return None
    if not seen.stand_still or seen.turns_over or seen.some(facts.retrying + facts.limited):
        return None
    kept = "awaits or keeps" if seen.most(facts.unheld) else "awaits"
    return said("one sleeper per event", "each just sleeps, then exits", f"nothing {kept} it")


def _sleeps_long(seen: Clues) -> Strength:
    left = seen.group.remaining_max if seen.group is not None else None
    soon = left is not None and left < SHORT_SLEEP
    return Strength.NONE if soon and seen.facts.live < CROWD else Strength.CANNOT_END


SLEEPER_PER_EVENT = SitePattern(
    name="sleeper per event",
    check=_sleepers,
    strength=_sleeps_long,
    explanation=(
        "Each event starts a task that only sleeps and then does something small. Their number is the event "
        "rate times the sleep."
    ),
    remedy=(
        "Keep the deadlines in a list or deque and let one ticker task process them, or use "
        "loop.call_later; stop the ticker with the service."
    ),
)


def _retrying(seen: Clues) -> Said | None:
    if not seen.most(seen.facts.retrying):
        return None
    again = "tried again and again, without a limit"
    return said(again, "each sleeps, then calls again, until the call succeeds", where_they_wait(seen))


RETRIED_WITHOUT_LIMIT = SitePattern(
    name="retried without a limit",
    check=_retrying,
    explanation=(
        "Each goes round in a loop that only the outcome of a call ends: it calls, sleeps and calls again. "
        "What fails for good is tried for ever."
    ),
    remedy=(
        "Limit the attempts or the time, and give up at once on an answer that will not change (such as 404 "
        "or 410): then log or store what was not done."
    ),
    only_names=True,
)


def _counted(seen: Clues) -> Said | None:
    if not seen.most(seen.facts.limited) or not seen.most(seen.parked("sleep")):
        return None
    return said(
        "their rounds are limited", "each sleeps, goes on, and ends after so many", where_they_wait(seen)
    )


LIMITED_ROUNDS = SitePattern(
    name="limited rounds",
    check=_counted,
    strength=Strength.IN_USE,
    explanation=(
        "A range or a policy of retries limits how often each of these goes round: it ends by itself. While "
        "what they try fails, there are more of them."
    ),
    remedy="Look at what fails; if there are too many of them, allow fewer rounds or a shorter time.",
)


def _nobody_can_set(seen: Clues) -> Said | str | None:
    if seen.most(seen.parked("lock", "semaphore")):
        return None  # whoever holds it is to blame, even if nothing can wake him either
    if seen.proven:
        kinds = {wait.type for wait in seen.facts.waits if wait.kind != "sleep"}
        return said("nothing can wake them", f"no living code can reach the {_either(kinds)} they wait for")
    if not _unreachable(seen) or seen.timed:
        return None
    if not seen.most(seen.parked("event", "future", "queue.get", "condition")):
        return None
    kinds = {wait.type for wait in seen.facts.waits if wait.outside == 0}
    return f"they wait for {_join(kinds)} that nothing else can reach"


NOBODY_CAN_SET_IT = SitePattern(
    name="nobody can set it",
    check=_nobody_can_set,
    strength=Strength.PERMANENT,
    explanation="Only tasks that wait themselves can reach what these wait for, so nothing can ever set it.",
    remedy=(
        "Keep the event, future or queue where the code that answers can reach it, resolve it on every exit "
        "path, and wait with a timeout."
    ),
)


def _unreachable(seen: Clues) -> int:
    """How many wait for an object that only they refer to."""
    return sum(wait.waiters for wait in seen.facts.waits if wait.outside == 0)


def _either(kinds: set[str]) -> str:
    return " or ".join(sorted(kinds)) or "object"


def _join(kinds: set[str]) -> str:
    return " or ".join(f"an {kind}" if kind[:1] in "AEIOU" else f"a {kind}" for kind in sorted(kinds))
