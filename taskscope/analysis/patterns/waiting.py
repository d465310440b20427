"""Tasks that wait for something that does not come: an item, a job in a thread, a lock, a peer."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from taskscope.analysis.patterns.pattern import Said, SitePattern, parked_at, said, where_they_wait
from taskscope.analysis.strength import Strength

if TYPE_CHECKING:
    from taskscope.analysis.clues import Clues
    from taskscope.model.vocabulary import Wait

_HOLDERS: tuple[Wait, ...] = ("lock", "semaphore", "condition")


def _stands_still(seen: Clues) -> Strength | None:
    return Strength.PERMANENT if seen.compared and seen.stand_still else None


def _nobody_feeds(seen: Clues) -> str | None:
    queue = next((wait for wait in seen.facts.waits if wait.kind == "queue.get"), None)
    if queue is None or not seen.most(seen.parked("queue.get")) or not seen.stand_still or not seen.compared:
        return None
    if seen.at_rest and not seen.orphaned:
        return None
    return "each waits for items from a queue that stays empty"


def _left_behind(seen: Clues) -> Strength | None:
    return Strength.PERMANENT if seen.orphaned and seen.most(seen.facts.unheld) else None


NOBODY_FEEDS_IT = SitePattern(
    name="nobody feeds it",
    check=_nobody_feeds,
    strength=_left_behind,
    explanation="They wait for items from an empty queue and none arrive.",
    remedy="Tell consumers when the producer ends (a sentinel or Queue.shutdown), or cancel and await them.",
)


def _blocked(seen: Clues) -> str | None:
    if not seen.most(seen.parked("executor")) or seen.served:
        return None
    return "they wait for jobs in threads that do not return"


BLOCKING_CALL = SitePattern(
    name="blocking call",
    check=_blocked,
    strength=_stands_still,
    explanation=(
        "They wait for a job in a thread, and the thread is in a blocking call. Cancelling the task does not "
        "end the thread."
    ),
    remedy="Give the call a timeout, or close the socket or file it reads from.",
)


def _locked(seen: Clues) -> str | None:
    if not seen.most(seen.parked(*_HOLDERS)) or not seen.stand_still or seen.served:
        return None
    return "they wait for a lock that is never released"


LOCK_NOT_RELEASED = SitePattern(
    name="lock not released",
    check=_locked,
    strength=_stands_still,
    explanation="They wait for a lock or semaphore that is never released.",
    remedy=(
        "Acquire it with async with, so every exit path releases it, and await nothing unbounded while "
        "holding it."
    ),
)


def _behind_one(seen: Clues) -> Said | None:
    holder = seen.facts.holder
    if holder is None or not seen.compared or _locked(seen) is None or not seen.most(seen.parked("lock")):
        return None
    return said(
        "all wait behind one",
        f"it has the lock and waits at {parked_at(holder)} ({holder.text})",
        f"{seen.parked('lock'):,} of {seen.facts.sampled:,} wait for the lock",
    )


BEHIND_ONE = replace(
    LOCK_NOT_RELEASED,
    check=_behind_one,
    explanation=(
        "The task inside the lock waits for something that does not come, so nobody else gets the lock: "
        "whatever it protects has stopped."
    ),
    remedy=(
        "Give what is awaited inside the lock a time-out (asyncio.timeout), so that one answer that does not "
        "come stops nobody else; and bound how many may queue for the lock."
    ),
)


def _peer(seen: Clues) -> Said | None:
    if not seen.most(seen.parked("socket")) or not seen.stand_still or not seen.compared:
        return None
    return said("they wait on sockets that have received nothing since", more=where_they_wait(seen))


WAITS_FOR_A_PEER = SitePattern(
    name="waits for a peer",
    check=_peer,
    explanation="They wait on sockets whose peers have sent nothing for a while.",
    remedy="Read with a timeout, use keep-alive, and close the connection when its session ends.",
)
