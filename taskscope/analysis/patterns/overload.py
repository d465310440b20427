"""More work than a loop or a pool can handle."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

from taskscope import text as wording
from taskscope.analysis.onset import Onset
from taskscope.analysis.patterns.chains import Chains
from taskscope.analysis.patterns.pattern import UNKNOWN, ProcessPattern, place, process_finding
from taskscope.model import Frame, is_full

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Sequence

    from taskscope.model import Finding, FullPool, FullSlots, Holder, Loop, Thread, WaitGraph, WaitingAt

CROWDED = 0.05
"""Median wait, in seconds, from which callbacks count as queueing up."""

STARVED = 10.0
"""Seconds without movement of any worker from which a full pool is suspected of starving what waits."""

SLOTS_HELD = 20.0
"""Seconds without movement of any holder, nor of a waiter, from which slots are suspected to be stuck."""

SHOWN = 5
"""Holders named."""

QUEUED = 10
"""Fewest ready callbacks: fewer wait for one slow call, not for each other."""


def crowded(loops: Iterable[Loop], threads: Sequence[Thread], since: Onset) -> tuple[Finding, ...]:
    """One finding per overloaded loop.  ``since``: when callbacks began to run late."""
    return tuple(
        _crowd_finding(loop, next((each for each in threads if each.loop == loop.id), None), since)
        for loop in loops
        if (loop.latency_p50 or 0.0) >= CROWDED and (loop.ready is None or loop.ready >= QUEUED)
    )


def saturated(
    threads: Iterable[Thread], now: float, full: Iterable[FullPool] = (), hung: Container[str] = ()
) -> tuple[Finding, ...]:
    """One finding per pool whose workers are all busy while jobs wait; ``hung``: those in a deadlock."""
    pools: dict[int, list[Thread]] = defaultdict(list)
    for thread in threads:
        if thread.executor is not None:
            pools[thread.executor.id].append(thread)
    known = {each.id: each for each in full}
    return tuple(
        _pool_finding(workers, now, known.get(id))
        for id, workers in pools.items()
        if is_full(workers) and (workers[0].executor is None or workers[0].executor.name not in hung)
    )


def _hung_pools(graph: WaitGraph | None) -> set[str]:
    """Pools whose workers wait for each other: more of them would not help."""
    return (
        {each.name for each in Chains(graph).nodes.values() if each.kind == "pool"}
        if graph is not None
        else set()
    )


def _crowd_finding(loop: Loop, thread: Thread | None, since: Onset) -> Finding:
    lines = [] if loop.ready is None else [_waiting(loop.ready, "callback") + " now"]
    if thread is not None and thread.frame is not None:
        lines.append(f"last seen in {thread.frame.function}, {place(thread.frame)}")
    half, most = loop.latency_p50 or 0.0, loop.latency_p99 or 0.0
    return process_finding(
        "loop",
        "crowded",
        Frame("", 0, loop.kind.rpartition(".")[2], "stdlib"),
        since,
        f"callbacks queue up: they wait {half:,.2f} s (median), {most:,.2f} s (p99)",
        {
            "ready": loop.ready,
            "latency_p50_seconds": round(half, 3),
            "latency_p99_seconds": round(most, 3),
        },
        CALLBACKS_QUEUE_UP.cause("callbacks become ready faster than the loop runs them", tuple(lines)),
    )


def _waiting(number: int, noun: str) -> str:
    """``1 job waits``, ``7 jobs wait``."""
    return f"{wording.plural(number, noun)} {'waits' if number == 1 else 'wait'}"


def _pool_finding(workers: Sequence[Thread], now: float, full: FullPool | None) -> Finding:
    pool = workers[0].executor
    assert pool is not None
    frame = next((each.frame for each in workers if each.frame is not None), None)
    where = frame or UNKNOWN
    all_workers = "its only worker is" if pool.max_workers == 1 else f"all {pool.max_workers:,} workers are"
    least = "at least " if pool.more_queued else ""
    doing = tuple(dict.fromkeys(each.doing_at_length for each in workers))[:5]
    evidence: dict[str, object] = {"workers": pool.max_workers, "queued": pool.queued}
    cause = "every worker is busy, so new jobs wait"
    if full is not None and now - full.since >= STARVED:
        held = now - full.since
        none = "no worker has" if full.all else "most workers have not"
        cause = f"{none} moved for at least {wording.age(held)}, so new jobs wait"
        doing += tuple(
            f"such jobs are submitted at {place(each)} in {each.function}" for each in full.submitted
        )
        doing += tuple(_behind(each) for each in full.waiting)
        evidence |= {"held_seconds": round(held, 1), "waiting": sum(each.tasks for each in full.waiting)}
    found = process_finding(
        "executor",
        "saturated",
        where,
        Onset(now if pool.full_since is None else pool.full_since, at_least=True),
        f"{pool.name}: {all_workers} busy and {least}{_waiting(pool.queued, 'job')}",
        evidence,
        POOL_SATURATED.cause(cause, doing),
    )
    return replace(found, level="suspect") if "held_seconds" in evidence else found


def _behind(line: WaitingAt) -> str:
    return f"{_waiting(line.tasks, 'task')} for a worker at {place(line.frame)} in {line.frame.function}"


def slots_taken(graph: WaitGraph | None) -> tuple[Finding, ...]:
    """One finding per semaphore or limiter that nobody gives back while others wait."""
    if graph is None or any(each.kind == "slots" for each in graph.nodes):
        return ()  # a deadlock says more
    lost = {each.name for each in graph.unreturned}
    return tuple(
        _slots_finding(each, graph.monotonic)
        for each in graph.slots
        if graph.monotonic - max(each.since, each.oldest) >= SLOTS_HELD and each.name not in lost
    )


def _slots_finding(full: FullSlots, now: float) -> Finding:
    first = full.holders[0] if full.holders else None
    where = (first.frame if first is not None else None) or (full.lines[0].frame if full.lines else UNKNOWN)
    held = wording.age(now - full.since)
    all_slots = f"all {full.size:,} slots have" if full.size > 1 else "its only slot has"
    all_slots = all_slots if full.size else "every slot has"
    taken_by = "those that took the slots have not moved" if full.holders else "nobody has given a slot back"
    found = process_finding(
        "executor",
        "saturated",
        where,
        Onset(full.since, at_least=True),
        f"{full.name}: {all_slots} been taken for at least {held} and {_waiting(full.waiting, full.waiters)}",
        {
            "slots": full.size,
            "queued": full.waiting,
            "held_seconds": round(now - full.since, 1),
            "oldest_wait_seconds": round(now - full.oldest, 1),
        },
        SLOTS_TAKEN.cause(
            f"{taken_by} for at least {held}; "
            f"the longest has waited for one for at least {wording.age(now - full.oldest)}",
            (
                *(_holds(each) for each in full.holders[:SHOWN]),
                *([f"no task or thread has {full.unheld:,} of them"] if full.unheld else []),
                *(_behind_slot(each, full) for each in full.lines),
            ),
        ),
    )
    return replace(found, level="suspect")


def _holds(holder: Holder) -> str:
    taken = f", taken at {place(holder.taken)} in {holder.taken.function}" if holder.taken is not None else ""
    at = f" at {place(holder.frame)} in {holder.frame.function}" if holder.frame is not None else ""
    return f"{holder.kind} {holder.name} has one{taken}, and waits{at} ({holder.text})"


def _behind_slot(line: WaitingAt, full: FullSlots) -> str:
    return f"{_waiting(line.tasks, full.waiters)} for a slot at {place(line.frame)} in {line.frame.function}"


CALLBACKS_QUEUE_UP = ProcessPattern(
    name="callbacks queue up",
    find=lambda process: crowded(process.loops, process.threads, process.slow),
    noun="crowded loop",
    explanation="Callbacks become ready faster than the loop runs them, so everything is late, timeouts too.",
    remedy=(
        "Let fewer tasks run at once (a semaphore, a queue with workers), do less in each step, or give "
        "computations to a process."
    ),
)


POOL_SATURATED = ProcessPattern(
    name="pool saturated",
    find=lambda process: saturated(
        process.threads,
        process.now,
        process.waits.full if process.waits is not None else (),
        _hung_pools(process.waits),
    ),
    noun="saturated pool",
    explanation="Jobs arrive faster than the workers finish them, so they pile up.",
    remedy=(
        "Give the calls a timeout, give the pool more workers if the calls only wait, or limit submissions "
        "with a semaphore."
    ),
)

SLOTS_TAKEN = ProcessPattern(
    name="slots taken",
    find=lambda process: slots_taken(process.waits),
    noun="semaphore",
    verb=" that nobody gives back",
    explanation="Every slot belongs to one that waits for something else, so those in the queue wait too.",
    remedy=(
        "Give the calls made while a slot is held a time-out, do not hold one across long waits, or allow "
        "more."
    ),
)

PATTERNS = (CALLBACKS_QUEUE_UP, POOL_SATURATED, SLOTS_TAKEN)
"""In the order they are reported."""
