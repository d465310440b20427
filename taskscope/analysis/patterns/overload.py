"""More work than a loop or a pool gets through."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from taskscope import text as wording
from taskscope.analysis.onset import Onset
from taskscope.analysis.patterns.pattern import Hindrance, place, process_note
from taskscope.model import Frame, is_full

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from taskscope.model import Finding, Loop, Thread

CROWDED = 0.05
"""Median wait of callbacks, in seconds, from which they are said to queue up."""

QUEUED = 10
"""Callbacks that must be ready then: fewer are held up by one slow call, not by each other."""


def crowded(loops: Iterable[Loop], threads: Sequence[Thread], since: Onset) -> tuple[Finding, ...]:
    """One finding for each loop that has more to run than it gets through, as it is since then."""
    return tuple(
        _crowd_finding(loop, next((each for each in threads if each.loop == loop.id), None), since)
        for loop in loops
        if (loop.latency_p50 or 0.0) >= CROWDED and (loop.ready is None or loop.ready >= QUEUED)
    )


def saturated(threads: Iterable[Thread], now: float) -> tuple[Finding, ...]:
    """One finding for each pool whose workers are all at work while jobs wait."""
    pools: dict[int, list[Thread]] = defaultdict(list)
    for thread in threads:
        if thread.executor is not None:
            pools[thread.executor.id].append(thread)
    return tuple(_pool_finding(workers, now) for workers in pools.values() if is_full(workers))


def _crowd_finding(loop: Loop, thread: Thread | None, since: Onset) -> Finding:
    said = [] if loop.ready is None else [_waiting(loop.ready, "callback") + " now"]
    if thread is not None and thread.frame is not None:
        said.append(f"just now it was in {thread.frame.function}, {place(thread.frame)}")
    half, most = loop.latency_p50 or 0.0, loop.latency_p99 or 0.0
    return process_note(
        "loop",
        Frame("", 0, loop.kind.rpartition(".")[2], "stdlib"),
        since,
        f"callbacks queue up: half of them wait {half:,.2f} s for their turn, one in a hundred {most:,.2f} s",
        {
            "why": "crowded",
            "ready": loop.ready,
            "latency_p50_seconds": round(half, 3),
            "latency_p99_seconds": round(most, 3),
        },
        CALLBACKS_QUEUE_UP.cause("more becomes ready than the loop gets through", tuple(said)),
    )


def _waiting(number: int, noun: str) -> str:
    """``1 job waits``, ``7 jobs wait``."""
    return f"{wording.plural(number, noun)} {'waits' if number == 1 else 'wait'}"


def _pool_finding(workers: Sequence[Thread], now: float) -> Finding:
    pool = workers[0].executor
    assert pool is not None
    frame = next((each.frame for each in workers if each.frame is not None), None)
    where = frame or Frame("", 0, "(not known)", "stdlib")
    all_workers = "its one worker is" if pool.max_workers == 1 else f"all {pool.max_workers:,} workers are"
    least = "at least " if pool.more_queued else ""
    said = tuple(dict.fromkeys(each.doing for each in workers))[:5]
    return process_note(
        "executor",
        where,
        Onset(now if pool.full_since is None else pool.full_since, at_least=True),
        f"{pool.name}: {all_workers} at work and {least}{_waiting(pool.queued, 'job')}",
        {"why": "saturated", "workers": pool.max_workers, "queued": pool.queued},
        POOL_SATURATED.cause("every worker is at work, so new jobs wait", said),
    )


CALLBACKS_QUEUE_UP = Hindrance(
    name="callbacks queue up",
    find=lambda process: crowded(process.loops, process.threads, process.slow),
    noun="crowded loop",
    explanation="More becomes ready than the loop gets through, so everything waits its turn, timeouts too.",
    remedy=(
        "Let fewer tasks run at once (a semaphore, a queue with workers), do less in each step, or give "
        "computations to a process."
    ),
)


POOL_SATURATED = Hindrance(
    name="pool saturated",
    find=lambda process: saturated(process.threads, process.now),
    noun="saturated pool",
    explanation="Jobs block for longer than the time between them, so they pile up behind the workers.",
    remedy=(
        "Give the calls a timeout, the pool more workers if the calls only wait, or limit how many are "
        "submitted with a semaphore."
    ),
)

PATTERNS = (CALLBACKS_QUEUE_UP, POOL_SATURATED)
"""In the order in which they are told."""
