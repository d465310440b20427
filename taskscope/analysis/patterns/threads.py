"""Threads that do not end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from taskscope.analysis.patterns.pattern import Said, SitePattern, said, where_they_wait
from taskscope.analysis.strength import Strength

if TYPE_CHECKING:
    from taskscope.analysis.clues import Clues
    from taskscope.model.vocabulary import Wait

_INSIDE: tuple[Wait, ...] = (
    *("event", "condition", "queue.get", "queue.put", "lock", "semaphore", "barrier"),
    *("thread", "executor", "job"),
)
"""Waits that only another thread of the process can end."""


def _pool_per_call(seen: Clues) -> Said | None:
    pools = len(seen.facts.bound)
    if pools < 2:
        return None
    listed = sum(each.runs for each in seen.facts.bound)
    least = "at least " if listed < seen.facts.live else ""
    return said(f"{least}{pools} executors were created here and never shut down", more="their workers stay")


POOL_PER_CALL = SitePattern(
    name="pool per call",
    check=_pool_per_call,
    strength=Strength.PERMANENT,
    explanation="New executors are created repeatedly and never shut down; their idle workers stay.",
    remedy="Create one executor for the service, or use it in a with block.",
)


def _one_pool(seen: Clues) -> str | None:
    pool = next(iter(seen.facts.bound), None)
    if pool is None or pool.runs < seen.facts.sampled:
        return None
    return "workers of one executor, which starts them on demand, up to max_workers"


ONE_POOL = SitePattern(
    name="one pool",
    check=_one_pool,
    strength=Strength.BOUNDED,
    explanation=(
        "An executor starts a worker for each job that finds none idle, up to max_workers; workers stay "
        "until it is shut down."
    ),
    remedy="None needed; a smaller max_workers keeps fewer threads.",
)


def _at_work(seen: Clues) -> Said | None:
    if not seen.most(seen.facts.sharing) or (seen.compared and not seen.some(seen.advanced)):
        return None
    return said(
        "workers of one queue, at work", "each takes the next item after its own", where_they_wait(seen)
    )


WORKERS_AT_WORK = SitePattern(
    name="workers at work",
    check=_at_work,
    strength=Strength.IN_USE,
    explanation="These threads take their work from one queue, and are given some: their number is load.",
    remedy="Limit how many may be started, and let idle ones end.",
)


def _closed_under(seen: Clues) -> Said | None:
    if seen.closed < max(2, seen.facts.sampled / 20):
        return None  # connections just being closed
    return said(
        f"{seen.facts.closed:,} read from a socket that is closed already",
        "close() does not wake a thread that reads",
        where_they_wait(seen),
    )


CLOSED_UNDER_IT = SitePattern(
    name="closed under its reader",
    check=_closed_under,
    strength=Strength.CANNOT_END,
    explanation=(
        "The program has closed the socket, but close() does not end a read that has begun: the thread reads "
        "on, and whatever waits for its end waits for ever."
    ),
    remedy=(
        "Call shutdown(SHUT_RDWR) on the socket before close(): the read then returns at once.  Then join "
        "the thread, or await what it sets at its end, before the next one is started."
    ),
)


def _endless_thread(seen: Clues) -> Said | None:
    group = seen.group
    if group is None or group.wait == "running":
        return None
    live, born = seen.counts.live, seen.counts.born
    stay = (
        f"{live:,} of {born:,} threads started here stay"
        if born > live
        else "every thread started here stays"
    )
    how = f"they are kept by {seen.kept_by}" if seen.unread else ""
    if _nobody_can_end(seen):
        how = "no other code refers to them, so none can tell them to end"
    if seen.proven:
        how = "nothing can wake them, as no living code can reach what they wait for"
    return said(stay, how, where_they_wait(seen))


def _waits_inside(seen: Clues) -> Strength | None:
    """Permanent if they wait for other threads and get nothing; the first look cannot tell.

    One that waits on a socket may serve a connection in use.
    """
    if seen.facts.marks and not seen.compared:
        return Strength.NONE
    if seen.some(seen.advanced):
        return Strength.UNLIKELY
    if seen.comes:
        return Strength.NONE
    if _nobody_can_end(seen):
        return Strength.PERMANENT
    wait = seen.group.wait if seen.group is not None else "unknown"
    idle_loops = wait == "descriptors" and seen.most(seen.compared)  # of no others is told how often they run
    return Strength.PERMANENT if wait in _INSIDE or idle_loops else None


def _nobody_can_end(seen: Clues) -> bool:
    """Whether each goes round in a loop on a connection that the program has opened, and nobody has it.

    A connection that came in ends with the other side.
    """
    return seen.most(seen.facts.unheld) and seen.most(seen.facts.looping) and seen.outgoing


THREAD_NEVER_TOLD_TO_END = SitePattern(
    name="thread never told to end",
    check=_endless_thread,
    strength=_waits_inside,
    explanation="Threads are started repeatedly, and those that stay wait until they are told to end.",
    remedy=(
        "Tell it to end when its owner does, then join it: set an event that it checks; if it waits on a "
        "socket, shut that down (`shutdown(SHUT_RDWR)`), or give its reads a timeout."
    ),
)
