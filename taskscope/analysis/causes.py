"""Why the tasks of a site do not end: patterns looked for in the facts, best evidence first.

A pattern is claimed only on what was seen, and says what that was.  Where none fits, the place where
the tasks are parked is told and no more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from taskscope import text as wording
from taskscope.analysis.clues import MOST, Clues, clues
from taskscope.analysis.explanations import EXPLANATIONS
from taskscope.model import Cause

if TYPE_CHECKING:
    from collections.abc import Callable

    from taskscope.model import ParkedGroup, Site, SiteFacts, WaitObject

_HOLDERS = ("lock", "semaphore", "condition")

MAX_POOLS = 5
"""Pools that facts tell of at most: as many may be more."""


def explain(
    site: Site, facts: SiteFacts | None, before: SiteFacts | None, *, workers: bool = False
) -> Cause | None:
    """The cause, with its evidence; None if nothing was looked into.  ``workers``: see ``Clues``."""
    if facts is None or not facts.sampled:
        return None
    seen = clues(facts, before, workers=workers)
    patterns = _THREAD_PATTERNS if site.kind == "thread" else _TASK_PATTERNS
    found = next((each for pattern in patterns if (each := pattern(seen)) is not None), None)
    name, text = found if found is not None else ("unknown", _known(seen))
    return Cause(name, text, evidence(seen, thread=site.kind == "thread"), EXPLANATIONS.get(name, ""))


def evidence(seen: Clues, *, thread: bool = False) -> tuple[str, ...]:
    """Every observation worth a sentence, whatever the pattern."""
    facts, noun = seen.facts, "thread" if thread else "task"
    said = []
    if seen.group is not None:
        place = f"parked at {_place(seen.group)}: {seen.group.text}{_left(seen.group)}"
        said.append(_of(seen.group.live, seen, noun, f"is {place}", f"are {place}"))
    for count, one, many in (
        (
            facts.orphans,
            f"was created by a {noun} that has ended",
            f"were created by a {noun} that has ended",
        ),
        (
            facts.cancelling,
            "was asked to end (cancel) and still runs",
            "were asked to end (cancel) and still run",
        ),
        (facts.unheld, "is referenced only by the event loop", "are referenced only by the event loop"),
        (facts.awaited, "is awaited by another task", "are awaited by other tasks"),
        (facts.cycles, "waits, in the end, for itself", "wait, in the end, for themselves"),
    ):
        if count:
            said.append(_of(count, seen, noun, one, many))
    if not thread and not facts.awaited:
        said.append("no sampled task is awaited")
    if seen.compared:
        said.append(_moved(seen))
    for bound in facts.bound[:1]:
        if bound.runs > 1:
            same = ", with the same arguments" if bound.same_arguments == bound.runs else ""
            said.append(f"{bound.runs:,} share one {bound.type}{same}")
    said += [_queue_state(wait) for wait in facts.waits[:1] if wait.size is not None]
    return tuple(said)


def _of(count: int, seen: Clues, noun: str, one: str, many: str) -> str:
    """``all 200 sampled tasks are …``, ``1 of 200 sampled tasks is …``; none of those counts is 0."""
    sampled = seen.facts.sampled
    if sampled == 1:
        return f"the one sampled {noun} {one}"
    share = f"all {sampled:,}" if count == sampled else f"{count:,} of {sampled:,}"
    return f"{share} sampled {noun}s {one if count == 1 else many}"


def _moved(seen: Clues) -> str:
    compared, advanced = seen.compared, seen.advanced
    if compared == 1:
        return f"the one re-checked {'has' if advanced else 'has not'} moved"
    if not advanced:
        return f"none of {compared:,} re-checked has moved"
    if advanced == compared:
        return f"all {compared:,} re-checked have moved"
    return f"{advanced:,} of {compared:,} re-checked {'has' if advanced == 1 else 'have'} moved"


def _queue_state(queue: WaitObject) -> str:
    bound = f" of {queue.maxsize:,}" if queue.maxsize else ""
    getters, putters = (
        wording.plural(queue.getters or 0, "getter"),
        wording.plural(queue.putters or 0, "putter"),
    )
    return f"the queue holds {queue.size or 0:,}{bound}; {getters} and {putters} waiting"


def _place(group: ParkedGroup) -> str:
    name = group.frame.file.rpartition("/")[2]
    return f"{name}:{group.frame.line} in {group.frame.function}"


def _left(group: ParkedGroup) -> str:
    if group.remaining_min is None or group.remaining_max is None:
        return ""
    return f", {group.remaining_min:,.0f} to {group.remaining_max:,.0f} s left"


Named = tuple[str, str]


def _await_cycle(seen: Clues) -> Named | None:
    if not seen.most(seen.facts.cycles):
        return None
    return "await cycle", "tasks wait for each other in a ring"


def _generations(seen: Clues) -> Named | None:
    if seen.cancelling < max(2, seen.facts.sampled / 20):
        return None  # requests under way
    return "generations overlap", f"{seen.facts.cancelling:,} ignored cancel() while replacements started"


def _handing_over(seen: Clues) -> Named | None:
    if not seen.most(seen.parked("queue.put")) or seen.served:
        return None
    queue = next((wait for wait in seen.facts.waits if wait.kind == "queue.put"), None)
    if queue is not None and queue.getters:
        return None
    full = f" (full at {queue.maxsize:,})" if queue is not None and queue.maxsize else ""
    return "stuck handing over", f"blocked on a full queue{full} that nobody reads"


def _sleepers(seen: Clues) -> Named | None:
    facts = seen.facts
    if not seen.most(seen.parked("sleep")) or seen.some(facts.looping) or seen.most(facts.awaited):
        return None
    if not seen.stand_still:
        return None
    kept = "awaits or keeps" if seen.most(facts.unheld) else "awaits"
    return "sleeper per event", f"one sleeper per event: each just sleeps, then exits; nothing {kept} it"


def _collectable(seen: Clues) -> Named | None:
    """Kept by nobody, and waiting for what only they know: a ring that refers to nothing that lives."""
    alone = sum(wait.waiters for wait in seen.facts.waits if wait.outside == 0)
    if (
        not seen.most(seen.facts.unheld)
        or alone < MOST * sum(wait.waiters for wait in seen.facts.waits)
        or not alone
    ):
        return None
    return (
        "left to the collector",
        "only they refer to what they wait for, and nothing keeps them: the garbage collector destroys them",
    )


def _nobody_can_set(seen: Clues) -> Named | None:
    lost = sum(wait.waiters for wait in seen.facts.waits if wait.outside == 0)
    if not lost or not seen.most(seen.parked("event", "future", "queue.get", "condition", "lock")):
        return None
    kinds = {wait.type for wait in seen.facts.waits if wait.outside == 0}
    return "nobody can set it", f"they wait for {_join(kinds)} that nothing else living can reach"


def _orphaned_loops(seen: Clues) -> Named | None:
    if not seen.orphaned or not seen.most(seen.facts.looping):
        return None
    return "orphan", "orphaned: their creator has ended, they still run"


def _started_twice(seen: Clues) -> Named | None:
    facts = seen.facts
    bound = max(facts.bound, key=lambda each: each.same_arguments, default=None)
    if bound is None or bound.same_arguments < 2 or not seen.some(facts.looping):
        return None  # the young of them may not have come to their loop yet
    if seen.workers or seen.parked("queue.get") or seen.most(facts.awaited):
        return None  # of one pool, or children of one task
    return "started twice", f"start() ran at least {bound.same_arguments:,} times on one {bound.type}"


def _nobody_feeds(seen: Clues) -> Named | None:
    queue = next((wait for wait in seen.facts.waits if wait.kind == "queue.get"), None)
    if queue is None or not seen.most(seen.parked("queue.get")) or not seen.stand_still or not seen.compared:
        return None
    if seen.at_rest and not seen.orphaned:
        return None
    return "nobody feeds it", "each waits for items from a queue that stays empty"


def _blocked(seen: Clues) -> Named | None:
    if not seen.most(seen.parked("executor")) or seen.served:
        return None
    return "blocking call", "they wait for jobs in threads that do not return"


def _locked(seen: Clues) -> Named | None:
    if not seen.most(seen.parked(*_HOLDERS)) or not seen.stand_still or seen.served:
        return None
    return "lock not released", "they wait for a lock that is never released"


def _forgotten(seen: Clues) -> Named | None:
    facts = seen.facts
    if seen.most(facts.awaited) or seen.most(facts.looping) or not (seen.most(facts.unheld) or seen.orphaned):
        return None
    kept = "nothing keeps them" if seen.most(facts.unheld) else "their creator has ended"
    return "fire and forget", f"fire and forget: never awaited, {kept}; {_known(seen)}"


def _orphans(seen: Clues) -> Named | None:
    if not seen.orphaned:
        return None
    return "orphan", f"orphaned: their creator has ended; {_known(seen)}"


def _peer(seen: Clues) -> Named | None:
    if not seen.most(seen.parked("socket")) or not seen.stand_still or not seen.compared:
        return None
    return "waits for a peer", f"they wait on sockets that never receive data; {_known(seen)}"


def _pool_per_call(seen: Clues) -> Named | None:
    pools = len(seen.facts.bound)
    if pools < 2:
        return None
    many = f"at least {pools}" if pools == MAX_POOLS else f"{pools}"
    return "pool per call", f"{many} executors were created here and never shut down; their workers stay"


def _one_pool(seen: Clues) -> Named | None:
    pool = next(iter(seen.facts.bound), None)
    if pool is None or pool.runs < seen.facts.sampled:
        return None
    return "one pool", "workers of one executor, which starts them as it needs them, up to its limit"


def _endless_thread(seen: Clues) -> Named | None:
    group = seen.group
    if group is None or group.wait == "running":
        return None
    return "thread never told to end", f"each thread that is started here stays; {_known(seen)}"


def _known(seen: Clues) -> str:
    group = seen.group
    if group is None:
        return "where they wait is not known"
    sampled = seen.facts.sampled
    share = f"all {sampled:,}" if group.live == sampled > 1 else f"{group.live:,} of {sampled:,}"
    return f"{share} wait at {_place(group)} ({group.text})"


def _join(kinds: set[str]) -> str:
    return " or ".join(f"an {kind}" if kind[:1] in "AEIOU" else f"a {kind}" for kind in sorted(kinds))


_TASK_PATTERNS: tuple[Callable[[Clues], Named | None], ...] = (
    _await_cycle,
    _generations,
    _collectable,
    _handing_over,
    _sleepers,
    _nobody_can_set,
    _orphaned_loops,
    _started_twice,
    _forgotten,
    _nobody_feeds,
    _blocked,
    _locked,
    _orphans,
    _peer,
)
_THREAD_PATTERNS: tuple[Callable[[Clues], Named | None], ...] = (
    _pool_per_call,
    _one_pool,
    _endless_thread,
)
